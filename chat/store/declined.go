package store

import (
	"slices"
	"strings"
	"time"

	"earshot/chat"
)

// Exclude implements [chat.Store].
func (s *Store) Exclude(to chat.Key, id chat.MessageID, now time.Time) error {
	return s.note(record{kind: excluded, key: to, id: id, received: millis(now)})
}

// Decline implements [chat.Store].
func (s *Store) Decline(m chat.Saying, reason chat.Reason, now time.Time) error {
	return s.note(record{kind: declined, key: m.To, id: m.ID, sent: int64(reason), received: millis(now)})
}

// applyDeclined notes why a person hasn't taken a message. No process sends it until Redeliver.
func (s *Store) applyDeclined(r *record, peer int64) error {
	_, err := s.write.exec(`UPDATE messages SET declined = ?, owner = 0 WHERE status = 0 AND peer = ? AND id = ? AND out = 1`,
		r.sent, peer, r.id[:])
	return err
}

// flushDeclined makes what was declined here visible to the reading connection.
func (s *Store) flushDeclined() error {
	s.mu.Lock()
	unwritten := slices.ContainsFunc(s.pending, func(r record) bool { return r.kind == declined }) ||
		slices.ContainsFunc(s.flushing, func(r record) bool { return r.kind == declined })
	s.mu.Unlock()
	if unwritten {
		return s.Flush()
	}
	return nil
}

// Redeliver implements [chat.Store].
func (s *Store) Redeliver(to chat.Key, rooms []string) (all []chat.Saying, err error) {
	which, args := `m.declined > ?`, []any{int(chat.NotInRoom)}
	if rooms != nil {
		which = `m.declined = ? AND m.room IN (?` + strings.Repeat(`, ?`, len(rooms)-1) + `)`
		for _, r := range rooms {
			args = append(args, r)
		}
	}
	which += ` AND m.status = 0 AND m.owner = 0 AND m.peer = (SELECT n FROM people WHERE key = ?)`
	args = append(args, to[:])
	if err := s.flushDeclined(); err != nil {
		return nil, err
	}
	var some bool
	err = s.reading(func(k *conn) error { // mostly there is nothing, and then nothing is written
		return k.get(`SELECT EXISTS (SELECT 1 FROM messages m WHERE m.declined > 0 AND m.status = 0 AND m.peer = (SELECT n FROM people WHERE key = ?))`,
			[]any{to[:]}, &some)
	})
	if err != nil || !some {
		return nil, err
	}
	err = s.writing(func() error {
		all, err = s.toSend(to, which, args)
		if err != nil || len(all) == 0 {
			return err
		}
		_, err = s.write.c.ExecContext(ctx, `UPDATE messages AS m SET declined = 0, owner = ? WHERE `+which, append([]any{s.slot.number}, args...)...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// toSend returns messages to a person, in the order they were said.
func (s *Store) toSend(to chat.Key, where string, args []any) (all []chat.Saying, err error) {
	err = s.write.each(`SELECT m.id, coalesce(r.text, m.text), m.sent, m.room, coalesce(r.head, ''), coalesce(r.clock, 0)
		FROM messages m LEFT JOIN messages r ON m.room <> '' AND r.peer = -1 AND r.id = m.id
		WHERE `+where+` ORDER BY m.n`, args, func(scan func(...any) error) error {
		var id []byte
		var sent int64
		m := chat.Saying{To: to}
		if err := scan(&id, &m.Text, &sent, &m.Room, &m.Head, &m.Clock); err != nil {
			return err
		}
		copy(m.ID[:], id)
		m.Sent = time.UnixMilli(sent)
		all = append(all, m)
		return nil
	})
	return all, err
}
