package chat

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat/room"
)

var (
	roomSeeds = flag.Int("room-seeds", 2, "number of seeds to simulate rooms with")
	roomNodes = flag.Int("room-nodes", 50, "number of nodes in each simulation of rooms")
)

// TestRoomSimulation lets many talk in rooms while they come, go, crash and are cut off from
// each other.
func TestRoomSimulation(t *testing.T) {
	everySeed(t, *roomSeeds, func(t *testing.T, seed uint64, story *strings.Builder) {
		w := newWorld(t, seed)
		w.story = story
		w.gathering(*roomNodes, 150, faults{})
		t.Logf("seed %d: %d messages, %d answers, shown %d times", seed, w.said, w.answers, w.shows())
	})
}

// TestRoomSimulationStored is the same with fewer nodes that keep everything in a real store.
func TestRoomSimulationStored(t *testing.T) {
	everySeed(t, *roomSeeds, func(t *testing.T, seed uint64, story *strings.Builder) {
		w := newWorld(t, seed)
		w.dir, w.story = t.TempDir, story
		w.gathering(8, 60, faults{})
		for _, n := range w.nodes {
			if err := n.disk.real.(io.Closer).Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestRoomSimulationFindsFaults makes nodes wrong, and expects the simulation to fail soon.
func TestRoomSimulationFindsFaults(t *testing.T) {
	for what, f := range map[string]faults{
		"holds nothing back":    {careless: true},
		"takes a message again": {noDedupe: true},
	} {
		t.Run(what, func(t *testing.T) {
			for seed := uint64(1); seed <= 50; seed++ {
				probe := &probe{}
				w := newWorld(probe, seed)
				done := make(chan struct{})
				go func() { // a failing probe may end its goroutine
					defer close(done)
					w.gathering(8, 60, f)
				}()
				<-done
				if probe.Failed() {
					t.Logf("found with seed %d", seed)
					return
				}
			}
			t.Error("not noticed in 50 seeds")
		})
	}
}

// gathering lets nodes talk in the lobby, and some of them in a private room.
func (w *world) gathering(nodes, rounds int, f faults) {
	r := w.rng
	w.loss, w.dup = r.Float64()*0.1, r.Float64()*0.1
	w.dual = r.IntN(2) == 0
	w.jitter = time.Duration(1 + r.Int64N(int64(20*time.Millisecond)))
	secret := Membership{Name: "#secret", Key: room.Key{42}}
	for i := range nodes {
		n := w.node(fmt.Sprint("n", i))
		n.faults = f
		n.rooms = []Membership{{Name: room.Here}}
		n.off = w.wrong()
		if i%4 == 0 {
			n.rooms = append(n.rooms, secret)
		}
		n.start()
	}
	for _, n := range w.nodes {
		w.announce(n)
	}
	w.run(5 * time.Second)
	for range rounds {
		n := w.nodes[r.IntN(nodes)]
		if !n.closed {
			m := n.rooms[r.IntN(len(n.rooms))]
			text := fmt.Sprintf("%d", w.said)
			if last := n.lastShown(m.Name); last != "" && r.IntN(2) == 0 {
				text += " re " + strings.Fields(last)[0]
				w.answers++
			}
			w.said++
			w.tell("%s says %q in %s", n.name, text, m.Name)
			if _, _, err := n.core.sayIn(w.now, m.Name, text); err != nil && !n.closed {
				w.t.Fatalf("%s in %s: %v", n.name, m.Name, err)
			}
			n.drain()
		}
		w.upheaval()
		w.run(time.Duration(r.Int64N(int64(100 * time.Millisecond))))
	}
	w.cut = map[[2]netip.Addr]bool{}
	for _, n := range w.nodes {
		if n.doom = 0; n.closed {
			n.back = time.Time{}
			n.start()
		}
	}
	for _, n := range w.nodes {
		w.announce(n)
	}
	w.run(30 * time.Second) // until those who were missed have been met
	if !w.await(5*time.Minute, w.settled) {
		for _, n := range w.nodes {
			for _, s := range n.disk.outbox {
				w.t.Errorf("%s: %q in %s is never known to be delivered to %s", n.name, s.Text, s.Room, w.nameOf(s.To))
			}
		}
	}
	w.run(30 * time.Second) // what is held back
	w.quiet()
	w.checkRooms()
}

func (w *world) nameOf(k Key) string {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *simNode) bool { return n.id.Key() == k })].name
}

// lastShown is the text of the latest message that the node has seen in a room.
func (n *simNode) lastShown(name string) string {
	for _, e := range slices.Backward(n.shown) {
		if e.Room == name {
			return e.Text
		}
	}
	return ""
}

func (w *world) shows() (all int) {
	for _, n := range w.nodes {
		all += len(n.shown)
	}
	return all
}

// unannounce tells every other node that n is no longer seen.
func (w *world) unannounce(n *simNode) {
	for _, o := range w.nodes {
		if o != n && !o.closed {
			o.core.person(n.id.Key()).unseen(w.now)
		}
		delete(o.seen, n.id.Key())
	}
}

// wrong is by how much a clock is wrong: mostly it isn't.
func (w *world) wrong() time.Duration {
	const day = 24 * time.Hour
	off := []time.Duration{400 * day, -8 * 365 * day, time.Unix(1, 0).Sub(simBegin), 2 * time.Second, -time.Minute}
	if i := w.rng.IntN(2 * len(off)); i < len(off) {
		return off[i]
	}
	return 0
}

// upheaval lets something happen now and then.
func (w *world) upheaval() {
	r := w.rng
	a, b := w.nodes[r.IntN(len(w.nodes))], w.nodes[r.IntN(len(w.nodes))]
	switch r.IntN(40) {
	case 0: // somebody who has been heard out leaves, and is back some time later
		if w.await(10*time.Second, func() bool { return a.closed || len(a.disk.outbox) == 0 }); a.closed || len(a.disk.outbox) > 0 {
			return
		}
		w.tell("%s leaves", a.name)
		a.core.close(w.now)
		w.unannounce(a)
		w.run(500 * time.Millisecond)
		a.closed, a.doom = true, 0
		a.back = w.now.Add(time.Duration(1 + r.Int64N(int64(20*time.Second))))
		a.since = a.back
	case 1, 2: // a crash, soon, in the middle of something
		if !a.closed {
			a.doom = 1 + r.IntN(30)
		}
	case 3: // two can't hear each other, one way, for a while
		way := [2]netip.Addr{a.addr.Addr(), b.addr.Addr()}
		w.cut[way] = true
		w.run(time.Duration(r.Int64N(int64(3 * time.Second))))
		delete(w.cut, way)
	case 5, 6: // a clock is set
		if w.dir == nil { // a store can't tell what happens between two runs
			a.sets(w.wrong())
		}
	case 4: // the network falls in two, which discovery may notice, and grows together
		half := map[*simNode]bool{}
		for _, n := range w.nodes {
			half[n] = r.IntN(2) == 0
		}
		noticed := r.IntN(2) == 0
		for _, n := range w.nodes {
			for _, o := range w.nodes {
				if half[n] != half[o] {
					w.cut[[2]netip.Addr{n.addr.Addr(), o.addr.Addr()}] = true
					if noticed && !o.closed {
						o.core.person(n.id.Key()).unseen(w.now)
					}
				}
			}
		}
		w.tell("the network falls in two")
		for range 5 {
			n := w.nodes[r.IntN(len(w.nodes))]
			if !n.closed {
				text := fmt.Sprintf("%d", w.said)
				w.said++
				w.tell("%s says %q in %s", n.name, text, room.Here)
				_, _, _ = n.core.sayIn(w.now, room.Here, text)
				n.drain()
			}
			w.run(time.Duration(r.Int64N(int64(6 * time.Second))))
		}
		w.cut = map[[2]netip.Addr]bool{}
		w.tell("the network grows together")
		for _, n := range w.nodes {
			if !n.closed {
				w.announce(n)
			}
		}
		w.run(5 * time.Second)
	}
}

// checkRooms expects that everybody has everything of the rooms they are in exactly once, and
// nothing before what it answers.
func (w *world) checkRooms() {
	w.t.Helper()
	for _, m := range []Membership{w.nodes[0].rooms[0], w.nodes[0].rooms[1]} {
		var order []string // at all members
		in := func(n *simNode) bool { return slices.Contains(n.rooms, m) }
		said := map[authored]*line{}
		for _, n := range w.nodes {
			for id, l := range n.disk.lines {
				if l.to != nil && l.Room == m.Handle() {
					said[id] = l
				}
			}
		}
		for _, n := range w.nodes {
			log := n.disk.log(m.Handle())
			if !in(n) {
				if len(log) > 0 {
					w.t.Errorf("%s isn't in %s and has %d messages of it", n.name, m.Name, len(log))
				}
				continue
			}
			if len(log) != len(said) {
				w.t.Errorf("%s has %d of the %d messages of %s", n.name, len(log), len(said), m.Name)
			}
			var kept []string
			for _, l := range log {
				if kept = append(kept, l.Text); l.times != 1 {
					w.t.Errorf("%s has taken %q %d times", n.name, l.Text, l.times)
				}
			}
			w.inOrder(n.name+" keeps", kept)
			if order == nil {
				order = kept
			} else if len(kept) == len(order) && !slices.Equal(kept, order) {
				w.t.Errorf("%s keeps %s in another order than others", n.name, m.Name)
			}
			var shown []string
			for _, e := range n.shown { // what was said while it was away may come from some much later than from others
				switch {
				case e.Room != m.Name || e.Sent.Before(n.since):
				case n.outwaited[authored{e.Person.Key, e.ID}]:
					shown = append(shown, strings.Fields(e.Text)[0]) // whatever it answers
				default:
					shown = append(shown, e.Text)
				}
			}
			w.inOrder(n.name+" was shown", shown)
		}
	}
}

// inOrder expects each text once, and none before the one that it answers.
func (w *world) inOrder(who string, texts []string) {
	w.t.Helper()
	at := map[string]int{}
	for i, text := range texts {
		id := strings.Fields(text)[0]
		if _, again := at[id]; again {
			w.t.Errorf("%s %q twice", who, text)
		}
		at[id] = i
	}
	for i, text := range texts {
		if words := strings.Fields(text); len(words) == 3 {
			if q, ok := at[words[2]]; ok && q > i {
				w.t.Errorf("%s %q before its question", who, text)
			}
		}
	}
}
