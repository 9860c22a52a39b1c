package chat

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"earshot/chat/room"
	"earshot/chat/wire"
)

// What a simulated disk keeps of rooms.

// ownKey names a message to somebody.
type ownKey struct {
	to Key
	id MessageID
}

// authored names a message by who says it.
type authored struct {
	from Key
	id   MessageID
}

func keyOf(s Saying) ownKey { return ownKey{s.To, s.ID} }

// line is a message of a room.
type line struct {
	Saying
	from  Key
	n     int          // in the order they were kept
	at    time.Time    // when it was kept
	times int          // it was taken
	to    map[Key]bool // that it was said to, if it was said here
}

// newLine is a line and the node that kept it.
type newLine struct {
	authored
	by *simNode
}

// log returns the lines of a room as they stand.
func (d *disk) log(name string) (all []*line) {
	byRef := map[room.Ref]*line{}
	var nodes []room.Node
	for _, l := range d.lines {
		if l.Room == name {
			n := l.node()
			byRef[n.Ref], nodes = l, append(nodes, n)
		}
	}
	room.Sort(nodes)
	for _, n := range nodes {
		all = append(all, byRef[n.Ref])
	}
	return all
}

// node is what the place of a line depends on.
func (l *line) node() room.Node {
	n := room.Node{Ref: room.Ref{ID: l.ID, Author: author(l.from)}, Clock: l.Clock}
	if h, _, err := wire.ParseRoomHead(l.Head + "."); err == nil {
		n.Clock, n.Names = h.Clock, append(refs(h.Parents), refs(h.Earlier)...)
	}
	return n
}

func (d *disk) SaidIn(s Saying, to []Person) (own []bool, err error) {
	for _, p := range to {
		own = append(own, !d.Waits(p.Key))
	}
	return own, d.writes(func() {
		l := &line{Saying: s, from: d.node.id.Key(), n: len(d.lines), at: d.node.w.now, times: 1, to: map[Key]bool{}}
		d.lines[authored{l.from, s.ID}] = l
		d.news = append(d.news, newLine{authored{l.from, s.ID}, d.node})
		for i, p := range to {
			d.node.w.tell("%s says %q to %s", d.node.name, short(s.Text), d.node.w.nameOf(p.Key))
			l.to[p.Key] = true
			s.To = p.Key
			d.outbox = append(d.outbox, s)
			d.owns(s, own[i])
		}
		if d.real != nil {
			s.To = Key{}
			kept, err := d.real.SaidIn(s, to)
			d.agree("may send at once", slices.Equal(kept, own), true, err)
		}
	})
}

func (d *disk) HeardIn(from Person, s Saying, received time.Time) (fresh bool, err error) {
	l := d.lines[authored{from.Key, s.ID}]
	fresh = l == nil || d.node.faults.noDedupe
	return fresh, d.writes(func() {
		switch {
		case l == nil:
			d.lines[authored{from.Key, s.ID}] = &line{Saying: s, from: from.Key, n: len(d.lines), at: d.node.w.now, times: 1}
			d.news = append(d.news, newLine{authored{from.Key, s.ID}, d.node})
			d.keepBack(from, s, received)
		case fresh:
			l.times++
		}
		if d.real != nil {
			kept, err := d.real.HeardIn(from, s, received)
			d.agree("knows as new", kept, fresh, err)
		}
	})
}

