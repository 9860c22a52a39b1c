package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// examination is the check of a database that was left by a process that was killed, or
// by a machine that went down. It runs beside all else, since with a million messages it
// takes seconds.
type examination struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// examine begins it. What it finds wrong makes the store take nothing more. When it
// doesn't come to its end, as in a short command, the next process does it.
func (s *Store) examine() {
	inner, cancel := context.WithCancel(ctx)
	s.examination.cancel = cancel
	s.examination.done.Go(func() {
		switch err := quickCheck(inner, s.path); {
		case inner.Err() != nil:
		case err == nil:
			s.mark.setDoubt(false)
		default:
			err = s.explain(err)
			s.mu.Lock()
			if s.lost == nil {
				s.lost = err
			}
			s.mu.Unlock()
		}
	})
}

// end ends it, finished or not.
func (e *examination) end() {
	if e.cancel != nil {
		e.cancel()
		e.done.Wait()
	}
}

var errDamaged = errors.New("its pages contradict each other")

// quickCheck checks all tables of a database but for the index of words, which is made
// anew from what it is of when it can't be read.
func quickCheck(ctx context.Context, path string) error {
	k, err := connect(path)
	if err != nil {
		return err
	}
	defer k.close()
	var tables []string
	err = k.each(`SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'`, nil, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		tables = append(tables, name)
		return err
	})
	for _, name := range tables {
		var found string
		if err == nil {
			err = k.c.QueryRowContext(ctx, fmt.Sprintf("PRAGMA quick_check('%s')", name)).Scan(&found)
		}
		if err == nil && found != "ok" {
			err = &Error{
				path, fmt.Errorf("the database is damaged (%s: %w)", name, errDamaged),
				"put back a backup: earshot restore FILE; what can still be read: earshot log --export text",
			}
		}
	}
	return err
}
