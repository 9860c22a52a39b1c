package chat

import (
	"bytes"
	"container/heap"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"earshot/chat/wire"
)

var (
	simSeed     = flag.Uint64("seed", 0, "simulate only this seed, and tell its story")
	simSeeds    = flag.Int("seeds", 100, "number of seeds to simulate")
	simMessages = flag.Int("messages", 60, "number of messages in each simulation")
)

// faults are ways to be wrong on purpose, to show that the simulation notices.
type faults struct {
	ackBeforeStoring bool
	noDedupe         bool
	weakReplay       bool
	careless         bool // holds nothing back in rooms
	drops            bool // acknowledges what is said in rooms that it isn't in
	oblivious        bool // doesn't notice that its process was stopped
}

// everySeed simulates with each seed, as many at a time as there are processors, until one
// fails. That one is simulated again and tells how its story ended, and how to have all of
// it: with -seed there is only that seed.
func everySeed(t *testing.T, seeds int, simulate func(t *testing.T, seed uint64, story *strings.Builder)) {
	if *simSeed != 0 {
		var story strings.Builder
		defer func() {
			if t.Failed() {
				t.Log(story.String())
			}
		}()
		simulate(t, *simSeed, &story)
		return
	}
	test := t.Name()
	var begun, failed atomic.Uint64
	t.Run("seeds", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				var seed uint64
				defer func() {
					if t.Failed() {
						failed.Store(seed)
						begun.Store(uint64(seeds)) // the others need not go on
					}
				}()
				for !t.Failed() {
					if seed = begun.Add(1); seed > uint64(seeds) {
						return
					}
					simulate(t, seed, nil)
				}
			})
		}
	})
	if seed := failed.Load(); seed != 0 {
		t.Run("again", func(t *testing.T) {
			var story strings.Builder
			defer func() {
				told := story.String()
				t.Log(told[max(0, len(told)-endOfStory):])
				t.Logf("seed %d; its whole story: go test ./chat -run '^%s$' -seed %d -messages %d", seed, test, seed, *simMessages)
			}()
			simulate(t, seed, &story)
		})
	}
}

// endOfStory is how many bytes of it are told without being asked for.
const endOfStory = 1 << 14

// TestSimulation talks over bad networks with nodes that crash, a seed each.
func TestSimulation(t *testing.T) {
	var said atomic.Int64
	everySeed(t, *simSeeds, func(t *testing.T, seed uint64, story *strings.Builder) {
		w := newWorld(t, seed)
		w.story = story
		w.conversation(faults{})
		said.Add(int64(w.said))
	})
	t.Logf("%d messages", said.Load())
}

