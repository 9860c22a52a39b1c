package chat

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// suspension is a time in which a node's process is stopped: it takes nothing in, sends nothing and
// has no timers, and what comes waits at its socket.
type suspension struct {
	from, until time.Time // until is zero: it runs
	socket      []flight
}

const (
	silentFor  = 4 * time.Second // after which others take over
	atTheInlet = 100             // datagrams that wait at the socket
)

func (n *simNode) stopped() bool { return !n.suspended.until.IsZero() }

// suspend stops the node's process for a while.
func (n *simNode) suspend(d time.Duration) {
	if n.closed || n.stopped() {
		return
	}
	n.w.tell("%s is stopped for %v", n.name, d)
	n.suspended = suspension{from: n.w.now, until: n.w.now.Add(d)}
}

// holds keeps a datagram at the socket of a stopped process.
func (n *simNode) holds(f flight) bool {
	if s := &n.suspended; n.stopped() && len(s.socket) < atTheInlet {
		s.socket = append(s.socket, f)
	}
	return n.stopped()
}

// goOn lets a stopped process run again, which notices that it was.
func (n *simNode) goOn() {
	s := n.suspended
	n.suspended = suspension{}
	n.w.tell("%s goes on", n.name)
	if n.w.now.Sub(s.from) >= silentFor/2 && !n.faults.oblivious {
		n.core.lapse(n.w.now)
	}
	for _, f := range s.socket {
		if !n.closed {
			n.gets(f.from, f.b)
		}
	}
	n.core.tick(n.w.now)
	n.drain()
}

// shelf is what the nodes of one person keep in common.
type shelf struct {
	outbox      []Saying
	owner       map[ownKey]*simNode
	said, heard map[Key][]string
	ids         map[authored]bool
}

// keeper is what one node has of it.
type keeper struct {
	Store // for what it lacks: nobody is in a room
	*shelf
	node      *simNode
	delivered map[ownKey]int // how often it was told
}

func (k *keeper) Lapsed() bool { return false } // goOn says so

func (k *keeper) Waits(to Key) bool {
	return slices.ContainsFunc(k.outbox, func(s Saying) bool { return s.To == to && k.owner[keyOf(s)] != k.node })
}

func (k *keeper) Outbox(to Key) (all []Saying, err error) {
	for _, s := range k.outbox {
		switch o := k.owner[keyOf(s)]; {
		case s.To != to || o == nil || o == k.node:
		case o.stopped() && k.node.w.now.Sub(o.suspended.from) >= silentFor:
			delete(k.owner, keyOf(s))
		default:
			return nil, nil
		}
	}
	for _, s := range k.outbox {
		if s.To == to && k.owner[keyOf(s)] == nil {
			k.owner[keyOf(s)] = k.node
			all = append(all, s)
		}
	}
	return all, nil
}

func (k *keeper) Redeliver(Key, []string) ([]Saying, error) { return nil, nil }

func (k *keeper) Said(s Saying) (own bool, err error) {
	if own = !k.Waits(s.To); own {
		k.owner[keyOf(s)] = k.node
	}
	k.outbox = append(k.outbox, s)
	k.said[s.To] = append(k.said[s.To], s.Text)
	return own, nil
}

func (k *keeper) Release(to Key) bool {
	maps.DeleteFunc(k.owner, func(o ownKey, n *simNode) bool { return o.to == to && n == k.node })
	return true
}

func (k *keeper) Delivered(to Key, id MessageID, _ time.Time) error {
	o := ownKey{to, id}
	if k.delivered[o]++; k.delivered[o] > 1 {
		k.node.w.t.Errorf("%s is told twice that a message is delivered", k.node.name)
	}
	k.outbox = slices.DeleteFunc(k.outbox, func(s Saying) bool { return keyOf(s) == o })
	return nil
}

func (k *keeper) Heard(from Person, id MessageID, text string, _, _ time.Time) (fresh bool, err error) {
	if k.ids[authored{from.Key, id}] {
		return false, nil
	}
	k.ids[authored{from.Key, id}] = true
	k.heard[from.Key] = append(k.heard[from.Key], text)
	k.node.w.tell("%s keeps %q", k.node.name, short(text))
	return true, nil
}

// people makes two people with two nodes each, which keep what they have in common.
func (w *world) people(f faults) (all [2]*shelf, of map[*simNode]*keeper) {
	of = map[*simNode]*keeper{}
	for i := range all {
		all[i] = &shelf{owner: map[ownKey]*simNode{}, said: map[Key][]string{}, heard: map[Key][]string{}, ids: map[authored]bool{}}
		for j := range 2 {
			n := w.person(fmt.Sprintf("%c%d", 'a'+i, j+1))
			if j > 0 {
				first := w.nodes[len(w.nodes)-2]
				n.id, n.used = first.id, first.used
			}
			n.faults = f
			of[n] = &keeper{shelf: all[i], node: n, delivered: map[ownKey]int{}}
			n.store = of[n]
			n.start()
		}
	}
	return all, of
}

// at returns where the nodes of somebody are.
func (w *world) at(id *Identity) (all []netip.AddrPort) {
	for _, n := range w.nodes {
		if n.id == id {
			if all = append(all, n.addr); w.dual {
				all = append(all, n.addr6)
			}
		}
	}
	return all
}

// meetAll tells everybody where the others are.
func (w *world) meetAll() {
	for _, n := range w.nodes {
		for _, o := range w.nodes {
			if o.id != n.id && !n.stopped() {
				p := n.core.person(o.id.Key())
				p.seen(w.now)
				p.hint(w.now, w.at(o.id))
			}
		}
	}
}

