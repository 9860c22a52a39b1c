package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// ctx never ends: what is begun on the database is finished.
var ctx = context.Background()

// conn is one connection with its prepared statements. One user at a time.
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
	var old int64
	if changed, err := k.changes(f); err != nil || !changed {
		return 0, err
	}
	if err := k.get("PRAGMA application_id", nil, &old); err != nil {
		return 0, err
	}
	now = stamp(old).next()
	_, err = k.c.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", int32(now))) //nolint:gosec // as SQLite has it
	return now, err
}

// changes runs f and reports whether it has changed a row.
func (k *conn) changes(f func() error) (changed bool, err error) {
	const total = "SELECT total_changes()"
	var before, after int64
	if err := k.get(total, nil, &before); err != nil {
		return false, err
	}
	if err := f(); err != nil {
		return false, err
	}
	err = k.get(total, nil, &after)
	return after != before, err
}
