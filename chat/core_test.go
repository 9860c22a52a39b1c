package chat

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat/wire"
)

// kinds lists what n was told about, messages aside.
func (n *simNode) kinds() (all []Kind) {
	for _, e := range n.events {
		all = append(all, e.Kind)
	}
	return all
}

// opens asks for a session and returns what came of it within d.
func (n *simNode) opens(d time.Duration, t Target) (p Person, err error) {
	n.w.t.Helper()
	done := false
	cancel := n.core.open(n.w.now, t, func(got Person, e error) { p, err, done = got, e, true })
	if !n.w.await(d, func() bool { return done }) {
		cancel(n.w.now)
	}
	if !done {
		return Person{}, ErrUnreachable
	}
	return p, err
}

func (n *simNode) at() []netip.AddrPort { return []netip.AddrPort{n.addr} }

// live counts the sessions of n that are not replaced.
func (n *simNode) live() (count int) {
	for _, l := range n.core.links {
		if !l.retired {
			count++
		}
	}
	return count
}

// Who has been silent for long isn't waited for at the end, others are.
func TestCloseWaitsForWhoAnswers(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.node("ana"), w.node("bob"), w.node("carol")
	for _, o := range []*simNode{b, c} {
		if _, err := a.opens(time.Second, Target{Addrs: o.at()}); err != nil {
			t.Fatal(err)
		}
	}
	w.cut[[2]netip.Addr{b.addr.Addr(), a.addr.Addr()}] = true
	a.say(b, "are you there?")
	w.run(redialAfter + 100*time.Millisecond)
	a.core.close(w.now)
	if len(a.core.links) != 1 || a.live() != 1 {
		t.Fatalf("%d sessions left, want carol's", len(a.core.links))
	}
	if !w.await(100*time.Millisecond, func() bool { return len(a.core.links) == 0 }) {
		t.Error("carol has answered, and is still waited for")
	}
	if b.live() != 0 {
		t.Error("bob, who still hears, was told nothing")
	}
}

func TestOpenByAddressAndByKey(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	p, err := a.opens(time.Second, Target{Addrs: b.at()})
	if err != nil || p.Key != b.id.Key() || p.Name != "bob" {
		t.Fatalf("got %+v, %v", p, err)
	}
	p, err = b.opens(time.Second, Target{Key: a.id.Key(), Addrs: a.at()})
	if err != nil || p.Name != "ana" {
		t.Fatalf("got %+v, %v", p, err)
	}
	a.say(b, "one")
	b.say(a, "two")
	if !w.await(time.Second, w.settled) {
		t.Error("not delivered")
	}
	w.check()
	if a.live() != 1 || b.live() != 1 {
		t.Errorf("%d and %d sessions, want one each", a.live(), b.live())
	}
}

// The wrong person at the address is told nothing of who asks; the right one at
// another address is found all the same.
func TestMismatch(t *testing.T) {
	w := newWorld(t, 1)
	a, b, x := w.node("ana"), w.node("bob"), w.node("mallory")
	_, err := a.opens(time.Second, Target{Key: b.id.Key(), Addrs: x.at()})
	var mismatch *MismatchError
	if !errors.As(err, &mismatch) || mismatch.Want != b.id.Key() || mismatch.Got != x.id.Key() || mismatch.Addr != x.addr {
		t.Fatalf("got %v, want a MismatchError that names both", err)
	}
	w.run(10 * time.Second)
	if len(x.events) != 0 || len(x.core.links) != 0 {
		t.Error("the wrong person was told who asked")
	}
	if _, err := a.opens(time.Second, Target{Key: b.id.Key(), Addrs: append(x.at(), b.addr)}); err != nil {
		t.Errorf("with the right address beside the wrong one: %v", err)
	}
}

// When somebody else answers at one address and nobody at the other, the caller
// learns of the mismatch and not only of the silence.
func TestMismatchBesideSilence(t *testing.T) {
	w := newWorld(t, 1)
	a, b, x := w.node("ana"), w.node("bob"), w.node("mallory")
	b.closed = true
	_, err := a.opens(time.Second, Target{Key: b.id.Key(), Addrs: append(x.at(), b.addr)})
	if !errors.As(err, new(*MismatchError)) {
		t.Errorf("got %v, want a MismatchError", err)
	}
}

