package store

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"earshot/chat"
)

const (
	// restoring is the directory in a data directory that is there while a backup is restored.
	restoring = "restoring"
	// beforeRestore begins the names of those in which is what was there before.
	beforeRestore = "before-restore-"
)

// Restore makes of a data directory what it was when a backup was made, and returns what
// the backup holds and the directory to which what was there before has gone; empty:
// nothing was. It fails, and nothing is changed, while a process uses the directory or
// where the backup isn't whole. The backup isn't changed.
//
// Messages that were waiting to be sent wait again, under their ids: who has received
// them since knows these. What has waited for longer than Expiry by the clock has failed.
// Where the identity stays the same, people who have come to be known since stay known.
func Restore(ctx context.Context, dir, path string, now time.Time) (b Backup, before string, err error) {
	b, files, err := readBackup(ctx, path)
	if err != nil {
		return b, "", err
	}
	s := &Store{path: filepath.Join(dir, File)} // to explain
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return b, "", s.explain(err)
	}
	unlock, err := lockStart(s.running())
	if err != nil {
		return b, "", s.explain(err)
	}
	defer unlock()
	present := flock.New(presentPath(dir), flock.SetPermissions(0o600))
	defer func() { _ = present.Close() }()
	all := append(Running(dir), announcing(dir)...)
	if got, err := present.TryLock(); err == nil && !got && len(all) == 0 {
		all = append(all, Process{PID: lockHolders([]string{present.Path()})[present.Path()]})
	}
	if len(all) > 0 {
		return b, "", &Error{dir, errors.New("earshot runs in this data directory" + pids(all)), "end it first, then restore again; nothing was changed"}
	}
	stage := filepath.Join(dir, restoring)
	if err := os.RemoveAll(stage); err != nil { // of an attempt that was interrupted
		return b, "", s.explain(err)
	}
	if err := s.stage(stage, path, b.size, files, now); err != nil {
		_ = os.RemoveAll(stage)
		return b, "", s.explain(err)
	}
	before, err = s.exchange(stage, files, now)
	return b, before, s.explain(err)
}

// presentPath is a lock that all processes share which go by the identity of a data directory and keep nothing
// there.
func presentPath(dir string) string { return filepath.Join(dir, runningDir, "present.lock") }

// Present has Restore refuse while this process, which keeps nothing, goes by the identity of a data directory.
// Where that can't be written, nothing can be restored there.
func Present(dir string) (leave func()) {
	_ = os.MkdirAll(filepath.Join(dir, runningDir), 0o700)
	lock := flock.New(presentPath(dir), flock.SetPermissions(0o600))
	_, _ = lock.TryRLock()
	return func() { _ = lock.Close() }
}

// announcing returns the process, if any, that is announced with the identity of a data
// directory.
func announcing(dir string) (all []Process) {
	path := filepath.Join(dir, AdvertiseLock)
	lock := flock.New(path, flock.SetFlag(os.O_RDWR)) // it isn't made anew
	if got, err := lock.TryLock(); err == nil && !got {
		all = append(all, Process{PID: lockHolders([]string{path})[path]})
	}
	_ = lock.Close()
	return all
}

// AdvertiseLock is the name of the file in the data directory that the process holds
// which is announced.
const AdvertiseLock = "advertise.lock"

// stage makes the files that are to be, in a directory of their own.
func (s *Store) stage(stage, path string, size int64, files map[string][]byte, now time.Time) error {
	if err := os.Mkdir(stage, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := replaceFile(filepath.Join(stage, name), content); err != nil {
			return err
		}
	}
	if _, err := chat.LoadIdentity(filepath.Join(stage, IdentityFile)); err != nil {
		return err
	}
	made := filepath.Join(stage, File)
	if err := copyFile(path, made); err != nil {
		return err
	}
	if err := os.Truncate(made, size); err != nil {
		return err
	}
	k, err := connect(made)
	if err != nil {
		return err
	}
	defer k.close()
	version, err := k.version()
	if err == nil {
		err = k.unchanged(ctx, version) // it may have been exchanged since it was read
	}
	if err != nil {
		return err
	}
	for _, query := range []string{
		"PRAGMA secure_delete = ON", "DROP TABLE backup", // the key stays in its own file
	} {
		if _, err := k.c.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	if err := k.inWAL(); err != nil {
		return err
	}
	err = k.transact(func() error {
		if err := k.still(); err != nil {
			return err
		}
		_, err := k.exec(`UPDATE messages SET status = 2 WHERE status = 0 AND sent < ?`, millis(now.Add(-Expiry)))
		return err
	})
	if err == nil {
		_, err = k.c.ExecContext(ctx, "PRAGMA wal_checkpoint (TRUNCATE)")
	}
	return err
}

// exchange sets aside what is in the data directory and puts in its place what was
// staged. While the stage is there nothing starts on the directory.
func (s *Store) exchange(stage string, files map[string][]byte, now time.Time) (before string, err error) {
	dir := s.Dir()
	before = unusedName(filepath.Join(dir, beforeRestore+now.Format("20060102-150405")))
	if err := os.Mkdir(before, 0o700); err != nil {
		_ = os.RemoveAll(stage) // nothing was changed
		return "", err
	}
	identity, err := os.ReadFile(filepath.Join(dir, IdentityFile))
	same := err == nil && bytes.Equal(identity, files[IdentityFile])
	anything := false
	move := func(name string, from string) error {
		err := os.Rename(from, filepath.Join(before, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		anything = true
		return err
	}
	for _, name := range keptFiles {
		path := filepath.Join(dir, name)
		switch {
		case name == IdentityFile || name == ContactsFile && same: // there is always an identity, or another would be made
			err = copyFile(path, filepath.Join(before, name))
			if anything = anything || err == nil; errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		default:
			err = move(name, path)
		}
		if err != nil {
			return before, err
		}
	}
	journals, _ := filepath.Glob(filepath.Join(s.running(), "*.[ab]"))
	tallies, _ := filepath.Glob(filepath.Join(s.running(), "*.tally"))
	for _, path := range append(journals, tallies...) {
		if err := move(filepath.Base(path), path); err != nil {
			return before, err
		}
	}
	entries, err := os.ReadDir(stage)
	if err != nil {
		return before, err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(stage, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return before, err
		}
	}
	if err := os.Remove(stage); err != nil {
		return before, err
	}
	if !anything {
		return "", os.Remove(before)
	}
	return before, nil
}
