package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

func (s *Store) open() error {
	unlock, err := lockStart(s.running())
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(filepath.Join(s.Dir(), restoring)); err == nil {
		return &Error{s.Dir(), errors.New("a backup was being restored, and that was interrupted"), "do it again: earshot restore FILE"}
	}
	others := Running(s.Dir())
	made := false
	s.file, err = os.OpenFile(s.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if len(others) > 0 {
			return s.gone(others)
		}
		if err := s.create(); err != nil {
			return err
		}
		made = true
		s.file, err = os.OpenFile(s.path, os.O_RDWR, 0)
	}
	if err == nil {
		err = s.filled()
	}
	if err == nil {
		s.real, err = filepath.EvalSymlinks(s.path)
	}
	if err != nil {
		return err
	}
	s.mark = openMark(s.real + "-mark")
	unclean, err := s.unlogged(others)
	if err != nil {
		return err
	}
	if s.write, err = connect(s.path); err != nil {
		return err
	}
	if len(others) == 0 && !made {
		s.compare()
	}
	if err := s.write.migrate(); err != nil {
		return err
	}
	if err := s.write.inWAL(); err != nil {
		return err
	}
	if err := s.acquaint(others); err != nil {
		return err
	}
	if s.read, err = connect(s.path); err != nil {
		return err
	}
	s.writes = newWrites(s.path, s.real+"-wal", filepath.Join(s.Dir(), IdentityFile))
	if s.slot, err = takeSlot(s.running()); err != nil {
		return err
	}
	s.slot.mark = s.mark
	if err := s.recallContacts(made); err != nil && !s.without(err) {
		return err
	}
	if err := s.inherit(s.slot); err != nil && !s.without(err) {
		return err
	}
	s.finishScrub()
	if err := s.orphans(); err != nil { // or what they heard could be taken again
		return err
	}
	if err := s.slot.begin(s.id); err != nil && !s.without(err) {
		return err
	}
	if unclean {
		s.mark.setDoubt(true)
	}
	if s.mark.doubt() && len(others) == 0 {
		s.examine()
	}
	return s.pin()
}

// lockStart waits until no other process is starting on the directory, nor restores a
// backup there.
func lockStart(running string) (unlock func(), err error) {
	if err := os.MkdirAll(running, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(running, "new.lock"), flock.SetPermissions(0o600))
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := lock.TryLockContext(limited, 2*time.Millisecond); err != nil {
		_ = lock.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			who := ""
			if pid := lockHolders([]string{lock.Path()})[lock.Path()]; pid > 0 {
				who = fmt.Sprintf(": process %d", pid)
			}
			err = &Error{filepath.Dir(running), errors.New("another earshot began to open the database or to restore a backup, and doesn't go on"), "wait for it, continue or end it" + who}
		}
		return nil, err
	}
	return func() { _ = lock.Close() }, nil
}

// gone reports that the database was taken away from processes that run.
func (s *Store) gone(others []Process) error {
	return &Error{s.path, errors.New("it was removed or replaced while another earshot runs" + pids(others)), "end that one first, put the file back if you can, and start again"}
}

// pids names processes, as far as they are known.
func pids(all []Process) string {
	var named []string
	for _, p := range all {
		if pid := strconv.Itoa(p.PID); p.PID != 0 && !slices.Contains(named, pid) {
			named = append(named, pid)
		}
	}
	if len(named) == 0 {
		return ""
	}
	return " (pid " + strings.Join(named, ", ") + ")"
}

