package chat

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"earshot/chat/room"
)

// Who is refused is neither heard nor sent to.
func TestRefusedInRoom(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.inRooms("ana", lobby, open), w.inRooms("bob", lobby, open)
	w.gather()
	w.run(time.Second)
	a.core.refuse = func(k Key) bool { return k == b.id.Key() }
	_, to := a.tells(open, "not for bob")
	expectList(t, "said to", to)
	b.tells(open, "let me in")
	b.tells(lobby, "and here")
	w.run(3 * time.Second)
	expectList(t, "ana hears", a.heardIn(open))
	expectList(t, "bob hears", b.heardIn(open))
}

// Who says too much is slowed down, loses nothing, and holds nobody else up.
func TestRoomRate(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.inRooms("ana", open), w.inRooms("bob", open), w.inRooms("carol", open)
	w.gather()
	w.run(time.Second)
	const many = 600
	for i := range many {
		a.tells(open, fmt.Sprint(i))
	}
	w.run(time.Second)
	if heard := len(b.heardIn(open)); heard < 256 || heard > 256+60 {
		t.Errorf("%d of ana's heard in a second", heard)
	}
	c.tells(open, "from carol")
	w.run(100 * time.Millisecond)
	if !slices.Contains(b.heardIn(open), "from carol") {
		t.Error("carol isn't heard while ana floods")
	}
	w.run(30 * time.Second)
	all := slices.DeleteFunc(b.heardIn(open), func(s string) bool { return s == "from carol" })
	for i, s := range all {
		if s != fmt.Sprint(i) {
			t.Fatalf("%q in place %d", s, i)
		}
	}
	if len(all) != many {
		t.Errorf("%d of %d heard in the end", len(all), many)
	}
}

// The rooms of one person are bounded, here and in what others tell.
func TestTooManyRooms(t *testing.T) {
	w := newWorld(t, 1)
	a := w.inRooms("ana")
	for i := range room.MaxOpen + 1 {
		err := a.core.join(w.now, Membership{Name: fmt.Sprint("#r", i)})
		if (err != nil) != (i == room.MaxOpen) {
			t.Fatalf("room %d: %v", i, err)
		}
	}
	for i := range room.MaxPrivate + 1 {
		err := a.core.join(w.now, Membership{Name: fmt.Sprint("#p", i), Key: room.Key{byte(i + 1)}})
		if (err != nil) != (i == room.MaxPrivate) {
			t.Fatalf("private room %d: %v", i, err)
		}
	}
	// Joined again it is the same room, with another key another.
	if err := a.core.join(w.now, Membership{Name: "#p0", Key: room.Key{99}}); err != nil {
		t.Fatal(err)
	}
	if r := a.core.rooms.in["#p0"]; r.Key != (room.Key{99}) {
		t.Errorf("in %v", r.Membership)
	}
	b := w.inRooms("bob", lobby)
	if _, err := b.opens(time.Second, Target{Addrs: a.at()}); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	if rooms := b.core.people[a.id.Key()].rooms; len(rooms) != room.MaxOpen {
		t.Errorf("bob knows of %d rooms", len(rooms))
	}
}

// Of a person's nodes, what is said in a room goes to one that is in it.
func TestRoomOfOneOfTwoNodes(t *testing.T) {
	w := newWorld(t, 1)
	a, b, other := w.inRooms("ana", lobby, open), w.inRooms("bob", lobby), w.inRooms("bob2", lobby, open)
	other.id = b.id
	other.start()
	for _, n := range []*simNode{b, other} {
		if _, err := n.opens(time.Second, Target{Addrs: a.at()}); err != nil {
			t.Fatal(err)
		}
		w.run(time.Second)
	}
	for i := range 20 {
		if i%3 == 0 { // the other is the one heard last
			w.run(time.Second)
			for _, l := range b.core.links {
				l.session.Ping()
				l.flush(w.now)
			}
			w.run(10 * time.Millisecond)
		}
		if i%2 == 0 {
			if _, err := a.core.send(w.now, b.id.Key(), fmt.Sprint("between us ", i)); err != nil {
				t.Fatal(err)
			}
		}
		a.tells(open, fmt.Sprint("in the room ", i))
	}
	if !w.await(10*time.Second, w.settled) {
		t.Error("something still waits")
	}
	if heard := other.heardIn(open); len(heard) != 20 || heard[0] != "in the room 0" || heard[19] != "in the room 19" {
		t.Errorf("the node in the room heard %q", heard)
	}
	expectList(t, "the other heard", b.heardIn(open))
}
