package session

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat/wire"
)

// side is one end of a dialogue.
type side struct {
	t *testing.T
	*Session
	clock *time.Time
	w     Scratch
}

// dialogue returns both ends of a session at a clock that the test moves.
func dialogue(t *testing.T) (a, b *side, clock *time.Time) {
	now := time.Unix(1_700_000_000, 0)
	clock = &now
	k1, k2 := [32]byte{1}, [32]byte{2}
	a = &side{t: t, Session: New(now, k1, k2, 11, 22), clock: clock}
	b = &side{t: t, Session: New(now, k2, k1, 22, 11), clock: clock}
	return a, b, clock
}

// sends returns all datagrams that are due.
func (s *side) sends() (all [][]byte) {
	for {
		d := s.Next(*s.clock, &s.w, wire.MaxDatagram)
		if d == nil {
			return all
		}
		all = append(all, bytes.Clone(d))
	}
}

// gets takes datagrams, which must be authentic.
func (s *side) gets(all ...[]byte) {
	s.t.Helper()
	for _, d := range all {
		if _, err := s.Open(*s.clock, bytes.Clone(d), &s.w); err != nil {
			s.t.Fatalf("an authentic datagram is refused: %v", err)
		}
	}
}

// hears accepts what is complete.
func (s *side) hears() (texts []string) {
	for {
		m, ok := s.Incoming()
		if !ok {
			return texts
		}
		texts = append(texts, m.Text)
		s.Accept()
	}
}

func (s *side) says(texts ...string) {
	for _, text := range texts {
		s.Push(Message{ID: [16]byte{1}, Text: text, Sent: *s.clock})
	}
}