func (d *disk) Share(name string, to Person, now time.Time) (all []Saying, err error) {
	err = d.writes(func() {
		lines := d.kept(name)
		for i := len(lines) - 1; i >= 0 && len(all) < room.MaxRecent; i-- {
			if l := lines[i]; l.to != nil && !l.to[to.Key] && now.Sub(l.at) <= room.Recent {
				l.to[to.Key] = true
				s := l.Saying
				s.To = to.Key
				all = append(all, s)
			}
		}
		slices.Reverse(all)
		for _, s := range all {
			d.node.w.tell("%s shares %q with %s", d.node.name, short(s.Text), to.Name)
			d.outbox = append(d.outbox, s)
			d.owns(s, true)
		}
		if d.real != nil {
			kept, err := d.real.Share(name, to, now)
			d.agree("shares", len(kept), len(all), err)
		}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (d *disk) Exclude(to Key, id MessageID, now time.Time) error {
	return d.writes(func() {
		d.node.w.tell("%s: %v isn't for %s", d.node.name, id, d.node.w.nameOf(to))
		d.outbox = slices.DeleteFunc(d.outbox, func(s Saying) bool { return s.To == to && s.ID == id })
		delete(d.lines[authored{d.node.id.Key(), id}].to, to)
		if d.real != nil {
			d.agree("gives up", nil, nil, d.real.Exclude(to, id, now))
		}
	})
}

func (d *disk) Spoke(name string, now time.Time) bool {
	spoke := slices.ContainsFunc(slices.Collect(maps.Values(d.lines)), func(l *line) bool {
		return l.Room == name && l.to != nil && now.Sub(l.at) <= room.Recent
	})
	if d.real != nil {
		d.agree("has said something", d.real.Spoke(name, now), spoke, nil)
	}
	return spoke
}

func (d *disk) Tail(name string, now time.Time) (all []Trace, err error) {
	for _, l := range d.kept(name) {
		if now.Sub(l.at) <= room.Recent {
			n := l.node()
			t := Trace{ID: l.ID, From: l.from, Clock: n.Clock, Head: l.Head}
			if l.to != nil {
				t.From = Key{}
			}
			all = append(all, t)
		}
	}
	if d.real != nil {
		kept, err := d.real.Tail(name, now)
		for i := range kept {
			kept[i].Clock = all[min(i, len(all)-1)].Clock // as yet, perhaps
		}
		d.agree("remembers", slices.Equal(kept, all), true, err)
	}
	return all, nil
}

func (d *disk) Decline(s Saying, reason Reason, now time.Time) error {
	if waits := slices.ContainsFunc(d.outbox, func(o Saying) bool { return keyOf(o) == keyOf(s) }); !waits && d.shared {
		return nil // another node that took over was told that it is delivered
	} else if !waits {
		d.node.w.t.Errorf("%s: message %v is declined, and doesn't wait", d.node.name, s.ID)
	}
	return d.writes(func() {
		d.node.w.tell("%s: %q is declined: %v", d.node.name, short(s.Text), reason)
		d.declined[keyOf(s)] = reason
		delete(d.owner, keyOf(s))
		if d.real != nil {
			d.agree("notes as declined", nil, nil, d.real.Decline(s, reason, now))
		}
	})
}

func (d *disk) Redeliver(to Key, rooms []string) (all []Saying, err error) {
	for _, s := range d.outbox {
		reason := d.declined[keyOf(s)]
		if s.To == to && (rooms == nil && reason > NotInRoom || reason == NotInRoom && slices.Contains(rooms, s.Room)) {
			d.node.w.tell("%s sends again %q", d.node.name, short(s.Text))
			delete(d.declined, keyOf(s))
			d.owns(s, true)
			all = append(all, s)
		}
	}
	if d.real != nil {
		kept, err := d.real.Redeliver(to, rooms)
		d.agree("has to send again", len(kept), len(all), err)
	}
	return all, nil
}

// sibling adds another node of n's person, with the same store, that is in other rooms.
func (w *world) sibling(n *simNode, rooms ...Membership) *simNode {
	o := w.person(n.name)
	o.id, o.rooms = n.id, rooms
	o.used, o.disk = n.used, &disk{node: o, contents: n.disk.contents}
	o.disk.shared = true
	o.start()
	return o
}

// kept returns the lines of a room in the order they were kept.
func (d *disk) kept(name string) (all []*line) {
	for _, l := range d.lines {
		if l.Room == name {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b *line) int { return cmp.Compare(a.n, b.n) })
	return all
}
