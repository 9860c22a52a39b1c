package chat

import (
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat/wire"
)

// reasons returns for which reasons n was told that message id is declined.
func (n *simNode) reasons(id MessageID) (all []Reason) {
	for _, e := range n.events {
		if e.Kind == Declined && e.ID == id {
			all = append(all, e.Reason)
		}
	}
	return all
}

// waitsFor returns for which reasons what waits on the disk isn't taken.
func (n *simNode) waitsFor() (all []Reason) {
	for _, s := range n.disk.outbox {
		all = append(all, n.disk.declined[keyOf(s)])
	}
	return all
}

// kept returns what n's disk has of a room, in order.
func (n *simNode) kept(m Membership) (all []string) {
	for _, l := range n.disk.log(m.Handle()) {
		all = append(all, l.Text)
	}
	return all
}

// What is said to a node that has just left the room isn't counted as delivered: it stays queued, with the
// reason, what follows isn't held up, and it comes when a node of that person is in the room again (SPEC §7.12).
func TestDeclinedStaysQueued(t *testing.T) {
	for _, m := range []Membership{open, secret, lobby} {
		t.Run(m.Name, func(t *testing.T) {
			w := newWorld(t, 1)
			a, b := w.inRooms("ana", m), w.inRooms("bob", m)
			w.gather()
			w.run(time.Second)
			a.tells(m, "before")
			w.run(time.Second)
			id, to := a.tells(m, "meanwhile")
			expectList(t, "said to", to, "bob")
			if err := b.core.leave(w.now, m.Name); err != nil { // before it comes
				t.Fatal(err)
			}
			a.say(b, "between us")
			w.run(time.Second)
			if got := a.waitsFor(); !slices.Equal(got, []Reason{NotInRoom}) {
				t.Errorf("ana's outbox waits for %v", got)
			}
			if got := a.reasons(id); !slices.Equal(got, []Reason{NotInRoom}) {
				t.Errorf("ana was told %v", got)
			}
			if f := a.core.rooms.said.of(id); f.total != 1 || f.missing[b.id.Key()].Reason != NotInRoom {
				t.Errorf("of %d, %+v are missing", f.total, f.missing)
			}
			expectList(t, "bob keeps", b.kept(m), "before")
			expectList(t, "bob hears", b.disk.heard[a.id.Key()], "between us")
			if a.disk.Waits(b.id.Key()) {
				t.Error("what is declined keeps other messages waiting")
			}
			if err := b.core.join(w.now, m); err != nil {
				t.Fatal(err)
			}
			w.run(time.Second)
			expectList(t, "bob keeps", b.kept(m), "before", "meanwhile")
			expectList(t, "bob hears", b.heardIn(m), "before", "meanwhile")
			if !w.settled() {
				t.Errorf("ana's outbox waits for %v", a.waitsFor())
			}
		})
	}
}

// A peer that doesn't understand that is told that a message has come only once it is kept, for other nodes of
// ours or for when this one is in the room again.
func TestDeclinedOfAnOlderPeer(t *testing.T) {
	for _, m := range []Membership{open, secret, lobby} {
		for _, forgets := range []bool{false, true} {
			w := newWorld(t, 1)
			a, b := w.inRooms("ana", m), w.inRooms("bob", m)
			if forgets {
				b.core.store = newMemory()
			}
			a.introducesWith(0)
			w.gather()
			w.run(time.Second)
			id, _ := a.tells(m, "before")
			if forgets { // nothing else can tell that it is kept
				b.disk.lines[authored{a.id.Key(), id}] = &line{}
			}
			w.run(time.Second)
			id, _ = a.tells(m, "meanwhile")
			if forgets {
				b.disk.lines[authored{a.id.Key(), id}] = &line{}
			}
			if err := b.core.leave(w.now, m.Name); err != nil {
				t.Fatal(err)
			}
			w.run(time.Second)
			if !w.settled() {
				t.Errorf("%s: ana's outbox waits for %v", m.Name, a.waitsFor())
			}
			if !forgets {
				expectList(t, "bob keeps", b.kept(m), "before", "meanwhile")
				continue
			}
			if err := b.core.join(w.now, m); err != nil {
				t.Fatal(err)
			}
			w.run(30 * time.Second) // its parent isn't known here any more
			expectList(t, "bob hears", b.heardIn(m), "before", "meanwhile")
		}
	}
}