func TestOpenFails(t *testing.T) {
	w := newWorld(t, 1)
	a := w.node("ana")
	nobody := []netip.AddrPort{netip.MustParseAddrPort("198.18.9.9:41027")}
	if _, err := a.opens(time.Second, Target{Addrs: nobody}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody there: got %v, want ErrUnreachable", err)
	}
	if len(a.core.dials) != 0 {
		t.Error("goes on asking though nobody waits")
	}
	if _, err := a.opens(time.Second, Target{Key: Key{1}}); !errors.Is(err, ErrNoAddress) {
		t.Errorf("no address: got %v, want ErrNoAddress", err)
	}
	if _, err := a.opens(time.Second, Target{Addrs: a.at()}); !errors.Is(err, ErrSelf) {
		t.Errorf("own address: got %v, want ErrSelf", err)
	}
}

func TestSendRefuses(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	if _, err := a.core.send(w.now, b.id.Key(), "hi"); !errors.Is(err, ErrNoAddress) {
		t.Errorf("to nobody known: got %v, want ErrNoAddress", err)
	}
	w.announce(b)
	if _, err := a.core.send(w.now, b.id.Key(), ""); !errors.Is(err, ErrEmpty) {
		t.Errorf("nothing: got %v, want ErrEmpty", err)
	}
	if _, err := a.core.send(w.now, b.id.Key(), strings.Repeat("x", MaxText+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("too much: got %v, want ErrTooLong", err)
	}
	a.say(b, strings.Repeat("x", MaxText))
	if !w.await(time.Second, w.settled) {
		t.Error("the longest text was not delivered")
	}
	b.closed = true
	for i := 0; ; i++ {
		if _, err := a.core.send(w.now, b.id.Key(), "x"); errors.Is(err, ErrBacklog) && i == maxBacklog {
			break
		} else if err != nil || i > maxBacklog {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

// Both sides opening at once settle on the same session, and lose nothing.
func TestSimultaneousOpen(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(t, seed)
		w.jitter = time.Duration(w.rng.Int64N(int64(2 * time.Millisecond)))
		a, b := w.node("ana"), w.node("bob")
		w.announce(a)
		w.announce(b)
		for i := range 5 {
			a.say(b, fmt.Sprint("a", i))
			b.say(a, fmt.Sprint("b", i))
			w.run(time.Duration(w.rng.Int64N(int64(time.Millisecond))))
		}
		if !w.await(time.Second, w.settled) {
			t.Fatalf("seed %d: not delivered", seed)
		}
		w.run(2 * retireFor)
		w.check()
		if len(a.core.links) != 1 || len(b.core.links) != 1 {
			t.Fatalf("seed %d: %d and %d sessions, want one", seed, len(a.core.links), len(b.core.links))
		}
		for _, l := range a.core.links {
			if b.core.links[l.session.Remote()] == nil {
				t.Fatalf("seed %d: they settled on different sessions", seed)
			}
		}
	}
}

// Who asks for a session while the other side opens one is told of whichever stays,
// whatever the network loses, and both are told once that they have met.
func TestSimultaneousOpenIsTold(t *testing.T) {
	for seed := range uint64(1000) {
		w := newWorld(t, seed)
		w.loss = 0.2
		w.jitter = time.Duration(w.rng.Int64N(int64(2 * time.Millisecond)))
		a, b := w.node("ana"), w.node("bob")
		w.announce(a)
		w.announce(b)
		var told []error
		done := func(_ Person, err error) { told = append(told, err) }
		a.core.open(w.now, Target{Key: b.id.Key()}, done)
		w.run(time.Duration(w.rng.Int64N(int64(4 * time.Millisecond))))
		b.core.open(w.now, Target{Key: a.id.Key()}, done)
		a.say(b, "hello")
		w.await(4*time.Second, func() bool { return len(told) == 2 && w.settled() })
		if !slices.Equal(told, []error{nil, nil}) || !w.settled() {
			t.Fatalf("seed %d: told %v", seed, told)
		}
		w.run(2 * retireFor)
		w.check()
		for _, n := range []*simNode{a, b} {
			if got := n.kinds(); !slices.Equal(got, []Kind{Met}) {
				t.Errorf("seed %d: told of %v", seed, got)
			}
		}
	}
}

// A peer that restarts is noticed by its answer to the next datagram, and the
// conversation goes on in well under a second.
func TestRestart(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(a)
	w.announce(b)
	a.say(b, "before")
	w.await(time.Second, w.settled)
	w.run(time.Minute)
	b.start() // without a goodbye, and knowing nothing
	began := w.now
	a.say(b, "after")
	if !w.await(time.Second, w.settled) {
		t.Fatal("not delivered within a second")
	}
	if d := w.now.Sub(began); d > 50*time.Millisecond {
		t.Errorf("took %v", d)
	}
	w.check()
	if got := a.kinds(); !slices.Equal(got, []Kind{Met, Met}) {
		t.Errorf("told of %v, want two meetings", got)
	}
}

// A forged notice that a session is unknown costs one handshake and no message.
func TestForgedUnknown(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(b)
	a.say(b, "one")
	w.await(time.Second, w.settled)
	var l *link
	for _, l = range a.core.links {
	}
	for _, u := range []struct {
		from    netip.AddrPort
		counter uint64
		doubt   bool
	}{
		{netip.MustParseAddrPort("198.18.9.9:41027"), 0, false}, // from elsewhere
		{b.addr, l.session.Counter(), false},                    // of what was never sent
		{b.addr, 0, true},
	} {
		notice := wire.Unknown{Receiver: l.session.Remote(), Counter: u.counter}
		a.core.receive(w.now, u.from, notice.Append(nil))
		if l.doubted != u.doubt {
			t.Errorf("notice from %v of counter %d: doubted %v, want %v", u.from, u.counter, l.doubted, u.doubt)
		}
	}
	a.say(b, "two")
	if !w.await(time.Second, w.settled) {
		t.Error("not delivered")
	}
	w.check()
}

func TestRoaming(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(b)
	a.say(b, "one")
	w.await(time.Second, w.settled)
	a.addr = netip.MustParseAddrPort("198.18.7.7:5555") // nobody is told
	a.say(b, "two")
	w.await(time.Second, w.settled)
	b.say(a, "three")
	if !w.await(time.Second, w.settled) {
		t.Error("the answer did not follow to the new address")
	}
	w.check()
	if a.live() != 1 {
		t.Errorf("%d sessions, want the same one", a.live())
	}
}

// Unreachable is said within 10 s in a conversation that is watched, and back again.
func TestUnreachableAndBack(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Fatal(err)
	}
	a.core.watch(w.now, b.id.Key(), true)
	w.run(time.Minute)
	if got := a.kinds(); !slices.Equal(got, []Kind{Met}) {
		t.Fatalf("told of %v while all is well", got)
	}
	w.cut[[2]netip.Addr{b.addr.Addr(), a.addr.Addr()}] = true
	gone := w.now
	told := func(k Kind) func() bool { return func() bool { return slices.Contains(a.kinds(), k) } }
	if !w.await(time.Minute, told(Unreachable)) || w.now.Sub(gone) > 10*time.Second {
		t.Errorf("told of %v after %v", a.kinds(), w.now.Sub(gone))
	}
	a.say(b, "are you there")
	w.run(time.Minute)
	clear(w.cut)
	back := w.now
	if !w.await(10*time.Second, told(Reachable)) || !w.await(time.Second, w.settled) {
		t.Errorf("told of %v, %v after the network came back", a.kinds(), w.now.Sub(back))
	}
	w.run(time.Minute)
	w.check()
	if got := a.kinds(); !slices.Equal(got, []Kind{Met, Unreachable, Reachable}) {
		t.Errorf("told of %v in all", got)
	}
}

func TestGoodbye(t *testing.T) {
	w := newWorld(t, 1)
	w.loss = 0.3
	a, b := w.node("ana"), w.node("bob")
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Fatal(err)
	}
	a.say(b, "hello")
	w.await(10*time.Second, w.settled)
	a.core.close(w.now)
	if !w.await(5*time.Second, func() bool { return len(a.core.links) == 0 }) {
		t.Error("the goodbye was never answered")
	}
	if got := b.kinds(); !slices.Equal(got, []Kind{Met, Left}) {
		t.Errorf("told of %v", got)
	}
	w.run(time.Hour)
	if len(b.core.links) != 0 || len(b.core.people) != 0 {
		t.Errorf("%d sessions and %d people remembered of nobody", len(b.core.links), len(b.core.people))
	}
}

// Two nodes of one person: messages go to one of them, and when it leaves, to the other.
func TestTwoNodesOfOnePerson(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("screen")
	script := w.node("script")
	script.id = b.id
	script.disk = &disk{node: script, contents: newContents()}
	script.start()
	w.announce(b)
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Fatal(err)
	}
	if _, err := script.opens(time.Second, Target{Addrs: a.at()}); err != nil {
		t.Fatal(err)
	}
	if !w.await(time.Second, func() bool { return a.live() == 2 }) {
		t.Fatalf("%d sessions with two nodes", a.live())
	}
	a.say(b, "one")
	w.run(time.Second)
	script.core.close(w.now)
	w.run(time.Second)
	if slices.Contains(a.kinds(), Left) {
		t.Error("a person was said to have left though one of its nodes is here")
	}
	a.say(b, "two")
	w.run(time.Second)
	heard := append(slices.Clone(script.disk.heard[a.id.Key()]), b.disk.heard[a.id.Key()]...)
	if !slices.Equal(heard, []string{"one", "two"}) || len(a.disk.outbox) != 0 {
		t.Errorf("they heard %q", heard)
	}
}

