package store

import (
	"errors"
	"time"

	"earshot/chat"
)

const (
	groupFor  = 20 * time.Millisecond // how long a write waits in the journal for others
	tryAgain  = time.Second           // after the database would not take them
	idleFor   = time.Second           // how long to let others write before search learns the new
	indexStep = 50 * time.Millisecond

	// maxBehind is how many bytes the journal takes while another process keeps the
	// database busy.
	maxBehind = 16 << 20
)

var errClosed = errors.New("the store is closed")

// note puts a record into the journal and makes it go on to the database soon.
func (s *Store) note(r record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errClosed
	case s.lost != nil:
		return s.lost
	case s.broken != nil:
		return s.broken
	}
	if err := s.slot.append(&r); err != nil {
		return s.explain(err)
	}
	if s.lost = s.files.goneLately(); s.lost != nil {
		return s.lost
	}
	r.deferred = s.deferring && r.comes()
	s.pending = append(s.pending, r)
	if r.comes() {
		s.fresh[messageKey{r.key, r.id}] = struct{}{}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// Said keeps a message that is about to be sent. It isn't this process's to send when
// something said before still waits for that person elsewhere: then Outbox will have it.
func (s *Store) Said(m chat.Saying) (own bool, err error) {
	own = !s.waitsLately(m.To)
	if err := s.note(record{kind: said, own: own, key: m.To, id: m.ID, sent: millis(m.Sent), name: m.Name, text: m.Text}); err != nil {
		return false, err
	}
	if !own {
		_ = s.Flush() // whoever claims it must see it; it is kept in any case
	}
	return own, nil
}

// Delivered notes that a message is acknowledged.
func (s *Store) Delivered(to chat.Key, id chat.MessageID, now time.Time) error {
	return s.note(record{kind: delivered, key: to, id: id, received: millis(now)})
}

// Heard keeps a message from somebody and reports whether it is new.
func (s *Store) Heard(from chat.Person, id chat.MessageID, text string, sent, received time.Time) (fresh bool, err error) {
	if known, err := s.knows(from.Key, id); err != nil || known {
		return false, err
	}
	return true, s.note(record{
		kind: heard, key: from.Key, id: id, sent: millis(sent), received: millis(received), name: from.Name, text: text,
	})
}

// knows reports whether a message of somebody's was heard before.
func (s *Store) knows(from chat.Key, id chat.MessageID) (known bool, err error) {
	s.mu.Lock()
	_, known = s.fresh[messageKey{from, id}]
	s.mu.Unlock()
	if known {
		return true, nil
	}
	err = s.reading(func(k *conn) error {
		return k.get(`SELECT EXISTS (SELECT 1 FROM people p JOIN messages m ON m.peer = p.n WHERE p.key = ?1 AND m.id = ?2 AND NOT m.out)
			OR EXISTS (SELECT 1 FROM removed WHERE digest = digest(?1, ?2)) OR EXISTS (SELECT 1 FROM deleted WHERE id = ?2)`, []any{from[:], id[:]}, &known)
	})
	return known, err
}

// Met notes that somebody known was there. A person is known from the first message on,
// or from what was decided about them.
func (s *Store) Met(p chat.Person, now time.Time) error {
	return s.note(record{kind: met, key: p.Key, received: millis(now), name: p.Name})
}

// Outbox returns what waits to be sent to somebody, in order, and makes it this
// process's to send. What another living process sends stays with it, and all that
// was said after that waits.
func (s *Store) Outbox(to chat.Key) ([]chat.Saying, error) {
	if err := s.orphans(); err != nil || !s.Waits(to) {
		return nil, err
	}
	var all []chat.Saying
	err := s.writing(func() error {
		var peer int64
		var elsewhere bool
		if err := s.write.get(`SELECT n FROM people WHERE key = ?`, []any{to[:]}, &peer); err != nil {
			return err
		}
		// An earlier version left these behind: an empty text is never taken, and all behind it would wait.
		if _, err := s.write.exec(`DELETE FROM messages WHERE status = 0 AND peer = ? AND `+textless, peer); err != nil {
			return err
		}
		err := s.write.get(`SELECT EXISTS (SELECT 1 FROM messages WHERE status = 0 AND peer = ? AND owner NOT IN (0, ?))`,
			[]any{peer, s.slot.number}, &elsewhere)
		if err != nil || elsewhere {
			return err
		}
		all, err = s.toSend(to, `m.status = 0 AND m.declined = 0 AND m.peer = ? AND m.owner = 0`, []any{peer})
		if err != nil {
			return err
		}
		_, err = s.write.exec(`UPDATE messages SET owner = ? WHERE status = 0 AND declined = 0 AND peer = ? AND owner = 0`, s.slot.number, peer)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Release gives back what this process hasn't delivered to somebody: another may.
func (s *Store) Release(to chat.Key) bool {
	return nil == s.writing(func() error {
		_, err := s.write.exec(`UPDATE messages SET owner = 0 WHERE status = 0 AND owner = ?
			AND peer = (SELECT n FROM people WHERE key = ?)`, s.slot.number, to[:])
		return err
	})
}

// orphans takes over from processes that were killed, or stand still: their journals go into the
// database, and what they were sending is anybody's.
func (s *Store) orphans() error {
	dir := s.running()
	left := written(dir)
	holders, err := s.holders()
	if err != nil {
		return err
	}
	for _, n := range holders {
		left[n] = true
	}
	for n := range s.mark.journals() {
		left[n] = true
	}
	for n := range left {
		if int64(n) == s.slot.number {
			continue
		}
		dead, err := openSlot(dir, n)
		if err == nil && dead == nil { // it lives
			if seen, stalled := s.pulses.look(dir, int64(n)); stalled {
				_ = s.supersede(int64(n), seen) // else later
			}
		}
		if err != nil || dead == nil {
			continue
		}
		s.writeMu.Lock()
		err = s.inherit(dead)
		s.writeMu.Unlock()
		dead.release()
		if err != nil && !s.without(err) {
			return s.explain(err)
		}
	}
	return nil
}

// holders returns the slots of the processes that have something for themselves.
func (s *Store) holders() (all []int, err error) {
	upTo := s.writes.upTo()
	err = s.reading(func(k *conn) error {
		if s.known.atHeld == upTo {
			all = s.known.holders
			return nil
		}
		err := k.eachAgain(`SELECT DISTINCT owner FROM messages WHERE status = 0 AND owner <> 0 UNION SELECT slot FROM visits UNION SELECT slot FROM callings`, nil, func(scan func(...any) error) error {
			var n int
			err := scan(&n)
			all = append(all, n)
			return err
		})
		if err == nil {
			s.known.holders, s.known.atHeld = all, upTo
		}
		return err
	})
	return all, err
}

// LookAfter takes over from processes that were killed, or stand still. Then something may wait.
func (s *Store) LookAfter() { _ = s.orphans() }

// lately is how old the knowledge may be that nothing waits for somebody: no older
// than what other processes write may be unseen.
const lately = 50 * time.Millisecond

// waitsLately is Waits, which it asks only now and then while somebody is talked with.
func (s *Store) waitsLately(to chat.Key) bool {
	s.mu.Lock()
	at, known := s.clear[to]
	s.mu.Unlock()
	if known && time.Since(at) < lately {
		return false
	}
	at = time.Now()
	if s.Waits(to) {
		return true
	}
	s.mu.Lock()
	clear(s.clear) // they are few who are talked with at once
	s.clear[to] = at
	s.mu.Unlock()
	return false
}

// Waits reports whether something waits for somebody that this process isn't sending.
func (s *Store) Waits(to chat.Key) (waits bool) {
	err := s.reading(func(k *conn) error {
		return k.get(`SELECT EXISTS (SELECT 1 FROM messages WHERE status = 0 AND declined = 0 AND owner <> ?
			AND peer = (SELECT n FROM people WHERE key = ?))`, []any{s.slot.number, to[:]}, &waits)
	})
	return err == nil && waits
}
