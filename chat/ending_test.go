package chat

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"earshot/chat/wire"
	"earshot/discovery/lantest"
)

// Who has gone for good is looked for no longer than there is a reason to.
func TestNobodyIsSoughtForever(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(a)
	w.announce(b)
	a.say(b, "hello")
	w.await(time.Second, w.settled)
	b.closed = true // without a goodbye
	a.core.watch(w.now, b.id.Key(), true)
	w.run(expireAfter + time.Minute)
	p := a.core.person(b.id.Key())
	p.unseen(w.now)
	w.run(time.Hour)
	if p.dial == nil {
		t.Error("not looked for, with the conversation before somebody's eyes")
	}
	a.core.watch(w.now, b.id.Key(), false)
	if w.run(2 * helloMax); p.dial != nil {
		t.Error("still looked for")
	}
	b.start()
	a.say(b, "are you there?")
	if !w.await(time.Second, w.settled) {
		t.Error("not delivered")
	}
	w.check()
}

// Whom nothing has reached but the hello isn't met yet, though what was to be said to them
// has been given up meanwhile.
func TestMetAfterGivingUp(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(b)
	a.core.out = func(d []byte, to netip.AddrPort) {
		if d[0] == wire.TypeHello && len(a.core.links) == 0 || w.now.Sub(simBegin) > UnreachableAfter+redialAfter {
			a.send(d, to)
		}
	}
	a.say(b, "hello")
	if !w.await(10*time.Second, w.settled) {
		t.Error("not delivered")
	}
	if got := a.kinds(); !slices.Equal(got, []Kind{Unreachable, Met, Reachable}) {
		t.Errorf("told of %v", got)
	}
}

// Closing the node tells whoever waits for an answer.
func TestClosedWhileAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lantest.New(1)
		link := l.Link()
		a, _ := lanNode(t, link, l, "ana", "198.18.0.1")
		b, at := lanNode(t, link, l, "bob", "198.18.0.2")
		link.Tap(func(d lantest.Datagram) bool { return d.Data[0] != wire.TypeFinal })
		a.Hint(Key{1}, []netip.AddrPort{netip.MustParseAddrPort("198.18.0.9:1")}) // who never answers
		told := make(chan error, 2)
		go func() {
			_, err := a.Open(context.Background(), Target{Addrs: []netip.AddrPort{at}})
			told <- err
		}()
		go func() {
			a.Survey(context.Background())
			told <- ErrClosed
		}()
		time.Sleep(time.Second)
		a.Close(t.Context())
		for range cap(told) {
			if err := <-told; !errors.Is(err, ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
		b.Close(t.Context())
	})
}

// Who asks for a session goes on waiting when its handshake came to nothing midway, and has
// it soon after the network is back.
func TestOpenOutlivesItsHandshake(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	const cut = 7 * time.Second
	a.core.out = func(d []byte, to netip.AddrPort) {
		if d[0] == wire.TypeHello && len(a.core.links) == 0 || w.now.Sub(simBegin) > cut {
			a.send(d, to)
		}
	}
	if _, err := a.opens(time.Minute, Target{Addrs: b.at()}); err != nil || w.now.Sub(simBegin) > cut+helloMax+100*time.Millisecond {
		t.Errorf("told of %v after %v", err, w.now.Sub(simBegin))
	}

	// And not for longer than somebody waits.
	w.cut[[2]netip.Addr{a.addr.Addr(), b.addr.Addr()}] = true
	a.core.close(w.now)
	a.start()
	clear(w.cut)
	a.core.out = func(d []byte, to netip.AddrPort) {
		if d[0] == wire.TypeHello {
			a.send(d, to)
		}
	}
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("told of %v", err)
	}
	w.run(time.Minute)
	if len(a.core.dials)+len(a.core.links) > 0 {
		t.Error("still tries")
	}
}

// Who was met isn't met again because the session that was to replace another came to nothing.
func TestMetOnceThoughReplaced(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Fatal(err)
	}
	b.core.out = func(d []byte, to netip.AddrPort) {
		if d[0] == wire.TypeReply {
			b.send(d, to)
		}
	}
	if _, err := a.opens(halfLife+time.Second, Target{Addrs: b.at()}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("told of %v", err)
	}
	b.core.out = b.send
	a.say(b, "hello")
	if !w.await(10*time.Second, w.settled) {
		t.Error("not delivered")
	}
	if got := append(a.kinds(), b.kinds()...); !slices.Equal(got, []Kind{Met, Met}) {
		t.Errorf("told of %v", got)
	}
}