// A final that is lost is repeated, and one that is doubled does nothing.
func TestLostFinal(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	a.core.open(w.now, Target{Addrs: b.at()}, func(Person, error) {})
	w.await(time.Second, func() bool { return a.live() == 1 })
	kept := slices.DeleteFunc(w.queue, func(f flight) bool { return f.b[0] == wire.TypeFinal })
	if len(kept) == len(w.queue)+1 {
		t.Fatal("no final was on its way")
	}
	w.queue = kept
	if !w.await(time.Second, func() bool { return b.live() == 1 }) {
		t.Fatal("the final was not repeated")
	}
	w.dup = 1
	a.say(b, "hello")
	w.run(time.Second)
	w.check()
}

// rawHello is an opening as anybody can send it.
func rawHello(w *world, cookie [wire.CookieSize]byte) []byte {
	h := wire.Hello{Sender: 1 + w.rng.Uint32N(1<<31), Cookie: cookie, Noise: make([]byte, wire.HelloSize-24)}
	for i := range 32 {
		h.Noise[i] = byte(w.rng.Uint32())
	}
	return h.Append(nil)
}

// A flood of openings from forged addresses meets a demand for cookies, costs no
// more memory than the caps allow, and honest people still get through.
func TestFloodOfOpenings(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	answered := 0
	b.core.out = func(d []byte, to netip.AddrPort) {
		if to.Addr() == a.addr.Addr() {
			b.send(d, to)
			return
		}
		answered += len(d)
	}
	sent := 0
	for i := range 5000 {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}), 1000)
		h := rawHello(w, [wire.CookieSize]byte{1})
		sent += len(h)
		b.core.receive(w.now, src, h)
	}
	if len(b.core.halves) > cookiesFrom {
		t.Errorf("%d handshakes answered without a cookie, the cap is %d", len(b.core.halves), cookiesFrom)
	}
	if answered > sent {
		t.Errorf("%d bytes answered to %d", answered, sent)
	}
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Errorf("an honest opening with a cookie: %v", err)
	}
	w.run(2 * halfLife)
	if len(b.core.halves) != 0 || len(b.core.hellos) != 0 || len(b.core.sources) != 0 {
		t.Errorf("%d, %d, %d left of the flood", len(b.core.halves), len(b.core.hellos), len(b.core.sources))
	}
}

