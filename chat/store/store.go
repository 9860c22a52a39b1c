// Package store keeps what a person has said and heard, whom they know, and what is
// still to be delivered: one SQLite database for all their processes, and for each
// process a small journal in front of it.
//
// A node must know that a message is kept before it acknowledges or sends it. To wait
// for SQLite each time would take longer than the way over the network and back, so
// what is written goes to the journal first, in one system call, and a few
// milliseconds later in groups to the database. When a process is killed, the next
// one that runs carries its journal over.
//
// A write survives the end of the process at once, and that of the machine once the
// system has written it back: neither journal nor commits wait for the disk.
package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"earshot/chat"
)

// File is the name of the database in the data directory.
const File = "earshot.db"

// Log is the name of the file in the data directory that every write goes to first.
const Log = File + "-wal"

// Error says that the database can't be used. Nothing in the file has been changed.
type Error struct {
	Path   string
	Err    error
	Remedy string
}

func (e *Error) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Store is one process's access. It is safe for concurrent use, and so are several of
// them, in one process or in many, on one directory. It is a [chat.Store].
type Store struct {
	path        string
	real        string // where the database is that path may be a link to: its log is beside it
	past        bool   // opened by OpenPast
	slot        *slot
	file        *os.File   // the database, only to be looked at
	id          databaseID // of the database
	mark        *mark
	examination examination

	mu       sync.Mutex
	files    openFiles
	writes   *writes  // of all processes, to the files whose contents are looked at
	sound    uint64   // of writes, when the contents were right
	lost     error    // why nothing is kept any more, until a restart; nil: all is well
	pending  []record // in the journal, not yet in the database
	flushing []record // the same, older: their turn has come
	fresh    map[messageKey]struct{}
	clear    map[chat.Key]time.Time // when nothing waited for somebody
	broken   error                  // why the last flush failed; nil: it didn't
	damaged  []*Error               // what Damaged is to tell of
	closed   bool
	wake     chan struct{}
	done     chan struct{}
	beating  sync.WaitGroup

	pulses pulses // of the others
	life   life

	readMu sync.Mutex // guards what follows
	read   *conn
	known  struct { // what Version and holders returned, and of writes, when they did
		version           int64
		holders           []int
		atVersion, atHeld uint64
	}

	elapsedMu sync.Mutex // guards the next two; taken last
	clock     Clock
	elapsed   Elapsed

	writeMu   sync.Mutex // guards what follows; taken before mu
	write     *conn
	news      news
	deferring bool  // under mu, as Defer says
	copied    int64 // origin.contacts as of the copy of contacts; 0: there is none
	copiedAt  time.Time
	tidied    stamp // the state up to which all is in the database file
}

// messageKey names a message by whom it is from, or by whom it is for.
type messageKey struct {
	peer chat.Key
	id   chat.MessageID
}

// Open opens the database in dir, which must exist, and makes it where there is none.
// Errors are [*Error].
func Open(dir string) (*Store, error) { return openIn(dir, false) }

// OpenPast is Open to look at what is kept, and to change that: it doesn't fail where what
// killed processes have left can't be carried over, as on a full disk. Then nothing is
// taken, said or heard, and that isn't seen.
func OpenPast(dir string) (*Store, error) { return openIn(dir, true) }

func openIn(dir string, past bool) (*Store, error) {
	path := filepath.Join(dir, File)
	s := &Store{
		path: path, past: past, clock: systemClock, fresh: map[messageKey]struct{}{}, clear: map[chat.Key]time.Time{},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.pulses.after, s.life.from = stallAfter, time.Now()
	if err := s.open(); err != nil {
		err = s.cause(err)
		s.release()
		return nil, err
	}
	s.life.beat.Store(int64(time.Since(s.life.from)))
	go s.flusher()
	if s.slot.heart != nil {
		s.beating.Go(func() { s.beats(s.slot.heart) })
	}
	return s, nil
}

// without reports whether to go on without what couldn't be carried over.
func (s *Store) without(err error) bool {
	if s.past {
		s.mu.Lock()
		s.broken = s.explain(err)
		s.mu.Unlock()
	}
	return s.past
}

// explain makes an [*Error] of what went wrong.
func (s *Store) explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	e := &Error{Path: s.path, Err: err}
	if older, ok := errors.AsType[*olderRuns](err); ok {
		e.Remedy = older.remedy()
		return e
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		reason := lite.Code() & 0xff
		if reason == lib.SQLITE_IOERR {
			if found := s.refusal(); found != nil {
				return s.explain(found)
			}
		}
		if lite.Code() == lib.SQLITE_IOERR_SHMSIZE { // as where there is no room for the index of the log
			reason = lib.SQLITE_FULL
		}
		switch reason {
		case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
			e.Err = fmt.Errorf("the database is damaged (%w)", err)
			e.Remedy = "put back a backup: earshot restore FILE; or move the file away to begin with an empty one: your identity and whom you know are in other files"
		case lib.SQLITE_FULL:
			e.Err = fmt.Errorf("the disk is full (%w)", err)
			e.Remedy = "make room on it"
		case lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM:
			e.Err = fmt.Errorf("the database can't be written (%w)", err)
			e.Remedy = "let yourself write there, or use another data directory: --dir; without any history: --no-history"
		case lib.SQLITE_IOERR:
			e.Err = fmt.Errorf("the disk fails (%w)", err)
			e.Remedy = "look after the disk, and what you may write on it; or use another data directory: --dir"
		case lib.SQLITE_BUSY:
			e.Err = fmt.Errorf("another process keeps the database busy (%w)", err)
			e.Remedy = "try again when it has ended"
		}
		return e
	}
	path, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	e.Path, e.Err = path.Path, path.Err
	e.Remedy = cmp.Or(FileRemedy(err), "let yourself write there, or use another data directory: --dir; without any history: --no-history")
	return e
}

