package store

import (
	"crypto/rand"
	"errors"
	"time"

	"earshot/chat"
)

// Expiry is how long a message waits to be delivered before it fails, as [Elapsed] counts.
const Expiry = 7 * 24 * time.Hour

// Errors of what is asked of the outbox.
var (
	ErrNotQueued = errors.New("the message isn't waiting to be sent")
	ErrWaits     = errors.New("the message is waiting to be sent already")
	ErrBusy      = errors.New("another process is sending the message")
)

// Expire fails what has waited too long and no process is sending, and returns how many messages
// those are.
func (s *Store) Expire() (n int64, err error) {
	var old bool
	var before, uncounted int64
	err = s.reading(func(k *conn) error {
		passed, more, err := s.look(k)
		if err != nil {
			return err
		}
		before, uncounted = passed-Expiry.Milliseconds(), more
		return k.get(`SELECT EXISTS (SELECT 1 FROM messages WHERE status = 0 AND owner = 0 AND passed < ?)`, []any{before}, &old)
	})
	if err != nil || !old && uncounted < maxUncounted {
		return 0, err
	}
	err = s.writing(func() error {
		n, err = s.write.exec(`UPDATE messages SET status = 2 WHERE status = 0 AND owner = 0 AND passed < ?`, before)
		return err
	})
	return n, err
}

// Fail implements [chat.Store].
func (s *Store) Fail(to chat.Key, id chat.MessageID, why chat.Failure) error {
	return s.writing(func() error {
		_, err := s.write.exec(`UPDATE messages SET status = 2, owner = 0, failure = ? WHERE status = 0 AND id = ? AND out = 1
			AND peer = (SELECT n FROM people WHERE key = ?)`, int(why), id[:], to[:])
		return err
	})
}

// Undelivered returns what was said and isn't delivered, the oldest first: what is
// queued, has failed, or was cancelled.
func (s *Store) Undelivered() (all []Message, err error) {
	if err := s.orphans(); err != nil {
		return nil, err
	}
	err = s.reading(func(k *conn) error {
		all = nil
		d, err := s.dates(k)
		if err != nil {
			return err
		}
		return k.each(`SELECT `+columns+` WHERE m.status <> 1 ORDER BY m.n`, nil, func(scan func(...any) error) error {
			m, err := scanMessage(scan, d)
			all = append(all, m)
			return err
		})
	})
	return all, err
}

// Queue keeps a message that isn't being sent: for somebody, or with a zero key for
// whoever is first met under the person's name.
func (s *Store) Queue(to chat.Person, text string, now time.Time) (chat.MessageID, error) {
	var id chat.MessageID
	_, _ = rand.Read(id[:])
	return id, s.writing(func() error {
		var n int64
		name := to.Name
		if !to.Key.IsZero() {
			var err error
			if n, err = s.know(to, now); err != nil {
				return err
			}
			name = ""
		}
		_, err := s.write.exec(`INSERT INTO messages (peer, id, out, name, text, sent, received, status, owner, passed)
			VALUES (?, ?, 1, ?, ?, ?, 0, 0, 0, `+counted+`)`, n, id[:], name, text, millis(now))
		return err
	})
}

