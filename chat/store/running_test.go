package store

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// The processes that have a data directory open are known by their slots, on Linux by
// their ids too, and to ask changes nothing.
func TestRunning(t *testing.T) {
	dir := t.TempDir()
	if all := Running(filepath.Join(dir, "none")); all != nil {
		t.Errorf("nowhere run %v", all)
	}
	one, two := open(t, dir), open(t, dir)
	pid := 0
	if runtime.GOOS == "linux" {
		pid = os.Getpid()
	}
	want := []Process{{1, pid}, {2, pid}}
	if all := Running(dir); len(all) != 2 || all[0] != want[0] || all[1] != want[1] {
		t.Errorf("%v run, not %v", all, want)
	}
	check(t, one.Close())
	if all := Running(dir); len(all) != 1 || all[0] != want[1] {
		t.Errorf("%v run, not %v", all, want[1])
	}
	check(t, two.Close())
	if all := Running(dir); all != nil {
		t.Errorf("%v run", all)
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory was made")
	}
}
