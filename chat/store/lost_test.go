package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
)

// asKilled returns a copy of a data directory as the processes there would leave it if
// they were killed now. A copy in which a file went away meanwhile is made anew.
func asKilled(t *testing.T, dir string) string {
	t.Helper()
	for {
		to := t.TempDir()
		if err := os.CopyFS(to, os.DirFS(dir)); !errors.Is(err, os.ErrNotExist) {
			check(t, err)
			return to
		}
		_, err := os.Stat(dir)
		check(t, err)
	}
}

// What was removed or replaced under a running process makes it take and send nothing
// more, and say so. What it took before is there when all is put back.
func TestFilesGone(t *testing.T) {
	database := func(dir string) string { return filepath.Join(dir, File) }
	for name, c := range map[string]struct {
		lose func(t *testing.T, dir string)
		mend func(t *testing.T, dir string) // nil: can't be
	}{
		"directory removed": {func(t *testing.T, dir string) { check(t, os.RemoveAll(dir)) }, nil},
		"directory moved": {
			func(t *testing.T, dir string) { check(t, os.Rename(dir, dir+".moved")) },
			func(t *testing.T, dir string) { check(t, os.Rename(dir+".moved", dir)) },
		},
		"database removed": {func(t *testing.T, dir string) { check(t, os.Remove(database(dir))) }, nil},
		"database moved": {
			func(t *testing.T, dir string) { check(t, os.Rename(database(dir), database(dir)+".moved")) },
			func(t *testing.T, dir string) { check(t, os.Rename(database(dir)+".moved", database(dir))) },
		},
		"database replaced": {func(t *testing.T, dir string) {
			check(t, copyFile(database(dir), database(dir)+".copy"))
			check(t, os.Rename(database(dir)+".copy", database(dir)))
		}, nil},
		"database emptied": {func(t *testing.T, dir string) { check(t, os.Truncate(database(dir), 0)) }, nil},
		"another database copied over it": {func(t *testing.T, dir string) {
			copyOver(t, stranger(t, stampIn(t, database(dir))+(1<<30)), database(dir))
		}, nil},
		"another, whose stamp is older": {func(t *testing.T, dir string) {
			copyOver(t, stranger(t, stampIn(t, database(dir))-(1<<30)), database(dir))
		}, nil},
		"another, of an earlier version": {func(t *testing.T, dir string) { copyOver(t, stranger(t, 0), database(dir)) }, nil},
		"a part of another": {func(t *testing.T, dir string) {
			other := stranger(t, stampIn(t, database(dir))+(1<<30))
			check(t, os.Truncate(other, 8192))
			copyOver(t, other, database(dir))
		}, nil},
		"the beginning of another": {func(t *testing.T, dir string) {
			other := stranger(t, stampIn(t, database(dir))+(1<<30))
			check(t, os.Truncate(other, 4096))
			copyOver(t, other, database(dir))
		}, nil},
		"another, of the same size and time": {func(t *testing.T, dir string) {
			info, err := os.Stat(database(dir))
			check(t, err)
			other := stranger(t, stampIn(t, database(dir))+(1<<30))
			check(t, os.Truncate(other, info.Size()))
			copyOver(t, other, database(dir))
			check(t, os.Chtimes(database(dir), info.ModTime(), info.ModTime()))
		}, nil},
		"identity replaced, of the same size and time": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, IdentityFile)
			info, err := os.Stat(path)
			check(t, err)
			check(t, os.WriteFile(path, []byte("b key"), 0o600))
			check(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		}, nil},
		"log moved": {
			func(t *testing.T, dir string) { check(t, os.Rename(filepath.Join(dir, Log), database(dir)+".moved")) },
			func(t *testing.T, dir string) { check(t, os.Rename(database(dir)+".moved", filepath.Join(dir, Log))) },
		},
		"database moved, and a link to it": {
			func(t *testing.T, dir string) {
				check(t, os.Rename(database(dir), database(dir)+".moved"))
				check(t, os.Symlink(File+".moved", database(dir)))
			},
			func(t *testing.T, dir string) { check(t, os.Rename(database(dir)+".moved", database(dir))) },
		},
		"log moved, and a link to it": {
			func(t *testing.T, dir string) {
				check(t, os.Rename(filepath.Join(dir, Log), database(dir)+".moved"))
				check(t, os.Symlink(File+".moved", filepath.Join(dir, Log)))
			},
			func(t *testing.T, dir string) { check(t, os.Rename(database(dir)+".moved", filepath.Join(dir, Log))) },
		},
		"log emptied":     {func(t *testing.T, dir string) { check(t, os.Truncate(filepath.Join(dir, Log), 0)) }, nil},
		"log overwritten": {func(t *testing.T, dir string) { scribble(t, filepath.Join(dir, Log), 0, walHeader) }, nil},
		"journal removed": {func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "running", "1.a"))) }, nil},
		"lock removed":    {func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "running", "1.lock"))) }, nil},
		"identity removed": {
			func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, IdentityFile))) }, nil,
		},
		"identity replaced": {func(t *testing.T, dir string) {
			check(t, os.WriteFile(filepath.Join(dir, IdentityFile), []byte("another"), 0o600))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if os.PathSeparator == '\\' {
				t.Skip("files that are open can't be removed here")
			}
			dir := filepath.Join(t.TempDir(), "data")
			check(t, os.Mkdir(dir, 0o700))
			check(t, os.WriteFile(filepath.Join(dir, IdentityFile), []byte("a key"), 0o600))
			s := open(t, dir)
			must[bool](t)(s.Heard(ana, id(1), "in the database", now, now))
			check(t, s.Flush())
			check(t, s.Err())
			time.Sleep(2 * timesTick) // so that times tell
			check(t, s.Err())
			must[bool](t)(s.Heard(ana, id(2), "in the journal", now, now))
			c.lose(t, dir)
			s.files.looked = time.Time{}
			if strings.Contains(name, "identity") || strings.Contains(name, "emptied") || strings.Contains(name, "overwritten") || strings.Contains(name, "lock") {
				if s.Err() == nil { // these are looked at once a second
					t.Error("it isn't noticed")
				}
			}
			var e *Error
			if fresh, err := s.Heard(ana, id(3), "lost", now, now); fresh && err == nil || !errors.As(err, &e) || !strings.Contains(e.Remedy, "start earshot again") {
				t.Errorf("taken: %v %v", fresh, err)
			}
			if _, err := s.Said(chat.Saying{To: ana.Key, ID: id(4), Text: "lost", Sent: now}); err == nil {
				t.Error("said")
			}
			if _, err := s.Queue(ana, "lost", now); err == nil {
				t.Error("queued")
			}
			if s.Err() == nil {
				t.Error("no reason is given")
			}
			_ = s.Close()
			if c.mend == nil {
				return
			}
			c.mend(t, dir)
			s = open(t, dir)
			if got := texts(must[[]Message](t)(s.Log(Filter{}))); len(got) < 2 || !slices.Equal(got[:2], []string{"in the database", "in the journal"}) {
				t.Errorf("put back: %q", got)
			}
			if all := s.Damaged(); all != nil {
				t.Errorf("put back: %v", all)
			}
			check(t, s.Err())
		})
	}
}

