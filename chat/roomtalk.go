package chat

import (
	"fmt"
	"slices"
	"time"

	"earshot/chat/room"
	"earshot/chat/session"
	"earshot/chat/wire"
)

// parked is a message said in a room that waits until its member and we know of each
// other's rooms (SPEC §13.5).
type parked struct {
	session.Message
	maybe bool // only if they turn out to be in the room: they haven't told that they are
}

// sayIn says text in a room that we are in, and returns to whom.
func (c *core) sayIn(now time.Time, name, text string) (id MessageID, to []Person, err error) {
	r := c.rooms.in[name]
	switch {
	case c.closing:
		return id, nil, ErrClosed
	case text == "":
		return id, nil, ErrEmpty
	case len(text) > MaxText:
		return id, nil, ErrTooLong
	case r == nil:
		return id, nil, ErrNotIn
	case c.events.Len() >= maxWaitingEvents:
		return id, nil, ErrBacklog
	}
	members := c.members(r.handle)
	for _, p := range members {
		if p.best() != nil && p.backlog() >= maxBacklog {
			return id, nil, ErrBacklog
		}
		to = append(to, p.Person)
	}
	id = c.newID()
	clock, parents, earlier := r.order.Next(now)
	lacking := c.lacking(now, r, members, parents)
	s := Saying{ID: id, Text: text, Sent: c.wall(now), Room: r.handle, From: c.key, Head: r.head(clock, parents, earlier), Clock: clock}
	own, err := c.store.SaidIn(s, to)
	if err != nil {
		c.stats.StoreErrors++
		return MessageID{}, nil, fmt.Errorf("chat: the message can't be kept: %w", err)
	}
	r.order.Said(now, room.Ref{ID: id, Author: author(c.key)}, clock, slices.Concat(parents, earlier))
	c.rooms.said.add(id, name, to)
	m := s.message()
	for i, p := range members {
		for _, e := range lacking[i] {
			p.sayIn(now, e)
		}
		if own[i] {
			p.sayIn(now, parked{m, !p.in(r.handle)})
		} else {
			p.collect(now)
		}
	}
	return id, to, nil
}

// head returns what precedes the text of a message in the room.
func (r *parlour) head(clock uint64, parents, earlier []room.Ref) string {
	h := wire.RoomHead{Clock: clock}
	if r.Key.IsZero() {
		h.Name = r.Name
	} else {
		id := r.Key.ID()
		h.Private = id[:]
	}
	for _, p := range parents {
		h.Parents = append(h.Parents, append(p.ID[:], p.Author[:]...))
	}
	for _, p := range earlier {
		h.Earlier = append(h.Earlier, append(p.ID[:], p.Author[:]...))
	}
	b, err := wire.MarshalRoomHead(&h)
	if err != nil {
		panic(err) // of a name and parents that are bounded
	}
	return string(b)
}

// message is s as a session carries it.
func (s *Saying) message() session.Message {
	m := session.Message{ID: s.ID, Text: s.Text, Sent: s.Sent}
	if s.Room != "" {
		m.Text, m.Form, m.Room = s.Head+s.Text, wire.FormRoom, s.Room
	}
	return m
}

// maybe reports whether s may have been said to people who only might be in the room: in the lobby
// everybody visible is taken for a member until they tell otherwise.
func (s *Saying) maybe() bool { return s.Room == room.Here }

// lacking returns, for each member, what they must have before a message with these parents: where
// one of those is our own, what we have said lately and not to them (SPEC §13.7).
func (c *core) lacking(now time.Time, r *parlour, members []*person, parents []room.Ref) [][]parked {
	all := make([][]parked, len(members))
	if !slices.ContainsFunc(parents, func(p room.Ref) bool { return p.Author == author(c.key) }) {
		return all
	}
	for i, p := range members {
		all[i] = c.unsaid(now, p, r)
		for j := range all[i] {
			all[i][j].maybe = !p.in(r.handle)
		}
	}
	return all
}

// share returns what we have said in the room and the person was never told (SPEC §13.7).
func (c *core) share(now time.Time, p *person, r *parlour) (all []parked) {
	if c.rooms.passing {
		return nil
	}
	return c.unsaid(now, p, r)
}

// unsaid is share for a node that may be passing.
func (c *core) unsaid(now time.Time, p *person, r *parlour) (all []parked) {
	kept, err := c.store.Share(r.handle, p.Person, now)
	if err != nil {
		c.stats.StoreErrors++
	}
	for i := range kept {
		all = append(all, parked{Message: kept[i].message()})
	}
	return all
}

// sayIn says m, or lets it wait until that can be.
func (p *person) sayIn(now time.Time, m parked) {
	if len(p.parked) == 0 {
		p.waitingFrom = now
	}
	p.parked = append(p.parked, m)
	p.unpark(now)
	if len(p.parked) > 0 {
		p.core.meet(now, p, true)
	}
}

