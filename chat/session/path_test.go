package session

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"earshot/chat/wire"
)

// wireUp is a network between both ends of a dialogue, that carries datagrams up to a size each way.
type wireUp struct {
	ends   [2]*side
	clock  *time.Time
	most   [2]int // bytes that pass from each end
	loss   float64
	delay  time.Duration
	rng    *rand.Rand
	queue  []passing
	heard  [2][]string
	oddest [2]int // largest datagram sent by each end since it was set to 0, except probes
	bytes  [2]int
}

type passing struct {
	at time.Time
	to int
	b  []byte
}

func newWireUp(t *testing.T, seed uint64) *wireUp {
	a, b, clock := dialogue(t)
	return &wireUp{
		ends: [2]*side{a, b}, clock: clock, most: [2]int{wire.MaxDatagram, wire.MaxDatagram},
		delay: 500 * time.Microsecond, rng: rand.New(rand.NewPCG(seed, 1)),
	}
}

// step lets all that is due be sent and the next thing happen, and reports whether something did before until.
func (u *wireUp) step(until time.Time) bool {
	for i, s := range u.ends {
		u.heard[i] = append(u.heard[i], s.hears()...)
		for {
			round := s.send.path.round
			probes := 0
			if p := s.send.path.search; p != nil {
				probes = len(p.probes)
			}
			d := s.Next(*u.clock, &s.w, wire.MaxDatagram)
			if d == nil {
				break
			}
			probe := s.send.path.round != round || s.send.path.search != nil && len(s.send.path.search.probes) < probes
			u.bytes[i] += len(d)
			if !probe {
				u.oddest[i] = max(u.oddest[i], len(d))
			}
			if len(d) <= u.most[i] && u.rng.Float64() >= u.loss {
				u.queue = append(u.queue, passing{u.clock.Add(u.delay), 1 - i, bytes.Clone(d)})
			}
		}
	}
	next, who := until, -1
	for _, s := range u.ends {
		if at := s.Wake(); !at.IsZero() && at.Before(next) {
			next, who = at, 2
		}
	}
	if len(u.queue) > 0 && u.queue[0].at.Before(next) {
		next, who = u.queue[0].at, u.queue[0].to
	}
	if next.After(*u.clock) {
		*u.clock = next
	}
	if who < 0 {
		return false
	}
	if who < 2 {
		u.ends[who].gets(u.queue[0].b)
		u.queue = u.queue[1:]
	}
	return true
}

// run lets time pass until ok, at most d, and reports whether it became so.
func (u *wireUp) run(d time.Duration, ok func() bool) bool {
	until := u.clock.Add(d)
	for !ok() {
		if !u.step(until) {
			return ok()
		}
	}
	return true
}

func never() bool { return false }

// fits is the size that a path of so many bytes is found to have.
func fits(most int) int {
	for _, size := range sizes {
		if size <= most {
			return size
		}
	}
	return 0
}

// A message larger than what the path carries gets there in parts, soon, with all that follows it, and so
// does the longest state; datagrams of many small messages shrink too. When the path carries more again,
// that is found out.
func TestPathSizeIsFound(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", (MaxText+wire.MaxRoomHead)/16)
	for _, most := range []int{1060, 1000, 999, 700, 548, 500, 368} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			u := newWireUp(t, 1)
			a, b := u.ends[0], u.ends[1]
			a.Divide()
			a.says("before")
			u.run(time.Second, func() bool { return a.Pending() == 0 })
			u.most[0] = most // from now on, and in this direction alone
			began := *u.clock
			a.Push(Message{ID: [16]byte{1}, Text: long, Form: wire.FormRoom})
			a.Tell(bytes.Repeat([]byte{7}, wire.MaxState))
			a.says("after")
			b.says(long[:MaxText])
			if !u.run(10*time.Second, func() bool { return a.Pending() == 0 && b.Pending() == 0 && !a.Telling() }) {
				t.Fatalf("%d and %d messages never arrive, path size %d", a.Pending(), b.Pending(), a.PathSize())
			}
			if took := u.clock.Sub(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			if h := u.heard[1]; len(h) != 3 || h[1] != long || h[2] != "after" {
				t.Errorf("%d messages came out", len(h))
			}
			if state, _ := b.News(); len(state) != wire.MaxState {
				t.Errorf("a state of %d bytes came out", len(state))
			}
			expect(t, "path size", a.PathSize(), fits(most))
			expect(t, "path size the other way", b.PathSize(), wire.MaxDatagram)
			expect(t, "held", b.Held(), 0)

			u.oddest[0] = 0
			for range 100 {
				a.says(strings.Repeat("y", 60))
			}
			began = *u.clock
			if !u.run(10*time.Second, func() bool { return a.Pending() == 0 }) {
				t.Fatal("small messages never arrive")
			}
			if took := u.clock.Sub(began); took > 100*time.Millisecond {
				t.Errorf("small messages took %v", took)
			}
			if u.oddest[0] > most {
				t.Errorf("a datagram of %d bytes", u.oddest[0])
			}

			u.most[0] = wire.MaxDatagram
			for i := 0; a.PathSize() < wire.MaxDatagram; i++ {
				if i > 120 {
					t.Fatal("the path is never found to carry more")
				}
				a.says("still there?")
				u.run(time.Second, never)
			}
			u.bytes[0] = 0
			u.run(time.Hour, never)
			expect(t, "bytes sent in idle time", u.bytes[0], 0)
		})
	}
}

