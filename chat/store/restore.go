package store

const (
	restoring     = "restoring"
	beforeRestore = "before-restore-"
)
