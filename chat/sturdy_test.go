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

// only returns the one session of n.
func (n *simNode) only() *link {
	n.w.t.Helper()
	if len(n.core.links) != 1 {
		n.w.t.Fatalf("%s has %d sessions", n.name, len(n.core.links))
	}
	for _, l := range n.core.links {
		return l
	}
	return nil
}

// talking are two people with a session.
func talking(t *testing.T) (w *world, a, b *simNode) {
	t.Helper()
	w = newWorld(t, 1)
	a, b = w.node("ana"), w.node("bob")
	w.announce(a)
	w.announce(b)
	a.say(b, "hello")
	if !w.await(time.Second, w.settled) {
		t.Fatal("they don't talk")
	}
	return w, a, b
}

// A renewal whose last message gets lost, again and again, holds up nothing that is said over
// the session that there is.
func TestRenewalHoldsUpNothing(t *testing.T) {
	w, a, b := talking(t)
	first, lost := a.only(), 0
	for _, n := range []*simNode{a, b} {
		n.core.out = func(d []byte, to netip.AddrPort) {
			if d[0] == wire.TypeFinal {
				lost++
				return
			}
			n.send(d, to)
		}
	}
	for i := range 80 * 6 {
		at := w.now
		a.say(b, fmt.Sprint(i))
		b.say(a, fmt.Sprint(i))
		if !w.await(time.Minute, w.settled) || w.now.Sub(at) > 10*time.Millisecond {
			t.Fatalf("after %v something took %v", at.Sub(simBegin), w.now.Sub(at))
		}
		w.run(10 * time.Second)
	}
	if lost == 0 {
		t.Error("no renewal was tried")
	}
	for _, n := range []*simNode{a, b} {
		n.core.out = n.send
	}
	w.run(2 * time.Minute)
	if a.only() == first {
		t.Error("it isn't renewed once that is possible")
	}
	w.check()
}

// A forged notice that a session is unknown costs nobody that session, though there is
// another with the same person (SPEC §5).
func TestForgedUnknownBesideAnother(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("screen")
	script := w.person("script")
	script.id = b.id
	script.start()
	w.announce(b)
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Fatal(err)
	}
	if _, err := script.opens(time.Second, Target{Addrs: a.at()}); err != nil {
		t.Fatal(err)
	}
	if !w.await(time.Second, func() bool { return a.live() == 2 }) {
		t.Fatalf("%d sessions", a.live())
	}
	for _, l := range a.core.links {
		if l.addr == b.addr {
			l.session.Ping()
			l.send(w.now)
			w.run(time.Second)
			u := wire.Unknown{Receiver: l.session.Remote(), Counter: l.session.Counter() - 1}
			a.core.receive(w.now, b.addr, u.Append(nil))
			if l.retired || !l.doubted {
				t.Error("the session is given up for a notice that proves nothing, or isn't in doubt")
			}
		}
	}
	w.run(6 * time.Second)
	if a.live() != 2 {
		t.Errorf("%d sessions", a.live())
	}
}

// Who restarts is noticed at once, whatever floods arrive from elsewhere.
func TestUnknownIsToldDespiteAFlood(t *testing.T) {
	w, a, b := talking(t)
	w.run(time.Minute)
	b.start()
	junk := make([]byte, 100)
	junk[0] = wire.TypeSealed
	flood := &timer{}
	flood.run = func(now time.Time) {
		for i := range byte(10) {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 19, 0, i}), 1000)
			b.core.receive(now, from, bytes.Clone(junk))
		}
		b.core.timers.set(flood, now.Add(time.Millisecond))
	}
	flood.run(w.now)
	w.run(10 * time.Millisecond)
	told := w.counter
	w.run(time.Second)
	if told = w.counter - told; told > 1100 {
		t.Errorf("%d notices in a second to 10 addresses", told)
	}
	began := w.now
	a.say(b, "after")
	if !w.await(time.Minute, w.settled) || w.now.Sub(began) > 100*time.Millisecond {
		t.Errorf("noticed after %v", w.now.Sub(began))
	}
}

// What waits for the application isn't put together anew with every datagram.
func TestStalledCostsLittle(t *testing.T) {
	w, a, b := talking(t)
	b.starving = true
	for i := range maxWaitingOfOne {
		a.say(b, fmt.Sprint(i))
		w.run(time.Millisecond)
	}
	a.say(b, strings.Repeat("x", MaxText))
	w.run(time.Second)
	l, waits := a.only(), b.only()
	if m, ok := waits.session.Incoming(); !ok || len(m.Text) != MaxText {
		t.Fatal("the text isn't there")
	}
	b.core.out = func([]byte, netip.AddrPort) {}
	var scratch session.Scratch
	const datagrams = 100
	cost := testing.AllocsPerRun(datagrams, func() {
		l.session.Typing(true)
		b.core.receive(w.now, a.addr, l.session.Next(w.now, &scratch, wire.MaxDatagram))
	})
	if cost > 4 {
		t.Errorf("a datagram costs %v allocations", cost)
	}
}

// Somebody who sends all the time keeps nobody else waiting.
func TestNobodyTakesAllTheRoom(t *testing.T) {
	w, a, b := talking(t)
	m := w.node("mallory")
	w.announce(m)
	w.announce(b)
	b.starving = true
	waiting := map[string]bool{}
	for i := range 500 {
		m.say(b, fmt.Sprint(i))
	}
	w.run(time.Second)
	a.say(b, "honest")
	w.run(time.Second)
	for range maxWaitingOfOne + 10 {
		for _, e := range b.core.next(w.now, nil) {
			b.takes(e)
			waiting[e.Text] = true
		}
		if waiting["honest"] {
			break
		}
	}
	if before := len(waiting); !waiting["honest"] || before > maxWaitingOfOne+fetchEvents {
		t.Errorf("the honest message comes behind %d, or not at all", before)
	}
	b.starving = false
	b.drain()
	if !w.await(time.Minute, w.settled) {
		t.Error("not all is delivered")
	}
	w.check()
}

// A text that waits for our own application isn't counted as one that doesn't get on, nor
// counted any more once it is taken.
func TestHeldForTheApplication(t *testing.T) {
	w, a, b := talking(t)
	b.starving = true
	for range maxWaitingMessages {
		b.core.events.Push(Event{Kind: Typing})
	}
	a.say(b, strings.Repeat("x", MaxText))
	w.run(time.Minute)
	l := b.only()
	a.say(b, "more")
	w.run(time.Second)
	if l.held < MaxText || l.held != l.session.Held() || w.now.Sub(l.stuckFrom) > 5*time.Second {
		t.Errorf("%d bytes are held, %d counted, stuck for %v", l.session.Held(), l.held, w.now.Sub(l.stuckFrom))
	}
	b.starving = false
	b.drain()
	if l.held != 0 || b.core.held != 0 || l.session.Held() != 0 {
		t.Errorf("%d bytes are held, %d counted, of %d in all", l.session.Held(), l.held, b.core.held)
	}
	w.check()
}
