package chat

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"earshot/chat/wire"
)

// refuses makes n refuse somebody for as long as the result is true, and counts what n
// sends to them by the type of the datagram.
func (n *simNode) refuses(other *simNode) (on *bool, sent map[byte]int) {
	on, sent = new(true), map[byte]int{}
	n.core.refuse = func(key Key) bool { return *on && key == other.id.Key() }
	out := n.core.out
	n.core.out = func(b []byte, to netip.AddrPort) {
		if to == other.addr {
			sent[b[0]]++
		}
		out(b, to)
	}
	return on, sent
}

// Whoever is refused sees what they would see if nobody were there, but for the reply to
// a hello; and that only once from one address.
func TestRefused(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.node("ana"), w.node("bob"), w.node("carol")
	on, sent := b.refuses(a)
	for range 3 {
		if _, err := a.opens(time.Second, Target{Key: b.id.Key(), Addrs: b.at()}); !errors.Is(err, ErrUnreachable) {
			t.Errorf("opened: %v", err)
		}
		w.run(10 * time.Second)
	}
	if len(a.events)+len(b.events)+len(b.core.links) != 0 {
		t.Errorf("ana was told %v, bob %v, and bob has %d sessions", a.kinds(), b.kinds(), len(b.core.links))
	}
	if sent[wire.TypeReply] != 1 || len(sent) != 1 {
		t.Errorf("bob sent %v", sent)
	}
	if _, err := c.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	*on = false
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Errorf("refused no more: %v", err)
	}
}

// The address that somebody refused had is not lost to others who come to be there, and
// who is there already can't be driven out by somebody refused who sends in their name.
func TestRefusedAddressOfOthers(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.node("ana"), w.node("bob"), w.node("carol")
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Fatal(err)
	}
	w.announce(c)
	b.refuses(a)
	a.addr, c.addr = c.addr, a.addr // a sends from carol's address
	a.say(b, "in her name")
	w.run(time.Second)
	a.addr, c.addr = c.addr, a.addr
	if _, err := c.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Errorf("carol, in whose name ana has sent: %v", err)
	}
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("ana: %v", err)
	}
	d := w.node("dave")
	d.addr, a.closed = a.addr, true
	if _, err := d.opens(time.Second, Target{Addrs: b.at()}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("dave, whom nobody sees, at ana's address: %v", err)
	}
	w.announce(d)
	if _, err := d.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Errorf("dave, seen at ana's address: %v", err)
	}
}

// Nothing is sent to them either, and they don't learn who asked.
func TestRefusedIsNotSought(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	on, sent := b.refuses(a)
	b.core.person(a.id.Key()).hint(w.now, a.at())
	b.core.poke(a.at())
	if _, err := b.core.send(w.now, a.id.Key(), "hello"); !errors.Is(err, ErrRefused) {
		t.Errorf("send: %v", err)
	}
	if _, err := b.opens(time.Second, Target{Key: a.id.Key(), Addrs: a.at()}); !errors.Is(err, ErrRefused) || len(sent) != 0 {
		t.Errorf("open by key: %v, sent %v", err, sent)
	}
	if _, err := b.opens(time.Second, Target{Addrs: a.at()}); !errors.Is(err, ErrRefused) {
		t.Errorf("open by address: %v", err)
	}
	w.run(time.Minute)
	if sent[wire.TypeHello] != 1 || len(sent) != 1 || len(a.core.links)+len(a.events) != 0 {
		t.Errorf("sent %v; ana has %d sessions and was told %v", sent, len(a.core.links), a.kinds())
	}
	*on = false
	b.core.poke(a.at())
	if sent[wire.TypeUnknown] != 1 {
		t.Error("no poke")
	}
}

