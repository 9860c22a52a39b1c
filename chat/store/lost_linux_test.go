package store

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A directory that can't be looked into isn't said to be removed.
func TestMayNotLook(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give up its rights here")
	}
	dir := filepath.Join(t.TempDir(), "data")
	check(t, os.Mkdir(dir, 0o700))
	s := open(t, dir)
	must[bool](t)(s.Heard(ana, id(1), "before", now, now))
	check(t, s.Flush())
	runtime.LockOSThread() // the rights are a thread's, which ends with this test
	check(t, unix.Setfsuid(65534))
	err := s.Err()
	check(t, unix.Setfsuid(0))
	if err == nil || strings.Contains(err.Error(), "removed") || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("said: %v", err)
	}
	if _, err := s.Heard(ana, id(2), "after", now, now); err == nil {
		t.Error("taken")
	}
}
