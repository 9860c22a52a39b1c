package chat

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"earshot/chat/wire"
)

// answersFor has n answer, at once and in the name of b's address, every hello that a sends
// while on is true.
func (n *simNode) answersFor(b, a *simNode) (on *bool) {
	on = new(true)
	n.core.out = func(d []byte, _ netip.AddrPort) {
		if d[0] == wire.TypeReply {
			a.core.receive(a.w.now, b.addr, bytes.Clone(d))
		}
	}
	a.core.out = func(d []byte, to netip.AddrPort) {
		a.send(d, to)
		if c := bytes.Clone(d); d[0] == wire.TypeHello && *on {
			a.core.timers.set(&timer{run: func(now time.Time) { n.core.receive(now, a.addr, c) }}, a.w.now.Add(time.Microsecond))
		}
	}
	return on
}

// Somebody else who answers in the name of the right one's address, and faster, is told
// nothing and keeps nobody from being found.
func TestAnswerInAnothersName(t *testing.T) {
	w := newWorld(t, 1)
	a, b, m := w.node("ana"), w.node("bob"), w.node("mallory")
	m.answersFor(b, a)
	w.delay = mismatchGrace / 3
	if _, err := a.opens(10*time.Second, Target{Key: b.id.Key(), Addrs: b.at()}); err != nil {
		t.Errorf("open: %v", err)
	}
	a.say(b, "hello")
	if !w.await(10*time.Second, w.settled) {
		t.Error("not delivered")
	}
	w.check()
	if len(m.core.links) != 0 {
		t.Error("the wrong person was told who asks")
	}
}

// While only somebody else answers, who asks is soon told so, each time; what is said waits,
// and goes out when the right one is there again.
func TestRightOneComesBack(t *testing.T) {
	w := newWorld(t, 1)
	a, b, m := w.node("ana"), w.node("bob"), w.node("mallory")
	w.announce(b)
	on := m.answersFor(b, a)
	b.closed = true
	a.say(b, "hello")
	for range 3 {
		began := w.now
		_, err := a.opens(10*time.Second, Target{Key: b.id.Key(), Addrs: b.at()})
		if !errors.As(err, new(*MismatchError)) || w.now.Sub(began) > helloMax+time.Millisecond {
			t.Errorf("open: %v after %v", err, w.now.Sub(began))
		}
	}
	w.run(time.Minute)
	*on = false
	b.start()
	if !w.await(helloMax+time.Second, w.settled) {
		t.Error("not delivered")
	}
	w.check()
}

// The first to be asked is told soon, and whoever asks no more is told nothing twice.
func TestMismatchIsToldOnce(t *testing.T) {
	w := newWorld(t, 1)
	a, b, x := w.node("ana"), w.node("bob"), w.node("mallory")
	began, told := w.now, 0
	cancel := a.core.open(w.now, Target{Key: b.id.Key(), Addrs: x.at()}, func(_ Person, err error) {
		if told++; !errors.As(err, new(*MismatchError)) || w.now.Sub(began) > mismatchGrace+10*time.Millisecond {
			t.Errorf("told %v after %v", err, w.now.Sub(began))
		}
	})
	w.run(time.Second)
	cancel(w.now)
	if w.run(time.Second); told != 1 || len(a.core.dials) != 0 {
		t.Errorf("told %d times, and %d dials left", told, len(a.core.dials))
	}
}
