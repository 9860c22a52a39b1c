package chat

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"earshot/chat/room"
	"earshot/chat/wire"
)

// Errors of rooms.
var (
	ErrNotIn        = errors.New("chat: not in that room")
	ErrTooManyRooms = errors.New("chat: in too many rooms already")
)

// Membership is a room that one is in.
type Membership struct {
	Name string   // as room.ParseName returns it
	Key  room.Key // zero: an open room
}

// Handle is what a room is kept under: its name, and of a private one the beginning of
// its id, since several can have one name.
func (m Membership) Handle() string {
	if m.Key.IsZero() {
		return m.Name
	}
	id := m.Key.ID()
	return m.Name + RoomMark + hex.EncodeToString(id[:8])
}

// RoomMark parts the name from the id in the handle of a private room. No name of a room has it.
const RoomMark = "·"

// RoomName returns the name of the room with that handle.
func RoomName(handle string) string {
	name, _, _ := strings.Cut(handle, RoomMark)
	return name
}

// Room is a room as seen from here.
type Room struct {
	Name    string
	Handle  string // tells rooms of one name apart (SPEC §13.1)
	Private bool
	Joined  bool // we are in it
	Members int  // how many are in it, ourselves included
}

// parlour is a room that this node is in.
type parlour struct {
	core *core
	Membership
	handle string
	order  room.Order[Event]
	timer  timer // for what is held back
}

// rooms is what a core has to do with rooms.
type rooms struct {
	in      map[string]*parlour // by name
	passing bool                // this node is soon gone, and no member
	tells   bool                // others are told of our rooms, even if there are none
	meeting meeting
	said    fanouts
	aside   bucket // bytes of what was said in rooms that this node isn't in
	surveys []*survey
	left    map[room.ID]Membership           // private ones
	waiting map[string][]room.Message[Event] // what a node without a store has heard in rooms that it isn't in, by handle
}

// join makes the node be in a room. When it is in one of that name with another key, it
// leaves that one.
func (c *core) join(now time.Time, m Membership) error {
	if r := c.rooms.in[m.Name]; r != nil {
		if r.Key == m.Key {
			return nil
		}
		delete(c.rooms.in, m.Name)
		c.rooms.forget(r.Membership)
		c.timers.set(&r.timer, time.Time{})
	}
	same := 0
	for _, r := range c.rooms.in {
		if r.Key.IsZero() == m.Key.IsZero() {
			same++
		}
	}
	if m.Key.IsZero() && same >= room.MaxOpen || !m.Key.IsZero() && same >= room.MaxPrivate {
		return ErrTooManyRooms
	}
	r := &parlour{core: c, Membership: m, handle: m.Handle()}
	r.timer.run = r.due
	r.order.Careless, r.order.Wall = c.careless, c.wall
	tail, err := c.store.Tail(r.handle, now)
	if err != nil {
		c.stats.StoreErrors++
	}
	if !slices.ContainsFunc(tail, func(t Trace) bool { return !t.Old }) {
		r.order.Began = now
	}
	for _, s := range tail {
		h, _, _ := wire.ParseRoomHead(s.Head + ".") // what an earlier version kept has none
		r.order.Recall(now, room.Ref{ID: s.ID, Author: author(cmp.Or(s.From, c.key))}, s.Clock,
			refs(h.Parents), refs(h.Earlier), s.Old)
	}
	c.rooms.in[m.Name] = r
	for _, m := range c.rooms.waiting[r.handle] {
		r.show(r.order.Add(now, m, c.patience))
	}
	delete(c.rooms.waiting, r.handle)
	c.tellAll(now)
	for _, p := range c.sorted() {
		p.reread(now)
		if c.refuse(p.Key) {
			continue
		}
		if p.in(r.handle) {
			p.redeliver(now, []string{r.handle})
			p.parked = append(p.parked, c.share(now, p, r)...)
			p.unpark(now)
		}
		if p.visible && m.Name != room.Here && !c.rooms.passing {
			c.meet(now, p, false)
		}
	}
	return nil
}

// leave makes the node be in a room no more.
func (c *core) leave(now time.Time, name string) error {
	r := c.rooms.in[name]
	if r == nil {
		return ErrNotIn
	}
	delete(c.rooms.in, name)
	c.rooms.forget(r.Membership)
	c.timers.set(&r.timer, time.Time{})
	c.tellAll(now)
	return nil
}

// sorted returns everybody, always in one order.
func (c *core) sorted() []*person {
	return slices.SortedFunc(maps.Values(c.people), func(a, b *person) int { return bytes.Compare(a.Key[:], b.Key[:]) })
}

