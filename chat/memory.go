package chat

import (
	"slices"
	"time"

	"earshot/chat/room"
)

// memory is the Store of a node that has none: it forgets with the process, and
// remembers of each person just enough to know a message that comes again (SPEC §7), and
// of what was said in rooms what those who join late are given.
type memory struct {
	heard map[Key]*seen
	said  map[string][]*recalled // by room, the latest last

	declined map[Key][]declinedSaying
}

// declinedSaying is a message that a person hasn't taken.
type declinedSaying struct {
	Saying
	reason Reason
}

// recalled is a message that was said in a room here.
type recalled struct {
	Saying
	to map[Key]struct{}
}

func newMemory() *memory {
	return &memory{heard: map[Key]*seen{}, said: map[string][]*recalled{}, declined: map[Key][]declinedSaying{}}
}

func (*memory) Waits(Key) bool                            { return false }
func (*memory) Outbox(Key) ([]Saying, error)              { return nil, nil }
func (*memory) Said(Saying) (bool, error)                 { return true, nil }
func (*memory) Release(Key) bool                          { return false }
func (*memory) Delivered(Key, MessageID, time.Time) error { return nil }
func (*memory) Lapsed() bool                              { return false }
func (*memory) Defer(bool) bool                           { return false }
func (*memory) Fail(Key, MessageID, Failure) error        { return nil }
func (*memory) Tail(string, time.Time) ([]Trace, error)   { return nil, nil }

func (m *memory) Heard(from Person, id MessageID, _ string, _, _ time.Time) (bool, error) {
	s := m.heard[from.Key]
	if s == nil {
		if len(m.heard) >= maxRemembered {
			for k := range m.heard { // any: they are many, and only few are talking
				delete(m.heard, k)
				break
			}
		}
		s = &seen{ids: map[MessageID]struct{}{}}
		m.heard[from.Key] = s
	}
	return s.add(id), nil
}

func (m *memory) HeardIn(from Person, s Saying, _ time.Time) (bool, error) {
	return m.Heard(from, s.ID, "", s.Sent, s.Sent)
}

func (m *memory) SaidIn(s Saying, to []Person) ([]bool, error) {
	r := &recalled{s, make(map[Key]struct{}, len(to))}
	own := make([]bool, len(to))
	for i, p := range to {
		r.to[p.Key], own[i] = struct{}{}, true
	}
	m.said[s.Room] = append(m.said[s.Room], r)
	if len(m.said[s.Room]) > room.MaxRecent {
		m.said[s.Room] = m.said[s.Room][1:]
	}
	return own, nil
}

func (m *memory) Share(name string, to Person, now time.Time) (all []Saying, err error) {
	for _, r := range m.said[name] {
		if _, told := r.to[to.Key]; !told && now.Sub(r.Sent) <= room.Recent {
			r.to[to.Key] = struct{}{}
			all = append(all, r.Saying)
		}
	}
	return all, nil
}

func (m *memory) Exclude(to Key, id MessageID, _ time.Time) error {
	for _, all := range m.said {
		for _, r := range all {
			if r.ID == id {
				delete(r.to, to)
			}
		}
	}
	return nil
}

// Decline keeps as many of a person as may wait for them; a node without a store has no other place.
func (m *memory) Decline(s Saying, reason Reason, _ time.Time) error {
	if len(m.declined[s.To]) >= maxBacklog {
		return ErrBacklog
	}
	m.declined[s.To] = append(m.declined[s.To], declinedSaying{s, reason})
	return nil
}

func (m *memory) Redeliver(to Key, rooms []string) (all []Saying, err error) {
	var rest []declinedSaying
	for _, d := range m.declined[to] {
		if due := d.reason != NotInRoom; rooms == nil && due || !due && slices.Contains(rooms, d.Room) {
			all = append(all, d.Saying)
		} else {
			rest = append(rest, d)
		}
	}
	if m.declined[to] = rest; rest == nil {
		delete(m.declined, to)
	}
	return all, nil
}

func (m *memory) Spoke(name string, now time.Time) bool {
	return slices.ContainsFunc(m.said[name], func(r *recalled) bool { return now.Sub(r.Sent) <= room.Recent })
}

// seen is the ids of the latest messages of one person.
type seen struct {
	ids  map[MessageID]struct{}
	ring []MessageID
	next int
}

// add reports whether id is new.
func (s *seen) add(id MessageID) bool {
	if _, known := s.ids[id]; known {
		return false
	}
	if len(s.ring) < maxSeen {
		s.ring = append(s.ring, id)
	} else {
		delete(s.ids, s.ring[s.next])
		s.ring[s.next] = id
		s.next = (s.next + 1) % maxSeen
	}
	s.ids[id] = struct{}{}
	return true
}