// stranger returns the database file of another directory, with a stamp.
func stranger(t *testing.T, as stamp) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	must[bool](t)(s.Heard(ana, id(900), "of another", now, now))
	check(t, s.Close())
	path := filepath.Join(dir, File)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	_, err = f.WriteAt(binary.BigEndian.AppendUint32(nil, uint32(as)), stampAt)
	check(t, err)
	check(t, f.Close())
	return path
}

// stampIn returns the stamp of a database file.
func stampIn(t *testing.T, path string) stamp {
	t.Helper()
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	return must[stamp](t)(readStamp(f))
}

// copyOver writes a file over another, as cp does.
func copyOver(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	check(t, err)
	check(t, os.WriteFile(to, b, 0o600))
}

// scribble writes rubbish over a part of a file.
func scribble(t *testing.T, path string, from, to int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	info, err := f.Stat()
	check(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("rubbish ", int(min(info.Size(), to)-from)/8)), from)
	check(t, err)
	check(t, f.Close())
}

// When what is read shows that the log is damaged, nothing more is taken, and that is said.
func TestLogScribbled(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must[bool](t)(s.Heard(ana, id(1), "in the log", now, now))
	check(t, s.Flush())
	check(t, s.Err())
	scribble(t, filepath.Join(dir, Log), walHeader, 1<<40)
	if _, err := s.Log(Filter{}); err == nil {
		t.Fatal("it is read")
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("it isn't said: %v", err)
	}
	if _, err := s.Heard(ana, id(2), "lost", now, now); err == nil {
		t.Error("taken")
	}
}

// A database that was moved, and is linked to, leaves its log behind: that is said, and the log kept.
func TestLogBesideLink(t *testing.T) {
	if os.PathSeparator == '\\' {
		t.Skip("links take rights here")
	}
	dir := t.TempDir()
	s := open(t, dir)
	must[bool](t)(s.Heard(ana, id(1), "in the log", now, now))
	check(t, s.Flush())
	dir = asKilled(t, dir)
	check(t, os.Rename(filepath.Join(dir, File), filepath.Join(dir, "moved")))
	check(t, os.Symlink("moved", filepath.Join(dir, File)))
	s = open(t, dir)
	told := s.Damaged()
	if len(told) == 0 || !strings.Contains(told[0].Path, Log+".set-aside-") {
		t.Fatalf("told of %v", told)
	}
	check(t, s.Close())
	check(t, os.Remove(filepath.Join(dir, File)))
	check(t, os.Rename(filepath.Join(dir, "moved"), filepath.Join(dir, File)))
	check(t, os.Rename(told[0].Path, filepath.Join(dir, Log)))
	if got := texts(must[[]Message](t)(open(t, dir).Log(Filter{}))); !slices.Equal(got, []string{"in the log"}) {
		t.Errorf("put back: %q", got)
	}
}