// One address can't take all the room, even when it shows its cookies.
func TestFloodFromOneAddress(t *testing.T) {
	w := newWorld(t, 1)
	b := w.node("bob")
	src := netip.MustParseAddrPort("198.19.0.1:1000")
	for range 200 {
		b.core.receive(w.now, src, rawHello(w, b.core.cookies.make(w.now, src)))
	}
	if n := len(b.core.halves); n > maxHalvesPerSource {
		t.Errorf("%d handshakes with one address, the cap is %d", n, maxHalvesPerSource)
	}
}

// Everything recorded from a conversation and sent again, from anywhere, does nothing.
func TestReplayOfEverything(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	var tape []flight
	record := func(n *simNode) {
		n.core.out = func(d []byte, to netip.AddrPort) {
			tape = append(tape, flight{from: n.addr, to: to, b: bytes.Clone(d)})
			n.send(d, to)
		}
	}
	record(a)
	record(b)
	w.announce(a)
	w.announce(b)
	for i := range 20 {
		a.say(b, fmt.Sprint(i))
		b.say(a, fmt.Sprint(i))
		w.run(5 * time.Millisecond)
	}
	w.await(time.Second, w.settled)
	for _, from := range []netip.AddrPort{a.addr, netip.MustParseAddrPort("198.19.0.1:1000")} {
		for _, f := range slices.Clone(tape) {
			for _, n := range w.nodes {
				if n.addr == f.to {
					n.core.receive(w.now, from, bytes.Clone(f.b))
					n.drain()
				}
			}
		}
	}
	w.run(time.Minute)
	w.check()
	if a.live() != 1 || b.live() != 1 {
		t.Errorf("%d and %d sessions after the replay", a.live(), b.live())
	}
	b.say(a, "still there")
	if !w.await(time.Second, w.settled) {
		t.Error("the conversation was disturbed")
	}
}

