package chat

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"earshot/chat/room"
)

var (
	lobby  = Membership{Name: room.Here}
	open   = Membership{Name: "#dev"}
	secret = Membership{Name: "#secret", Key: room.Key{7}}
)

// inRooms adds a node that is in rooms.
func (w *world) inRooms(name string, rooms ...Membership) *simNode {
	n := w.node(name)
	n.rooms = rooms
	n.start()
	return n
}

// gather makes everybody visible to everybody.
func (w *world) gather() {
	for _, n := range w.nodes {
		w.announce(n)
	}
}

// tells says text in a room, and returns to whom.
func (n *simNode) tells(m Membership, text string) (MessageID, []string) {
	n.w.t.Helper()
	id, to, err := n.core.sayIn(n.w.now, m.Name, text)
	if err != nil {
		n.w.t.Fatalf("%s in %s: %v", n.name, m.Name, err)
	}
	n.drain()
	return id, n.w.namesOf(to)
}

func (w *world) namesOf(people []Person) (names []string) {
	for _, p := range people {
		names = append(names, w.nameOf(p.Key))
	}
	slices.Sort(names)
	return names
}

// heardIn is what n was shown in a room, in order.
func (n *simNode) heardIn(m Membership) (all []string) {
	for _, e := range n.shown {
		if e.Room == m.Name {
			all = append(all, e.Text)
		}
	}
	return all
}

func (n *simNode) membersOf(m Membership) []string {
	var all []Person
	for _, p := range n.core.members(m.Handle()) {
		all = append(all, p.Person)
	}
	return n.w.namesOf(all)
}

func expectList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// What is said in the lobby reaches everybody visible who hasn't left it, with whom there
// was no session before, once.
func TestLobby(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.inRooms("ana", lobby), w.inRooms("bob", lobby), w.inRooms("carol", open)
	w.gather()
	w.run(time.Second)
	if p := a.core.people[b.id.Key()]; len(p.links) > 0 { // carol looks for who is in her room, but they don't
		t.Error("ana has met bob, and nothing was said")
	}
	_, to := a.tells(lobby, "hello")
	w.run(time.Second)
	expectList(t, "said to", to, "bob")
	expectList(t, "bob hears", b.heardIn(lobby), "hello")
	expectList(t, "carol hears", c.heardIn(lobby))
	if !w.settled() {
		t.Errorf("something still waits: %+v", a.disk.outbox)
	}
}

// Who turns out not to be in the lobby isn't waited for, and says so.
func TestExcluded(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.inRooms("ana", lobby), w.inRooms("bob")
	w.gather()
	id, to := a.tells(lobby, "hello")
	expectList(t, "said to", to, "bob")
	w.run(time.Second)
	expectList(t, "bob hears", b.heardIn(lobby))
	if i := slices.IndexFunc(a.events, func(e Event) bool { return e.Kind == Excluded && e.ID == id && e.Room == room.Here }); i < 0 {
		t.Errorf("ana was told %v", a.kinds())
	}
	if f := a.core.rooms.said.of(id); f.total != 0 || len(f.missing) != 0 {
		t.Errorf("%d awaited, %d missing", f.total, len(f.missing))
	}
	// When bob comes to the lobby after all, he is given it.
	if err := b.core.join(w.now, lobby); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	expectList(t, "bob hears", b.heardIn(lobby), "hello")
}

