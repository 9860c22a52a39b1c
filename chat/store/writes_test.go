package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWrites(t *testing.T) {
	if !timesTell {
		t.Skip("the times of open files don't tell here: everything is read again each time")
	}
	path := filepath.Join(t.TempDir(), "file")
	write := func(text string, at time.Time) {
		t.Helper()
		check(t, os.WriteFile(path, []byte(text), 0o600))
		check(t, os.Chtimes(path, at, at))
	}
	now := time.Now()
	write("one", now.Add(-time.Hour))
	w := newWrites(path, filepath.Join(t.TempDir(), "absent"))
	soon := false // the look comes right after the write
	w.now = func() time.Time {
		if soon {
			return time.Now()
		}
		return time.Now().Add(coarseTick)
	}
	var before uint64 // which stands for what was never looked at
	for _, c := range []struct {
		name string
		do   func()
		same bool
	}{
		{"the first look", func() {}, false},
		{"nothing was written", func() {}, true},
		{"the same length", func() { write("two", now.Add(-time.Minute)) }, false},
		{"nothing again", func() {}, true},
		{"the same length and time", func() { write("one", now.Add(-time.Minute)) }, false},
		{"nothing once more", func() {}, true},
		{"an older copy", func() { write("one", now.Add(-2*time.Hour)) }, false},
		{"another length at the same time", func() { write("longer", now.Add(-2*time.Hour)) }, false},
		{"a moment before the look", func() { soon = true; write("before", time.Now()) }, false},
		{"and the same moment after it", func() {
			info, err := os.Stat(path)
			check(t, err)
			write("behind", info.ModTime())
		}, false},
		{"the clock was set back", func() { write("future", now.Add(time.Hour)) }, false},
		{"while that lasts nothing is sure", func() {}, false},
		{"while it keeps full seconds the same", func() { soon = false; write("coarse", now.Add(coarseTick/2).Truncate(time.Second)) }, false},
		{"a second later", func() {}, false},
		{"removed", func() { check(t, os.Remove(path)) }, false},
		{"still removed", func() {}, true},
	} {
		c.do()
		after := w.upTo()
		if (after == before) != c.same {
			t.Errorf("%s: the number went from %d to %d", c.name, before, after)
		}
		before = after
	}
}