// create makes the database. It comes to be under its name with all that it has at first, so
// that an empty file there is none of ours.
func (s *Store) create() error {
	if _, err := os.Stat(s.path); !errors.Is(err, fs.ErrNotExist) {
		return err // another process was first
	}
	made := s.path + ".new"
	for _, left := range []string{made, made + "-wal", made + "-shm"} {
		if err := os.Remove(left); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if info, err := os.Stat(s.path + "-wal"); err == nil && info.Size() > 0 {
		if err := s.putAside(s.path+"-wal", "it belongs to a database that isn't there any more, so what it holds isn't in the history",
			"to use it, end earshot and put both back together as earshot.db and earshot.db-wal"); err != nil {
			return err
		}
	}
	for _, left := range []string{s.path + "-wal", s.path + "-shm"} { // of nothing
		if err := os.Remove(left); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(made, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	k, err := connect(made)
	if err != nil {
		return err
	}
	_, err = k.c.ExecContext(ctx, `PRAGMA auto_vacuum = INCREMENTAL`) // or pages could be given back only all at once
	if err == nil {
		err = k.migrate()
	}
	if err == nil {
		_, err = k.c.ExecContext(ctx, `PRAGMA wal_checkpoint (TRUNCATE)`)
	}
	k.close()
	if err != nil {
		return err
	}
	return os.Rename(made, s.path)
}

// filled fails when there is nothing in the database file: to begin anew there would be to
// know nobody, without a word.
func (s *Store) filled() error {
	info, err := s.file.Stat()
	if err == nil && info.Size() == 0 {
		err = &Error{
			s.path, errors.New("the database is empty, and so damaged"),
			"put back a backup: earshot restore FILE; or remove the file to begin anew: your identity and whom you know are in other files",
		}
	}
	return err
}

// putAside gives a file a name under which nothing uses it, and has Damaged tell of it.
func (s *Store) putAside(path, why, remedy string) error {
	name := asideName(path)
	if err := os.Rename(path, name); err != nil {
		return err
	}
	s.tell(&Error{name, errors.New("set aside: " + why), remedy})
	return nil
}

// copyAside keeps what a file holds before it is overwritten, and has Damaged tell of it.
func (s *Store) copyAside(path, why, remedy string) error {
	name := asideName(path)
	if err := copyFile(path, name); err != nil {
		return err
	}
	s.tell(&Error{name, errors.New("set aside: " + why), remedy})
	return nil
}

// asideName returns the name of a file that is set aside.
func asideName(path string) string {
	return unusedName(path + ".set-aside-" + time.Now().Format("20060102-150405"))
}

// unusedName returns a name that nothing has, for which it may add a number to the one given.
func unusedName(path string) string {
	name := path
	for n := 2; ; n++ {
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s-%d", path, n)
	}
}

// copyFile copies a file to one that isn't there yet, for its owner alone.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// tell has Damaged return e.
func (s *Store) tell(e *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damaged = append(s.damaged, e)
}

// Damaged returns what was found, at the start or since, of what was said or heard that
// can't be used: files that are set aside, and what is missing. It returns each once.
func (s *Store) Damaged() (all []*Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, s.damaged = s.damaged, nil
	return all
}

const lostRemedy = "what was said and heard then is missing here; people whom you know are known all the same"

// unlogged sets aside a log that doesn't belong to the database, before SQLite sees it. It
// reports whether the last process that ran here was killed.
func (s *Store) unlogged(others []Process) (unclean bool, err error) {
	if len(others) > 0 { // they have looked
		_, was, ok := s.mark.database()
		if now, err := identify(s.path); ok && err == nil && was != (fileID{}) && now != was {
			return false, s.gone(others)
		}
		return false, nil
	}
	if err := s.besideLink(); err != nil {
		return false, err
	}
	path := s.real + "-wal"
	l, err := readLog(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	if l.size == 0 {
		return true, nil
	}
	var page [100]byte
	if _, err := s.file.ReadAt(page[:], 0); err != nil || string(page[:15]) != "SQLite format 3" {
		return true, nil // it is no database, which SQLite says better
	}
	switch {
	case !l.header:
		return true, s.putAside(path, "it can't be read, so what it holds isn't in the history", lostRemedy)
	case !l.continues(stateOf(page[:])), stateOf(page[:]).stamp == 0 && l.first.stamp != 0 && s.mark.inFile() != 0:
		return true, s.putAside(path, "it belongs to another state of the database, as when a copy was put back, so what it holds isn't in the history",
			"to use it, end earshot and put back the database that was there beside it")
	}
	return true, nil
}

// besideLink sets aside a log beside a link to the database: it is from before the database was
// moved, and SQLite reads the one where the link leads.
func (s *Store) besideLink() error {
	if info, err := os.Lstat(s.path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	log := s.path + "-wal"
	if info, err := os.Lstat(log); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	return s.putAside(log, "the database was moved away from beside it, so what it holds isn't in the history",
		"to use it, end earshot and put the database back in the place of the link, and this beside it as earshot.db-wal")
}

// compare tells of what was written last and isn't there any more.
func (s *Store) compare() {
	var id []byte
	var now int64
	was, _, ok := s.mark.database()
	if !ok || s.write.get("PRAGMA application_id", nil, &now) != nil || s.write.get("SELECT id FROM origin", nil, &id) != nil {
		return
	}
	expected := s.mark.stamp()
	switch {
	case databaseID(id) != was:
		s.tell(&Error{s.path, errors.New("it isn't the database that was here last"), "if you have put back a copy, what was said and heard since it was made isn't in it"})
	case newer(expected, stamp(now)): //nolint:gosec // as SQLite has it
		changes := fmt.Sprintf("the last %d changes of the database are missing", expected-stamp(now)) //nolint:gosec // as above
		path := s.real + "-wal"
		if info, err := os.Stat(path); err != nil || info.Size() == 0 || s.copyAside(path, changes+" or damaged in it", lostRemedy) != nil {
			s.tell(&Error{s.path, errors.New(changes + ": an older copy was put back, or earshot.db-wal removed"), lostRemedy})
		}
	}
}

// acquaint notes which database is open, and in which state. It fails where that isn't what the others
// that run have written.
func (s *Store) acquaint(others []Process) error {
	var id []byte
	var root, page, now int64
	wasID, _, known := s.mark.database()
	was, wasInFile := s.mark.stamp(), s.mark.inFile() // before the present ones: they go on
	if err := s.write.get(`SELECT id, (SELECT rootpage FROM sqlite_schema WHERE name = 'origin'), page_size FROM origin, pragma_page_size`, nil, &id, &root, &page); err != nil {
		return err
	}
	if err := s.write.get("PRAGMA application_id", nil, &now); err != nil {
		return err
	}
	if len(others) > 0 && known {
		inFile, err := readStamp(s.file)
		if err != nil || databaseID(id) != wasID || setBack(was, stamp(now)) || setBack(wasInFile, inFile) { //nolint:gosec // as SQLite has it
			return s.gone(others)
		}
	}
	s.id = databaseID(id)
	s.files.database = original{file: s.file, id: s.id, page: page, at: (root - 1) * page, mark: s.mark, writes: newWrites(s.real)}
	if file, err := identify(s.path); err == nil {
		s.mark.setDatabase(s.id, file)
	}
	s.mark.setStamp(stamp(now)) //nolint:gosec // as SQLite has it
	s.write.mark = s.mark
	return nil
}