// A hole that opens in the midst of a long message doesn't stop it, nor one that comes and goes.
func TestPathSizeChangesInMidMessage(t *testing.T) {
	for seed := range uint64(20) {
		u := newWireUp(t, seed)
		u.loss = u.rng.Float64() * 0.3
		a, b := u.ends[0], u.ends[1]
		a.Divide()
		b.Divide()
		var want [2][]string
		for i := range 30 {
			text := fmt.Sprint(i) + strings.Repeat("x", u.rng.IntN(MaxText-10))
			from := u.rng.IntN(2)
			u.ends[from].says(text)
			want[1-from] = append(want[1-from], text)
			if u.rng.IntN(3) == 0 {
				u.most[u.rng.IntN(2)] = leastSize + u.rng.IntN(wire.MaxDatagram-leastSize+1)
			}
			u.run(time.Duration(u.rng.Int64N(int64(500*time.Millisecond))), never)
		}
		if !u.run(time.Minute, func() bool { return a.Pending()+b.Pending() == 0 }) {
			t.Fatalf("seed %d: %d and %d messages never arrive, sizes %d of %d and %d of %d", seed, a.Pending(), b.Pending(),
				a.PathSize(), u.most[0], b.PathSize(), u.most[1])
		}
		for i := range want {
			if strings.Join(want[i], "|") != strings.Join(u.heard[i], "|") {
				t.Errorf("seed %d: what came out isn't what went in", seed)
			}
		}
	}
}