// lookAfter lets each node look after what waits, as it does every second.
func (w *world) lookAfter(of map[*simNode]*keeper) {
	for _, n := range w.nodes {
		for _, o := range w.nodes {
			if o.id != n.id && !n.stopped() && of[n].Waits(o.id.Key()) {
				n.core.person(o.id.Key()).collect(w.now)
				n.drain()
			}
		}
	}
}

// pass lets time pass in which they do.
func (w *world) pass(of map[*simNode]*keeper, d time.Duration, ok func() bool) bool {
	for end := w.now.Add(d); w.now.Before(end); {
		if w.await(min(time.Second, end.Sub(w.now)), ok) {
			return true
		}
		w.lookAfter(of)
	}
	return ok()
}

// TestSimulationSuspended lets two people talk who have two processes each, of which some are
// stopped for a while. Nothing is lost, doubled or out of order, and one that is stopped for
// long holds up nothing.
func TestSimulationSuspended(t *testing.T) {
	everySeed(t, *simSeeds, func(t *testing.T, seed uint64, story *strings.Builder) {
		w := newWorld(t, seed)
		w.story = story
		w.suspensions(faults{})
	})
}

// TestSimulationSuspendedFindsFaults expects that to fail where a process doesn't notice that it was
// stopped.
func TestSimulationSuspendedFindsFaults(t *testing.T) {
	for seed := uint64(1); seed <= 100; seed++ {
		probe := &probe{}
		done := make(chan struct{})
		go func() { // a failing probe may end its goroutine
			defer close(done)
			newWorld(probe, seed).suspensions(faults{oblivious: true})
		}()
		if <-done; probe.Failed() {
			t.Logf("found with seed %d", seed)
			return
		}
	}
	t.Error("not noticed in 100 seeds")
}

func (w *world) suspensions(f faults) {
	r := w.rng
	w.loss, w.dup = r.Float64()*0.3, r.Float64()*0.2
	w.jitter = time.Duration(r.Int64N(int64(20 * time.Millisecond)))
	w.dual = r.IntN(2) == 0
	all, of := w.people(f)
	w.meetAll()
	never := func() bool { return false }
	back := map[string]bool{} // taken back
	for i := range *simMessages {
		n := w.nodes[r.IntN(len(w.nodes))]
		to := w.nodes[2]
		if n.id == to.id {
			to = w.nodes[0]
		}
		if !n.stopped() {
			w.said++
			w.tell("%s says %d", n.name, i)
			if _, err := n.core.send(w.now, to.id.Key(), fmt.Sprint(i)); err != nil {
				w.t.Fatalf("%s says: %v", n.name, err)
			}
			n.drain()
		}
		switch r.IntN(12) {
		case 0, 1:
			w.nodes[r.IntN(len(w.nodes))].suspend(time.Duration(r.Int64N(int64(20 * time.Second))))
		case 2: // the network is cut, and what was said then is taken back by another process
			o := w.nodes[r.IntN(len(w.nodes))]
			if k := of[o]; !o.stopped() && len(k.outbox) == 0 {
				w.takeBack(o, k, back, fmt.Sprint("back ", i))
			}
		}
		w.pass(of, time.Duration(r.Int64N(int64(3*time.Second))), never)
	}
	settled := func() bool { return len(all[0].outbox)+len(all[1].outbox) == 0 }
	for i, n := range w.nodes { // for ever, as far as the others are concerned
		if i%2 == 0 {
			if n.stopped() {
				n.goOn()
			}
			n.suspend(time.Hour)
		} else if n.stopped() {
			n.goOn()
		}
	}
	if !w.pass(of, 3*time.Minute, settled) {
		w.t.Errorf("%d and %d messages wait for processes that are stopped", len(all[0].outbox), len(all[1].outbox))
	}
	for _, n := range w.nodes {
		if n.stopped() {
			n.goOn()
		}
	}
	w.pass(of, time.Minute, never)
	w.quiet()
	for i, from := range all {
		me, you := w.nodes[2*i].id.Key(), w.nodes[2-2*i].id.Key()
		said := slices.DeleteFunc(from.said[you], func(text string) bool { return back[text] })
		if heard := all[1-i].heard[me]; !slices.Equal(said, heard) {
			w.t.Errorf("said %v\nheard %v", said, heard)
		}
	}
}

// takeBack has a node say something that can't go anywhere, and taken back while the node is stopped.
func (w *world) takeBack(n *simNode, k *keeper, back map[string]bool, text string) {
	for _, o := range w.nodes {
		if o.id != n.id {
			w.cut[[2]netip.Addr{n.addr.Addr(), o.addr.Addr()}] = true
		}
	}
	to := w.nodes[2]
	if n.id == to.id {
		to = w.nodes[0]
	}
	w.tell("%s says %q, which is taken back", n.name, text)
	if _, err := n.core.send(w.now, to.id.Key(), text); err != nil {
		w.t.Fatalf("%s says: %v", n.name, err)
	}
	n.drain()
	n.suspend(silentFor + time.Second)
	w.run(silentFor + time.Second/2)
	k.outbox = slices.DeleteFunc(k.outbox, func(s Saying) bool {
		if s.Text == text && k.owner[keyOf(s)] == n { // nobody else sends it already
			back[text] = true
		}
		return back[s.Text]
	})
	w.run(time.Second)
	clear(w.cut)
}
