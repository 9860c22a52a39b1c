package chat

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A firewall lets in only what answers: nobody answers until the other side pokes.
func TestUnansweredUntilPoked(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	wall := [2]netip.Addr{a.addr.Addr(), b.addr.Addr()}
	w.cut[wall] = true
	began := w.now
	var asked []time.Duration
	pokes := false
	a.core.unanswered = func(k Key) {
		if k != b.id.Key() {
			t.Errorf("asked for %s", k.Short())
		}
		if asked = append(asked, w.now.Sub(began)); pokes {
			b.core.poke(a.at())
			delete(w.cut, wall)
		}
	}
	_, err := a.opens(20*time.Second, Target{Key: b.id.Key(), Addrs: b.at()})
	want := []time.Duration{300 * time.Millisecond, 1300 * time.Millisecond, 3300 * time.Millisecond, 7300 * time.Millisecond, 15300 * time.Millisecond}
	if err == nil || !slices.Equal(asked, want) {
		t.Errorf("asked at %v, not %v; %v", asked, want, err)
	}
	w.run(time.Minute) // and no more, once nobody waits

	began, asked, pokes = w.now, nil, true
	before := a.core.stats
	if _, err := a.opens(20*time.Second, Target{Key: b.id.Key(), Addrs: b.at()}); err != nil || w.now.Sub(began) > 400*time.Millisecond || len(asked) != 1 {
		t.Errorf("open after %v, asked %d times: %v", w.now.Sub(began), len(asked), err)
	}
	if a.core.stats.Unknown != before.Unknown+1 || a.core.stats.Malformed != before.Malformed {
		t.Errorf("a poke meant something: %+v after %+v", a.core.stats, before)
	}

	// The firewall forgets in silence; what is said then gets through even so.
	w.run(10 * time.Minute)
	w.cut[wall], asked, began = true, nil, w.now
	a.say(b, "still there?")
	if !w.await(10*time.Second, w.settled) || len(asked) != 1 || w.now.Sub(began) > 2*time.Second {
		t.Errorf("after silence: asked at %v, %v later", asked, w.now.Sub(began))
	}
	w.check()
}

// Whoever is called by address only has no identity to be asked for.
func TestUnansweredAddress(t *testing.T) {
	w := newWorld(t, 1)
	a := w.node("ana")
	a.core.unanswered = func(k Key) { t.Errorf("asked for %s", k) }
	if _, err := a.opens(5*time.Second, Target{Addrs: []netip.AddrPort{netip.MustParseAddrPort("198.18.0.99:9")}}); err == nil {
		t.Error("somebody answered")
	}
}

func TestPokesAreFew(t *testing.T) {
	w := newWorld(t, 1)
	sent := 0
	c, err := newCore(Config{Identity: w.node("ana").id}, newRandom(), func(b []byte, _ netip.AddrPort) {
		if sent++; len(b) != 16 {
			t.Errorf("a poke of %d bytes", len(b))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.poke(make([]netip.AddrPort, 100)); sent != maxDialAddrs {
		t.Errorf("%d pokes", sent)
	}
}