// To a peer that takes no parts a message that the path doesn't carry is stuck, beyond doubt after a while;
// one that it carries is not.
func TestStuckWithoutParts(t *testing.T) {
	u := newWireUp(t, 1)
	a := u.ends[0]
	u.most[0] = 1000
	began := *u.clock
	a.says("first", strings.Repeat("x", 5000), "after")
	if !u.run(10*time.Second, func() bool { return a.Stuck(*u.clock) }) {
		t.Fatal("it is never stuck")
	}
	if took := u.clock.Sub(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	expect(t, "carries 900 bytes", a.Carries(900), true)
	expect(t, "carries 5000 bytes", a.Carries(5000), false)
	expect(t, "state", a.CarriesState() < 1000-wire.SealedHeader-wire.Tag, true)
	var left []string
	for _, m := range a.Take() {
		left = append(left, m.Text[:min(5, len(m.Text))])
	}
	expect(t, "left", left, "[xxxxx after]")
	expect(t, "stuck", a.Stuck(*u.clock), false)

	a.says(strings.Repeat("y", 900))
	u.most[0] = 1000
	u.run(time.Second, never)
	expect(t, "stuck", a.Stuck(*u.clock), false)
}

// A path may come to carry even less while all that is sent is larger than what it is taken to carry, so that
// only lost probes tell; or may have carried more when its size was handed to this session.
func TestPathShrinksAgain(t *testing.T) {
	for _, inherited := range []bool{true, false} {
		for _, most := range []int{767, 548, 400, leastSize} {
			u := newWireUp(t, 1)
			a := u.ends[0]
			if inherited {
				a.StartPath(*u.clock, 768)
				a.says(strings.Repeat("x", 5000), "after")
			} else {
				u.most[0] = 800
				a.says(strings.Repeat("x", 5000), "after")
				u.run(10*time.Second, func() bool { return a.PathSize() == 768 })
			}
			u.most[0] = most
			began := *u.clock
			if !u.run(10*time.Second, func() bool { return a.Stuck(*u.clock) && a.PathSize() == fits(most) }) {
				t.Fatalf("inherited %v, path of %d: not stuck, path size %d", inherited, most, a.PathSize())
			}
			if took := u.clock.Sub(began); took > 6*time.Second {
				t.Errorf("inherited %v, path of %d: it took %v", inherited, most, took)
			}
		}
	}
}

// Loss that takes datagrams of all sizes alike is taken for a hole rarely, and not for long; a message is
// never given up for it.
func TestLossIsNoHole(t *testing.T) {
	var small, all time.Duration
	for seed := range uint64(100) {
		u := newWireUp(t, seed)
		u.loss = 0.4
		a := u.ends[0]
		if seed%2 == 0 {
			a.Divide()
		}
		for range 40 {
			a.says(strings.Repeat("x", 1+u.rng.IntN(3000)))
			until := u.clock.Add(time.Duration(u.rng.Int64N(int64(500 * time.Millisecond))))
			for u.clock.Before(until) {
				before, size := *u.clock, a.PathSize()
				u.step(until)
				all += u.clock.Sub(before)
				if size < wire.MaxDatagram {
					small += u.clock.Sub(before)
				}
				if a.Stuck(*u.clock) {
					t.Fatalf("seed %d: a message is stuck", seed)
				}
			}
		}
		if !u.run(time.Minute, func() bool { return a.Pending() == 0 && a.PathSize() == wire.MaxDatagram }) {
			t.Errorf("seed %d: %d messages are left, path size %d", seed, a.Pending(), a.PathSize())
		}
	}
	t.Logf("smaller than it is %.1f %% of the time", 100*small.Seconds()/all.Seconds())
	if small > all/20 {
		t.Errorf("smaller than it is for %v of %v", small, all)
	}
}

// While no probe may be sent, as to an address that is being checked, there is nothing to wake up for.
func TestNoProbeToUncheckedAddress(t *testing.T) {
	a, _, clock := dialogue(t)
	a.StartPath(*clock, 548)
	a.says("hello")
	for _, limit := range []int{100, 1000} {
		*clock = clock.Add(time.Second)
		for d := a.Next(*clock, &a.w, limit); d != nil; d = a.Next(*clock, &a.w, limit) {
			if len(d) > limit {
				t.Errorf("%d bytes", len(d))
			}
		}
		if at := a.Wake(); !at.After(*clock) {
			t.Errorf("with %d bytes it wakes up at once", limit)
		}
	}
	a.Close()
	*clock = clock.Add(time.Second)
	a.sends()
	if at := a.Wake(); !at.After(*clock) {
		t.Error("after its goodbye it wakes up at once")
	}
}

// Parts that contradict each other, or don't stand where parts stand, are malformed and cost nothing.
func TestPartsThatDontFit(t *testing.T) {
	for what, f := range map[string]wire.Frame{
		"longer than a fragment":  {Whole: FragmentSize + 1, Data: make([]byte, 64)},
		"outside the whole":       {Whole: 100, Block: 1, Data: make([]byte, 64)},
		"not on a boundary":       {Whole: 1000, Data: make([]byte, 65)},
		"far outside":             {Whole: 1000, Block: 200, Data: make([]byte, 64)},
		"a place without a whole": {Block: 1, Data: make([]byte, 64)},
		"a whole of another size": {Whole: 700, Block: 2, Data: make([]byte, 64)},
	} {
		a, b, clock := dialogue(t)
		good := wire.Frame{Type: wire.FrameMessage, Seq: 1, ID: make([]byte, 16), Whole: 800, Data: make([]byte, 64)}
		b.gets(a.seal(good))
		held := b.Held()
		f.Type, f.Seq = wire.FrameMessage, 1
		if _, err := b.Open(*clock, a.seal(f), &b.w); err == nil && what != "a place without a whole" {
			t.Errorf("%s: taken", what)
		}
		f.Type, f.Seq = wire.FrameRooms, 1
		good.Type, good.ID = wire.FrameRooms, nil
		b.gets(a.seal(good))
		_, _ = b.Open(*clock, a.seal(f), &b.w)
		expect(t, what+": held", b.Held(), held)
		expect(t, what+": news", b.Heralds(), what == "a place without a whole")
		expect(t, what+": heard", b.hears(), "[]")
	}
}
