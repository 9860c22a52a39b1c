package chat

import (
	"strings"
	"testing"
	"time"
)

// Any number of sessions that begin texts and never end them take no more room than they
// may together, and make no room at the cost of who means it (SPEC §10.4).
func TestTextsNeverFinished(t *testing.T) {
	w := &wired{}
	bob, at := w.add(t)
	now := time.Now()
	ana, _ := w.meet(t, now, bob, at)
	text := strings.Repeat("x", MaxText)
	heard := func() (texts int) {
		for events := bob.next(now, nil); len(events) > 0; events = bob.next(now, nil) {
			for _, e := range events {
				if e.Kind == Message && e.Text == text {
					texts++
				}
			}
		}
		return texts
	}
	refused := uint64(0)
	for i := 0; bob.stats.Refused < 20; i++ {
		if i > 2000 {
			t.Fatalf("%d sessions hold %d bytes", len(bob.links), bob.held)
		}
		mallory, _ := w.meet(t, now, bob, at)
		if _, err := mallory.send(now, bob.key, text); err != nil {
			t.Fatal(err)
		}
		flight := w.queue
		w.queue = nil
		for _, d := range flight[1:] { // the first fragment never comes
			now = now.Add(time.Microsecond)
			bob.receive(now, d.from, d.b[:d.size])
		}
		w.queue = w.queue[:0]
		if bob.held > maxHeld {
			t.Fatalf("%d bytes are held", bob.held)
		}
		if bob.stats.Refused == refused && i%100 != 0 {
			continue
		}
		refused = bob.stats.Refused
		if _, err := ana.send(now, bob.key, text); err != nil {
			t.Fatal(err)
		}
		if w.pump(now); heard() != 1 {
			t.Fatalf("a text isn't heard, with %d sessions that hold %d bytes", len(bob.links), bob.held)
		}
	}
	if len(ana.links) != 1 || bob.people[ana.key] == nil || bob.people[ana.key].best() == nil {
		t.Error("the session of who took no room is gone")
	}
	sum := 0
	for _, l := range bob.links {
		if sum += l.session.Held(); l.held != l.session.Held() {
			t.Errorf("%d bytes are held, and counted as %d", l.session.Held(), l.held)
		}
	}
	if sum != bob.held {
		t.Errorf("%d bytes are held, and counted as %d", sum, bob.held)
	}
}
