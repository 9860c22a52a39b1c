//go:build race

package store

import "testing"

// raced says that the race detector runs, under which SQLite is slower by far.
const raced = true

// tooSlow skips a test of a single goroutine that takes minutes under the race detector, as SQLite does there.
func tooSlow(t *testing.T) {
	t.Helper()
	t.Skip("nothing can race here, and under the race detector it takes minutes\nrun: go test ./chat/store")
}
