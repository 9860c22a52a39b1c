package chat

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

var processSeeds = flag.Int("process-seeds", 30, "number of seeds to simulate people with several processes with")

// household is a person with several processes, each in rooms of its own besides the lobby, which keep what
// is said in one place and follow each other, as those of one data directory do.
type household struct {
	w         *world
	processes []*simNode
	rooms     []Membership // that any of them is in at times
	visits    map[*simNode][]Membership
	followed  map[*simNode]int // of contents.news
	spoken    map[*simNode]map[string]bool
}

// household adds a person with so many processes.
func (w *world) household(name string, processes int, f faults, older bool, rooms ...Membership) *household {
	h := &household{
		w: w, rooms: rooms, visits: map[*simNode][]Membership{},
		followed: map[*simNode]int{}, spoken: map[*simNode]map[string]bool{},
	}
	for i := range processes {
		n := w.person(fmt.Sprint(name, i+1))
		if i > 0 {
			first := h.processes[0]
			n.id, n.used, n.disk = first.id, first.used, &disk{node: n, contents: first.disk.contents}
		}
		n.faults, n.old, n.disk.shared = f, older, true
		h.processes = append(h.processes, n)
	}
	for _, n := range h.processes {
		h.begin(n)
	}
	return h
}

// begin starts a process, which visits other rooms than before.
func (h *household) begin(n *simNode) {
	h.visits[n] = nil
	n.passing = n != h.processes[0] && h.w.rng.IntN(3) == 0
	for _, m := range h.rooms {
		if h.w.rng.IntN(2) == 0 {
			h.visits[n] = append(h.visits[n], m)
		}
	}
	h.run(n)
}

func (h *household) run(n *simNode) {
	n.back, n.doom, n.suspended = time.Time{}, 0, suspension{}
	n.rooms = h.union(n)
	h.followed[n], h.spoken[n] = len(n.disk.news), map[string]bool{}
	n.start()
	h.w.announce(n)
	n.drain()
}