// unpark says what can now be said, and gives up what needn't be.
func (p *person) unpark(now time.Time) {
	for len(p.parked) > 0 && p.word() != nil && len(p.waiting) == 0 {
		if !p.unparkFirst(now) {
			break
		}
		p.parked = p.parked[1:]
	}
	p.schedule()
}

// unparkFirst says, or gives up, what has waited longest, unless it must wait.
func (p *person) unparkFirst(now time.Time) bool {
	m, l := p.parked[0], p.seat(p.parked[0].Room)
	switch {
	case l != nil:
		if s := p.speaking(); l.session.Telling() || s != nil && s != l {
			return false // for a moment
		}
		if l.push(now, m.Message) {
			l.send(now)
		}
	case p.in(m.Room):
		return false // until there is a session with the node that is in it
	case p.outdated(now):
		return false // until they have confirmed it, or are heard no more
	case m.maybe:
		p.exclude(now, m)
	default:
		p.decline(now, m.Message, NotInRoom)
	}
	return true
}

// outdated reports whether the rooms that the person is in are known from nodes that may be gone since,
// and asks these.
func (p *person) outdated(now time.Time) (is bool) {
	for _, l := range slices.Clone(p.links) {
		if l.retired || !l.lasts() || now.Sub(l.session.Heard()) < redialAfter {
			continue
		}
		if is = true; l.session.WaitingSince().IsZero() {
			l.session.Ping()
			l.send(now)
		}
	}
	return is
}

// seat is the session to somebody's node that is in a room: the one that is speaking, or
// else the one heard last. Nil when there is none.
func (p *person) seat(handle string) (seat *link) {
	for _, l := range p.links {
		switch {
		case l.retired || l.doubted || !l.lasts() || !slices.Contains(l.told.rooms, handle):
		case l.session.Pending() > 0:
			return l
		case seat == nil || l.session.Heard().After(seat.session.Heard()):
			seat = l
		}
	}
	return seat
}

// exclude gives up a message for a person who turns out not to be in the room.
func (p *person) exclude(now time.Time, m parked) {
	c := p.core
	if c.store.Exclude(p.Key, m.ID, now) != nil {
		c.stats.StoreErrors++
	}
	if f := c.rooms.said.of(m.ID); f != nil && f.off(p.Key) {
		f.total--
		c.events.add(Event{Kind: Excluded, Person: p.Person, ID: m.ID, Room: f.room})
	}
}

// hearIn takes a message that was said in a room, and reports whether it is kept, and so may be
// acknowledged, or for which reason it is declined; neither: it waits.
func (l *link) hearIn(now time.Time, m session.Message) (kept bool, reason wire.Reason) {
	c, p := l.core, l.person
	h, text, err := wire.ParseRoomHead(m.Text)
	if err != nil || len(text) > MaxText {
		c.stats.Malformed++
		return l.decline()
	}
	r := c.roomOf(&h)
	if r != nil && !r.Key.IsZero() && !p.proves(r.handle) {
		if l.told == nil { // it is on its way
			l.again = now.Add(storeAgain)
			return false, 0
		}
		r = nil
	}
	if r == nil {
		c.stats.Refused++
		if c.drops {
			return true, 0
		}
		if handle := c.elsewhere(&h, p); handle != "" && !l.capabilities.Has(wire.CanDecline) {
			return l.keepIn(now, nil, handle, &h, m, text)
		}
		return l.decline()
	}
	return l.keepIn(now, r, r.handle, &h, m, text)
}

// decline says that a message isn't kept, when it may. A peer that doesn't understand that is told
// that it has come: nothing of it could be kept, and all that follows would wait (SPEC §13.5).
func (l *link) decline() (kept bool, reason wire.Reason) {
	switch {
	case !l.capabilities.Has(wire.CanDecline):
		return true, 0
	case !l.session.MayDecline():
		return false, 0
	}
	return false, wire.NotInRoom
}

// keepIn keeps a message that was said in a room, which r is where this node is in it. What it returns
// is as of hearIn.
func (l *link) keepIn(now time.Time, r *parlour, handle string, h *wire.RoomHead, m session.Message, text string) (kept bool, reason wire.Reason) {
	c, p := l.core, l.person
	if ok, again := p.meter.Take(now); !ok {
		l.again = again
		return false, 0
	}
	msg := room.Message[Event]{
		Ref: room.Ref{ID: m.ID, Author: author(p.Key)}, Clock: h.Clock, Size: len(text),
		Body: Event{Kind: Message, Person: p.Person, As: l.name, ID: m.ID, Text: text, Sent: m.Sent, Received: now, Room: RoomName(handle)},
	}
	msg.Parents, msg.Earlier = refs(h.Parents), refs(h.Earlier)
	if r == nil && (!p.aside.take(now, len(text)) || !c.rooms.aside.take(now, len(text))) {
		l.again, l.aside = now.Add(asideAgain), true
		return false, 0
	}
	fresh, err := c.store.HeardIn(l.speaker(), Saying{
		ID: m.ID, Text: text, Sent: m.Sent, Room: handle, From: p.Key, Head: m.Text[:len(m.Text)-len(text)], Clock: h.Clock,
	}, now)
	if err != nil {
		return false, l.notKept(now, err)
	}
	switch {
	case !fresh:
	case c.behind.on:
		c.deferred(p.Key)
	case r != nil:
		r.show(r.order.Add(now, msg, c.patience))
	default:
		c.rooms.unread(c.store, handle, msg)
	}
	return true, 0
}

