package chat

import "os"

// modesCount is whether files have modes here: who may read them goes by the directory.
const modesCount = false

// lockRange does nothing: the other lock is of the same kind here.
func lockRange(*os.File) error { return nil }

// shareMap does nothing: files can be mapped on all file systems.
func shareMap(*os.File) error { return nil }