func (s *side) receipts() (n int) {
	for {
		if _, ok := s.Receipt(); !ok {
			return n
		}
		n++
	}
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestMessageAndReceipt(t *testing.T) {
	a, b, clock := dialogue(t)
	sent := clock.Add(-time.Hour).Truncate(time.Millisecond)
	a.Push(Message{ID: [16]byte{7}, Text: "hello", Sent: sent})
	b.gets(a.sends()...)
	m, ok := b.Incoming()
	if !ok || m.ID != [16]byte{7} || m.Text != "hello" || !m.Sent.Equal(sent) {
		t.Fatalf("got %+v, %v", m, ok)
	}
	expect(t, "datagrams before acceptance that ack it", a.receiptAfter(b), 0)
	b.Accept()
	*clock = clock.Add(3 * time.Millisecond)
	a.gets(b.sends()...)
	r, ok := a.Receipt()
	if !ok || r.ID != [16]byte{7} || r.RTT != 3*time.Millisecond {
		t.Errorf("got receipt %+v, %v", r, ok)
	}
	expect(t, "pending", a.Pending(), 0)
	expect(t, "wake", a.Wake(), time.Time{})
}

// receiptAfter passes what b sends to a and counts the receipts.
func (s *side) receiptAfter(b *side) int {
	s.gets(b.sends()...)
	return s.receipts()
}

func TestOrderAndOnce(t *testing.T) {
	a, b, clock := dialogue(t)
	var all [][]byte
	for i := range 6 {
		a.says(fmt.Sprint(i))
		*clock = clock.Add(2 * time.Millisecond) // so that none waits for company
		all = append(all, a.sends()...)
	}
	slices.Reverse(all)
	b.gets(all...)
	expect(t, "heard", b.hears(), "[0 1 2 3 4 5]")
	for _, d := range all {
		if _, err := b.Open(*clock, bytes.Clone(d), &b.w); !errors.Is(err, ErrReplay) {
			t.Errorf("a replayed datagram: got %v, want ErrReplay", err)
		}
	}
	expect(t, "heard again", b.hears(), "[]")
	expect(t, "receipts", a.receiptAfter(b), 6)
}

func TestLossIsMended(t *testing.T) {
	a, b, clock := dialogue(t)
	a.says("lost")
	a.sends()
	if at := a.Wake().Sub(*clock); at != InitialRTO {
		t.Errorf("first timeout after %v, SPEC §7.6 says %v", at, InitialRTO)
	}
	*clock = a.Wake()
	b.gets(a.sends()...)
	expect(t, "heard", b.hears(), "[lost]")
	b.sends() // this ack is lost too
	if at := a.Wake().Sub(*clock); at != 2*InitialRTO {
		t.Errorf("second timeout after %v, want twice the first", at)
	}
	*clock = a.Wake()
	b.gets(a.sends()...)
	expect(t, "heard again", b.hears(), "[]")
	expect(t, "receipts", a.receiptAfter(b), 1)
}

// After three datagrams past it are acknowledged, a fragment is sent again at once.
func TestFastRetransmission(t *testing.T) {
	a, b, clock := dialogue(t)
	a.says("first")
	a.sends()
	for i := range 3 {
		a.says(fmt.Sprint(i))
		b.gets(a.sends()...)
		a.gets(b.sends()...)
	}
	before := *clock
	b.gets(a.sends()...)
	expect(t, "heard", b.hears(), "[first 0 1 2]")
	expect(t, "time passed", clock.Sub(before), time.Duration(0))
}

func TestLongText(t *testing.T) {
	a, b, clock := dialogue(t)
	long := strings.Repeat("0123456789abcdef", MaxText/16)
	a.says("before", long, "after")
	for range 10 {
		b.gets(a.sends()...)
		*clock = clock.Add(ackDelay)
		if heard := b.hears(); slices.Contains(heard, long) {
			expect(t, "after it", heard[len(heard)-1], "after")
		}
		a.gets(b.sends()...)
	}
	expect(t, "receipts", a.receipts(), 3)
}

func TestDatagramsAreFilledAndBounded(t *testing.T) {
	a, b, _ := dialogue(t)
	for range 64 {
		a.says(strings.Repeat("x", 200))
	}
	all := a.sends()
	for _, d := range all {
		if len(d) > wire.MaxDatagram {
			t.Errorf("a datagram has %d bytes", len(d))
		}
	}
	b.gets(all...)
	if n := len(b.hears()); n != startWindow {
		t.Errorf("%d messages went out at once, the first window is %d", n, startWindow)
	}
	if len(all) > startWindow/4+1 {
		t.Errorf("%d messages of 200 bytes took %d datagrams", startWindow, len(all))
	}
}

// Full datagrams in order are acknowledged three at a time, and never later than
// ackDelay; what came out of order is at once (SPEC §7.4).
func TestAcksOfFullDatagrams(t *testing.T) {
	a, b, clock := dialogue(t)
	a.says(strings.Repeat("x", 5*FragmentSize))
	all := a.sends()
	expect(t, "datagrams at once", len(all), 4)
	*clock = a.Wake() // the last one waited for company
	all = append(all, a.sends()...)
	acks := 0
	for i, d := range all {
		b.gets(d)
		b.hears()
		if n := len(b.sends()); n > 0 {
			acks += n
			expect(t, "first ack after datagram", i+1, ackEvery)
		}
	}
	expect(t, "acks of five", acks, 1)
	expect(t, "wake", b.Wake().Sub(*clock), ackDelay)
	*clock = b.Wake()
	expect(t, "acks when it is time", len(b.sends()), 1)
	a.says(strings.Repeat("y", 3*FragmentSize))
	a.gets(b.sends()...)
	more := a.sends()
	b.gets(more[1])
	expect(t, "acks of a gap", len(b.sends()), 1)
}

// What follows from the frame before in the same datagram is left out, so that five texts
// of 200 bytes fit, and is the same at the reader (SPEC §6).
func TestShortFrames(t *testing.T) {
	a, b, clock := dialogue(t)
	first := *clock
	for i := range 5 {
		if i == 3 {
			*clock = clock.Add(5 * time.Millisecond)
		}
		a.Push(Message{ID: [16]byte{byte(i)}, Text: strings.Repeat("x", 200), Sent: *clock})
	}
	all := a.sends()
	expect(t, "datagrams", len(all), 1)
	b.gets(all...)
	for i := range 5 {
		m, ok := b.Incoming()
		sent := first
		if i >= 3 {
			sent = *clock
		}
		if !ok || m.ID[0] != byte(i) || !m.Sent.Equal(sent) {
			t.Errorf("message %d: read as %v of %v, %v", i, m.ID, m.Sent, ok)
		}
		b.Accept()
	}
}

// A number can't be left out of the first message frame of a datagram.
func TestFrameWithoutNumber(t *testing.T) {
	s := New(time.Now(), [32]byte{}, [32]byte{}, 1, 2)
	var b before
	f := wire.Frame{Type: wire.FrameMessage, ID: make([]byte, 16), Data: []byte("x")}
	b.expand(&f)
	if err := s.frame(time.Now(), &f, false); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v, want %v", err, ErrMalformed)
	}
}

