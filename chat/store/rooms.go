package store

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"earshot/chat"
	"earshot/chat/room"
)

// inRoom is what a record has besides, when it is of a room.
type inRoom struct {
	room  string // handle
	head  string
	clock uint64
	to    []member
}

// member is somebody whom something said in a room is for.
type member struct {
	chat.Person
	own bool // this process sends it to them
}

func (in *inRoom) encode(b []byte) []byte {
	for _, s := range []string{in.room, in.head} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	b = binary.BigEndian.AppendUint64(b, in.clock)
	b = binary.BigEndian.AppendUint32(b, uint32(len(in.to)))
	for _, m := range in.to {
		own := byte(0)
		if m.own {
			own = 1
		}
		b = append(append(b, m.Key[:]...), own, byte(len(m.Name)))
		b = append(b, m.Name...)
	}
	return b
}

// decodeIn reads what encode wrote, and returns what follows; nil when it isn't whole.
func decodeIn(b []byte) (*inRoom, []byte) {
	in := &inRoom{}
	whole := true
	next := func(n int) (part []byte) {
		if whole = whole && n <= len(b); !whole {
			return make([]byte, min(n, math.MaxUint16))
		}
		part, b = b[:n], b[n:]
		return part
	}
	in.room = string(next(int(binary.BigEndian.Uint16(next(2)))))
	in.head = string(next(int(binary.BigEndian.Uint16(next(2)))))
	in.clock = binary.BigEndian.Uint64(next(8))
	for range binary.BigEndian.Uint32(next(4)) {
		m := member{Person: chat.Person{Key: chat.Key(next(32))}}
		m.own = next(1)[0] == 1
		if m.Name = string(next(int(next(1)[0]))); !whole {
			break
		}
		in.to = append(in.to, m)
	}
	if !whole {
		return nil, nil
	}
	return in, b
}

// SaidIn implements [chat.Store].
func (s *Store) SaidIn(m chat.Saying, to []chat.Person) (own []bool, err error) {
	elsewhere := map[chat.Key]bool{}
	err = s.reading(func(k *conn) error {
		return k.each(`SELECT DISTINCT p.key FROM messages m JOIN people p ON p.n = m.peer WHERE m.status = 0 AND m.declined = 0 AND m.owner <> ?`,
			[]any{s.slot.number}, func(scan func(...any) error) error {
				var key []byte
				err := scan(&key)
				elsewhere[chat.Key(key)] = true
				return err
			})
	})
	if err != nil {
		return nil, err
	}
	in := &inRoom{room: m.Room, head: m.Head, clock: m.Clock}
	all := true
	for _, p := range to {
		mine := !elsewhere[p.Key]
		all = all && mine
		own = append(own, mine)
		in.to = append(in.to, member{p, mine})
	}
	if err := s.note(record{kind: saidIn, key: m.From, id: m.ID, sent: millis(m.Sent), text: m.Text, in: in}); err != nil {
		return nil, err
	}
	if !all {
		_ = s.Flush() // whoever claims it must see it; it is kept in any case
	}
	return own, nil
}

// applySaidIn writes what was said in a room: the text once, and who it is for.
func (s *Store) applySaidIn(r *record, done map[messageKey]int64, people map[chat.Key]*known, owner int64) error {
	if err := s.insertInRoom(-1, r, Done, 0); err != nil {
		return err
	}
	for _, to := range r.in.to {
		p := people[to.Key]
		if p == nil {
			p = &known{}
			people[to.Key] = p
		}
		one := record{kind: saidIn, key: to.Key, id: r.id, sent: r.sent, name: to.Name}
		if err := s.about(&one, p); err != nil {
			return err
		}
		status, owned := Queued, int64(0)
		at, all := done[messageKey{to.Key, r.id}]
		switch {
		case all:
			status = Done
		case to.own:
			owned = owner
		}
		if err := s.insertIn(p.n, &one, &inRoom{room: r.in.room}, status, at, owned); err != nil {
			return err
		}
	}
	return nil
}

