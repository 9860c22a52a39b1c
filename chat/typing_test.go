package chat

import (
	"slices"
	"testing"
	"time"
)

// SPEC §9: at most every 3 s, and only over a session that is there.
func TestTyping(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(b)
	a.core.typing(w.now, b.id.Key())
	if len(a.core.dials) > 0 {
		t.Error("typing opens a session")
	}
	a.opens(time.Second, Target{Addrs: b.at()})
	w.run(time.Second)
	for range 70 {
		a.core.typing(w.now, b.id.Key())
		w.run(100 * time.Millisecond)
	}
	if got := b.kinds(); !slices.Equal(got, []Kind{Met, Typing, Typing, Typing}) {
		t.Errorf("in 7 s bob was told %v", got)
	}
	w.run(10 * time.Second)
	if slices.Contains(a.kinds(), Unreachable) {
		t.Error("typing waits for an answer")
	}
	link := a.core.people[b.id.Key()].best()
	for range 50 { // whoever keeps no measure isn't heeded
		link.session.Typing(true)
		link.send(w.now)
		w.run(10 * time.Millisecond)
	}
	if got := b.kinds(); len(got) != 5 {
		t.Errorf("a flood of typing tells %v", got)
	}
	a.core.refuse = func(Key) bool { return true }
	w.run(typingEvery)
	a.core.typing(w.now, b.id.Key())
	w.run(time.Second)
	if got := b.kinds(); len(got) != 5 {
		t.Error("somebody blocked is told")
	}
}

// SPEC §9: what is written after a message is told at once, however soon that is.
func TestTypingAfterMessage(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	a.opens(time.Second, Target{Addrs: b.at()})
	w.run(time.Second)
	for range 5 { // quick talk: each begins to write as soon as they have written
		a.core.typing(w.now, b.id.Key())
		w.run(50 * time.Millisecond)
		a.core.typing(w.now, b.id.Key()) // the next key
		w.run(50 * time.Millisecond)
		a.say(b, "hello")
		w.run(50 * time.Millisecond)
	}
	want := []Kind{Met}
	for range 5 {
		want = append(want, Typing, Message)
	}
	if got := b.order; !slices.Equal(got, want) {
		t.Fatalf("bob was told %v, want %v", got, want)
	}
	// In one datagram with a message it is what came after that.
	a.core.typing(w.now, b.id.Key())
	w.run(50 * time.Millisecond)
	link := a.core.people[b.id.Key()].best()
	a.core.corking = true
	a.say(b, "and")
	link.session.Typing(true)
	a.core.corking = false
	link.send(w.now)
	w.run(time.Second)
	if got := b.order; !slices.Equal(got[len(want):], []Kind{Typing, Message, Typing}) {
		t.Errorf("bob was told %v", got[len(want):])
	}
	// A message takes back what hasn't gone yet: nobody writes any more then.
	link.session.Typing(true)
	a.say(b, "so")
	w.run(time.Second)
	if got := b.order; got[len(got)-1] != Message {
		t.Errorf("bob was told %v", got[len(want):])
	}
}

// Those in a session hear a new name at once, those met later meet the new name.
func TestRename(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.node("ana"), w.node("bob"), w.node("carol")
	a.opens(time.Second, Target{Addrs: b.at()})
	w.run(time.Second)
	if err := a.core.rename(w.now, "anna"); err != nil {
		t.Fatal(err)
	}
	renamed := func() bool { return b.core.people[a.id.Key()].Name == "anna" }
	if !w.await(time.Second, renamed) {
		t.Fatal("bob doesn't hear of it")
	}
	if got := b.kinds(); !slices.Equal(got, []Kind{Met, Named}) || b.events[1].Person.Name != "anna" {
		t.Errorf("bob was told %v", b.events)
	}
	if p, err := c.opens(time.Second, Target{Addrs: a.at()}); err != nil || p.Name != "anna" {
		t.Errorf("carol meets %q, %v", p.Name, err)
	}
	a.say(b, "hello")
	b.say(a, "hello")
	if !w.await(time.Second, w.settled) {
		t.Error("not delivered")
	}
	for _, l := range b.core.people[a.id.Key()].links {
		if l.speaker().Name != "anna" {
			t.Errorf("what comes over a session is from %q", l.speaker().Name)
		}
	}
	w.run(10 * time.Second)
	w.check()
	if a.live() != 2 || b.live() != 1 {
		t.Errorf("%d and %d sessions", a.live(), b.live())
	}
	if a.core.rename(w.now, string(make([]byte, MaxName+1))) == nil {
		t.Error("a name too long is taken")
	}
}