// Over a slow link a window is spread over the round trip, after a first burst.
func TestPacing(t *testing.T) {
	a, b, clock := dialogue(t)
	const trip = 100 * time.Millisecond
	a.says("measure")
	d := a.sends()
	*clock = clock.Add(trip)
	b.gets(d...)
	b.hears()
	a.gets(b.sends()...)
	a.says(strings.Repeat("x", MaxText))
	began := *clock
	sent := len(a.sends())
	if sent > paceBurst+1 {
		t.Errorf("%d datagrams at once, the burst is %d", sent, paceBurst)
	}
	for clock.Sub(began) < trip && sent < startWindow {
		*clock = a.Wake()
		n := len(a.sends())
		if n > 1 {
			t.Errorf("%d datagrams at once after %v", n, clock.Sub(began))
		}
		sent += n
	}
	if d := clock.Sub(began); sent < startWindow || d < trip/5 {
		t.Errorf("%d datagrams in %v", sent, d)
	}
}

// The first messages go at once; more small ones wait for company, but not for long.
func TestSmallMessagesWaitForCompany(t *testing.T) {
	a, b, clock := dialogue(t)
	for i := range holdFrom {
		a.says("x")
		expect(t, fmt.Sprintf("datagrams for message %d", i), len(a.sends()), 1)
	}
	a.says("y")
	a.says("z")
	expect(t, "datagrams while much is in flight", len(a.sends()), 0)
	expect(t, "wake", a.Wake().Sub(*clock), holdFor)
	*clock = a.Wake()
	late := a.sends()
	expect(t, "datagrams afterwards", len(late), 1)
	b.gets(late...)
	b.gets()
	expect(t, "heard before the first four", b.hears(), "[]")
}

// An application that takes nothing stops its sender, and loses nothing.
func TestBackPressure(t *testing.T) {
	a, b, clock := dialogue(t)
	var want []string
	for i := range 3 * Window {
		want = append(want, fmt.Sprint(i))
	}
	a.says(want...)
	for range 50 {
		*clock = clock.Add(MaxRTO)
		b.gets(a.sends()...)
		b.Incoming()
		a.gets(b.sends()...)
		if len(b.recv.held) > Window {
			t.Fatalf("%d fragments held", len(b.recv.held))
		}
	}
	expect(t, "receipts while nothing is accepted", a.receipts(), 0)
	var got []string
	for range 50 {
		got = append(got, b.hears()...)
		a.gets(b.sends()...)
		*clock = clock.Add(MaxRTO)
		b.gets(a.sends()...)
	}
	expect(t, "heard", got, want)
	expect(t, "receipts", a.receipts(), len(want))
}