// union is the rooms that any process is in, the lobby and those of n first.
func (h *household) union(n *simNode) []Membership {
	all := append([]Membership{lobby}, h.visits[n]...)
	for _, o := range h.processes {
		for _, m := range h.visits[o] {
			if !o.closed && !o.passing && o.core != nil && !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all
}

// follow lets a process do what it does every second, and when another has written.
func (h *household) follow(n *simNode) {
	w := h.w
	n.rooms = h.union(n)
	for _, name := range slices.Sorted(maps.Keys(n.core.rooms.in)) {
		if !slices.ContainsFunc(n.rooms, func(m Membership) bool { return m.Name == name }) {
			_ = n.core.leave(w.now, name)
		}
	}
	for _, m := range n.rooms {
		if err := n.core.join(w.now, m); err != nil && !n.closed {
			w.t.Fatal(err)
		}
	}
	for news := n.disk.news; h.followed[n] < len(news); h.followed[n]++ {
		at := news[h.followed[n]]
		if at.by == n {
			continue
		}
		l := n.disk.lines[at.authored]
		k := Kept{Saying: l.Saying, N: int64(h.followed[n] + 1), Out: l.to != nil, At: w.now}
		if k.To = (Key{}); !k.Out {
			k.To = l.from
		} else {
			h.spoken[n][RoomName(l.Room)] = true
		}
		if !n.core.overhear(w.now, k) {
			break
		}
	}
	for name := range h.spoken[n] {
		n.core.shareAll(w.now, name)
	}
	clear(h.spoken[n])
	for _, p := range n.core.sorted() {
		if n.disk.Waits(p.Key) {
			p.collect(w.now)
		}
	}
	n.drain()
}

// neighbourhood is some households.
type neighbourhood struct {
	*world
	all []*household
}

func (nb *neighbourhood) running() (all []*simNode) {
	for _, n := range nb.nodes {
		if !n.closed && !n.stopped() {
			all = append(all, n)
		}
	}
	return all
}

// pass lets time pass, in which processes follow each other.
func (nb *neighbourhood) pass(d time.Duration, ok func() bool) bool {
	for end := nb.now.Add(d); nb.now.Before(end); {
		if nb.await(min(200*time.Millisecond, end.Sub(nb.now)), ok) {
			return true
		}
		for _, h := range nb.all {
			for _, n := range h.processes {
				if !n.closed && !n.stopped() && nb.rng.IntN(3) == 0 {
					h.follow(n)
				}
			}
		}
	}
	return ok()
}

// TestSimulationOfProcesses lets people talk in rooms and with each other who have several processes, each in
// other rooms, which are killed, stopped, ended and started at random, while clocks are set.
func TestSimulationOfProcesses(t *testing.T) {
	everySeed(t, *processSeeds, func(t *testing.T, seed uint64, story *strings.Builder) {
		w := newWorld(t, seed)
		w.story = story
		w.processes(faults{})
	})
}

// TestSimulationOfProcessesFindsFaults expects that to fail where what isn't kept is acknowledged.
func TestSimulationOfProcessesFindsFaults(t *testing.T) {
	for seed := uint64(1); seed <= 100; seed++ {
		probe := &probe{}
		done := make(chan struct{})
		go func() { // a failing probe may end its goroutine
			defer close(done)
			newWorld(probe, seed).processes(faults{drops: true})
		}()
		if <-done; probe.Failed() {
			t.Logf("found with seed %d", seed)
			return
		}
	}
	t.Error("not noticed in 100 seeds")
}

func (w *world) processes(f faults) {
	r := w.rng
	w.loss, w.dup = r.Float64()*0.2, r.Float64()*0.2
	w.dual = r.IntN(2) == 0
	w.jitter = time.Duration(1 + r.Int64N(int64(20*time.Millisecond)))
	other := Membership{Name: "#other"}
	nb := &neighbourhood{world: w}
	for i, name := range []string{"ana", "bob", "carol"} {
		older := i == 2 && r.IntN(2) == 0 // and then in no private room
		rooms := []Membership{open, other, secret}[:3-r.IntN(2)]
		if older {
			rooms = rooms[:2]
		}
		nb.all = append(nb.all, w.household(name, 1+r.IntN(3), f, older, rooms...))
	}
	for _, n := range w.nodes {
		w.announce(n)
	}
	never := func() bool { return false }
	for _, h := range nb.all {
		nb.clock(h)
	}
	nb.pass(2*time.Second, never)
	for range 60 {
		if all := nb.running(); len(all) > 0 {
			nb.talks(all[r.IntN(len(all))])
		}
		nb.trouble()
		nb.pass(time.Duration(r.Int64N(int64(400*time.Millisecond))), never)
	}
	for _, h := range nb.all { // all are back, in all rooms
		for i, n := range h.processes {
			if n.stopped() {
				n.goOn()
			}
			if n.doom = 0; i == 0 {
				h.visits[n] = h.rooms
			}
			if n.closed {
				h.run(n)
			}
		}
	}
	for _, n := range w.nodes {
		w.announce(n)
	}
	if !nb.pass(10*time.Minute, w.settled) {
		for _, h := range nb.all {
			for _, s := range h.processes[0].disk.outbox {
				w.t.Errorf("%s: %q in %q is never known to be delivered to %s (%v)", h.processes[0].name, s.Text, s.Room, w.nameOf(s.To), h.processes[0].disk.declined[keyOf(s)])
			}
		}
	}
	nb.pass(time.Minute, never) // what is held back
	w.quiet()
	nb.check()
	for _, n := range nb.running() { // those stay who are only passing, of some people with nobody else
		if !n.passing && r.IntN(2) == 0 {
			nb.ends(n)
		}
	}
	nb.pass(time.Minute, never)
	w.quiet()
}

// ends ends a process, with a goodbye.
func (nb *neighbourhood) ends(n *simNode) {
	nb.tell("%s ends", n.name)
	n.core.close(nb.now)
	n.drain()
	n.closed = true
	n.disk.disown()
}

// talks says something in a room, or to somebody.
func (nb *neighbourhood) talks(n *simNode) {
	w, r := nb.world, nb.rng
	w.said++
	text := fmt.Sprint(w.said)
	if r.IntN(4) == 0 {
		to := nb.all[r.IntN(len(nb.all))].processes[0]
		if to.id != n.id {
			w.tell("%s says %q to %s", n.name, text, to.name)
			_, _ = n.core.send(w.now, to.id.Key(), text) // nobody may know yet where they are
		}
	} else {
		names := slices.Sorted(maps.Keys(n.core.rooms.in))
		name := names[r.IntN(len(names))]
		w.tell("%s says %q in %s", n.name, text, name)
		if _, _, err := n.core.sayIn(w.now, name, text); err != nil && !n.closed {
			w.t.Fatalf("%s in %s: %v", n.name, name, err)
		}
	}
	n.drain()
}

// clock sets the clock of a person's machine.
func (nb *neighbourhood) clock(h *household) {
	off := nb.wrong()
	nb.tell("the clock of %s is off by %v", h.processes[0].name, off)
	for _, n := range h.processes {
		if n.closed || n.stopped() {
			n.off = off
		} else {
			n.sets(off)
		}
	}
}

// trouble lets something happen to a process.
func (nb *neighbourhood) trouble() {
	w, r := nb.world, nb.rng
	h := nb.all[r.IntN(len(nb.all))]
	n := h.processes[r.IntN(len(h.processes))]
	switch what := r.IntN(8); {
	case n.stopped():
	case n.closed && n.back.IsZero():
		h.begin(n)
		w.tell("%s starts, and visits %d rooms", n.name, len(h.visits[n]))
	case n.closed:
	case what == 0: // at once, and started again in other rooms
		w.tell("%s is killed", n.name)
		n.closed = true
	case what == 1: // in the middle of something, and started again by itself
		n.doom = 1 + r.IntN(20)
	case what == 2:
		nb.ends(n)
	case what == 4:
		nb.clock(h)
	case what == 3:
		n.suspend(time.Duration(r.Int64N(int64(10 * time.Second))))
	}
}

// check expects that everybody to whom something was said has it, once, and all that is the same in the same order.
func (nb *neighbourhood) check() {
	w := nb.world
	w.t.Helper()
	for _, h := range nb.all {
		d := h.processes[0].disk
		for at, l := range d.lines {
			for to := range l.to {
				for _, o := range nb.all {
					if them := o.processes[0]; them.id.Key() == to && them.disk.lines[at] == nil {
						w.t.Errorf("%s doesn't have %q, which %s said in %s", them.name, l.Text, h.processes[0].name, l.Room)
					}
				}
			}
		}
		for _, n := range h.processes {
			shown := map[string]bool{}
			for _, e := range n.shown {
				if what := e.Room + " " + e.Text; shown[what] {
					w.t.Errorf("%s was shown %q twice", n.name, what)
				} else {
					shown[what] = true
				}
			}
		}
		for _, o := range nb.all {
			if o == h {
				continue
			}
			me, you := h.processes[0].id.Key(), o.processes[0].id.Key()
			if said, heard := d.said[you], o.processes[0].disk.heard[me]; !slices.Equal(said, heard) {
				w.t.Errorf("%s has said %v to %s, who has heard %v", h.processes[0].name, said, o.processes[0].name, heard)
			}
			for _, m := range []Membership{lobby, open, {Name: "#other"}, secret} {
				mine, theirs := texts(d, o.processes[0].disk, m), texts(o.processes[0].disk, d, m)
				if !slices.Equal(mine, theirs) {
					w.t.Errorf("%s: %s has %v, %s has %v", m.Name, h.processes[0].name, mine, o.processes[0].name, theirs)
				}
			}
		}
	}
}

// texts returns what a disk has of a room in order, as far as another has it too.
func texts(d, other *disk, m Membership) (all []string) {
	for _, l := range d.log(m.Handle()) {
		if other.lines[authored{l.from, l.ID}] != nil {
			all = append(all, l.Text)
		}
	}
	return all
}
