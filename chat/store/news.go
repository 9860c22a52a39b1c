package store

import (
	"time"

	"earshot/chat"
)

// newsAtOnce is how many messages News looks at in one step.
const newsAtOnce = 256

// news follows what other processes write.
type news struct {
	followed bool
	seen     int64            // messages.n of the last looked at
	own      map[newsKey]bool // said or heard here since then
	rows     int64            // that they have; -1: not known
}

// Defer implements [chat.Store].
func (s *Store) Defer(on bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deferring = on
	return true
}

// newsKey names a message: who says it can choose the id of what was said to them.
type newsKey struct {
	out bool
	messageKey
}

// wrote notes records that this process has just written.
func (n *news) wrote(records []record) {
	if !n.followed {
		return
	}
	for i := range records {
		switch r := &records[i]; {
		case r.deferred: // comes by News
		case r.kind == saidIn:
			n.own[newsKey{true, messageKey{id: r.id}}] = true
			n.count(1 + int64(len(r.in.to)))
		case r.kind == said, r.kind == heard, r.kind == heardIn:
			n.own[newsKey{!r.comes(), messageKey{r.key, r.id}}] = true
			n.count(1)
		}
	}
}

// count counts rows written here.
func (n *news) count(rows int64) {
	if n.rows >= 0 {
		n.rows += rows
	}
}

// News returns what other processes have said and heard since the last call, in the order it
// was kept; the first call returns nothing. When it returns something there may be more.
func (s *Store) News() (all []chat.Kept, err error) {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if err := s.flush(); err != nil { // or what is our own couldn't be told apart
		return nil, s.explain(err)
	}
	n := &s.news
	var newest, rows int64
	if err := s.write.get(newestMessage, nil, &newest); err != nil {
		return nil, s.explain(err)
	}
	if !n.followed {
		n.followed, n.seen, n.own = true, newest, map[newsKey]bool{}
		return nil, nil
	}
	n.seen = min(n.seen, newest) // what is deleted at the end leaves its numbers to what comes
	if n.rows >= 0 {
		if err := s.write.get(`SELECT count(*) FROM messages WHERE n > ?`, []any{n.seen}, &rows); err != nil {
			return nil, s.explain(err)
		}
		if rows == n.rows { // nobody else has written
			n.seen = newest
		}
	}
	for len(all) == 0 && n.seen < newest {
		if all, err = n.read(s.write, newest); err != nil {
			return nil, s.explain(err)
		}
	}
	if n.rows = -1; n.seen >= newest {
		clear(n.own)
		n.rows = 0
	}
	return all, nil
}

// read looks at the next messages, and returns those that other processes wrote.
func (n *news) read(k *conn, newest int64) (all []chat.Kept, err error) {
	count, last := 0, newest
	err = k.each(`SELECT m.n, m.id, coalesce(p.key, x''), coalesce(p.name, ''), CASE WHEN m.out THEN '' ELSE m.name END, m.out, m.text, m.sent, m.received, m.room, m.head, m.clock
		FROM messages m LEFT JOIN people p ON p.n = m.peer
		WHERE m.n > ? AND m.peer <> 0 AND (m.room = '' OR m.out = 0 OR m.peer = -1) ORDER BY m.n LIMIT ?`,
		[]any{n.seen, newsAtOnce}, func(scan func(...any) error) error {
			var id, key []byte
			var sent, received int64
			var m chat.Kept
			if err := scan(&m.N, &id, &key, &m.Name, &m.As, &m.Out, &m.Text, &sent, &received, &m.Room, &m.Head, &m.Clock); err != nil {
				return err
			}
			copy(m.ID[:], id)
			copy(m.To[:], key)
			m.Sent, m.At = time.UnixMilli(sent), moment(received)
			if count++; count == newsAtOnce || m.N > last {
				last = m.N
			}
			if !n.own[newsKey{m.Out, messageKey{m.To, m.ID}}] {
				all = append(all, m)
			}
			return nil
		})
	if err == nil {
		n.seen = last
	}
	return all, err
}
