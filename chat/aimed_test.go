package chat

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"earshot/chat/wire"
)

// Who takes part in a handshake under a false address can't have what is said to them sent
// there: no more than the final and its repeats, and three times what came.
func TestNewSessionCannotBeAimed(t *testing.T) {
	victim := netip.MustParseAddrPort("198.18.6.6:53")
	for _, tc := range []struct {
		name  string
		false byte // type of the datagram that seems to come from the victim
		most  int  // bytes for each of those
		opens func(a, m *simNode)
	}{
		{
			"responder", wire.TypeReply, (finalTries + 1 + uncheckedFactor) * wire.FinalSize,
			func(a, m *simNode) { a.say(m, "hello") },
		},
		{
			"initiator", wire.TypeFinal, uncheckedFactor * wire.FinalSize,
			func(a, m *simNode) { m.say(a, "hello") },
		},
		{ // the first hello came from the victim, too, which got the reply
			"initiator from both", wire.TypeFinal, uncheckedFactor*wire.FinalSize + wire.ReplySize,
			func(a, m *simNode) {
				send := m.core.out
				m.core.out = func(d []byte, to netip.AddrPort) {
					if d[0] == wire.TypeHello {
						a.core.receive(a.w.now, victim, bytes.Clone(d))
					}
					send(d, to)
				}
				m.say(a, "hello")
			},
		},
	} {
		w := newWorld(t, 1)
		a, m := w.node("ana"), w.node("mallory")
		w.announce(a)
		w.announce(m)
		aimed, forged := 0, 0
		a.core.out = func(d []byte, to netip.AddrPort) {
			if to == victim {
				aimed += len(d)
				return
			}
			a.send(d, to)
		}
		m.core.out = func(d []byte, to netip.AddrPort) {
			switch d[0] {
			case tc.false:
				forged++
				a.core.receive(w.now, victim, bytes.Clone(d))
			case wire.TypeHello, wire.TypeReply, wire.TypeFinal:
				m.send(d, to)
			}
		}
		tc.opens(a, m)
		w.run(100 * time.Millisecond)
		for range 10 {
			a.say(m, strings.Repeat("x", MaxText))
			w.run(time.Second)
		}
		if forged == 0 || aimed > forged*tc.most {
			t.Errorf("%s: %d bytes went to the victim for %d datagrams", tc.name, aimed, forged)
		}
	}
}

// introducesAs opens a session, tells addresses, seems to come from src for the last word,
// and is silent then, so that there is somebody to look for.
func (n *simNode) introducesAs(to *simNode, src netip.AddrPort, told []netip.AddrPort) {
	if err := n.core.introduce(told); err != nil {
		n.w.t.Fatal(err)
	}
	silent := false
	n.core.out = func(d []byte, at netip.AddrPort) {
		switch {
		case silent:
		case d[0] == wire.TypeFinal:
			silent = true
			to.core.receive(n.w.now, src, bytes.Clone(d))
		default:
			n.send(d, at)
		}
	}
	n.core.open(n.w.now, Target{Addrs: to.at()}, func(Person, error) {})
}

// Who introduces themselves with the addresses of others, or comes from one, has a few
// hellos sent there, and no more however long they stay away or however many they are.
func TestHellosCannotBeAimed(t *testing.T) {
	src := netip.MustParseAddrPort("203.0.113.6:52")
	for _, tc := range []struct {
		name   string
		people int
		told   []string
		hellos int
	}{
		{"ports of one", 1, []string{"203.0.113.6:53", "203.0.113.6:54", "203.0.113.6:55"}, toldTrials},
		{"many", 1, []string{"203.0.113.6:53", "203.0.113.7:53", "203.0.113.8:53"}, 3 * toldTrials},
		{"maybe broadcast", 1, []string{"203.0.113.255:53"}, 0},
		{"many people", 100, []string{"203.0.113.6:53", "203.0.113.7:53"}, 100 * 2 * toldTrials},
	} {
		w := newWorld(t, 1)
		a := w.node("ana")
		hellos := 0
		a.core.out = func(d []byte, to netip.AddrPort) {
			if to.Addr().As4()[0] != src.Addr().As4()[0] {
				a.send(d, to)
			} else if d[0] == wire.TypeHello {
				hellos++
			}
		}
		var told []netip.AddrPort
		for _, at := range tc.told {
			told = append(told, netip.MustParseAddrPort(at))
		}
		for range tc.people {
			w.node("mallory").introducesAs(a, src, told)
		}
		w.run(15 * time.Second)
		if hellos > trialsAtOnce+15*trialsPerSecond {
			t.Errorf("%s: %d hellos went to others at once", tc.name, hellos)
		}
		w.run(20 * time.Minute)
		if hellos > tc.hellos || tc.people == 1 && hellos != tc.hellos {
			t.Errorf("%s: %d hellos went to others, want %d", tc.name, hellos, tc.hellos)
		}
	}
}

// A cookie draws no more hellos than the schedule sends.
func TestCookiesDrawFewHellos(t *testing.T) {
	w := newWorld(t, 1)
	a := w.node("ana")
	victim := netip.MustParseAddrPort("203.0.113.6:53")
	hellos := 0
	a.core.out = func([]byte, netip.AddrPort) { hellos++ }
	a.core.open(w.now, Target{Addrs: []netip.AddrPort{victim}}, func(Person, error) {})
	flood := func(from netip.AddrPort) {
		for index := range a.core.dials {
			for i := range byte(200) {
				k := wire.Cookie{Receiver: index, Cookie: [wire.CookieSize]byte{i}}
				a.core.receive(w.now, from, k.Append(nil))
			}
		}
	}
	flood(netip.MustParseAddrPort("203.0.113.7:53")) // where nothing was asked
	if hellos != 1 {
		t.Errorf("%d hellos, want the first", hellos)
	}
	flood(victim)
	flood(victim)
	if hellos != 2 {
		t.Errorf("%d hellos, want one for a cookie", hellos)
	}
	w.run(helloFirst + time.Millisecond)
	flood(victim)
	if hellos != 4 {
		t.Errorf("%d hellos, want another and one for a cookie", hellos)
	}
}

// Who was found at one of several addresses that somebody typed is looked for there again,
// even though the session ended before it had shown the address.
func TestFoundAgainWhereTyped(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	b.core.out = func(d []byte, to netip.AddrPort) {
		if d[0] != wire.TypeSealed {
			b.send(d, to)
		}
	}
	a.core.open(w.now, Target{Addrs: append(b.at(), netip.MustParseAddrPort("198.18.9.9:41027"))}, func(Person, error) {})
	if !w.await(time.Second, func() bool { return a.live() == 1 }) {
		t.Fatal("not found")
	}
	a.say(b, "hello")
	w.run(20 * time.Second) // until it is given up
	b.core.out = b.send
	if !w.await(time.Minute, w.settled) {
		t.Error("not looked for any more")
	}
	w.check()
}
