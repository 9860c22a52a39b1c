package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// refuses opens the database in dir and expects it to be refused, and left as it is.
func refuses(t *testing.T, dir, why string) {
	t.Helper()
	path := filepath.Join(dir, File)
	before, _ := os.ReadFile(path)
	s, err := Open(dir)
	if err == nil {
		s.Close()
		t.Fatal("opened")
	}
	var e *Error
	if !errors.As(err, &e) || !strings.HasPrefix(e.Path, dir) || e.Remedy == "" || !strings.Contains(e.Error(), why) {
		t.Errorf("%v (%+v)", err, e)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, before) {
		t.Error("the file was changed")
	}
}

func TestNewerVersion(t *testing.T) {
	dir := t.TempDir()
	open(t, dir).Close()
	db, err := sql.Open("sqlite", filepath.Join(dir, File))
	check(t, err)
	_, err = db.Exec("PRAGMA user_version = 99")
	check(t, err)
	check(t, db.Close())
	refuses(t, dir, "made by a newer earshot (version 99")
}

func TestAnotherDatabase(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, File))
	check(t, err)
	_, err = db.Exec("CREATE TABLE cats (name)")
	check(t, err)
	check(t, db.Close())
	refuses(t, dir, "a database of something else")
}

func TestCorrupt(t *testing.T) {
	t.Run("no database", func(t *testing.T) {
		dir := t.TempDir()
		check(t, os.WriteFile(filepath.Join(dir, File), []byte(strings.Repeat("rubbish ", 1000)), 0o600))
		refuses(t, dir, "the database is damaged")
	})
	// As after a copy that failed. To begin anew would be to trust everybody anew.
	t.Run("emptied", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir).Close()
		check(t, os.Truncate(filepath.Join(dir, File), 0))
		refuses(t, dir, "the database is empty")
		check(t, os.RemoveAll(filepath.Join(dir, "running"))) // as where only the two files were copied
		refuses(t, dir, "the database is empty")
		check(t, os.Remove(filepath.Join(dir, File)))
		open(t, dir).Close()
	})
	t.Run("damaged schema", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir).Close()
		path := filepath.Join(dir, File)
		b, err := os.ReadFile(path)
		check(t, err)
		for i := 100; i < 4096; i++ {
			b[i] = 0xff
		}
		check(t, os.WriteFile(path, b, 0o600))
		refuses(t, dir, "the database is damaged")
	})
	// Damage deeper down is met when it is read.
	t.Run("damaged table", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir)
		for n := range 500 {
			must[bool](t)(s.Heard(ana, id(n), strings.Repeat("word ", 50), now, now))
		}
		check(t, s.Close())
		path := filepath.Join(dir, File)
		b, err := os.ReadFile(path)
		check(t, err)
		for i := 4096; i < len(b); i++ {
			b[i] = 0xff
		}
		check(t, os.WriteFile(path, b, 0o600))
		s, err = Open(dir)
		if err == nil {
			_, err = s.Log(Filter{})
			s.Close()
		}
		var e *Error
		if !errors.As(err, &e) || e.Path != path || !strings.Contains(e.Error(), "damaged") || e.Remedy == "" {
			t.Errorf("%v", err)
		}
	})
}

// A first start that was killed is made up for by the next.
func TestFirstStartKilled(t *testing.T) {
	dir := t.TempDir()
	for _, left := range []string{".new", ".new-wal", "-wal"} {
		check(t, os.WriteFile(filepath.Join(dir, File+left), []byte("half"), 0o600))
	}
	s := open(t, dir)
	fill(t, s, "hello")
	check(t, s.Close())
	for _, left := range []string{".new", ".new-wal"} {
		if _, err := os.Stat(filepath.Join(dir, File+left)); err == nil {
			t.Errorf("%s is left", left)
		}
	}
}

func TestMode(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill(t, s, "private")
	check(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		check(t, err)
		info, err := d.Info()
		check(t, err)
		if os.PathSeparator == '/' && path != dir && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return nil
	}))
}

// mountDir is set in the environment of a process that has the directory for itself,
// to mount small disks there.
const mountDir = "EARSHOT_TEST_MOUNT"