// 200 who start at once don't meet each other for that.
func TestNoStorm(t *testing.T) {
	w := newWorld(t, 1)
	for i := range 200 {
		w.inRooms(fmt.Sprint("n", i), lobby)
	}
	w.gather()
	w.run(10 * time.Second)
	if w.counter > 0 {
		t.Errorf("%d datagrams, and nothing was said", w.counter)
	}
	_, to := w.nodes[0].tells(lobby, "hello")
	w.run(time.Second)
	if len(to) != 199 || !w.settled() {
		t.Errorf("said to %d, %d of them don't have it", len(to), len(w.nodes[0].disk.outbox))
	}
	for _, n := range w.nodes[1:] {
		if len(n.core.links) > 1 || len(n.heardIn(lobby)) != 1 {
			t.Fatalf("%s has %d sessions, and heard %q", n.name, len(n.core.links), n.heardIn(lobby))
		}
	}
	// Sessions for the sake of a room come slowly.
	was := w.counter
	late := w.inRooms("late", open)
	w.gather()
	w.run(500 * time.Millisecond)
	if made := late.live(); made == 0 || made > 55 {
		t.Errorf("%d sessions in the first half second", made)
	}
	w.run(5 * time.Second)
	if made := late.live(); made != 200 {
		t.Errorf("%d sessions, %d datagrams", made, w.counter-was)
	}
}

func TestNamedRoom(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.inRooms("ana", lobby, open), w.inRooms("bob", lobby, open), w.inRooms("carol", lobby)
	w.gather()
	w.run(time.Second)
	expectList(t, "members", a.membersOf(open), "bob")
	a.tells(open, "for those in it")
	w.run(time.Second)
	expectList(t, "bob hears", b.heardIn(open), "for those in it")
	expectList(t, "carol hears", c.heardIn(open))

	// Carol sees how many are in, joins, and is given what was said.
	list := func(n *simNode) (all []string) {
		for _, r := range n.core.list() {
			all = append(all, fmt.Sprint(r.Name, " ", r.Members, " ", r.Joined))
		}
		return all
	}
	expectList(t, "carol's rooms", list(c), "#dev 2 false", "#here 3 true")
	if err := c.core.join(w.now, open); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	expectList(t, "carol hears", c.heardIn(open), "for those in it")
	expectList(t, "members", a.membersOf(open), "bob", "carol")
	came := func(n *simNode, kind Kind) (all []string) {
		for _, e := range n.events {
			if e.Kind == kind && e.Room == open.Name {
				all = append(all, e.Person.Name)
			}
		}
		return all
	}
	if names := came(a, Joined); !slices.Contains(names, "carol") {
		t.Errorf("ana saw %q come", names)
	}

	// Bob leaves, Carol says goodbye: the room has gone with them.
	if err := b.core.leave(w.now, open.Name); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	_, to := a.tells(open, "without bob")
	expectList(t, "said to", to, "carol")
	w.run(time.Second)
	expectList(t, "bob hears", b.heardIn(open), "for those in it")
	c.core.close(w.now)
	w.unannounce(c)
	w.run(time.Second)
	expectList(t, "members", a.membersOf(open))
	expectList(t, "ana saw leave", came(a, Parted), "bob", "carol")
	if err := a.core.leave(w.now, open.Name); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	expectList(t, "bob's rooms", list(b), "#here 2 true")
	if err := a.core.leave(w.now, open.Name); !errors.Is(err, ErrNotIn) {
		t.Errorf("left twice: %v", err)
	}
}

// Who doesn't know the passphrase learns nothing, and isn't heard.
func TestPrivateRoom(t *testing.T) {
	w := newWorld(t, 1)
	other := Membership{Name: "#secret", Key: room.Key{8}}
	a, b := w.inRooms("ana", lobby, secret), w.inRooms("bob", lobby, secret)
	eve, mal := w.inRooms("eve", lobby, other), w.inRooms("mal", lobby, Membership{Name: "#secret"})
	w.gather()
	w.run(time.Second)
	_, to := a.tells(secret, "psst")
	w.run(time.Second)
	expectList(t, "said to", to, "bob")
	expectList(t, "bob hears", b.heardIn(secret), "psst")
	for _, n := range []*simNode{eve, mal} {
		expectList(t, n.name+" hears", n.heardIn(secret))
		for _, r := range n.core.list() {
			if r.Name == "#secret" && r.Members != 1 {
				t.Errorf("%s sees %+v", n.name, r)
			}
		}
		for _, l := range n.core.links {
			k := l.person.Key
			if l.told == nil || (k == a.id.Key() || k == b.id.Key()) && !slices.Equal(l.told.rooms, []string{room.Here}) {
				t.Errorf("%s was told %+v", n.name, l.told)
			}
		}
	}
	// Even with the room's id, who isn't in it isn't heard.
	var link *link
	for _, l := range eve.core.links {
		if l.person.Key == a.id.Key() && !l.retired {
			link = l
		}
	}
	forged := &parlour{core: eve.core, Membership: secret}
	s := Saying{ID: MessageID{1}, Text: "let me in", Sent: w.now, Room: secret.Handle(), Head: forged.head(1, nil, nil)}
	eve.core.store = newMemory() // which minds nothing
	link.session.Push(s.message())
	link.flush(w.now)
	w.run(time.Second)
	expectList(t, "ana hears", a.heardIn(secret))
	if a.core.stats.Refused == 0 {
		t.Error("nothing was refused")
	}
}