// A conversation ends without a word when its person comes to be refused, whichever of
// the two does something next.
func TestRefusedMidSession(t *testing.T) {
	for _, next := range []string{"ana", "bob", "nobody"} {
		w := newWorld(t, 1)
		a, b := w.node("ana"), w.node("bob")
		w.announce(a)
		w.announce(b)
		a.core.watch(w.now, b.id.Key(), true)
		b.core.watch(w.now, a.id.Key(), true)
		a.say(b, "one")
		b.say(a, "two")
		if !w.await(time.Second, w.settled) {
			t.Fatal("not delivered")
		}
		w.run(2 * time.Second)
		on, sent := b.refuses(a)
		switch next {
		case "ana":
			a.say(b, "three")
		case "bob":
			b.core.drop(w.now, a.id.Key())
			a.say(b, "three")
		default:
			b.core.drop(w.now, a.id.Key())
		}
		w.run(30 * time.Second)
		if len(b.core.links) != 0 || len(sent) != 0 {
			t.Errorf("%s: bob has %d sessions and sent %v", next, len(b.core.links), sent)
		}
		if got := a.kinds(); !slices.Equal(got, []Kind{Met, Unreachable}) {
			t.Errorf("%s: ana was told %v", next, got)
		}
		if next == "nobody" {
			continue
		}
		*on = false
		if !w.await(10*time.Second, w.settled) {
			t.Errorf("%s: not delivered when refused no more", next)
		}
		w.check()
	}
}

// Somebody refused who ends a handshake in the name of another's address doesn't have that
// dropped, but their own.
func TestRefusedInAnothersName(t *testing.T) {
	for _, both := range []bool{false, true} { // hellos, too, come from the other's address
		w := newWorld(t, 1)
		b, m, d := w.node("bob"), w.node("mallory"), w.node("dave")
		_, sent := b.refuses(m)
		m.core.out = func(p []byte, to netip.AddrPort) {
			switch p[0] {
			case wire.TypeFinal:
				b.core.receive(w.now, d.addr, bytes.Clone(p))
				return
			case wire.TypeHello:
				if both {
					b.core.receive(w.now, d.addr, bytes.Clone(p))
				}
			}
			m.send(p, to)
		}
		m.core.open(w.now, Target{Addrs: b.at()}, func(Person, error) {})
		w.run(time.Second)
		if b.core.stats.Refused == 0 {
			t.Fatal("nobody was refused")
		}
		if _, err := d.opens(time.Minute, Target{Addrs: b.at()}); err != nil {
			t.Errorf("dave, in whose name somebody refused came: %v", err)
		}
		clear(sent)
		m.core.out = m.send
		m.core.open(w.now, Target{Addrs: b.at()}, func(Person, error) {})
		if w.run(time.Second); len(sent) != 0 {
			t.Errorf("mallory was answered again: %v", sent)
		}
	}
}

// A host has several addresses, and its hello comes from each. One handshake comes of it,
// and where its person is refused, each address is dropped once it has shown to be theirs.
func TestHelloFromSeveralAddresses(t *testing.T) {
	for _, refused := range []bool{false, true} {
		w := newWorld(t, 1)
		a, b := w.node("ana"), w.node("bob")
		other := netip.MustParseAddrPort("[fe80::1%eth0]:41027")
		a.core.out = func(d []byte, to netip.AddrPort) {
			if d[0] == wire.TypeHello {
				b.core.receive(w.now, other, bytes.Clone(d))
			}
			a.send(d, to)
		}
		sent := 0
		b.core.refuse = func(Key) bool { return refused }
		b.core.out = func(d []byte, to netip.AddrPort) {
			if sent++; to == other {
				to = a.addr
			}
			b.send(d, to)
		}
		for range 3 {
			_, err := a.opens(time.Second, Target{Addrs: b.at()})
			if (err == nil) == refused || len(b.core.halves)+len(b.core.hellos) != 0 {
				t.Errorf("refused %v: %v, %d handshakes left", refused, err, len(b.core.halves))
			}
			w.run(10 * time.Second)
		}
		if refused && sent != 3 { // replies: from both addresses at first, then from the one not yet dropped
			t.Errorf("%d datagrams went to somebody refused", sent)
		}
	}
}