// insertInRoom writes what was said in a room, by whomever, where it stands there.
func (s *Store) insertInRoom(peer int64, r *record, status Status, received int64) error {
	clock, names, _ := named(r.in)
	ref := refOf(r.id, r.key)
	rank, err := s.rank(r.in, ref, names, clock)
	if err != nil {
		return err
	}
	var n int64
	err = s.write.get(`INSERT INTO messages (peer, id, out, name, text, sent, received, status, owner, room, head, clock, bound, ref, passed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, `+counted+`) ON CONFLICT DO NOTHING RETURNING n`,
		[]any{
			peer, r.id[:], r.kind == saidIn, r.speaker(), r.text, r.sent, received, int(status), r.in.room, []byte(r.in.head),
			int64(rank.Time), int64(rank.Bound), refBytes(ref),
		}, &n)
	if none(err) { // it is there
		return nil
	}
	if err != nil {
		return err
	}
	return s.place(r.in, n, names, rank)
}

func (s *Store) insertIn(peer int64, r *record, in *inRoom, status Status, received, owner int64) error {
	_, err := s.write.exec(`INSERT INTO messages (peer, id, out, name, text, sent, received, status, owner, room, head, clock, passed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, `+counted+`) ON CONFLICT DO NOTHING`,
		peer, r.id[:], r.kind == saidIn, r.speaker(), r.text, r.sent, received, int(status), owner, in.room, []byte(in.head), int64(in.clock))
	return err
}

// HeardIn implements [chat.Store].
func (s *Store) HeardIn(from chat.Person, m chat.Saying, received time.Time) (fresh bool, err error) {
	if known, err := s.knows(from.Key, m.ID); err != nil || known {
		return false, err
	}
	return true, s.note(record{
		kind: heardIn, key: from.Key, id: m.ID, sent: millis(m.Sent), received: millis(received), name: from.Name, text: m.Text,
		in: &inRoom{room: m.Room, head: m.Head, clock: m.Clock},
	})
}

// Share implements [chat.Store].
func (s *Store) Share(name string, to chat.Person, _ time.Time) (all []chat.Saying, err error) {
	var lacks bool
	if err := s.Flush(); err != nil {
		return nil, err
	}
	err = s.reading(func(k *conn) error { // mostly there is nothing, and then nothing is written
		since, err := s.recent(k)
		if err != nil {
			return err
		}
		return k.get(`SELECT EXISTS (SELECT 1 FROM (SELECT * FROM messages WHERE peer = -1 AND room = ? ORDER BY n DESC LIMIT ?) m
			WHERE `+keptAt+` >= ? AND NOT EXISTS (SELECT 1 FROM messages d WHERE d.id = m.id AND d.out = 1 AND d.peer = (SELECT n FROM people WHERE key = ?)))`,
			[]any{name, room.MaxRecent, since, to.Key[:]}, &lacks)
	})
	if err != nil || !lacks {
		return nil, err
	}
	err = s.writing(func() error {
		all = nil
		now := time.Now().UnixMilli()
		_, err := s.write.exec(`INSERT INTO people (key, name, petname, first, last, verified, blocked, faint)
			VALUES (?, ?, '', ?, ?, 0, 0, 1) ON CONFLICT DO NOTHING`, to.Key[:], to.Name, now, now)
		if err != nil {
			return err
		}
		var peer int64
		if err := s.write.get(`SELECT n FROM people WHERE key = ?`, []any{to.Key[:]}, &peer); err != nil {
			return err
		}
		since, err := s.recent(s.write)
		if err != nil {
			return err
		}
		err = s.write.each(`SELECT id, text, sent, head, clock FROM (SELECT * FROM messages WHERE room = ? AND peer = -1 ORDER BY n DESC LIMIT ?) m
			WHERE `+keptAt+` >= ? AND NOT EXISTS (SELECT 1 FROM messages d WHERE d.peer = ? AND d.id = m.id AND d.out = 1) ORDER BY n DESC LIMIT ?`,
			[]any{name, maxTail, since, peer, room.MaxRecent}, func(scan func(...any) error) error {
				var id []byte
				var sent int64
				m := chat.Saying{To: to.Key, Name: to.Name, Room: name}
				err := scan(&id, &m.Text, &sent, &m.Head, &m.Clock)
				copy(m.ID[:], id)
				m.Sent = time.UnixMilli(sent)
				all = append(all, m)
				return err
			})
		slices.Reverse(all)
		for _, m := range all {
			if err == nil {
				_, err = s.write.exec(`INSERT INTO messages (peer, id, out, name, text, sent, received, status, owner, room, late, passed)
					VALUES (?, ?, 1, '', '', ?, 0, 0, ?, ?, 1, `+counted+`) ON CONFLICT DO NOTHING`, peer, m.ID[:], millis(m.Sent), s.slot.number, name)
			}
		}
		return err
	})
	return all, err
}

