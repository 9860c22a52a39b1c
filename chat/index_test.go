package chat

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"earshot/chat/wire"
)

// Whoever sees a handshake and sends its datagrams again under another sender index, so
// that these come first, doesn't keep it from becoming a session that works.
func TestCopiesUnderAnotherIndex(t *testing.T) {
	for name, kind := range map[string]byte{"hello": wire.TypeHello, "reply": wire.TypeReply, "final": wire.TypeFinal} {
		for _, from := range []string{"its address", "elsewhere"} {
			w := newWorld(t, 1)
			a, b := w.node("ana"), w.node("bob")
			copies := 0
			for _, n := range []*simNode{a, b} {
				n.core.out = func(d []byte, to netip.AddrPort) {
					if d[0] == kind {
						other, src := a, n.addr
						if n == a {
							other = b
						}
						if from == "elsewhere" {
							src = netip.MustParseAddrPort("198.18.9.9:1")
						}
						c := bytes.Clone(d)
						c[7] ^= 1
						d = bytes.Clone(d) // the node makes its next one in the same place
						other.core.receive(w.now, src, c)
						copies++
					}
					n.send(d, to)
				}
			}
			if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil || copies == 0 {
				t.Errorf("%s from %s: %v, %d copies", name, from, err, copies)
				continue
			}
			a.say(b, "one")
			b.say(a, "two")
			if !w.await(time.Second, w.settled) || a.live() != 1 || b.live() != 1 {
				t.Errorf("%s from %s: not delivered, or %d and %d sessions", name, from, a.live(), b.live())
			}
			w.check()
		}
	}
}

// Handshake datagrams that are cut off anywhere do nothing, and what they were cut from still works.
func TestCutOffHandshakes(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	var cut []int
	for _, n := range []*simNode{a, b} {
		n.core.out = func(d []byte, to netip.AddrPort) {
			other := a
			if n == a {
				other = b
			}
			if slices.Contains([]byte{wire.TypeHello, wire.TypeReply, wire.TypeFinal}, d[0]) {
				d = bytes.Clone(d)
				cut = append(cut, len(d))
				before := other.core.stats
				for size := range d {
					other.core.receive(w.now, n.addr, bytes.Clone(d[:size]))
				}
				before.Malformed += uint64(len(d))
				if other.core.stats != before || len(other.core.halves) > 1 {
					t.Errorf("type %d: %+v, want %+v", d[0], other.core.stats, before)
				}
			}
			n.send(d, to)
		}
	}
	if _, err := a.opens(time.Second, Target{Addrs: b.at()}); err != nil || !slices.Equal(cut, []int{wire.HelloSize, wire.ReplySize, wire.FinalSize}) {
		t.Errorf("open: %v, having cut %v", err, cut)
	}
}

// always is a source of one number.
type always uint64

func (a always) Uint64() uint64 { return uint64(a) }

// A stranger who takes the index that somebody else has, and even seems to be at their
// address, doesn't keep the notice that this one has restarted from being heeded.
func TestStrangerUnderTheSameIndex(t *testing.T) {
	for _, roams := range []bool{false, true} {
		for _, first := range []bool{false, true} {
			w := newWorld(t, 1)
			a, b, m := w.node("ana"), w.node("bob"), w.node("mallory")
			w.announce(a)
			w.announce(b)
			const index = 0x5a5a5a5a
			opens := func(n *simNode) {
				random := n.core.random
				n.core.random = rand.New(always(index << 32))
				n.core.open(w.now, Target{Addrs: a.at()}, func(Person, error) {})
				n.core.random = random
				w.run(100 * time.Millisecond)
			}
			both := []*simNode{b, m}
			if first {
				both = []*simNode{m, b}
			}
			for _, n := range both {
				opens(n)
			}
			if a.live() != 2 || len(a.core.remotes[index]) != 2 {
				t.Fatalf("%d sessions, %d under the index", a.live(), len(a.core.remotes[index]))
			}
			a.say(b, "before")
			w.await(time.Second, w.settled)
			if roams {
				m.core.out = func(d []byte, _ netip.AddrPort) { a.core.receive(w.now, b.addr, bytes.Clone(d)) }
				m.core.typing(w.now, a.id.Key())
				w.run(time.Second)
			}
			w.run(time.Minute)
			b.start()
			began := w.now
			a.say(b, "after")
			if !w.await(time.Minute, w.settled) || w.now.Sub(began) > 50*time.Millisecond {
				t.Errorf("roams %v, first %v: took %v after the restart", roams, first, w.now.Sub(began))
			}
			w.check()
		}
	}
}