// inMounts runs a function of mounts in a process that may mount.
func inMounts(t *testing.T, what string) {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--map-root-user", os.Args[0])
	if os.Getuid() == 0 {
		cmd = exec.Command("unshare", "--mount", os.Args[0])
	}
	cmd.Env = append(os.Environ(), mountDir+"="+t.TempDir(), "EARSHOT_TEST_WHAT="+what)
	out, err := cmd.CombinedOutput()
	switch text := strings.TrimSpace(string(out)); {
	case strings.HasPrefix(text, "can't mount") || errors.Is(err, exec.ErrNotFound) || strings.HasPrefix(text, "unshare:"):
		if os.Getenv("EARSHOT_REQUIRE_LAN") == "1" {
			t.Fatalf("mounts are needed: %s %v", text, err)
		}
		t.Skipf("this needs to mount a file system: run it as root on Linux with unshare (util-linux): %s %v", text, err)
	case err != nil || text != "well":
		t.Errorf("%v: %s", err, text)
	}
}

func TestReadOnlyDirectory(t *testing.T) { inMounts(t, "read-only") }
func TestDiskFull(t *testing.T)          { inMounts(t, "full") }
func TestPastOnFullDisk(t *testing.T)    { inMounts(t, "past") }

// mounted does what inMounts asks for, and reports whether it was asked.
func mounted() bool {
	dir := os.Getenv(mountDir)
	if dir == "" {
		return false
	}
	mount := func(args ...string) bool {
		out, err := exec.Command("mount", args...).CombinedOutput()
		if err != nil {
			fmt.Printf("can't mount: %v %s", err, out)
		}
		return err == nil
	}
	if !mount("-t", "tmpfs", "-o", "size=6m", "none", dir) {
		return true
	}
	var err error
	switch os.Getenv("EARSHOT_TEST_WHAT") {
	case "full":
		err = full(dir)
	case "past":
		err = past(dir)
	default:
		if s, err := Open(dir); err == nil {
			s.Close()
		}
		if !mount("-o", "remount,ro", dir) {
			return true
		}
		_, err = Open(dir)
		var e *Error
		if errors.As(err, &e) && strings.HasPrefix(e.Path, dir) && strings.Contains(e.Remedy, "--dir") {
			err = nil
		} else {
			err = fmt.Errorf("opened with %w", err)
		}
	}
	if err != nil {
		fmt.Println(err)
	} else {
		fmt.Println("well")
	}
	return true
}

// past fills the disk beside what a killed process has left: what was kept before is there to
// be read all the same, and nothing new is taken.
func past(dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Heard(ana, id(1), "before", now, now)
	dead, noSlot := openSlot(s.running(), 7)
	if err := errors.Join(err, s.Flush(), noSlot); err != nil {
		return err
	}
	for n := range 30 {
		r := record{kind: heard, key: ana.Key, id: id(n + 2), name: "ana", text: strings.Repeat("x", 60_000)}
		if err := dead.append(&r); err != nil {
			return err
		}
	}
	dead.release()
	if os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 6<<20), 0o600) == nil {
		return errors.New("the disk isn't full")
	}
	if other, err := Open(dir); err == nil {
		other.Close()
		return errors.New("opened to take what may have been taken")
	}
	other, err := OpenPast(dir)
	if err != nil {
		return fmt.Errorf("the past: %w", err)
	}
	defer other.Close()
	if all, err := other.Log(Filter{}); err != nil || len(all) != 1 {
		return fmt.Errorf("the past has %d messages: %w", len(all), err)
	}
	if _, err := other.Undelivered(); err != nil {
		return fmt.Errorf("the outbox: %w", err)
	}
	if _, err := other.Heard(ana, id(2), "again", now, now); err == nil {
		return errors.New("taken though it may have been taken")
	}
	return nil
}

// full fills the disk, and checks that nothing that was kept is lost, and that all
// goes on when there is room.
func full(dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 5<<20), 0o600); err != nil {
		return err
	}
	kept := 0
	text := strings.Repeat("x", 2000)
	for ; kept < 10000; kept++ {
		if _, err = s.Heard(ana, id(kept), text, now, now); err != nil {
			break
		}
	}
	if err == nil {
		return errors.New("the disk was never full")
	}
	if remedy := func() *Error {
		target := &Error{}
		_ = errors.As(err, &target)
		return target
	}(); !strings.HasPrefix(remedy.Path, dir) {
		return fmt.Errorf("no path: %w", err)
	}
	if other, err := Open(dir); err == nil {
		other.Close()
	} else if !strings.Contains(err.Error(), "full") && !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("opened once more: %w", err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if err := s.Flush(); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	if fresh, err := s.Heard(ana, id(kept), text, now, now); err != nil || !fresh {
		return fmt.Errorf("what was refused comes again: %v %w", fresh, err)
	}
	kept++
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(dir); err != nil {
		return err
	}
	defer s.Close()
	all, err := s.Log(Filter{})
	if err != nil || len(all) != kept {
		return fmt.Errorf("%d messages of %d: %w", len(all), kept, err)
	}
	return nil
}