// declining is a disk that keeps nothing for a reason, else whatever comes in whatever order.
type declining struct {
	*disk
	reason Reason
	asked  int
}

func (d *declining) Heard(from Person, id MessageID, text string, sent, received time.Time) (bool, error) {
	if d.asked++; d.reason != 0 {
		return false, &DeclineError{d.reason}
	}
	d.heard[from.Key] = append(d.heard[from.Key], text)
	return true, nil
}

// What is declined for a while is sent again later, and less and less often; what follows doesn't wait for it.
func TestDeclinedForAWhile(t *testing.T) {
	for reason, first := range map[Reason]time.Duration{Quota: time.Minute, NotNow: 30 * time.Second, 99: 30 * time.Second} {
		w := newWorld(t, 1)
		a, b := w.node("ana"), w.node("bob")
		store := &declining{disk: b.disk, reason: reason}
		b.core.store = store
		if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
			t.Fatal(err)
		}
		a.core.watch(w.now, b.id.Key(), true) // so that the session stays
		a.say(b, "one")
		w.run(time.Second)
		store.reason = 0
		a.say(b, "two")
		w.run(time.Second)
		expectList(t, "bob hears", b.disk.heard[a.id.Key()], "two")
		store.reason, store.asked = reason, 0
		w.run(first - 5*time.Second)
		if store.asked != 0 {
			t.Errorf("%v: asked %d times within %v", reason, store.asked, first)
		}
		w.run(15 * time.Minute)
		if store.asked < 3 || store.asked > 6 {
			t.Errorf("%v: asked %d times in a quarter of an hour", reason, store.asked)
		}
		if want := min(reason, NotNow); !slices.Equal(a.waitsFor(), []Reason{want}) {
			t.Errorf("%v: ana's outbox waits for %v", reason, a.waitsFor())
		}
		store.reason = 0
		w.run(time.Hour)
		expectList(t, "bob hears", b.disk.heard[a.id.Key()], "two", "one")
		if !w.settled() || !a.core.people[b.id.Key()].retry.at.IsZero() {
			t.Errorf("%v: something is still to be sent", reason)
		}
	}
}

// A peer that doesn't understand that waits, and with it all that follows.
func TestDeclinedForAWhileOfAnOlderPeer(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	store := &declining{disk: b.disk, reason: NotNow}
	b.core.store = store
	a.introducesWith(wire.SmallFragments)
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Fatal(err)
	}
	a.say(b, "one")
	w.run(3 * time.Second)
	if !slices.Equal(a.waitsFor(), []Reason{0}) {
		t.Errorf("ana's outbox waits for %v", a.waitsFor())
	}
	store.reason = 0
	w.run(2 * time.Second)
	expectList(t, "bob hears", b.disk.heard[a.id.Key()], "one")
}

// Messages that are declined together are sent again together, no later than one would be; and a peer that declines
// whatever it is sent isn't asked more often when it comes with new sessions.
func TestDeclinedForEver(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	store := &declining{disk: b.disk, reason: NotNow}
	b.core.store = store
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		a.say(b, "hello")
	}
	w.run(25 * time.Second)
	if store.asked != 10 {
		t.Errorf("asked %d times", store.asked)
	}
	w.run(10 * time.Second)
	if store.asked != 20 {
		t.Errorf("asked %d times after half a minute", store.asked)
	}
	for range 600 {
		for _, l := range b.core.links {
			l.session.Close() // b leaves
			l.send(w.now)
		}
		w.run(time.Second)
		if _, err := b.opens(time.Second, Target{Addrs: a.at()}); err != nil {
			t.Fatal(err)
		}
	}
	if store.asked > 100 {
		t.Errorf("asked %d times within ten minutes more", store.asked)
	}
	store.reason = 0
	a.core.watch(w.now, b.id.Key(), true) // so that the session stays
	w.run(time.Hour)
	if got := len(b.disk.heard[a.id.Key()]); got != 10 || !w.settled() {
		t.Errorf("%d messages came at last", got)
	}
}

