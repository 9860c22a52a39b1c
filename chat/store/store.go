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
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
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
	inFile   stamp    // of the database file, as last seen there
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

	readMu sync.Mutex // guards read, held and heldAt
	read   *conn
	held   []int // as holders returned them, when the version was heldAt
	heldAt int64

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
		err = s.write.transact(func() error { return errors.Join(s.disown(s.slot.number), s.count()) })
	}
	if err == nil {
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
	if s.read != nil {
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

// conn is one connection with its prepared statements. One user at a time.
// ctx never ends: what is begun on the database is finished.
var ctx = context.Background()

type conn struct {
	path  string
	db    *sql.DB
	c     *sql.Conn
	stmts map[string]*sql.Stmt
	mark  *mark // where to say which state was written; nil: nowhere
}

// patience is how long a write waits for another process's.
const patience = 5 * time.Second

// busy reports that another process was writing for all that time.
func busy(err error) bool {
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code()&0xff == lib.SQLITE_BUSY
}

func connect(path string) (*conn, error) { return connectTo(path, "") }

// connectTo is connect with parameters as of https://sqlite.org/uri.html.
func connectTo(path, query string) (*conn, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	abs = filepath.ToSlash(abs)
	if !strings.HasPrefix(abs, "/") {
		abs = "/" + abs // C:/...
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs, RawQuery: query}).String())
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	k := &conn{path: path, db: db, c: c, stmts: map[string]*sql.Stmt{}}
	for _, pragma := range []string{
		fmt.Sprintf("busy_timeout = %d", patience.Milliseconds()), "synchronous = NORMAL",
		"wal_autocheckpoint = 2000", "cache_size = -8000", "secure_delete = ON",
	} {
		if _, err := c.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			k.close()
			return nil, err
		}
	}
	return k, nil
}

func (k *conn) close() {
	for _, st := range k.stmts {
		_ = st.Close()
	}
	_ = k.c.Close()
	_ = k.db.Close()
}

func (k *conn) prepare(query string) (*sql.Stmt, error) {
	if st := k.stmts[query]; st != nil {
		return st, nil
	}
	st, err := k.c.PrepareContext(ctx, query)
	if err == nil {
		k.stmts[query] = st
	}
	return st, err
}

// exec runs a statement and returns how many rows it changed.
func (k *conn) exec(query string, args ...any) (int64, error) {
	st, err := k.prepare(query)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// get reads one row. Its error is sql.ErrNoRows where there is none.
func (k *conn) get(query string, args []any, dest ...any) error {
	st, err := k.prepare(query)
	if err != nil {
		return err
	}
	return st.QueryRowContext(ctx, args...).Scan(dest...)
}

// each calls row for every row of a query.
func (k *conn) each(query string, args []any, row func(scan func(...any) error) error) error {
	rows, err := k.c.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	return scanEach(rows, row)
}

// eachAgain is each for a query that is asked over and over again.
func (k *conn) eachAgain(query string, args []any, row func(scan func(...any) error) error) error {
	st, err := k.prepare(query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return scanEach(rows, row)
}

func scanEach(rows *sql.Rows, row func(scan func(...any) error) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// transact runs f in one transaction that nobody else writes beside.
func (k *conn) transact(f func() error) error {
	if _, err := k.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	stamp, err := k.stamped(f)
	if err == nil {
		_, err = k.exec("COMMIT")
	}
	if err != nil {
		_, _ = k.c.ExecContext(ctx, "ROLLBACK")
		return err
	}
	if stamp != 0 {
		k.mark.setStamp(stamp)
	}
	return nil
}

// stamped runs f and, if that has changed something, gives the database its next stamp.
func (k *conn) stamped(f func() error) (now stamp, err error) {
	const changes = "SELECT total_changes()"
	var before, after, old int64
	if err := k.get(changes, nil, &before); err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	if err := k.get(changes, nil, &after); err != nil || after == before {
		return 0, err
	}
	if err := k.get("PRAGMA application_id", nil, &old); err != nil {
		return 0, err
	}
	now = stamp(old).next()
	_, err = k.c.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", int32(now))) //nolint:gosec // as SQLite has it
	return now, err
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
		if err := s.count(); err != nil {
			return err
		}
		return f()
	})
	if s.past { // nobody else waits meanwhile
		return s.waited(err)
	}
	return s.explain(err)
}

// reading runs f on the reading connection.
func (s *Store) reading(f func(k *conn) error) error {
	s.readMu.Lock()
	defer s.readMu.Unlock()
	return s.explain(f(s.read))
}

// Dir returns the data directory.
func (s *Store) Dir() string { return filepath.Dir(s.path) }

// Version returns a number that changes whenever another process has written.
func (s *Store) Version() (v int64, err error) {
	err = s.reading(func(k *conn) error { return k.get("PRAGMA data_version", nil, &v) })
	return v, err
}