// recent is what had passed, in ms, when messages were kept that late join gives just so.
func (s *Store) recent(k *conn) (int64, error) {
	passed, _, err := s.look(k)
	return passed - room.Recent.Milliseconds(), err
}

// Spoke implements [chat.Store].
func (s *Store) Spoke(name string, _ time.Time) (spoke bool) {
	if s.Flush() != nil {
		return false
	}
	err := s.reading(func(k *conn) error {
		since, err := s.recent(k)
		if err != nil {
			return err
		}
		return k.get(`SELECT EXISTS (SELECT 1 FROM (SELECT * FROM messages WHERE room = ? AND peer = -1 ORDER BY n DESC LIMIT 1) m WHERE `+keptAt+` >= ?)`,
			[]any{name, since}, &spoke)
	})
	return err == nil && spoke
}

// maxTail is among how many messages Tail and Share look.
const maxTail = 1000

// Tail implements [chat.Store].
func (s *Store) Tail(name string, _ time.Time) (all []chat.Trace, err error) {
	if err := s.Flush(); err != nil {
		return nil, err
	}
	type trace struct {
		chat.Trace
		n int64
	}
	var found []trace
	err = s.reading(func(k *conn) error {
		found = nil
		since, err := s.recent(k)
		if err != nil {
			return err
		}
		return k.each(`SELECT m.n, m.id, coalesce(p.key, x''), m.clock, m.head, `+keptAt+` < ?, m.bound FROM messages m LEFT JOIN people p ON p.n = m.peer
			WHERE m.room = ? AND m.room <> '' AND (m.out = 0 OR m.peer = -1) ORDER BY m.bound DESC, m.clock DESC, m.ref DESC LIMIT ?`,
			[]any{since, name, maxTail}, func(scan func(...any) error) error {
				var id, key []byte
				var t trace
				var bound int64
				err := scan(&t.n, &id, &key, &t.Clock, &t.Head, &t.Old, &bound)
				copy(t.ID[:], id)
				copy(t.From[:], key)
				if !t.Old || bound >= room.Unnamed {
					found = append(found, t)
				}
				return err
			})
	})
	slices.SortFunc(found, func(a, b trace) int { return cmp.Compare(a.n, b.n) })
	for _, t := range found {
		all = append(all, t.Trace)
	}
	return all, err
}

// waited is true of a message of a room that still waits for a member.
const waited = `EXISTS (SELECT 1 FROM messages d WHERE d.id = m.id AND d.room <> '' AND d.out = 1 AND d.status = 0)`

// textless is true of the row for a member of something said in a room that is deleted.
const textless = `room <> '' AND out = 1 AND peer <> -1 AND NOT EXISTS (SELECT 1 FROM messages r WHERE r.peer = -1 AND r.id = messages.id)`