// tellAll tells everybody in a session which rooms we are in.
func (c *core) tellAll(now time.Time) {
	c.rooms.tells = true
	for _, p := range c.sorted() {
		for _, l := range p.links {
			if !l.retired {
				l.tell()
				l.send(now)
			}
		}
	}
}

// stateTold is how our rooms were told over a link.
type stateTold struct {
	size  int // bytes
	most  int // that the path carried
	short bool
}

// tell tells the peer which rooms we are in (SPEC §13.2).
func (l *link) tell() {
	c := l.core
	s := wire.RoomState{Passing: c.rooms.passing}
	for range wire.RoomTags {
		s.Tags = append(s.Tags, c.randomBytes(wire.TagSize))
	}
	tags := 0
	for _, name := range slices.Sorted(maps.Keys(c.rooms.in)) {
		if r := c.rooms.in[name]; r.Key.IsZero() {
			s.Open = append(s.Open, name)
		} else {
			tag := r.Key.Tag(l.binding, c.key, l.session.Version()+1)
			s.Tags[tags] = tag[:]
			tags++
		}
	}
	c.random.Shuffle(len(s.Tags), func(i, j int) { s.Tags[i], s.Tags[j] = s.Tags[j], s.Tags[i] })
	l.state = stateTold{most: l.session.CarriesState()}
	state := mustMarshal(&s)
	for last := len(s.Open) - 1; len(state) > l.state.most && last >= 0; last-- {
		if s.Open[last] != room.Here {
			s.Open = slices.Delete(s.Open, last, last+1)
			state, l.state.short = mustMarshal(&s), true
		}
	}
	l.state.size = len(state)
	l.session.Tell(state)
}

func mustMarshal(s *wire.RoomState) []byte {
	state, err := wire.MarshalRoomState(s)
	if err != nil {
		panic(err) // join keeps it short
	}
	return state
}

// retell tells our rooms again where the path turns out to carry less or more of them.
func (l *link) retell() {
	most := l.session.CarriesState()
	if s := l.state; s.size > most && l.session.Telling() || s.short && most > s.most {
		l.tell()
	}
}

func (c *core) randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.random.Uint32())
	}
	return b
}

// peerState is what a peer has told of its rooms.
type peerState struct {
	open    []string
	tags    []byte // one after the other
	version uint64 // which they are bound to
	passing bool
	left    []string // handles of rooms that it is no more in, as was learned later
	rooms   []string // handles of those of the rooms that we can know
}

func newPeerState(s *wire.RoomState, version uint64) *peerState {
	t := &peerState{version: version, passing: s.Passing, tags: bytes.Join(s.Tags, nil)}
	for _, name := range s.Open {
		if name == room.Here {
			name = room.Here // the same for all of many
		}
		if n, err := room.ParseName(name); err == nil && n == name && !slices.Contains(t.open, n) {
			t.open = append(t.open, name)
		}
	}
	return t
}

// news takes what the peer has told of its rooms, if it has.
func (l *link) news(now time.Time) {
	if !l.session.Heralds() {
		return
	}
	c, p := l.core, l.person
	if ok, again := p.meter.Take(now); !ok {
		l.again = again
		return
	}
	b, version := l.session.News()
	s, err := wire.ParseRoomState(b)
	if err != nil {
		c.stats.Malformed++
		return
	}
	l.outlived = l.retired
	first := l.told == nil
	l.told = newPeerState(&s, version)
	if l.session.Version() == 0 {
		l.tell()
	}
	before := p.rooms
	p.reread(now)
	p.rename(now)
	if !c.rooms.passing && !l.told.passing {
		var late []parked
		for _, name := range slices.Sorted(maps.Keys(c.rooms.in)) {
			if r := c.rooms.in[name]; slices.Contains(l.told.rooms, r.handle) && (first || !slices.Contains(before, r.handle)) {
				late = append(late, c.share(now, p, r)...)
			}
		}
		p.parked = append(late, p.parked...)
	}
	if !l.told.passing && len(l.told.rooms) > 0 {
		p.returned(now)
	}
	p.unpark(now)
	if l.told.passing {
		p.seek(now)
	}
	c.surveyed()
}

// read finds out which of the peer's rooms we can know.
func (l *link) read() {
	t := l.told
	t.rooms = slices.Clip(t.open)
	for _, r := range l.core.rooms.in {
		if l.proves(r.Key) {
			t.rooms = append(t.rooms, r.handle)
		}
	}
	if len(t.left) > 0 {
		t.rooms = slices.DeleteFunc(slices.Clone(t.rooms), func(h string) bool { return slices.Contains(t.left, h) })
	}
}