// The queue for the application is bounded, and what it can't take is not acknowledged.
func TestApplicationThatTakesNothing(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(b)
	b.starving = true
	for i := range 2 * maxWaitingMessages {
		a.say(b, fmt.Sprint(i))
		if i%50 == 0 {
			w.run(10 * time.Millisecond)
		}
	}
	w.run(10 * time.Second)
	if n := b.core.events.Len(); n > maxWaitingMessages+1 {
		t.Errorf("%d events wait", n)
	}
	if n := len(a.disk.outbox); n < maxWaitingMessages/2 {
		t.Errorf("only %d messages are unacknowledged", n)
	}
	b.starving = false
	b.drain()
	if !w.await(10*time.Second, w.settled) {
		t.Errorf("%d messages never delivered", len(a.disk.outbox))
	}
	w.check()
}

// Sessions are renewed after an hour, without anybody noticing, and forgotten after
// a quarter of an hour of silence.
func TestRenewalAndExpiry(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(a)
	w.announce(b)
	a.say(b, "hello")
	w.await(time.Second, w.settled)
	first := a.core.people[b.id.Key()].links[0]
	for i := range 80 {
		a.say(b, fmt.Sprint(i))
		w.run(time.Minute)
	}
	w.check()
	if now := a.core.people[b.id.Key()].best(); now == first || now.doubted {
		t.Error("the session was not renewed in 80 minutes")
	}
	if got := b.kinds(); !slices.Equal(got, []Kind{Met}) {
		t.Errorf("told of %v, want one meeting", got)
	}
	w.run(2 * expireAfter)
	if len(a.core.links)+len(b.core.links) != 0 {
		t.Errorf("%d and %d sessions after long silence", len(a.core.links), len(b.core.links))
	}
	a.say(b, "again")
	if !w.await(time.Second, w.settled) {
		t.Error("no new session after the expiry")
	}
}

// Who passes on an authentic datagram from a false address can't aim a stream there,
// and the conversation finds its way back.
func TestStreamCannotBeAimed(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(a)
	w.announce(b)
	a.say(b, "hello")
	w.await(time.Second, w.settled)
	victim := netip.MustParseAddrPort("198.18.6.6:53")
	aimed := 0
	a.core.out = func(d []byte, to netip.AddrPort) {
		if to == victim {
			aimed += len(d)
			return
		}
		a.send(d, to)
	}
	var stolen []byte
	b.core.out = func(d []byte, _ netip.AddrPort) { stolen = bytes.Clone(d) }
	b.say(a, "kept from its way")
	b.core.out = b.send
	a.core.receive(w.now, victim, bytes.Clone(stolen))
	for range 10 {
		a.say(b, strings.Repeat("x", MaxText))
		w.run(100 * time.Millisecond)
	}
	if aimed > uncheckedFactor*len(stolen) {
		t.Errorf("%d bytes went to the victim for %d", aimed, len(stolen))
	}
	if !w.await(10*time.Second, w.settled) {
		t.Error("the conversation did not come back")
	}
	w.check()
}

// Every renewal proves the identity anew. Somebody else who answers in its place is
// told nothing, and the session that there is goes on.
func TestRenewalProvesIdentity(t *testing.T) {
	w := newWorld(t, 1)
	a, b, x := w.node("ana"), w.node("bob"), w.node("mallory")
	w.announce(a)
	w.announce(b)
	a.say(b, "hello")
	w.await(time.Second, w.settled)
	strayed := 0
	a.core.out = func(d []byte, to netip.AddrPort) {
		if d[0] == wire.TypeHello {
			to = x.addr // the network leads all openings astray
			strayed++
		}
		a.send(d, to)
	}
	b.core.out = func(d []byte, to netip.AddrPort) {
		if d[0] != wire.TypeHello { // and lets none out of here
			b.send(d, to)
		}
	}
	for range 80 {
		a.say(b, "still there?")
		b.say(a, "yes")
		w.run(time.Minute)
	}
	if !w.settled() {
		t.Error("a failed renewal disturbed the session")
	}
	w.check()
	if len(x.events) != 0 || len(x.core.links) != 0 {
		t.Error("the wrong person was told who asked")
	}
	if strayed == 0 {
		t.Error("no renewal was tried")
	}
}

// Who was met by one address is found at another that they told.
func TestIntroducedAddresses(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	other := netip.MustParseAddrPort("198.18.5.5:7777")
	if err := b.core.introduce([]netip.AddrPort{b.addr, other}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Fatal(err)
	}
	b.addr = other // and the first one is gone
	a.say(b, "found you")
	if !w.await(5*time.Second, w.settled) {
		t.Error("not looked for where they said they are")
	}
	w.check()
}