// TestSimulationStored is the same with nodes that keep everything in a real store.
func TestSimulationStored(t *testing.T) {
	everySeed(t, *simSeeds/5, func(t *testing.T, seed uint64, story *strings.Builder) {
		w := newWorld(t, seed)
		w.dir, w.story = t.TempDir, story
		w.conversation(faults{})
		for _, n := range w.nodes {
			if err := n.disk.real.(io.Closer).Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestSimulationFindsFaults makes nodes wrong in ways that are easy to be wrong in,
// and expects the simulation to fail soon.
func TestSimulationFindsFaults(t *testing.T) {
	for what, f := range map[string]faults{
		"acknowledges before it stores": {ackBeforeStoring: true},
		"takes a message again":         {noDedupe: true},
		"replay window off by one":      {weakReplay: true},
	} {
		t.Run(what, func(t *testing.T) {
			for seed := uint64(1); seed <= 300; seed++ {
				probe := &probe{}
				w := newWorld(probe, seed)
				done := make(chan struct{})
				go func() { // a failing probe may end its goroutine
					defer close(done)
					w.conversation(f)
				}()
				<-done
				if probe.Failed() {
					t.Logf("found with seed %d", seed)
					return
				}
			}
			t.Error("not noticed in 300 seeds")
		})
	}
}

// probe counts complaints.
type probe struct{ complaints int }

func (p *probe) Helper()               {}
func (p *probe) Errorf(string, ...any) { p.complaints++ }
func (p *probe) Failed() bool          { return p.complaints > 0 }

func (p *probe) Fatal(...any) {
	p.complaints++
	runtime.Goexit()
}

func (p *probe) Fatalf(string, ...any) { p.Fatal() }

// conversation lets a few nodes talk while the network and the nodes have trouble.
func (w *world) conversation(f faults) {
	r := w.rng
	w.loss = r.Float64() * 0.4
	w.dup = r.Float64() * 0.2
	w.damage = r.Float64() * 0.05
	w.jitter = time.Duration(r.Int64N(int64(20 * time.Millisecond)))
	nodes := 2 + r.IntN(3)
	for i := range nodes {
		n := w.node(string(rune('a' + i)))
		n.faults = f
		n.old, n.follows = r.IntN(4) == 0, r.IntN(2) == 0
		n.start()
	}
	for _, n := range w.nodes {
		w.announce(n)
	}
	for i := range *simMessages {
		from, to := w.nodes[r.IntN(nodes)], w.nodes[r.IntN(nodes)]
		if from != to && !from.closed {
			size := 1 + r.IntN(200)
			if r.IntN(20) == 0 {
				size = 1 + r.IntN(MaxText-10)
			}
			from.say(to, fmt.Sprintf("%d ", i)+strings.Repeat("x", size))
		}
		w.trouble(from, to)
		w.run(time.Duration(r.Int64N(int64(30 * time.Millisecond))))
	}
	for _, n := range w.nodes {
		n.starving, n.doom = false, 0
		n.drain()
	}
	if !w.await(5*time.Minute, w.settled) {
		for _, n := range w.nodes {
			w.t.Errorf("%s: %d messages never known to be delivered", n.name, len(n.disk.outbox))
		}
	}
	w.run(10 * time.Second) // stragglers
	w.check()
	for _, n := range w.nodes {
		if n.core != nil && (len(n.core.links) > maxLinks || len(n.core.halves) > maxHalves) {
			w.t.Errorf("%s holds %d sessions, %d handshakes", n.name, len(n.core.links), len(n.core.halves))
		}
	}
}

// trouble lets something happen now and then.
func (w *world) trouble(from, to *simNode) {
	r := w.rng
	switch r.IntN(60) {
	case 0: // a one-way partition for a while
		way := [2]netip.Addr{from.addr.Addr(), to.addr.Addr()}
		w.cut[way] = true
		w.run(time.Duration(r.Int64N(int64(8 * time.Second))))
		delete(w.cut, way)
	case 1: // an address change
		from.addr = netip.AddrPortFrom(from.addr.Addr(), uint16(1024+r.IntN(60000)))
		w.announce(from)
	case 2: // an application that is busy elsewhere
		to.starving = true
		w.run(time.Duration(r.Int64N(int64(3 * time.Second))))
		to.starving = false
		to.drain()
	case 3: // rubbish
		for range 20 {
			b := make([]byte, 1+r.IntN(1300))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			b[0] = byte(r.IntN(8))
			if d := w.recent[r.IntN(len(w.recent))]; d != nil && r.IntN(4) > 0 {
				b = forge(r, d)
			}
			if !to.closed {
				to.gets(from.addr, b)
			}
		}
	case 4, 5: // a crash, soon, in the middle of something
		if !from.closed {
			from.doom = 1 + r.IntN(20)
		}
	case 6: // the clock jumps, as when a laptop sleeps
		w.moves(w.now.Add(time.Duration(r.Int64N(int64(time.Hour)))))
	case 8: // the path carries less, or more again
		w.most[[2]netip.Addr{from.addr.Addr(), to.addr.Addr()}] = r.IntN(2) * (wire.HelloSize + r.IntN(wire.MaxDatagram-wire.HelloSize))
	case 7: // everything on its way comes again, later
		for _, f := range slices.Clone(w.queue) {
			w.counter++
			f.at, f.n, f.b = f.at.Add(time.Duration(r.Int64N(int64(3*time.Second)))), w.counter, bytes.Clone(f.b)
			heap.Push(&w.queue, f)
		}
	}
}

// With 0.5 % loss and 1 ms each way, 999 of 1000 messages are delivered in 20 ms.
func TestTailUnderLoss(t *testing.T) {
	w := newWorld(t, 1)
	w.loss = 0.005
	w.jitter = time.Microsecond
	w.delay = time.Millisecond
	a, b := w.node("ana"), w.node("bob")
	w.announce(b)
	a.say(b, "hello")
	w.await(time.Second, w.settled)
	trips := make([]time.Duration, 20_000)
	for i := range trips {
		said := w.now
		a.say(b, fmt.Sprint(i))
		if !w.await(10*time.Second, w.settled) {
			t.Fatal("never delivered")
		}
		trips[i] = w.now.Sub(said)
		w.run(time.Millisecond)
		b.disk.heard[a.id.Key()], a.disk.said[b.id.Key()] = nil, nil // this is no test of memory
	}
	slices.Sort(trips)
	at := trips[len(trips)*999/1000]
	t.Logf("median %v, 99.9th percentile %v, slowest %v", trips[len(trips)/2], at, trips[len(trips)-1])
	if at > 20*time.Millisecond {
		t.Errorf("99.9th percentile %v", at)
	}
}