// Somebody who only passes through is heard, in a private room too, and is no member.
func TestPassing(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.inRooms("ana", lobby, secret), w.inRooms("bob", lobby)
	b.core.rooms.passing = true
	if err := b.core.join(w.now, secret); err != nil {
		t.Fatal(err)
	}
	b.seen[a.id.Key()] = a.at()
	b.core.person(a.id.Key()).seen(w.now)
	b.core.person(a.id.Key()).hint(w.now, a.at())
	surveyed := false
	b.core.survey(w.now, func() { surveyed = true })
	w.run(time.Second)
	if !surveyed {
		t.Fatal("the survey has not ended")
	}
	_, to := b.tells(secret, "passing")
	w.run(time.Second)
	expectList(t, "said to", to, "ana")
	expectList(t, "ana hears", a.heardIn(secret), "passing")
	expectList(t, "members", a.membersOf(secret))
	_, to = a.tells(lobby, "anybody there?")
	expectList(t, "said to", to)
}

// Who comes late is given by each what they have said themselves, and answers stay below.
func TestLateJoin(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.inRooms("ana", lobby), w.inRooms("bob", lobby)
	w.gather()
	a.tells(lobby, "who has the cable?")
	w.run(time.Second)
	b.tells(lobby, "I do")
	w.run(time.Second)
	a.tells(lobby, "thanks")
	w.run(time.Minute)
	late := w.inRooms("late", lobby)
	w.gather()
	w.run(time.Second)
	expectList(t, "who came late hears", late.heardIn(lobby), "who has the cable?", "I do", "thanks")
	for _, l := range late.disk.lines {
		if l.Sent.After(simBegin.Add(time.Minute)) {
			t.Errorf("%q is said to be of %v later", l.Text, l.Sent.Sub(simBegin))
		}
	}
	// After hours it is over.
	w.run(room.Recent)
	later := w.inRooms("later", lobby)
	w.gather()
	w.run(5 * time.Second)
	expectList(t, "who came later hears", later.heardIn(lobby))
	if later.live() > 0 {
		t.Error("met somebody who had nothing to give")
	}
}

// A member who can't be reached has it when they are back.
func TestMemberAway(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.inRooms("ana", lobby), w.inRooms("bob", lobby), w.inRooms("carol", lobby)
	w.gather()
	b.closed = true
	id, to := a.tells(lobby, "hello")
	expectList(t, "said to", to, "bob", "carol")
	w.run(8 * time.Second)
	expectList(t, "carol hears", c.heardIn(lobby), "hello")
	f := a.core.rooms.said.of(id)
	if _, missing := f.missing[b.id.Key()]; f.total != 2 || len(f.missing) != 1 || !missing {
		t.Errorf("of %d, %d are missing", f.total, len(f.missing))
	}
	if !slices.Contains(a.kinds(), Unreachable) {
		t.Error("bob was never said to be unreachable")
	}
	b.start()
	w.announce(b)
	if !w.await(10*time.Second, w.settled) {
		t.Error("bob is back, and doesn't have it")
	}
	expectList(t, "bob hears", b.heardIn(lobby), "hello")
}
