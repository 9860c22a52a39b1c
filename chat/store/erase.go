package store

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/json"
	"slices"
	"time"

	"modernc.org/sqlite"

	"earshot/chat"
)

// remembered is how long a deleted message that was heard is still known, should it
// come again: as long as anybody tries to deliver it, and a day. [Elapsed] counts it.
const remembered = Expiry + 24*time.Hour

// Delete removes messages that aren't waiting to be sent, with the drafts of their conversations
// and all lines typed. It leaves nothing of them in the files and gives their space back to the disk;
// where a copy is left its error is [ErrResidue]. It returns how many messages it has removed, also
// when it is interrupted. Search and Limit don't count.
func (s *Store) Delete(ctx context.Context, f Filter) (count int64, err error) {
	journals, err := s.takeIn()
	if err != nil {
		return 0, err
	}
	where, args := f.where()
	if count, err = s.eraseAll(ctx, deletable+where, args); err != nil {
		return count, err
	}
	err = s.writing(func() error {
		_, err := s.write.exec(`UPDATE views SET draft = '' WHERE ?1 = '' OR `+ofName, f.conversation())
		if err == nil {
			err = s.eraseOther()
		}
		return err
	})
	if err != nil {
		return count, err
	}
	return count, s.scrub(ctx, journals)
}

// deletable begins a condition that picks no message that waits to be sent.
const deletable = `m.status <> 0 AND NOT (m.peer = -1 AND ` + waited + `) AND `

// Forget removes somebody, all that was said with them, and what waits for them. When it is
// interrupted they are still known, with some of that. Its error is [ErrResidue] as of Delete.
func (s *Store) Forget(ctx context.Context, key chat.Key) error {
	journals, err := s.takeIn()
	if err != nil {
		return err
	}
	const with = `m.peer = (SELECT n FROM people WHERE key = ?)`
	args := []any{key[:]}
	if _, err := s.eraseAll(ctx, with, args); err != nil {
		return err
	}
	err = s.writing(func() error { // and nobody sends it any more
		rest, err := pick(s.write, with, args) // has come meanwhile
		if err == nil {
			err = s.erase(rest)
		}
		if err == nil {
			_, err = s.write.exec(`DELETE FROM people WHERE key = ?`, key[:])
		}
		if err == nil {
			_, err = s.write.exec(`DELETE FROM views WHERE conversation = ?`, key.String())
		}
		if err == nil {
			_, err = s.write.exec(`DELETE FROM keeps WHERE conversation = ?`, key.String())
		}
		if err == nil {
			err = s.eraseOther()
		}
		return err
	})
	if err != nil {
		return err
	}
	_ = s.alone(func() error {
		s.copyContacts()
		return nil
	})
	return s.scrub(ctx, journals, s.contactsAside(key)...)
}

// takeIn has in the database what other processes have written until now, or it would come back after it
// was deleted. It returns the journals that it was in, as of begins.
func (s *Store) takeIn() (journals map[string]uint64, err error) {
	if err := s.Flush(); err != nil {
		return nil, err
	}
	journals = begins(s.running())
	s.CatchUp()
	if err := s.orphans(); err != nil {
		return nil, err
	}
	return journals, s.CarryOver()
}

// pick returns the numbers of the messages that a condition picks, in order.
func pick(k *conn, where string, args []any) (all []int64, err error) {
	err = k.each(`SELECT m.n FROM messages m WHERE `+where+` ORDER BY m.n`, args, func(scan func(...any) error) error {
		var n int64
		err := scan(&n)
		all = append(all, n)
		return err
	})
	return all, err
}