// Delivery returns how many of the members whom a message said in a room was for have it,
// of how many, and who is missing. Those who came later don't count.
func (s *Store) Delivery(id chat.MessageID) (delivered, total int, missing []chat.Missing, err error) {
	if err := s.Flush(); err != nil {
		return 0, 0, nil, err
	}
	err = s.reading(func(k *conn) error {
		delivered, total, missing = 0, 0, nil
		return k.each(`SELECT p.key, p.name, m.status, m.declined FROM messages m JOIN people p ON p.n = m.peer
			WHERE m.id = ? AND m.room <> '' AND m.out = 1 AND NOT m.late AND m.status <> 3 ORDER BY p.n`, []any{id[:]},
			func(scan func(...any) error) error {
				var key []byte
				var p chat.Missing
				var status Status
				err := scan(&key, &p.Name, &status, &p.Reason)
				copy(p.Key[:], key)
				if total++; status == Done {
					delivered++
				} else {
					missing = append(missing, p)
				}
				return err
			})
	})
	return delivered, total, missing, err
}

// Room is a room that was joined or left.
type Room struct {
	chat.Membership
	Joined bool
}

// Rooms returns the rooms that were joined or left, and those that running processes are in
// besides: first those of this process, then by name.
func (s *Store) Rooms() (all []Room, err error) {
	err = s.reading(func(k *conn) error {
		all = nil
		return k.each(`SELECT name, key, joined FROM (
				SELECT name, key, 1 AS joined, CASE slot WHEN ? THEN 0 ELSE 2 END AS rank FROM visits
				UNION ALL SELECT name, key, joined, 1 FROM rooms
			) ORDER BY rank > 0, name, joined DESC, rank`, []any{s.slot.number}, func(scan func(...any) error) error {
			var r Room
			var key []byte
			err := scan(&r.Name, &key, &r.Joined)
			copy(r.Key[:], key)
			if !slices.ContainsFunc(all, func(o Room) bool { return o.Name == r.Name }) {
				all = append(all, r)
			}
			return err
		})
	})
	return all, err
}

// Visit notes in which rooms this process is besides those joined, until it ends or they are
// joined or left.
func (s *Store) Visit(rooms []chat.Membership) error {
	return s.writing(func() error {
		for _, m := range rooms {
			if _, err := s.write.exec(`INSERT OR REPLACE INTO visits VALUES (?, ?, coalesce(?, x''))`, s.slot.number, m.Name, keyOf(m)); err != nil {
				return err
			}
		}
		return nil
	})
}

// keyOf returns the key of a private room; nil: it is open.
func keyOf(m chat.Membership) []byte {
	if m.Key.IsZero() {
		return nil
	}
	return m.Key[:]
}

// SetRoom remembers a room as joined or left. It fails with [chat.ErrTooManyRooms].
func (s *Store) SetRoom(m chat.Membership, joined bool) error {
	return s.writing(func() error {
		if full, err := s.full(m); joined && (full || err != nil) {
			return cmp.Or(err, chat.ErrTooManyRooms)
		}
		_, err := s.write.exec(`INSERT INTO rooms (name, key, joined) VALUES (?, coalesce(?, x''), ?)
			ON CONFLICT (name) DO UPDATE SET key = excluded.key, joined = excluded.joined`, m.Name, keyOf(m), joined)
		if err == nil {
			_, err = s.write.exec(`DELETE FROM visits WHERE name = ?`, m.Name)
		}
		return err
	})
}

// full reports whether one is in so many other rooms of its kind that m can't be joined. In the
// lobby is who hasn't left it.
func (s *Store) full(m chat.Membership) (full bool, err error) {
	most := room.MaxPrivate
	if m.Key.IsZero() {
		most = room.MaxOpen
	}
	err = s.write.get(`SELECT count(*) >= ?1 FROM (
			SELECT name FROM rooms WHERE joined AND (key = x'') = ?2 UNION SELECT name FROM visits WHERE (key = x'') = ?2
			UNION SELECT ?3 WHERE ?2 AND NOT EXISTS (SELECT 1 FROM rooms WHERE name = ?3)
		) WHERE name <> ?4`, []any{most, m.Key.IsZero(), room.Here, m.Name}, &full)
	return full, err
}
