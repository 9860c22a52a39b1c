package chat

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat/wire"
)

// scissors is a bulk socket that cuts apart what it is given, or can't.
type scissors struct {
	PacketConn
	cannot bool
	calls  int
	out    []string
}

func (s *scissors) note(d []byte, to netip.AddrPort) {
	s.out = append(s.out, fmt.Sprintf("%v %s", to, d))
}

func (s *scissors) write(b []byte, size int, to netip.AddrPort) bool {
	if s.cannot {
		return false
	}
	s.calls++
	for d := range slices.Chunk(b, size) {
		s.note(d, to)
	}
	return true
}

func (s *scissors) read([]byte) (int, int, netip.AddrPort, error) { panic("not read") }

func (s *scissors) WriteToUDPAddrPort(d []byte, to netip.AddrPort) (int, error) {
	s.calls++
	s.note(d, to)
	return len(d), nil
}

// Whatever is sent to whomever in one turn goes out as it is and in order, in as few calls
// as there are runs of one size to one address.
func TestBatch(t *testing.T) {
	ana, bob := netip.MustParseAddrPort("198.18.0.1:1"), netip.MustParseAddrPort("198.18.0.2:1")
	long, short := bytes.Repeat([]byte("x"), 1200), []byte("y")
	type to struct {
		addr netip.AddrPort
		d    []byte
	}
	for name, tc := range map[string]struct {
		sends []to
		calls int
	}{
		"nothing":      {nil, 0},
		"one":          {[]to{{ana, long}}, 1},
		"a run":        {[]to{{ana, long}, {ana, long}, {ana, short}}, 1},
		"short first":  {[]to{{ana, short}, {ana, long}}, 2},
		"after short":  {[]to{{ana, long}, {ana, short}, {ana, short}}, 2},
		"by turns":     {[]to{{ana, long}, {bob, long}, {ana, long}}, 3},
		"more than 64": {slices.Repeat([]to{{ana, short}}, maxBatch+1), 2},
		"more than 64 KiB": {
			slices.Repeat([]to{{bob, long}}, batchRoom/wire.MaxDatagram+1), 2,
		},
	} {
		for _, cannot := range []bool{false, true} {
			s := &scissors{cannot: cannot}
			n := &Node{conn: s, bulk: s, core: &core{}}
			var want []string
			for _, send := range tc.sends {
				n.write(send.d, send.addr)
				want = append(want, fmt.Sprintf("%v %s", send.addr, send.d))
			}
			n.writeBatch()
			calls := tc.calls
			if cannot {
				calls = len(tc.sends)
			}
			if !slices.Equal(s.out, want) || s.calls != calls || len(n.batch.b) > 0 {
				t.Errorf("%s, cannot=%v: %d of %d datagrams in %d calls, not %d", name, cannot, len(s.out), len(want), s.calls, calls)
			}
		}
	}
}

// What came together is taken apart.
func TestReceiveTogether(t *testing.T) {
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for size, datagrams := range map[int]uint64{0: 1, 1: 3, 2: 2, 3: 1, 4: 1} {
		n := &Node{}
		if n.core, err = newCore(Config{Identity: id}, rand.New(rand.NewPCG(1, 1)), nil); err != nil {
			t.Fatal(err)
		}
		in := arrivals{b: []byte("xyz"), size: size}
		if size == 0 {
			in.b = in.b[:0]
		}
		n.receive(time.Now(), in)
		if got := n.core.stats.Malformed; got != datagrams {
			t.Errorf("of size %d: %d datagrams, not %d", size, got, datagrams)
		}
	}
}

// A text of many datagrams comes whole, through whatever socket the system has.
func TestLongTextsOverLoopback(t *testing.T) {
	a, b := loopbackNode(t, "ana"), loopbackNode(t, "bob")
	p, err := a.Open(t.Context(), Target{Addrs: []netip.AddrPort{b.LocalAddr()}})
	if err != nil {
		t.Fatal(err)
	}
	go func() { // a is to have its acknowledgements
		for {
			if _, err := a.Next(t.Context()); err != nil {
				return
			}
		}
	}()
	const texts = 20
	for i := range texts {
		if _, err := a.Send(p.Key, strings.Repeat(string(rune('a'+i)), MaxText-i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < texts; {
		e, err := b.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == Message {
			if e.Text != strings.Repeat(string(rune('a'+i)), MaxText-i) {
				t.Fatalf("text %d isn't what was sent", i)
			}
			i++
		}
	}
}
