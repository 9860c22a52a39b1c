package store

import (
	"cmp"
	"time"

	"earshot/chat"
)

// flusher carries the journal over to the database.
func (s *Store) flusher() {
	defer close(s.done)
	idle := time.NewTimer(idleFor)
	for {
		select {
		case _, ok := <-s.wake:
			if !ok {
				return
			}
			if !s.gather() {
				return
			}
			if s.Flush() != nil {
				idle.Reset(tryAgain)
			} else {
				s.afterFlush()
				idle.Reset(idleFor)
			}
		case <-idle.C:
			if s.Flush() != nil {
				idle.Reset(tryAgain)
			} else if more, err := s.index(); err == nil && more {
				idle.Reset(indexStep)
			} else {
				s.tidy()
			}
		}
	}
}

// gather waits for what is written soon after, and reports whether the store is still
// open: whoever closes it, at the end of a short program, doesn't wait.
func (s *Store) gather() bool {
	enough := time.After(groupFor)
	for {
		select {
		case _, ok := <-s.wake:
			if !ok {
				return false
			}
		case <-enough:
			return true
		}
	}
}

// Flush makes all that was said and heard visible to other processes. By itself that
// takes some milliseconds.
func (s *Store) Flush() error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	return s.explain(s.flush())
}

// flush is Flush for who has writeMu.
func (s *Store) flush() error {
	for range 2 { // what failed before, then what has come since
		s.mu.Lock()
		if err := s.checkFiles(); err != nil {
			s.mu.Unlock()
			return err
		}
		if s.flushing == nil && s.pending != nil {
			s.flushing, s.pending = s.pending, nil
			s.slot.swap()
		}
		batch := s.flushing
		s.mu.Unlock()
		if batch == nil {
			return nil
		}
		err := s.write.transact(func() error {
			rest, err := s.uncarried(s.slot.number, batch) // others may have been first
			if err == nil {
				err = s.apply(rest, s.slot.number)
			}
			if err == nil {
				err = s.carried(s.slot.number, rest)
			}
			return err
		})
		s.mu.Lock()
		if s.broken = s.explain(err); busy(err) && s.slot.size < maxBehind {
			s.broken = nil
		}
		if err == nil {
			s.news.wrote(batch)
			s.flushing = nil
			if err = s.slot.flushed(batch[len(batch)-1].seq); err == nil && s.pending == nil {
				s.slot.settled()
			}
			for i := range batch {
				if batch[i].comes() {
					delete(s.fresh, messageKey{batch[i].key, batch[i].id})
				}
			}
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// apply writes records, which may be there already, inside a transaction.
func (s *Store) apply(records []record, owner int64) error {
	if _, err := s.count(); err != nil {
		return err
	}
	// Most of what is said is delivered before it comes here: one write does.
	done := map[messageKey]int64{}
	own := map[messageKey]bool{}
	for i := range records {
		switch r := &records[i]; r.kind {
		case said:
			own[messageKey{r.key, r.id}] = true
		case saidIn:
			for _, to := range r.in.to {
				own[messageKey{to.Key, r.id}] = true
			}
		case delivered:
			if k := (messageKey{r.key, r.id}); own[k] {
				done[k] = r.received
			}
		}
	}
	people := map[chat.Key]*known{}
	for i := range records {
		r := &records[i]
		if r.kind == saidIn {
			if err := s.applySaidIn(r, done, people, owner); err != nil {
				return err
			}
			continue
		}
		k := messageKey{r.key, r.id}
		p := people[r.key]
		if p == nil {
			p = &known{}
			people[r.key] = p
		}
		if err := s.about(r, p); err != nil {
			return err
		}
		var err error
		switch at, all := done[k]; {
		case r.kind == said && all:
			err = s.insert(p.n, r, Done, at, 0)
		case r.kind == said && r.own:
			err = s.insert(p.n, r, Queued, 0, owner)
		case r.kind == said:
			err = s.insert(p.n, r, Queued, 0, 0)
		case r.kind == heardIn:
			err = s.insertInRoom(p.n, r, Done, r.received)
		case r.kind == declined:
			err = s.applyDeclined(r, p.n)
		case r.kind == excluded:
			_, err = s.write.exec(`DELETE FROM messages WHERE peer = ? AND id = ? AND out = 1 AND status = 0`, p.n, r.id[:])
		case r.kind == heard:
			err = s.insert(p.n, r, Done, r.received, 0)
		case r.kind == delivered && !all:
			_, err = s.write.exec(`UPDATE messages SET status = 1, owner = 0, declined = 0, received = ? WHERE peer = ? AND id = ? AND out = 1`,
				r.received, p.n, r.id[:])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) insert(peer int64, r *record, status Status, received, owner int64) error {
	_, err := s.write.exec(`INSERT INTO messages (peer, id, out, name, text, sent, received, status, owner, passed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, `+counted+`) ON CONFLICT DO NOTHING`,
		peer, r.id[:], r.kind == said, r.speaker(), r.text, r.sent, received, int(status), owner)
	return err
}

// speaker is what somebody who was heard was called then.
func (r *record) speaker() string {
	if r.kind == heard || r.kind == heardIn {
		return r.name
	}
	return ""
}

// known is a row of people, as far as it takes part in applying records.
type known struct {
	n     int64 // 0: not looked for, or not known
	name  string
	last  int64
	faint bool
}

// about looks up or makes the person of a record, and notes their name and time. It
// takes something said or heard to become known.
func (s *Store) about(r *record, p *known) error {
	if p.n == 0 {
		err := s.write.get(`SELECT n, name, last, faint FROM people WHERE key = ?`, []any{r.key[:]}, &p.n, &p.name, &p.last, &p.faint)
		switch {
		case none(err) && (r.kind == met || r.kind == delivered || r.kind == excluded || r.kind == declined):
			return nil // or forgotten meanwhile
		case none(err):
			p.name, p.last, p.faint = r.name, max(r.sent, r.received), r.kind == saidIn
			if r.comes() {
				p.last = r.received
			}
			return s.write.get(`INSERT INTO people (key, name, petname, first, last, verified, blocked, faint, named)
				VALUES (?, ?, '', ?, ?, 0, 0, ?, `+nextNamed+`) RETURNING n`, []any{r.key[:], p.name, p.last, p.last, p.faint}, &p.n)
		case err != nil:
			return err
		}
	}
	if p.faint && (r.kind == said || r.kind == heard || r.kind == heardIn) {
		p.faint = false
		if _, err := s.write.exec(`UPDATE people SET faint = 0, named = `+nextNamed+` WHERE n = ?`, p.n); err != nil {
			return err
		}
	}
	if r.kind == delivered || (p.name != "" || r.name == "") && (r.kind == said || r.kind == saidIn || !p.moves(r.received)) {
		return nil
	}
	p.name = cmp.Or(p.name, r.name) // only Renamed changes one
	if p.moves(r.received) {
		p.last = r.received
	}
	_, err := s.write.exec(`UPDATE people SET name = ?1, last = ?2 WHERE n = ?3`, p.name, p.last, p.n)
	return err
}

const (
	lastStep = 1000       // how exact a person's last time is kept, in ms
	lastBack = 86_400_000 // a last time that is so far ahead comes of a clock that was wrong
)

// moves reports whether the person's last time becomes at.
func (p *known) moves(at int64) bool {
	return at > p.last+lastStep || 0 < at && at < p.last-lastBack
}