func TestForgedAndForeign(t *testing.T) {
	a, b, clock := dialogue(t)
	a.says("hello")
	good := a.sends()[0]
	for i := wire.SealedHeader; i < len(good); i++ {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, err := b.Open(*clock, bad, &b.w); !errors.Is(err, ErrForged) {
			t.Fatalf("byte %d flipped: got %v, want ErrForged", i, err)
		}
	}
	header := bytes.Clone(good)
	header[2] ^= 1 // the receiver index is sealed too
	if _, err := b.Open(*clock, header, &b.w); !errors.Is(err, ErrForged) {
		t.Errorf("header changed: got %v, want ErrForged", err)
	}
	if _, err := a.Open(*clock, bytes.Clone(good), &a.w); !errors.Is(err, ErrForged) {
		t.Errorf("a datagram sent back to its sender: got %v, want ErrForged", err)
	}
	b.gets(good) // none of them moved the window
	expect(t, "heard", b.hears(), "[hello]")
}

func TestViolations(t *testing.T) {
	id := make([]byte, 16)
	for what, frames := range map[string][]wire.Frame{
		"a fragment of no message": {{Type: wire.FrameMessage, Seq: 1, Data: []byte("x")}},
		"a first amid another": {
			{Type: wire.FrameMessage, Seq: 1, ID: id, Count: 3, Data: []byte("x")},
			{Type: wire.FrameMessage, Seq: 2, ID: id, Data: []byte("y")},
		},
	} {
		a, b, _ := dialogue(t)
		b.gets(a.seal(frames...))
		expect(t, what+": heard", b.hears(), "[]")
		expect(t, what+": violated", b.Violated(), true)
	}
	for what, f := range map[string]wire.Frame{
		"fragment number 0":      {Type: wire.FrameMessage, ID: id, Data: []byte("x")},
		"no text":                {Type: wire.FrameMessage, Seq: 1, ID: id},
		"text over the limit":    {Type: wire.FrameMessage, Seq: 1, ID: id, Data: make([]byte, FragmentSize+1)},
		"short id":               {Type: wire.FrameMessage, Seq: 1, ID: id[1:], Data: []byte("x")},
		"too many fragments":     {Type: wire.FrameMessage, Seq: 1, ID: id, Count: MaxFragments + 1, Data: []byte("x")},
		"ack of what isn't sent": {Type: wire.FrameAck, Seq: 2},
		"ack of nothing":         {Type: wire.FrameAck},
	} {
		a, b, clock := dialogue(t)
		if _, err := b.Open(*clock, a.seal(f), &b.w); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", what, err)
		}
		expect(t, what+": heard", b.hears(), "[]")
	}
}

// seal makes a datagram of frames that a session would not make.
func (s *side) seal(frames ...wire.Frame) []byte {
	var buf bytes.Buffer
	for i := range frames {
		wire.AppendFrame(&buf, &frames[i])
	}
	out := wire.AppendSealedHeader(nil, s.remote, s.counter)
	out = s.sealer.Seal(out, s.setNonce(s.counter), buf.Bytes(), out)
	s.counter++
	return out
}

// What lies beyond the window costs nothing, whatever a peer sends.
func TestFarFragmentsAreNotKept(t *testing.T) {
	a, b, _ := dialogue(t)
	for i := range uint64(1000) {
		b.gets(a.seal(wire.Frame{Type: wire.FrameMessage, Seq: 2 + i*7, ID: make([]byte, 16), Data: []byte("x")}))
	}
	if n := len(b.recv.held); n > Window {
		t.Errorf("%d fragments held", n)
	}
	expect(t, "heard", b.hears(), "[]")
}

func TestPing(t *testing.T) {
	a, b, clock := dialogue(t)
	a.Ping()
	ping := a.sends()
	expect(t, "pings", len(ping), 1)
	expect(t, "waiting since", a.WaitingSince(), *clock)
	*clock = a.Wake()
	again := a.sends()
	expect(t, "pings again", len(again), 1)
	b.gets(again...)
	a.gets(b.sends()...)
	expect(t, "waiting", a.WaitingSince().IsZero(), true)
	a.sends()
	expect(t, "wake", a.Wake(), time.Time{})
}