// Awaited returns the names under which somebody never met is waited for.
func (s *Store) Awaited() (names []string, err error) {
	err = s.reading(func(k *conn) error {
		names = nil
		return k.eachAgain(`SELECT DISTINCT name FROM messages WHERE status = 0 AND peer = 0`, nil, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
	})
	return names, err
}

// Adopt gives what waits for a name to the person who has been met under it.
func (s *Store) Adopt(name string, p chat.Person, now time.Time) error {
	return s.writing(func() error {
		n, err := s.know(p, now)
		if err == nil {
			_, err = s.write.exec(`UPDATE messages SET peer = ?, name = '' WHERE status = 0 AND peer = 0 AND name = ?`, n, name)
		}
		return err
	})
}

// Cancel takes a message back that nobody is sending: its status becomes Failed
// or Cancelled, as said. It fails with ErrBusy or ErrNotQueued.
//
// Where a process that stands still was sending it, that is found out first, in some seconds.
func (s *Store) Cancel(id chat.MessageID, as Status) error {
	var silent map[int64]uint64 // those sending it, and their heartbeats at first
	for {
		if err := s.orphans(); err != nil {
			return err
		}
		err := s.change(id, ErrNotQueued, `UPDATE messages SET status = ? WHERE status = 0 AND id = ? AND out = 1 AND owner = 0`, int(as), id[:])
		if !errors.Is(err, ErrBusy) {
			return err
		}
		beats, bad := s.senders(id)
		switch {
		case bad != nil:
			return bad
		case silent == nil:
			silent = beats
		}
		for n, count := range beats {
			if was, known := silent[n]; !known || count != was || count == 0 {
				return err
			}
		}
		time.Sleep(beatEvery / 4)
	}
}

// senders returns the slots of the processes that are sending a message, with their heartbeats;
// 0: it has none, or is this one.
func (s *Store) senders(id chat.MessageID) (beats map[int64]uint64, err error) {
	beats = map[int64]uint64{}
	err = s.reading(func(k *conn) error {
		return k.each(`SELECT DISTINCT owner FROM messages WHERE status = 0 AND id = ? AND out = 1 AND owner <> 0`, []any{id[:]}, func(scan func(...any) error) error {
			var n int64
			err := scan(&n)
			if beats[n] = 0; n != s.slot.number {
				beats[n], _, _ = readBeat(s.running(), n)
			}
			return err
		})
	})
	return beats, err
}

// Retry queues a message again that failed or was cancelled, as if said now. It fails with
// ErrWaits, ErrBusy or ErrNotQueued.
func (s *Store) Retry(id chat.MessageID, now time.Time) error {
	return s.change(id, ErrWaits, `UPDATE messages SET status = 0, declined = 0, failure = 0, sent = ?, passed = `+counted+` WHERE status <> 1 AND id = ? AND out = 1 AND status IN (2, 3)`, millis(now), id[:])
}

// change changes what is said to have become of a message. It fails with idle when that is
// queued, and nobody is sending it.
func (s *Store) change(id chat.MessageID, idle error, query string, args ...any) error {
	return s.writing(func() error {
		n, err := s.write.exec(query, args...)
		if err != nil || n > 0 {
			return err
		}
		var owner int64
		err = s.write.get(`SELECT max(owner) FROM messages WHERE status = 0 AND id = ? AND out = 1 HAVING count(*) > 0`, []any{id[:]}, &owner)
		switch {
		case none(err):
			return ErrNotQueued
		case err != nil:
			return err
		case owner != 0:
			return ErrBusy
		}
		return idle
	})
}

// Fate returns what has become of a message that was said to somebody.
func (s *Store) Fate(to chat.Key, id chat.MessageID) (Status, error) {
	status, _, err := s.fate(to, id)
	return status, err
}

// Failure returns why a message that was said to somebody has failed. It reports false where it hasn't.
func (s *Store) Failure(to chat.Key, id chat.MessageID) (why chat.Failure, failed bool) {
	status, why, err := s.fate(to, id)
	return why, err == nil && status == Failed
}

func (s *Store) fate(to chat.Key, id chat.MessageID) (status Status, why chat.Failure, err error) {
	err = s.reading(func(k *conn) error {
		return k.get(`SELECT status, failure FROM messages WHERE id = ? AND out = 1 AND peer = (SELECT n FROM people WHERE key = ?)`, []any{id[:], to[:]}, &status, &why)
	})
	if none(err) {
		err = ErrNotQueued
	}
	return status, why, err
}

// Waiting returns to whom something waits that this process isn't sending.
func (s *Store) Waiting() (keys []chat.Key, err error) {
	if err := s.orphans(); err != nil {
		return nil, err
	}
	err = s.reading(func(k *conn) error {
		keys = nil
		return k.eachAgain(`SELECT DISTINCT p.key FROM messages m JOIN people p ON p.n = m.peer WHERE m.status = 0 AND m.declined = 0 AND m.owner <> ?`,
			[]any{s.slot.number}, func(scan func(...any) error) error {
				var key []byte
				err := scan(&key)
				keys = append(keys, chat.Key(key))
				return err
			})
	})
	return keys, err
}

// Err returns why what is said and heard can't be kept at present; nil: it can.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkContents(); err != nil {
		return err
	}
	return s.broken
}
