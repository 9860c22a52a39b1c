package chat

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Whole nodes, each with a reader of its own: join, survey, say, leave.
func TestNodesInRooms(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	heard := make(chan Event, 100)
	start := func(name string, rooms ...Membership) *Node {
		id, err := NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		n, err := NewNode(loopback(t), Config{Identity: id, Name: name, Rooms: rooms})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close(context.Background()) })
		return n
	}
	others := []*Node{start("bob", lobby, open), start("carol", lobby, secret), start("dave", lobby)}
	for _, n := range others {
		go func() {
			for {
				e, err := n.Next(context.Background())
				if err != nil {
					return
				}
				if e.Kind == Message {
					heard <- e
				}
			}
		}()
	}
	from := start("ana", lobby)
	for _, n := range others {
		from.Hint(n.core.key, []netip.AddrPort{n.LocalAddr()})
	}
	from.Survey(ctx)
	if ctx.Err() != nil {
		t.Fatal("the survey never ended")
	}
	if rooms := from.Rooms(); !slices.Equal(rooms, []Room{{Name: "#dev", Handle: "#dev", Members: 1}, {Name: "#here", Handle: "#here", Joined: true, Members: 4}}) {
		t.Errorf("the rooms are %+v", rooms)
	}
	if _, _, err := from.SendRoom(secret.Name, "hello"); !errors.Is(err, ErrNotIn) {
		t.Errorf("said in a room not joined: %v", err)
	}
	for _, m := range []Membership{lobby, open, secret} {
		if err := from.Join(m); err != nil {
			t.Fatal(err)
		}
		id, to, err := from.SendRoom(m.Name, "in "+m.Name)
		if err != nil || len(to) == 0 || !slices.Equal(to, from.Members(m.Name)) {
			t.Fatalf("in %s to %v: %v", m.Name, to, err)
		}
		for range to {
			select {
			case e := <-heard:
				if e.ID != id || e.Room != m.Name || e.Text != "in "+m.Name {
					t.Errorf("%s was heard as %+v", m.Name, e)
				}
			case <-ctx.Done():
				t.Fatalf("%s: not heard", m.Name)
			}
		}
		for range to {
			delivered(t, from)
		}
		if n, of, missing := from.Delivery(id); n != len(to) || of != n || len(missing) > 0 {
			t.Errorf("%s: %d of %d, %v missing", m.Name, n, of, missing)
		}
	}
	if err := from.Leave(open.Name); err != nil {
		t.Fatal(err)
	}
	if err := from.Leave(open.Name); !errors.Is(err, ErrNotIn) {
		t.Errorf("left twice: %v", err)
	}
}