func TestGoodbye(t *testing.T) {
	a, b, clock := dialogue(t)
	a.says("never sent")
	a.Close()
	a.sends() // lost
	*clock = a.Wake()
	b.gets(a.sends()...)
	expect(t, "b sees that a left", b.PeerLeft(), true)
	expect(t, "heard", b.hears(), "[]")
	a.gets(b.sends()...)
	expect(t, "a sees the answer", a.PeerLeft(), true)
	expect(t, "datagrams afterwards", len(a.sends())+len(b.sends()), 0)
	expect(t, "wake", a.Wake(), time.Time{})
}

func TestTakeBack(t *testing.T) {
	a, b, _ := dialogue(t)
	a.says("one")
	b.gets(a.sends()...)
	b.hears()
	a.gets(b.sends()...)
	a.says("two", "three")
	a.sends()
	var left []string
	for _, m := range a.Take() {
		left = append(left, m.Text)
	}
	expect(t, "taken back", left, "[two three]")
	expect(t, "pending", a.Pending(), 0)
	expect(t, "datagrams afterwards", len(a.sends()), 0)
}

func TestReplayWindow(t *testing.T) {
	var r replay
	steps := []struct {
		counter uint64
		fresh   bool
	}{
		{0, true},
		{0, false},
		{1, true},
		{5, true},
		{3, true},
		{3, false},
		{5, false},
		{2000, true},
		{5, false},
		{976, true},
		{976, false},
		{977, true},
		{975, false},
		{2000 + 64*17, true},
		{2000, false},
		{2001 + 64, true},
		{1 << 40, true},
		{1<<40 - 1024, true},
		{1<<40 - 1025, false},
	}
	for _, s := range steps {
		fresh := r.fresh(s.counter)
		if fresh != s.fresh {
			t.Errorf("counter %d: fresh %v, want %v", s.counter, fresh, s.fresh)
		}
		if fresh {
			r.mark(s.counter)
		}
	}
}

// The window agrees with a plain set of all that was seen.
func FuzzReplayWindow(f *testing.F) {
	f.Add([]byte{0, 1, 2, 1, 200, 3, 255, 255, 255, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var r replay
		seen := map[uint64]bool{}
		var top, at uint64
		for i := 0; i+1 < len(steps); i += 2 {
			at = top + uint64(steps[i])*uint64(steps[i+1]) - min(top, uint64(steps[i+1])*8)
			want := !seen[at] && (at >= top || top-at <= ReplayWindow+1)
			if got := r.fresh(at); got != want {
				t.Fatalf("counter %d under %d: fresh %v, want %v", at, top, got, want)
			}
			if want {
				r.mark(at)
				seen[at] = true
				top = max(top, at+1)
			}
		}
	})
}

