package store

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/wire"
)

// Messages of a room are kept with their ranks (SPEC §13.10), columns bound and clock, so that a page of the log is
// a piece of an index. What is said in a room that is complete changes only the ranks of what it names. Where
// more would change, the room is noted as stale, and ranked anew when somebody next reads it.

// inRooms is true of what the log of a room shows.
const inRooms = `room <> '' AND (out = 0 OR peer = -1)`

// named returns the clock of a message that was said in a room, and what it names. Ok is false where that
// wasn't kept, as by an earlier version.
func named(in *inRoom) (clock uint64, names []room.Ref, ok bool) {
	h, _, err := wire.ParseRoomHead(in.head + ".")
	if err != nil {
		return in.clock, nil, false
	}
	for _, parents := range [][][]byte{h.Parents, h.Earlier} {
		for _, p := range parents {
			names = append(names, room.Ref{ID: [16]byte(p), Author: room.Author(p[16:])})
		}
	}
	return h.Clock, names, true
}

func refOf(id chat.MessageID, author chat.Key) room.Ref {
	return room.Ref{ID: id, Author: room.Author(author[:])}
}

func refBytes(r room.Ref) []byte { return append(r.ID[:], r.Author[:]...) }

// rank returns the rank of a message that comes to a room, and notes the room as stale where that isn't all.
func (s *Store) rank(in *inRoom, ref room.Ref, names []room.Ref, clock uint64) (r room.Rank, err error) {
	if _, err = s.write.exec(`INSERT INTO ranked (room) VALUES (?) ON CONFLICT DO NOTHING`, in.room); err != nil {
		return r, err
	}
	var after, kids int64
	for _, p := range names {
		var t int64
		err = s.write.get(`SELECT coalesce(max(clock) + 1, 0) FROM messages WHERE ref = ? AND ref <> x'' AND room = ?`, []any{refBytes(p), in.room}, &t)
		if err != nil {
			return r, err
		}
		after = max(after, t)
	}
	r.Time = room.Time(clock, uint64(after))
	r.Bound = room.Unbound(r.Time)
	err = s.write.get(`SELECT coalesce(min(m.clock), -1) FROM named d JOIN messages m ON m.n = d.n WHERE d.ref = ? AND m.room = ?`,
		[]any{refBytes(ref), in.room}, &kids)
	if err != nil || kids < 0 {
		return r, err
	}
	// Times grow from what is named to what names it, unless there are circles. While that is so with this one,
	// it changes no other time, and makes no circle.
	var looped bool
	if err := s.write.get(`SELECT looped FROM ranked WHERE room = ?`, []any{in.room}, &looped); err != nil {
		return r, err
	}
	if looped || int64(r.Time) >= kids {
		_, err = s.write.exec(`UPDATE ranked SET stale = 1 WHERE room = ?`, in.room)
	}
	r.Bound = uint64(max(kids, 0))
	return r, err
}

