package chat

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"earshot/chat/session"
	"earshot/chat/wire"
)

// carries lets datagrams of at most so many bytes pass from n to o; 0: all.
func (n *simNode) carries(o *simNode, most int) {
	n.w.most[[2]netip.Addr{n.addr.Addr(), o.addr.Addr()}] = most
}

// failures are the reasons of the messages given up, by id.
func (n *simNode) failures() map[MessageID]Failure {
	all := map[MessageID]Failure{}
	for _, e := range n.events {
		if e.Kind == Failed {
			all[e.ID] = e.Failure
		}
	}
	return all
}

// A message larger than the path carries arrives, with what follows it, wherever the session came from: the
// first, one that the peer's restart makes, or one over which the size was known before.
func TestLargeMessageOverSmallPath(t *testing.T) {
	for _, most := range []int{1000, 548, 368} {
		w := newWorld(t, 1)
		a, b := w.node("ana"), w.node("bob")
		w.announce(a)
		w.announce(b)
		a.carries(b, most)
		long := strings.Repeat("0123456789abcdef", session.MaxText/16)
		for round := range 3 {
			a.say(b, long)
			a.say(b, fmt.Sprint("after ", round))
			if !w.await(8*time.Second, w.settled) {
				t.Fatalf("%d bytes, round %d: never delivered", most, round)
			}
			switch round {
			case 0:
				b.start()
			case 1:
				a.start()
			}
		}
		w.check()
		if len(a.failures()) > 0 {
			t.Errorf("%d bytes: messages failed", most)
		}
	}
}

// To a peer that takes no parts what the path doesn't carry fails alone, with the reason, and holds up
// nothing for long. Once the path carries it, so does the session.
func TestTooBigForPathFailsAlone(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	b.introducesWith(0)
	w.announce(a)
	w.announce(b)
	a.say(b, "before")
	w.await(time.Second, w.settled)
	a.carries(b, 1000)
	for round := range 3 {
		a.say(b, fmt.Sprint("long ", round)+strings.Repeat("x", 20_000))
		a.say(b, fmt.Sprint("after ", round))
		a.say(b, fmt.Sprint("nearly ", round)+strings.Repeat("y", 900))
		if !w.await(8*time.Second, w.settled) {
			t.Fatalf("round %d: %d messages are left", round, len(a.disk.outbox))
		}
		if f := a.failures(); len(f) != round+1 {
			t.Fatalf("round %d: %d messages failed", round, len(f))
		}
	}
	for _, why := range a.failures() {
		if why != TooBigForPath {
			t.Errorf("failed for reason %d", why)
		}
	}
	if n := len(b.disk.heard[a.id.Key()]); n != 7 {
		t.Errorf("bob heard %d messages", n)
	}
	w.check()

	a.carries(b, 0)
	for range 70 { // what is said meanwhile finds it out
		a.say(b, "still there?")
		w.run(time.Second)
	}
	a.say(b, "long again"+strings.Repeat("x", 20_000))
	if !w.await(5*time.Second, w.settled) || len(a.failures()) != 3 {
		t.Errorf("%d messages are left, %d have failed", len(a.disk.outbox), len(a.failures()))
	}
	w.check()
}

// What fails when nothing else waits leaves a session that works.
func TestSessionAfterFailure(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	b.introducesWith(0)
	w.announce(a)
	w.announce(b)
	a.carries(b, 600)
	a.say(b, "long"+strings.Repeat("x", 5000))
	if !w.await(8*time.Second, w.settled) || len(a.failures()) != 1 {
		t.Fatal("it doesn't fail")
	}
	w.run(2 * time.Second)
	b.say(a, "did you say something?")
	a.say(b, "no")
	if !w.await(time.Second, w.settled) {
		t.Error("nothing gets through afterwards")
	}
	for _, n := range []*simNode{a, b} {
		for _, e := range n.events {
			if e.Kind == Unreachable || e.Kind == Left {
				t.Errorf("%s: event %d", n.name, e.Kind)
			}
		}
	}
	w.check()
}