// Whatever a peer with valid keys sends, the session neither panics nor grows.
func FuzzFrames(f *testing.F) {
	var buf bytes.Buffer
	wire.AppendFrame(&buf, &wire.Frame{Type: wire.FrameMessage, Seq: 1, ID: make([]byte, 16), Count: 2, Data: []byte("x")})
	wire.AppendFrame(&buf, &wire.Frame{Type: wire.FrameMessage, Seq: 2, Data: []byte("y")})
	wire.AppendFrame(&buf, &wire.Frame{Type: wire.FrameAck, Seq: 2, Sack: 5})
	f.Add(buf.Bytes())
	buf.Reset()
	wire.AppendFrame(&buf, &wire.Frame{Type: wire.FrameMessage, Seq: 1, ID: make([]byte, 16), Data: make([]byte, wire.PartUnit), Whole: 65})
	wire.AppendFrame(&buf, &wire.Frame{Type: wire.FrameMessage, Seq: 1, Data: []byte("y"), Block: 1, Whole: 65})
	wire.AppendFrame(&buf, &wire.Frame{Type: wire.FrameDeclined, Seq: 2, ID: make([]byte, 16), Reason: wire.Quota})
	wire.AppendFrame(&buf, &wire.Frame{Type: wire.FrameNoted, Seq: 1})
	wire.AppendFrame(&buf, &wire.Frame{Type: wire.FrameRooms, Seq: 1, Data: []byte("x"), Block: 15, Whole: 961})
	wire.AppendFrame(&buf, &wire.Frame{Type: wire.FrameChecked, Seq: probeToken | 1<<16 | 548})
	f.Add(buf.Bytes())
	f.Fuzz(func(t *testing.T, plain []byte) {
		if len(plain) > wire.MaxPlain {
			return
		}
		a, b, _ := dialogue(t)
		b.StartPath(*b.clock, 768)
		b.Divide()
		b.says("one", "two", "three")
		b.sends()
		out := wire.AppendSealedHeader(nil, a.remote, 0)
		b.Open(*b.clock, a.sealer.Seal(out, a.setNonce(0), plain, out), &b.w)
		if _, ok := b.Incoming(); ok {
			b.Decline(wire.NotNow)
		}
		b.hears()
		for i := 0; len(b.sends()) > 0; i++ {
			if i > 10 {
				t.Fatal("does not stop sending")
			}
		}
		size := len(b.recv.partial.text) + len(b.recv.whole)
		for _, g := range b.recv.held {
			if size += segmentSize + len(g.data); g.parts != nil {
				size += len(g.parts.whole)
			}
		}
		if b.Held() != size {
			t.Fatalf("%d bytes are counted of %d held", b.Held(), size)
		}
		if !slices.Contains(sizes[:], b.PathSize()) {
			t.Fatalf("the path has a size of %d", b.PathSize())
		}
		if n := len(b.recv.held); n > Window {
			t.Fatalf("%d fragments held", n)
		}
		if b.send.flying < 0 || b.send.losses < 0 || b.send.flying > b.send.flight.Len() {
			t.Fatalf("%d flying, %d lost of %d", b.send.flying, b.send.losses, b.send.flight.Len())
		}
	})
}

// Fragments as small as a peer likes are taken, and cost no more than the window.
func TestTinyFragments(t *testing.T) {
	a, b, _ := dialogue(t)
	heard := 0
	for m := range uint64(50) {
		for i := range uint64(MaxFragments) {
			f := wire.Frame{Type: wire.FrameMessage, Seq: 1 + m*MaxFragments + i, Data: []byte("x")}
			if i == 0 {
				f.ID, f.Count = make([]byte, 16), MaxFragments
			}
			b.gets(a.seal(f))
			if b.hears() != nil {
				heard++
			}
			if held, n := b.Held(), int(i)+1; held > n {
				t.Fatalf("%d fragments of a byte take %d bytes", n, held)
			}
			b.sends()
		}
		if b.Held() != 0 {
			t.Fatalf("%d bytes are held of what is accepted", b.Held())
		}
	}
	expect(t, "messages", heard, 50)
}

// Any text, cut and carried over a line that loses and reorders, comes out as it went in.
func FuzzDelivery(f *testing.F) {
	f.Add(uint16(5), uint64(1))
	f.Add(uint16(MaxText-1), uint64(7))
	f.Fuzz(func(t *testing.T, size uint16, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		text := make([]byte, int(size)+1)
		for i := range text {
			text[i] = byte(rng.Uint32())
		}
		a, b, clock := dialogue(t)
		a.says(string(text), "after")
		var got []string
		for range 400 {
			carry := func(from, to *side) {
				all := from.sends()
				rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				for _, d := range all {
					if rng.IntN(4) > 0 {
						to.gets(d)
					}
				}
			}
			carry(a, b)
			got = append(got, b.hears()...)
			carry(b, a)
			if a.Pending() == 0 {
				break
			}
			*clock = clock.Add(MaxRTO)
		}
		if len(got) != 2 || got[0] != string(text) || got[1] != "after" || a.Pending() != 0 {
			t.Fatalf("%d messages came out, %d are pending", len(got), a.Pending())
		}
	})
}