// proves reports whether the peer has shown to be in the private room with that key.
func (l *link) proves(k room.Key) bool {
	t := l.told
	for tags := t.tags; !k.IsZero() && len(tags) > 0; tags = tags[wire.TagSize:] {
		if k.Made(tags[:wire.TagSize], l.binding, l.person.Key, t.version) {
			return true
		}
	}
	return false
}

// reconcile doubts a session where the peer, after the two had settled on that, has told its rooms over
// this one, and other rooms than over that one: for the peer this is the one that stayed.
func (l *link) reconcile(now time.Time) {
	if !l.outlived {
		return
	}
	for _, o := range slices.Clone(l.person.links) {
		if o.instance == l.instance && (o.told == nil || !slices.Equal(o.told.rooms, l.told.rooms)) {
			o.doubt(now)
		}
	}
}

// word is a session over which a node of the person, not passing, has told its rooms.
func (p *person) word() *link {
	for _, l := range p.links {
		if l.told != nil && !l.told.passing && !l.retired {
			return l
		}
	}
	return nil
}

// in reports whether the person is a member of the room with that handle.
func (p *person) in(handle string) bool { return slices.Contains(p.rooms, handle) }

// proves reports whether the person is a member of the room, or speaks in it in passing.
func (p *person) proves(handle string) bool {
	return p.in(handle) || slices.ContainsFunc(p.links, func(l *link) bool {
		return l.told != nil && slices.Contains(l.told.rooms, handle)
	})
}

// reread finds out anew which rooms the person is in, and reports who comes and goes.
func (p *person) reread(now time.Time) {
	var rooms []string
	for _, l := range p.links {
		if l.told == nil {
			continue
		}
		l.read()
		for _, h := range l.told.rooms {
			if !l.told.passing && !l.retired && !slices.Contains(rooms, h) {
				rooms = append(rooms, h)
			}
		}
	}
	if p.word() != nil {
		p.become(now, rooms)
	}
}

// become notes which rooms the person is in from now on.
func (p *person) become(now time.Time, rooms []string) {
	before, known := p.rooms, p.spoken
	p.rooms, p.spoken = rooms, p.word() != nil
	for _, name := range slices.Sorted(maps.Keys(p.core.rooms.in)) {
		r := p.core.rooms.in[name]
		was, is := slices.Contains(before, r.handle), slices.Contains(rooms, r.handle)
		// That somebody comes to the lobby because they come at all, or goes, is said by discovery.
		if was == is || name == room.Here && (!known || !p.spoken) {
			continue
		}
		e := Event{Kind: Joined, Person: p.Person, Room: name, Received: now}
		if was {
			e.Kind = Parted
		}
		p.core.events.add(e)
	}
}

// gone follows the end of a session: left says that it was the peer who ended it.
func (p *person) gone(now time.Time, left bool) {
	switch {
	case p.word() != nil:
		p.reread(now)
	case left && !slices.ContainsFunc(p.links, func(l *link) bool { return !l.retired }), len(p.links) == 0 && !p.visible:
		p.become(now, nil)
	}
}

// members returns who is in the room, in one order. Everybody visible is in the lobby
// until they tell otherwise.
func (c *core) members(handle string) (all []*person) {
	for _, p := range c.sorted() {
		if (p.in(handle) || handle == room.Here && p.visible && !p.spoken) && !c.refuse(p.Key) {
			all = append(all, p)
		}
	}
	return all
}

// list returns the rooms that anybody is in whom we have heard of, by name.
func (c *core) list() []Room {
	byHandle := map[string]*Room{}
	add := func(handle string, m Membership, joined bool) {
		if byHandle[handle] == nil {
			byHandle[handle] = &Room{Name: m.Name, Handle: handle, Private: !m.Key.IsZero(), Joined: joined}
			if joined && !c.rooms.passing {
				byHandle[handle].Members++
			}
		}
	}
	add(room.Here, Membership{Name: room.Here}, c.rooms.in[room.Here] != nil)
	for _, r := range c.rooms.in {
		add(r.handle, r.Membership, true)
	}
	for _, p := range c.people {
		if c.refuse(p.Key) {
			continue
		}
		for _, h := range p.rooms {
			if byHandle[h] == nil && len(byHandle) < maxListedRooms {
				add(h, Membership{Name: h}, false) // private ones are there already
			}
			if r := byHandle[h]; r != nil && h != room.Here {
				r.Members++
			}
		}
	}
	byHandle[room.Here].Members += len(c.members(room.Here))
	var all []Room
	for _, h := range slices.Sorted(maps.Keys(byHandle)) {
		all = append(all, *byHandle[h])
	}
	return all
}

// author is how a message's parents name who said it.
func author(k Key) room.Author { return room.Author(k[:]) }
