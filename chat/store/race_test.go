//go:build race

package store

import "testing"

// tooSlow skips a test of a single goroutine that takes minutes under the race detector, as SQLite does there.
func tooSlow(t *testing.T) {
	t.Helper()
	t.Skip("nothing can race here, and under the race detector it takes minutes\nrun: go test ./chat/store")
}
