package chat

import (
	"fmt"
	"testing"
	"time"
)

// keepBack keeps what makes no event now.
func (d *disk) keepBack(from Person, s Saying, received time.Time) {
	if d.deferring {
		s.To, s.Name = from.Key, from.Name
		d.deferred = append(d.deferred, Kept{Saying: s, N: int64(len(d.heard[from.Key])), At: received})
	}
}

func (d *disk) Defer(on bool) bool {
	d.deferring = on
	return true
}

// catchUp gives the core what it has left to the disk, as far as it takes that, and reports whether it took any.
func (n *simNode) catchUp() (took bool) {
	if !n.core.behind.on {
		return false
	}
	left := n.core.behind.left
	for len(n.disk.deferred) > 0 && n.core.overhear(n.w.now, n.disk.deferred[0]) {
		n.disk.deferred, took = n.disk.deferred[1:], true
	}
	if len(n.disk.deferred) == 0 && !n.core.caughtUp(left) {
		n.w.t.Errorf("%s: something was left to the disk that isn't there", n.name)
	}
	return took
}

// Who takes no events holds up nobody: what is said is kept and acknowledged, between two and in rooms, in
// bounded memory. Once they take events again they have all of it, once and in order, and what comes
// meanwhile behind it.
func TestStalledReader(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.node("ana"), w.node("bob"), w.person("carol")
	c.follows = true
	c.start()
	m := Membership{Name: "#dev"}
	for _, n := range []*simNode{a, b, c} {
		n.rooms = []Membership{m}
		if err := n.core.join(w.now, m); err != nil {
			t.Fatal(err)
		}
		w.announce(n)
	}
	w.run(time.Second)
	c.starving = true
	in := 0
	for i := range 1500 {
		a.say(c, fmt.Sprint("ana ", i))
		if i%3 == 0 {
			b.say(c, fmt.Sprint("bob ", i))
			if _, _, err := a.core.sayIn(w.now, "#dev", fmt.Sprint("in the room ", i)); err != nil {
				t.Fatal(err)
			}
			in++
			w.run(30 * time.Millisecond)
		}
	}
	if !w.await(2*time.Minute, w.settled) {
		t.Fatalf("%d and %d messages wait for who takes no events", len(a.disk.outbox), len(b.disk.outbox))
	}
	if n := c.core.events.Len(); n > maxWaitingMessages+maxWaitingOfOne {
		t.Errorf("%d events wait", n)
	}
	c.starving = false
	for i := range 50 { // while they catch up
		a.say(c, fmt.Sprint("late ", i))
		w.run(time.Millisecond)
		c.drain()
	}
	if !w.await(time.Minute, w.settled) {
		t.Error("messages wait")
	}
	c.drain()
	if c.core.behind.on || c.disk.deferring {
		t.Error("carol is behind for ever")
	}
	if n := len(c.printed[a.id.Key()]); n != 1550 {
		t.Errorf("carol was told of %d messages of ana's", n)
	}
	if n := len(c.heardIn(m)); n != in {
		t.Errorf("carol was told of %d messages in the room, %d were said", n, in)
	}
	w.check()
}

// Where nobody takes from the Store what the node leaves there, the bounds hold: only who talks too much waits.
func TestStalledReaderWithoutStore(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.node("ana"), w.node("bob"), w.node("carol")
	for _, n := range w.nodes {
		w.announce(n)
	}
	c.starving = true
	for i := range 400 {
		a.say(c, fmt.Sprint(i))
	}
	b.say(c, "hello")
	w.run(10 * time.Second)
	if n := len(a.disk.outbox); n < 100 {
		t.Errorf("only %d messages of ana's wait", n)
	}
	if n := len(b.disk.outbox); n > 0 {
		t.Error("bob waits too")
	}
	c.starving = false
	c.drain()
	if !w.await(10*time.Second, w.settled) {
		t.Error("messages wait")
	}
	c.drain()
	w.check()
}