// A peer that tells again and again that it is in a room, and declines what is said there, isn't sent it each time.
func TestDeclinedByAFickleMember(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.inRooms("ana", open), w.inRooms("bob", open)
	w.gather()
	w.run(time.Second)
	in := b.core.rooms.in[open.Name]
	delete(b.core.rooms.in, open.Name) // without a word
	for range 10 {
		a.tells(open, "hello")
	}
	w.run(time.Second)
	for range 200 {
		for _, l := range b.core.links {
			b.core.rooms.in[open.Name] = in
			l.tell()
			delete(b.core.rooms.in, open.Name)
			l.send(w.now)
		}
		w.run(time.Second)
	}
	if n := b.core.stats.Refused; n > 10*(1+returnsAtOnce+200/10+1) {
		t.Errorf("ten messages were sent %d times", n)
	}
	if err := b.core.join(w.now, open); err != nil {
		t.Fatal(err)
	}
	w.run(2 * returnEvery)
	if got := len(b.heardIn(open)); got != 10 {
		t.Errorf("%d messages came at last", got)
	}
}

// Strangers who can't be declined don't fill the disk through rooms that nobody here is in.
func TestRoomsOfNobodyAreBounded(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.inRooms("ana", open), w.inRooms("bob", open)
	a.introducesWith(0)
	b.introducesWith(0)
	w.gather()
	w.run(time.Second)
	delete(b.core.rooms.in, open.Name) // without a word
	text := strings.Repeat("x", MaxText)
	for range 100 {
		a.tells(open, text)
		w.run(time.Second)
	}
	if n := len(b.kept(open)); n != asideOfOne/MaxText {
		t.Errorf("%d messages are kept", n)
	}
	if err := b.core.join(w.now, open); err != nil {
		t.Fatal(err)
	}
	w.run(time.Hour)
	if n := len(b.kept(open)); n != 100 {
		t.Errorf("%d messages are kept in the end", n)
	}
}

// A peer that tells that it is in a room and declines what is said there isn't asked again and again.
func TestDeclinedInVain(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.inRooms("ana", open), w.inRooms("bob", open)
	w.gather()
	w.run(time.Second)
	delete(b.core.rooms.in, open.Name) // without a word
	id, _ := a.tells(open, "hello")
	w.run(time.Minute)
	if got := a.reasons(id); len(got) != 1 || b.core.stats.Refused != 1 {
		t.Errorf("declined %d times: %v", b.core.stats.Refused, got)
	}
	expectList(t, "members", a.membersOf(open))
	if err := b.core.join(w.now, open); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	expectList(t, "bob hears", b.heardIn(open), "hello")
}

// What is unacknowledged when a node in the room is gone isn't said to another of the same person that isn't in it.
func TestSiblingInOtherRooms(t *testing.T) {
	w := newWorld(t, 1)
	a := w.inRooms("ana", open, lobby)
	b := w.inRooms("bob", open, lobby)
	second := w.sibling(b, lobby)
	w.gather()
	a.tells(lobby, "who is here?")
	w.run(time.Second)
	b.closed = true // killed
	id, _ := a.tells(open, "hello")
	a.say(b, "between us")
	w.run(20 * time.Second)
	expectList(t, "bob keeps", second.kept(open))
	expectList(t, "bob hears", second.disk.heard[a.id.Key()], "between us")
	if got := a.reasons(id); !slices.Equal(got, []Reason{NotInRoom}) || !slices.Equal(a.waitsFor(), []Reason{NotInRoom}) {
		t.Errorf("ana was told %v, and her outbox waits for %v", got, a.waitsFor())
	}
	b.start()
	w.announce(b)
	w.run(5 * time.Second)
	expectList(t, "bob keeps", b.kept(open), "hello")
	if !w.settled() {
		t.Errorf("ana's outbox waits for %v", a.waitsFor())
	}
}