// Close carries over what is in the journal, gives back to the outbox what this
// process hasn't delivered, leaves the rooms that it visits, and closes the database.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.wake)
	<-s.done
	s.beating.Wait()
	s.examination.end()
	err := s.Flush()
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	s.readMu.Lock() // who still reads has an answer, who comes later an error
	defer s.readMu.Unlock()
	if err == nil {
		err = s.write.transact(func() error {
			_, err := s.count()
			return errors.Join(s.disown(s.slot.number), err)
		})
	}
	if err == nil {
		s.slot.settled()
		s.copyContacts()
	}
	s.release()
	return s.explain(err)
}

// disown gives back to all what the process in a slot had for itself.
func (s *Store) disown(number int64) error {
	_, err := s.write.exec(`UPDATE messages SET owner = 0 WHERE status = 0 AND owner = ?`, number)
	for _, query := range []string{`DELETE FROM visits WHERE slot = ?`, `DELETE FROM callings WHERE slot = ?`} {
		if err == nil {
			_, err = s.write.exec(query, number)
		}
	}
	return err
}

func (s *Store) release() {
	s.mu.Lock()
	lost := s.lost != nil
	s.mu.Unlock()
	for _, k := range []*conn{s.read, s.write} {
		if lost && k != nil {
			k.leaveFiles()
		}
	}
	if s.read != nil && !lost { // the last to be closed would write the log to what may be another database
		s.read.close()
	}
	if s.write != nil {
		s.write.close()
	}
	if s.file != nil { // not before: SQLite's locks on it would go with it
		_ = s.file.Close()
	}
	if s.slot != nil {
		s.slot.release()
	}
	s.mark.close()
}

// writing runs f in a transaction, after all that was said and heard before.
func (s *Store) writing(f func() error) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if err := s.flush(); err != nil {
		return s.explain(err)
	}
	s.mu.Lock()
	clear(s.clear)
	s.mu.Unlock()
	err := s.write.transact(func() error {
		counted, err := s.count()
		if err != nil {
			return err
		}
		changed, err := s.write.changes(f)
		if err == nil && !changed && counted < maxUncounted { // or other processes would look, and write as much, in turn
			return errUnchanged
		}
		return err
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	err = s.spoiled(err)
	if s.past { // nobody else waits meanwhile
		return s.waited(err)
	}
	return s.explain(err)
}

// errUnchanged rolls a transaction back that has nothing to write.
var errUnchanged = errors.New("nothing has changed")

// reading runs f on the reading connection.
func (s *Store) reading(f func(k *conn) error) error {
	s.readMu.Lock()
	defer s.readMu.Unlock()
	err := f(s.read)
	err = s.spoiled(err)
	return s.explain(err)
}

// Dir returns the data directory.
func (s *Store) Dir() string { return filepath.Dir(s.path) }

// Writes returns another number than before if this process or another may have written. It costs
// less than Version.
func (s *Store) Writes() uint64 { return s.writes.upTo() }

// Version returns a number that changes whenever another process has written.
func (s *Store) Version() (v int64, err error) {
	upTo := s.writes.upTo()
	err = s.reading(func(k *conn) error {
		if s.known.atVersion == upTo {
			return nil
		}
		err := k.get("PRAGMA data_version", nil, &s.known.version)
		if err == nil {
			s.known.atVersion = upTo
		}
		return err
	})
	return s.known.version, err
}
