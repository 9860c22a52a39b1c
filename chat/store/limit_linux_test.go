package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// limitFiles lets no file of this process grow beyond a size until the test ends.
func limitFiles(t *testing.T, size int64) (lift func()) {
	t.Helper()
	var was unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &was))
	lift = func() { _ = unix.Setrlimit(unix.RLIMIT_FSIZE, &was) }
	t.Cleanup(lift)
	check(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(size), Max: was.Max}))
	return lift
}

// toldOfLimit fails unless an error is told as one of a limit.
func toldOfLimit(t *testing.T, what string, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Err.Error(), "file too large") || !strings.Contains(e.Remedy, "limit of file size") {
		t.Errorf("%s: %v (%+v)", what, err, e)
	}
}

// A limit of the size of files isn't a fault of the disk, whatever it stops. It is tried in a process
// of its own: the limit holds for every file of a process, also for what the go command has it write.
func TestFileSizeLimit(t *testing.T) {
	const limited = "EARSHOT_TEST_LIMIT"
	if os.Getenv(limited) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFileSizeLimit$", "-test.v")
		cmd.Env = append(os.Environ(), limited+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || bytes.Count(out, []byte("--- PASS")) != 4 {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	t.Run("the first start", func(t *testing.T) {
		limitFiles(t, 60<<10)
		s, err := Open(t.TempDir())
		if err == nil {
			s.Close()
		}
		toldOfLimit(t, "opened", err)
	})
	t.Run("the log", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir)
		lift := limitFiles(t, 200<<10)
		var err error
		for n := 0; n < 100 && err == nil; n++ {
			if _, err = s.Heard(ana, id(n), strings.Repeat("word ", 6000), now, now); err == nil {
				err = s.Flush()
			}
		}
		toldOfLimit(t, "kept", err)
		toldOfLimit(t, "said", s.Err())
		lift()
		check(t, s.Flush())
	})
	t.Run("a backup", func(t *testing.T) {
		s := open(t, person(t))
		for n := range 20 {
			must[bool](t)(s.Heard(ana, id(n), strings.Repeat("word ", 6000), now, now))
		}
		check(t, s.Flush())
		s.tidy()
		at := t.TempDir()
		limitFiles(t, 100<<10)
		_, err := s.Backup(context.Background(), filepath.Join(at, "saved"), now)
		toldOfLimit(t, "saved", err)
		if left, _ := os.ReadDir(at); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}