// Another database that takes the place of a lost one keeps its log when the process that
// lost its own ends, and none is made beside one that runs.
func TestGoneBesideAnother(t *testing.T) {
	if os.PathSeparator == '\\' {
		t.Skip("files that are open can't be moved here")
	}
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s, "one")
	check(t, os.Rename(filepath.Join(dir, File), filepath.Join(dir, "away")))
	var e *Error
	if other, err := Open(dir); err == nil {
		other.Close()
		t.Error("begun anew beside one that runs")
	} else if !errors.As(err, &e) || !strings.Contains(e.Remedy, "end that one first") {
		t.Errorf("%v", err)
	}
	check(t, copyFile(filepath.Join(dir, "away"), filepath.Join(dir, File)))
	if other, err := Open(dir); err == nil {
		other.Close()
		t.Error("another database is used beside one that runs")
	}
	_ = s.Close()
}

// What was copied over the database while it runs stays as it is: nothing of the log goes into it when the
// process ends, and none uses it that starts beside one that runs.
func TestCopyStaysWhole(t *testing.T) {
	if os.PathSeparator == '\\' {
		t.Skip("files that are open can't be replaced here")
	}
	for name, over := range map[string]func(t *testing.T, dir string) (path string){
		"of another directory": func(t *testing.T, dir string) string {
			return stranger(t, stampIn(t, filepath.Join(dir, File))+(1<<30))
		},
		"of before": func(t *testing.T, dir string) string { return filepath.Join(dir, "before") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			must[bool](t)(s.Heard(ana, id(1), "long ago", now, now))
			check(t, s.Flush())
			s.tidy()
			check(t, copyFile(s.path, filepath.Join(dir, "before")))
			for n := range 5 {
				must[bool](t)(s.Heard(ana, id(2+n), "in the database", now, now))
				check(t, s.Flush())
			}
			s.tidy()
			must[bool](t)(s.Heard(ana, id(9), "in the log", now, now))
			check(t, s.Flush())
			from := over(t, dir)
			copyOver(t, from, s.path)
			if other, err := Open(dir); err == nil {
				_ = other.Close()
				t.Error("it is used beside one that runs")
			}
			if fresh, err := s.Heard(ana, id(10), "lost", now, now); fresh && err == nil {
				t.Error("taken")
			}
			if s.Err() == nil {
				t.Error("it isn't noticed")
			}
			_ = s.Close()
			want, err := os.ReadFile(from)
			check(t, err)
			got, err := os.ReadFile(s.path)
			check(t, err)
			if !bytes.Equal(got, want) {
				t.Error("the copy was written to")
			}
		})
	}
}

// While much is heard, a copy is noticed before the next acknowledgement.
func TestCopyDuringActivity(t *testing.T) {
	if os.PathSeparator == '\\' {
		t.Skip("files that are open can't be replaced here")
	}
	dir := t.TempDir()
	s := open(t, dir)
	n := 0
	hear := func(during time.Duration) (taken int) {
		for end := time.Now().Add(during); time.Now().Before(end); n++ {
			if fresh, err := s.Heard(ana, id(n), "text", now, now); fresh && err == nil {
				taken++
			}
		}
		return taken
	}
	if hear(5*groupFor) == 0 {
		t.Fatal("nothing is taken")
	}
	from := stranger(t, stampIn(t, s.path)+(1<<30))
	hear(5 * groupFor)
	copyOver(t, from, s.path)
	time.Sleep(lookHolds)
	if taken := hear(5 * groupFor); taken > 0 {
		t.Errorf("%d are taken", taken)
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("the reason is %v", err)
	}
}

// Nor is the log used with a database of an earlier version that was copied over the one that it continues.
func TestEarlierVersionBesideLog(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	hear(t, s, 1, "in the log")
	killed := asKilled(t, dir)
	copyOver(t, stranger(t, 0), filepath.Join(killed, File))
	s = open(t, killed)
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, []string{"of another"}) {
		t.Errorf("kept: %q", got)
	}
	if told := s.Damaged(); len(told) == 0 || !strings.Contains(told[0].Path, Log+".set-aside-") {
		t.Errorf("told of %v", told)
	}
}