// Rooms are told over a small path too: all of them to who takes parts, else as many as fit.
func TestRoomsOverSmallPath(t *testing.T) {
	for _, most := range []int{1000, 548, 368} {
		for _, old := range []bool{false, true} {
			w := newWorld(t, 1)
			a, b := w.node("ana"), w.node("bob")
			if old {
				b.introducesWith(0)
			}
			var all []string
			for i := range 16 {
				name := "#" + strings.Repeat(string(rune('a'+i)), 31)
				for _, n := range []*simNode{a, b} {
					if err := n.core.join(w.now, Membership{Name: name}); err != nil {
						t.Fatal(err)
					}
				}
				all = append(all, name)
			}
			w.announce(a)
			w.announce(b)
			a.carries(b, most)
			b.carries(a, most)
			w.run(8 * time.Second)
			knows := func(n, o *simNode) int { return len(n.core.person(o.id.Key()).rooms) }
			least := map[int]int{1000: 16, 548: 9, 368: 3}[most]
			if n := knows(b, a); old && n < least || !old && n != len(all) {
				t.Errorf("%d bytes, older peer %v: bob knows of %d of ana's rooms", most, old, n)
			}
			if n := knows(a, b); old && n < least || !old && n != len(all) { // bob sends no parts either
				t.Errorf("%d bytes, older peer %v: ana knows of %d of bob's rooms", most, old, n)
			}
			if _, _, err := a.core.sayIn(w.now, all[0], strings.Repeat("x", 5000)); err != nil {
				t.Fatal(err)
			}
			a.drain()
			if !w.await(8*time.Second, w.settled) {
				t.Errorf("%d bytes, older peer %v: what is said in a room never ends", most, old)
			}
			if failed := len(a.failures()) > 0; failed != old {
				t.Errorf("%d bytes, older peer %v: failed %v", most, old, failed)
			}
			a.carries(b, 0)
			b.carries(a, 0)
			for range 130 {
				a.say(b, "still there?")
				b.say(a, "and you?")
				w.run(time.Second)
			}
			if n, m := knows(b, a), knows(a, b); n != len(all) || m != len(all) {
				t.Errorf("%d bytes, older peer %v: bob knows of %d rooms, ana of %d, once the path carries all", most, old, n, m)
			}
		}
	}
}

// No datagram is larger than what the path was found to carry, except the few that try it.
func TestDatagramsShrinkWithThePath(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(b)
	a.say(b, "hello")
	w.await(time.Second, w.settled)
	a.carries(b, 600)
	a.say(b, strings.Repeat("x", 5000))
	if !w.await(5*time.Second, w.settled) {
		t.Fatal("never delivered")
	}
	large, sent := 0, 0
	out := a.core.out
	a.core.out = func(d []byte, to netip.AddrPort) {
		if sent++; len(d) > 600 {
			large++
		}
		out(d, to)
	}
	for i := range 2000 {
		a.say(b, fmt.Sprint(i))
		if i%50 == 0 {
			w.run(time.Millisecond)
		}
	}
	if !w.await(5*time.Second, w.settled) {
		t.Fatal("never delivered")
	}
	if large > 12*6 {
		t.Errorf("%d of %d datagrams are larger than the path carries", large, sent)
	}
	if got := a.only().session.PathSize(); got != 548 {
		t.Errorf("path size %d", got)
	}
	if wire.HelloSize != 368 {
		t.Error("the least size is that of a hello")
	}
	w.check()
}

// A false address gets no more than it may while the size of the path is searched for, and what goes there in vain
// doesn't lead to a smaller size once the peer is heard from its own address again.
func TestProbesOfFalseAddress(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(a)
	w.announce(b)
	a.carries(b, 1000)
	a.say(b, strings.Repeat("x", session.MaxText))
	if !w.await(8*time.Second, w.settled) || a.only().session.PathSize() != 1000 {
		t.Fatalf("delivered: %v", w.settled())
	}
	elsewhere := netip.MustParseAddrPort("203.0.113.9:9")
	aimed, out := 0, a.core.out
	a.core.out = func(d []byte, to netip.AddrPort) {
		if to == elsewhere {
			aimed += len(d)
			return
		}
		out(d, to)
	}
	var scratch session.Scratch
	b.only().session.Ping()
	stolen := bytes.Clone(b.only().session.Next(w.now, &scratch, wire.MaxDatagram))
	size := len(stolen)
	a.core.receive(w.now, elsewhere, stolen)
	a.say(b, strings.Repeat("y", session.MaxText))
	w.run(2 * time.Second)
	if aimed > uncheckedFactor*size {
		t.Errorf("%d bytes to a false address for %d", aimed, size)
	}
	b.say(a, "here")
	if !w.await(10*time.Second, w.settled) {
		t.Error("never delivered")
	}
	if n := a.core.people[b.id.Key()].best().session.PathSize(); n != 1000 {
		t.Errorf("the path has a size of %d", n)
	}
}