// elsewhere returns the handle of a room that this node isn't in, if the person may be heard there:
// it may be another node's of ours, or was this one's.
func (c *core) elsewhere(h *wire.RoomHead, p *person) string {
	if h.Private == nil {
		if name, err := room.ParseName(h.Name); err != nil || name != h.Name {
			return ""
		}
		return h.Name
	}
	m, known := c.rooms.left[room.ID(h.Private)]
	if known && slices.ContainsFunc(p.links, func(l *link) bool { return l.told != nil && l.proves(m.Key) }) {
		return m.Handle()
	}
	return ""
}

// refs returns the messages that parents of a head name.
func refs(parents [][]byte) (all []room.Ref) {
	for _, b := range parents {
		all = append(all, room.Ref{ID: [16]byte(b), Author: room.Author(b[16:])})
	}
	return all
}

// roomOf returns the room that a message was said in, nil when we aren't in it.
func (c *core) roomOf(h *wire.RoomHead) *parlour {
	if h.Private == nil {
		if r := c.rooms.in[h.Name]; r != nil && r.Key.IsZero() {
			return r
		}
		return nil
	}
	for _, r := range c.rooms.in {
		if !r.Key.IsZero() && r.Key.ID() == room.ID(h.Private) {
			return r
		}
	}
	return nil
}

// patience says what is to be expected of somebody who has said what isn't here.
func (c *core) patience(a room.Author) room.Patience {
	if a == author(c.key) {
		return room.Refused // it was said by another of our nodes
	}
	for _, p := range c.people {
		if author(p.Key) == a {
			switch {
			case c.refuse(p.Key):
				return room.Refused
			case p.visible || len(p.links) > 0 || len(p.rooms) > 0:
				return room.Present
			}
		}
	}
	return room.Absent
}

// show passes on what is to be shown, and makes the next appointment.
func (r *parlour) show(all []room.Message[Event]) {
	for i := range all {
		all[i].Body.Clock, all[i].Body.Late = all[i].Clock, all[i].Late
		r.core.events.add(all[i].Body)
	}
	r.core.timers.set(&r.timer, r.order.Wake())
}

func (r *parlour) due(now time.Time) { r.show(r.order.Due(now)) }

// fanout is what has become of a message said in a room.
type fanout struct {
	id      MessageID
	room    string // name
	total   int    // members it was said to
	missing map[Key]Missing
}

// off strikes off somebody for whom it needn't be awaited any more.
func (f *fanout) off(k Key) bool {
	_, was := f.missing[k]
	delete(f.missing, k)
	return was
}

// fanouts is the latest messages said in rooms.
type fanouts struct {
	byID map[MessageID]*fanout
	ring []*fanout
}

func (f *fanouts) add(id MessageID, name string, to []Person) {
	o := &fanout{id: id, room: name, total: len(to), missing: make(map[Key]Missing, len(to))}
	for _, p := range to {
		o.missing[p.Key] = Missing{Person: p}
	}
	if f.byID == nil {
		f.byID = map[MessageID]*fanout{}
	}
	f.byID[id] = o
	if f.ring = append(f.ring, o); len(f.ring) > maxFanouts {
		delete(f.byID, f.ring[0].id)
		f.ring = f.ring[1:]
	}
}

// of returns the message's, nil when it wasn't said in a room lately.
func (f *fanouts) of(id MessageID) *fanout { return f.byID[id] }

// delivered tells that a message is acknowledged. That somebody who came late was given
// it is no news.
func (p *person) delivered(r session.Receipt) {
	e := Event{Kind: Delivered, Person: p.Person, ID: r.ID, RTT: r.RTT}
	if f := p.core.rooms.said.of(r.ID); f != nil {
		if e.Room = f.room; !f.off(p.Key) {
			return
		}
	} else if r.Form == wire.FormRoom { // said by another of our nodes, or by one before this
		h, _, _ := wire.ParseRoomHead(r.Text)
		in := p.core.roomOf(&h)
		if in == nil {
			return
		}
		e.Room = in.Name
	}
	p.core.events.add(e)
}