// eraseAll removes the messages that a condition picks, in portions.
func (s *Store) eraseAll(ctx context.Context, where string, args []any) (count int64, err error) {
	var all []int64
	err = s.reading(func(k *conn) error {
		all, err = pick(k, where, args)
		return err
	})
	if err != nil {
		return 0, err
	}
	err = portions(ctx, 100, func(size int) (more bool, err error) {
		if len(all) == 0 {
			return false, nil
		}
		portion := all[:min(size, len(all))]
		list, err := json.Marshal(portion)
		if err != nil {
			return false, err
		}
		still, err := pick(s.write, where+` AND m.n IN (SELECT value FROM json_each(?))`, append(slices.Clone(args), string(list)))
		if err == nil {
			err = s.erase(still)
		}
		if err == nil {
			count += int64(len(still))
			all = all[len(portion):]
		}
		return len(all) > 0, err
	}, s.writing)
	return count, err
}

// portionFor is how long a transaction of a long work takes, about, lest another process's writes fail
// meanwhile: SQLite has those wait for 0.1 s at a time. As long, others have their turn.
const portionFor = 20 * time.Millisecond

// portions has do work in transactions until there is no more to do. Size is how much to do in one,
// at first as given.
func portions(ctx context.Context, size int, do func(size int) (more bool, err error), transact func(func() error) error) error {
	for more := true; more; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var began time.Time
		err := transact(func() (err error) {
			began = time.Now() // others may have written until here
			more, err = do(size)
			return err
		})
		if err != nil || !more {
			return err
		}
		took := time.Since(began)
		size = max(1, min(int(float64(size)*float64(portionFor)/float64(took+1)), 2*size))
		timer := time.NewTimer(max(took, portionFor/4))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return nil
}

// listed picks the messages whose numbers ?1 has, as JSON.
const listed = `n IN (SELECT value FROM json_each(?1))`

// erase removes messages, inside a transaction.
func (s *Store) erase(numbers []int64) error {
	if len(numbers) == 0 {
		return nil
	}
	list, err := json.Marshal(numbers)
	if err != nil {
		return err
	}
	for _, query := range []string{
		`UPDATE ranked SET stale = 1 WHERE room IN (SELECT room FROM messages WHERE ` + inRooms + ` AND ` + listed + `)`,
		`DELETE FROM named WHERE ` + listed,
		`INSERT OR IGNORE INTO removed SELECT digest(p.key, d.id), d.received, ` + counted + ` FROM messages d JOIN people p ON p.n = d.peer WHERE d.out = 0 AND d.` + listed,
		`DELETE FROM search WHERE rowid IN (SELECT value FROM json_each(?1)) AND rowid <= (SELECT n FROM searchable)`,
		// The rows for the members of what was said in a room.
		`DELETE FROM messages WHERE room <> '' AND out = 1 AND peer <> -1 AND id IN (SELECT id FROM messages WHERE peer = -1 AND ` + listed + `)`,
		`DELETE FROM messages WHERE ` + listed,
	} {
		if _, err := s.write.exec(query, string(list)); err != nil {
			return err
		}
	}
	for _, query := range []string{ // Numbers may be given again.
		`UPDATE views SET seen = min(seen, coalesce((SELECT max(n) FROM messages), 0))`,
		`UPDATE searchable SET n = min(n, coalesce((SELECT max(n) FROM messages), 0))`,
	} {
		if _, err := s.write.exec(query); err != nil {
			return err
		}
	}
	return nil
}

// eraseOther removes the lines typed, as their conversations aren't known, and what is remembered of
// messages that can't come again.
func (s *Store) eraseOther() error {
	if _, err := s.write.exec(`DELETE FROM typed`); err != nil {
		return err
	}
	return s.eraseRemembered()
}

func (s *Store) eraseRemembered() error {
	for _, query := range []string{`DELETE FROM removed`, `DELETE FROM deleted`} {
		if _, err := s.write.exec(query+` WHERE passed < `+counted+` - ?`, remembered.Milliseconds()); err != nil {
			return err
		}
	}
	return nil
}

func init() {
	sqlite.MustRegisterDeterministicScalarFunction("digest", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		key, _ := args[0].([]byte)
		id, _ := args[1].([]byte)
		sum := sha256.Sum256(slices.Concat(key, id)) // of fixed lengths
		return sum[:16], nil
	})
}