// place notes what a message that was given its rank names.
func (s *Store) place(in *inRoom, n int64, names []room.Ref, r room.Rank) error {
	for _, p := range names {
		_, err := s.write.exec(`INSERT INTO named (ref, n) VALUES (?, ?) ON CONFLICT DO NOTHING`, refBytes(p), n)
		if err == nil {
			_, err = s.write.exec(`UPDATE messages SET bound = min(bound, ?) WHERE ref = ? AND ref <> x'' AND room = ? AND n <> ?`,
				int64(r.Time), refBytes(p), in.room, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rooms returns the handles of the rooms of a name, or the one that has the name for its handle, and brings
// their ranks up to date.
func (s *Store) rooms(name string) (handles []string, err error) {
	var stale []string
	err = s.reading(func(k *conn) error {
		handles, stale = nil, nil
		now := time.Now().UnixMilli()
		return k.each(`SELECT room, stale AND NOT rests BETWEEN ?2 AND ?2 + ?3 FROM ranked WHERE room = ?1 OR room GLOB ?1 || '`+chat.RoomMark+`*'`, []any{name, now, maxRest.Milliseconds()}, func(scan func(...any) error) error {
			var handle string
			var old bool
			err := scan(&handle, &old)
			if handles = append(handles, handle); old {
				stale = append(stale, handle)
			}
			return err
		})
	})
	if err != nil || len(stale) == 0 {
		return handles, err
	}
	err = s.writing(func() error {
		for _, handle := range stale {
			if err := s.rerank(handle); err != nil {
				return err
			}
		}
		return nil
	})
	return handles, err
}

// That a room is ranked anew takes time in proportion to its messages, and whoever is in it can bring that about with
// each message. So a room rests after it: what comes meanwhile stands where its own names put it.
const (
	restedFrom = 10_000                 // messages: fewer take no time
	restFor    = 500 * time.Microsecond // for each message, which takes a twentieth of that
	maxRest    = 10 * time.Minute
)

// placed is a message of a room with its rank.
type placed struct {
	room.Node
	n       int64
	own     bool
	headed  bool // its head was kept
	before  room.Rank
	ref     []byte // as it is kept; empty: by an earlier version
	stays   int64  // the greatest bound that it may have; 0: any
	changed bool
}

// rerank gives all messages of a room their ranks, inside a transaction.
func (s *Store) rerank(handle string) error {
	var old int64
	if err := s.write.get(`SELECT old FROM ranked WHERE room = ?`, []any{handle}, &old); err != nil {
		return err
	}
	all, err := s.placedIn(handle)
	if err != nil {
		return err
	}
	nodes := make([]room.Node, len(all))
	for i := range all {
		nodes[i] = all[i].Node
	}
	ranks, looped := room.Ranks(nodes)
	if old > 0 {
		keepPlaces(all, ranks, old)
	}
	for i := range all {
		p, r := &all[i], ranks[i]
		if p.stays > 0 {
			r.Bound = min(r.Bound, uint64(p.stays))
		}
		if p.changed || r != p.before {
			_, err := s.write.exec(`UPDATE messages SET bound = ?, clock = ?, ref = ?, stays = ? WHERE n = ?`,
				int64(r.Bound), int64(r.Time), refBytes(p.Ref), p.stays, p.n)
			if err != nil {
				return err
			}
		}
		if p.n > old {
			continue
		}
		for _, name := range p.Names {
			if _, err := s.write.exec(`INSERT INTO named (ref, n) VALUES (?, ?) ON CONFLICT DO NOTHING`, refBytes(name), p.n); err != nil {
				return err
			}
		}
	}
	rests := int64(0)
	if len(all) >= restedFrom {
		rests = time.Now().Add(min(time.Duration(len(all))*restFor, maxRest)).UnixMilli()
	}
	_, err = s.write.exec(`UPDATE ranked SET stale = 0, looped = ?, old = 0, rests = ? WHERE room = ?`, looped, rests, handle)
	return err
}

// placedIn reads the messages of a room.
func (s *Store) placedIn(handle string) (all []placed, err error) {
	err = s.write.each(`SELECT m.n, m.id, coalesce(p.key, zeroblob(32)), m.peer = -1, m.ref, m.head, m.bound, m.clock, m.stays
		FROM messages m LEFT JOIN people p ON p.n = m.peer WHERE m.room = ? AND m.room <> '' AND (m.out = 0 OR m.peer = -1)`,
		[]any{handle}, func(scan func(...any) error) error {
			var p placed
			var id, key, head []byte
			var bound, clock int64
			if err := scan(&p.n, &id, &key, &p.own, &p.ref, &head, &bound, &clock, &p.stays); err != nil {
				return err
			}
			p.before = room.Rank{Bound: uint64(bound), Time: uint64(clock)}
			p.Clock, p.Names, p.headed = named(&inRoom{head: string(head), clock: uint64(clock)})
			p.Ref = refOf(chat.MessageID(id), chat.Key(key))
			if len(p.ref) == len(p.ID)+len(p.Author) {
				p.Ref = room.Ref{ID: [16]byte(p.ref), Author: room.Author(p.ref[16:])}
			} else {
				p.changed = true
			}
			all = append(all, p)
			return nil
		})
	if err != nil || !slices.ContainsFunc(all, func(p placed) bool { return p.own && p.changed }) {
		return all, err
	}
	// Who we are is told by what names what was said here.
	known := map[room.Ref]bool{}
	for i := range all {
		known[all[i].Ref] = true
	}
	called := map[[16]byte]room.Ref{}
	for i := range all {
		for _, r := range all[i].Names {
			if !known[r] {
				called[r.ID] = r
			}
		}
	}
	for i := range all {
		if p := &all[i]; p.own && p.changed {
			p.Ref.Author = called[p.ID].Author
		}
	}
	return all, nil
}

// keepPlaces gives messages up to number old, which an earlier version kept, the bounds that leave them where they
// were, where their parents weren't kept, or nothing names them and nobody will: they are older than
// what late join gives.
func keepPlaces(all []placed, ranks []room.Rank, old int64) {
	var at []int
	for i := range all {
		if all[i].n <= old {
			at = append(at, i)
		}
	}
	slices.SortFunc(at, func(a, b int) int {
		return cmp.Or(cmp.Compare(all[a].before.Time, all[b].before.Time), bytes.Compare(all[a].ID[:], all[b].ID[:]))
	})
	const recent = uint64(room.Recent / time.Millisecond)
	for j, i := range at[:max(0, len(at)-1)] {
		if all[i].headed && (ranks[i].Bound < room.Unnamed || all[i].before.Time+recent >= all[at[len(at)-1]].before.Time) {
			continue
		}
		all[i].stays = int64(max(all[at[j+1]].before.Time, ranks[i].Time+1))
		all[i].changed = true
	}
}
