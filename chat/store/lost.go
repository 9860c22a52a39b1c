package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// IdentityFile is the name of the file in the data directory with the private key.
const IdentityFile = "identity"

// openFiles are the files that this process has open, and which file each path named
// then. Nothing will ever read what is written to one that was removed or replaced.
type openFiles struct {
	paths    []string
	ids      []fileID
	looked   time.Time
	database original
	identity string            // path; empty: not looked at
	key      [sha256.Size]byte // of what the identity file holds
}

// Before a message is acknowledged, it is looked after the files that it went to and will
// go to: the database, its log and the journal. That takes longer than to write it, so
// for a moment the last look holds.
const (
	beforeAcknowledging = 4 // of openFiles
	lookHolds           = time.Millisecond
)

// pin notes which files are open.
func (s *Store) pin() error {
	f := &s.files
	var paths []string
	// SQLite names the log after the file that a link leads to: a database that becomes a link to
	// where it was moved has another log.
	all := []string{s.path, s.real + "-wal", s.slot.files[0].Name(), s.slot.files[1].Name(), s.real + "-shm", s.slot.lock.Path()}
	if info, err := os.Lstat(s.path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		all[0], all = s.real, append(all, s.path)
	}
	for _, path := range all {
		id, err := identifyItself(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // SQLite may do without
		}
		if err != nil {
			return err
		}
		paths = append(paths, path)
		f.ids = append(f.ids, id)
	}
	f.paths = paths
	f.database.replaced() // notes what is there
	identity := filepath.Join(filepath.Dir(s.path), IdentityFile)
	if b, err := os.ReadFile(identity); err == nil {
		f.identity, f.key = identity, sha256.Sum256(b)
	}
	return nil
}

// goneLately is gone for what comes before an acknowledgement.
func (f *openFiles) goneLately() error {
	now := time.Now()
	if now.Sub(f.looked) < lookHolds {
		return nil
	}
	f.looked = now
	return f.gone(beforeAcknowledging)
}

// gone returns why one of the first n files isn't the one that is open, or doesn't hold what it held;
// nil: all do.
func (f *openFiles) gone(n int) error {
	for i, path := range f.paths[:min(n, len(f.paths))] {
		switch id, err := identifyItself(path); {
		case err != nil:
			return lostBy(path, err)
		case id != f.ids[i]:
			return lostFile(path)
		}
	}
	if f.database.replaced() {
		return lostFile(f.paths[0])
	}
	return nil
}

// checkFiles looks at all files. After the first one that is gone the store takes nothing
// more, not even when it is put back: another process may have used what was there
// meanwhile. The caller has mu.
func (s *Store) checkFiles() error {
	if s.lost == nil {
		s.lost = s.files.gone(len(s.files.paths))
	}
	return s.lost
}

// checkContents is checkFiles, and looks at what some of them hold.
func (s *Store) checkContents() error {
	if s.checkFiles() != nil || s.closed || s.files.paths == nil {
		return s.lost
	}
	upTo := s.writes.upTo()
	if upTo == s.sound {
		return nil
	}
	if s.files.identity != "" { // another program may write the same anew
		b, err := os.ReadFile(s.files.identity)
		if errors.Is(err, fs.ErrNotExist) || err == nil && sha256.Sum256(b) != s.files.key {
			s.lost = lostFile(s.files.identity)
		}
	}
	if s.logSpoiled() {
		s.lost = lostFile(s.real + "-wal")
		return s.lost
	}
	if s.lost == nil {
		s.sound = upTo
	}
	return s.lost
}

// logSpoiled reports whether the log was emptied or overwritten by another program: nothing in it
// verifies, or it is empty though the database file lacks what was in it.
func (s *Store) logSpoiled() bool {
	for range 2 { // another process may write the header meanwhile
		written := s.mark.stamp()
		var h [walHeader]byte
		n, err := readHead(s.real+"-wal", h[:])
		switch {
		case err != nil:
			return false // gone tells
		case n == 0:
			inFile, err := readStamp(s.file)
			return err == nil && newer(written, inFile)
		case n < len(h):
			continue
		}
		if _, ok := readWALHeader(&h); ok {
			return false
		}
	}
	return true
}

// readHead reads the beginning of a file, and returns how much there is of it.
func readHead(path string, b []byte) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if n, err = io.ReadFull(f, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

// spoiled has the store take nothing more when an error says that the database is damaged:
// what others wrote can't be seen any more, and what is written may go to a place that isn't read. It
// returns the reason, where there is a better one than the error. The caller doesn't have mu.
func (s *Store) spoiled(err error) error {
	lite, is := errors.AsType[*sqlite.Error](err)
	if !is || lite.Code() != lib.SQLITE_CORRUPT && lite.Code() != lib.SQLITE_NOTADB {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checkFiles() == nil {
		s.lost = s.explain(err)
	}
	return s.lost
}

const afterLoss = "start earshot again: messages that others still have to deliver come then"

func lostFile(path string) error {
	return &Error{path, errors.New("it was removed or replaced while earshot runs"), "put it back if you can, and " + afterLoss}
}

// lostBy is lostFile where looking for it failed.
func lostBy(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return lostFile(path)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	remedy := "mend that, and "
	if errors.Is(err, fs.ErrPermission) {
		remedy = "let yourself look there, and "
	}
	return &Error{path, fmt.Errorf("it can't be looked at any more (%w)", err), remedy + afterLoss}
}

// leaveFiles has a connection leave the log where it is when it closes: its path may
// name another's by now.
func (k *conn) leaveFiles() {
	_ = k.c.Raw(func(c any) error {
		if c, ok := c.(sqlite.FileControl); ok {
			_, err := c.FileControlPersistWAL("main", 1)
			return err
		}
		return nil
	})
}
