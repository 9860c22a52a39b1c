package chat

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat/room"
)

// Many who open sessions to each other at once, each from both sides, by key or by address
// and some of them again and again, whatever the network loses: all are told that they have
// met, each once of everybody, what they then say comes once and in order, and each two end
// up with one session.
func TestManyOpenAtOnce(t *testing.T) {
	const people = 7
	for seed := range uint64(60) {
		w := newWorld(t, seed)
		w.loss, w.dup = 0.3*w.rng.Float64(), 0.1
		w.jitter = time.Duration(1 + w.rng.Int64N(int64(20*time.Millisecond)))
		for range people {
			w.announce(w.node("somebody"))
		}
		within := time.Duration(1 + w.rng.Int64N(int64(100*time.Millisecond)))
		asked, told := 0, 0
		for _, a := range w.nodes {
			for _, b := range w.nodes {
				if a == b {
					continue
				}
				for range 1 + w.rng.IntN(2) {
					asked++
					target := Target{Addrs: b.at()}
					if w.rng.IntN(4) > 0 {
						target.Key = b.id.Key()
					}
					if w.rng.IntN(2) > 0 { // where nobody is
						target.Addrs = append(target.Addrs, netip.MustParseAddrPort("198.18.9.9:41027"))
					}
					at := &timer{run: func(now time.Time) {
						a.core.open(now, target, func(p Person, err error) {
							if told++; err != nil || p.Key != b.id.Key() {
								t.Errorf("seed %d: told of %v, %v", seed, p, err)
							}
							a.say(b, strings.Repeat("hello ", w.rng.IntN(1000))+fmt.Sprint(told))
						})
					}}
					a.core.timers.set(at, w.now.Add(time.Duration(w.rng.Int64N(int64(within)))))
				}
			}
		}
		if !w.await(time.Minute, func() bool { return told >= asked && w.settled() }) {
			t.Errorf("seed %d: %d of %d told, or something not delivered", seed, told, asked)
		}
		w.run(2 * retireFor)
		if told != asked {
			t.Errorf("seed %d: told %d times, asked %d times", seed, told, asked)
		}
		w.check()
		for _, n := range w.nodes {
			if got := n.kinds(); !slices.Equal(got, slices.Repeat([]Kind{Met}, people-1)) {
				t.Errorf("seed %d: told of %v", seed, got)
			}
			met := map[Key]bool{}
			for _, e := range n.events {
				met[e.Person.Key] = true
			}
			if len(met) != people-1 || len(n.core.links) != people-1 {
				t.Errorf("seed %d: met %d, with %d sessions", seed, len(met), len(n.core.links))
			}
			if len(n.core.dials) > 0 || len(n.core.halves) > 0 || len(n.core.remotes) != people-1 {
				t.Errorf("seed %d: %d dials, %d halves and %d remotes left", seed, len(n.core.dials), len(n.core.halves), len(n.core.remotes))
			}
		}
		if t.Failed() {
			return
		}
	}
}

// What is said in a room in passing, first to some of a crowd and then to all of it, is shown
// by all at once: those whom the sender hadn't seen before are given what it follows (SPEC §13.7).
func TestSaidToPartOfACrowd(t *testing.T) {
	const people, seen, later = 30, 13, 5
	for seed := range uint64(5) {
		w := newWorld(t, seed)
		w.loss, w.jitter = 0.02, time.Millisecond
		ana := w.inRooms("ana", lobby)
		ana.closed = true
		var crowd []*simNode
		for i := range people {
			crowd = append(crowd, w.inRooms(fmt.Sprint("p", i), lobby))
		}
		w.gather()
		// says runs ana for one message, while she sees the first few.
		says := func(text string, sees int) {
			t.Helper()
			ana.seen = map[Key][]netip.AddrPort{}
			for _, n := range crowd[:sees] {
				ana.seen[n.id.Key()] = n.at()
			}
			ana.start()
			ana.core.rooms.passing = true
			id, to := ana.tells(lobby, text)
			if len(to) != sees {
				t.Fatalf("seed %d: %q was said to %d, not %d", seed, text, len(to), sees)
			}
			if !w.await(10*time.Second, func() bool { return len(ana.core.rooms.said.of(id).missing) == 0 }) {
				t.Fatalf("seed %d: %d lack %q", seed, len(ana.core.rooms.said.of(id).missing), text)
			}
			ana.core.close(w.now)
			w.run(time.Second)
			ana.closed = true
		}
		says("one", seen)
		says("two", 1)
		says("three", people-later)
		w.run(room.Recent / 2)
		says("four", people) // the last few come late
		w.run(time.Second)
		for i, n := range crowd {
			if got, want := n.heardIn(lobby), []string{"one", "two", "three", "four"}; !slices.Equal(got, want) {
				t.Errorf("seed %d: p%d was shown %q, want %q", seed, i, got, want)
			}
		}
		w.check()
		if t.Failed() {
			return
		}
	}
}

// A node that is only passing, and is seen at several addresses, is taken for one: whoever looks for another
// node of its person there doesn't replace the session with it.
func TestPassingNodeAtSeveralAddresses(t *testing.T) {
	for seed := range uint64(40) {
		w := newWorld(t, seed)
		w.delay, w.dual = 2*time.Millisecond, seed%2 == 1
		dev := Membership{Name: "#dev"}
		carol := w.inRooms("carol", dev)
		w.inRooms("bob", dev)
		carol.core.rooms.passing = true
		w.gather() // as after a knock
		surveyed := false
		carol.core.survey(w.now, func() { surveyed = true })
		if !w.await(time.Second, func() bool { return surveyed }) {
			t.Fatalf("seed %d: the survey has not ended", seed)
		}
		id, _ := carol.tells(dev, "hello")
		if !w.await(time.Second, func() bool { return len(carol.core.rooms.said.of(id).missing) == 0 }) {
			t.Errorf("seed %d: bob doesn't have it", seed)
		}
		before := w.counter
		w.run(3 * time.Second)
		if after := w.counter - before; after > 40 {
			t.Errorf("seed %d: %d datagrams in 3 s, with nothing to say", seed, after)
		}
	}
}

// What is said in a room goes to the node of a member that stays, although a session with one that only passes
// is there first, is heard all the time, and doesn't end.
func TestPassingNodeIsInNobodysWay(t *testing.T) {
	for _, lost := range []time.Duration{0, 400 * time.Millisecond} { // of what goes to the node that stays
		w := newWorld(t, 1)
		a, b := w.inRooms("ana", lobby), w.inRooms("bob", lobby)
		passing := w.sibling(b, lobby)
		passing.core.rooms.passing = true
		passing.seen[a.id.Key()] = a.at()
		passing.core.person(a.id.Key()).seen(w.now)
		passing.core.person(a.id.Key()).hint(w.now, a.at())
		passing.tells(lobby, "in passing")
		w.run(time.Second)
		expectList(t, "ana hears", a.heardIn(lobby), "in passing")

		way := [2]netip.Addr{a.addr.Addr(), b.addr.Addr()}
		w.cut[way] = lost > 0
		a.seen[b.id.Key()] = b.at()
		a.core.person(b.id.Key()).seen(w.now)
		a.core.person(b.id.Key()).hint(w.now, b.at())
		id, to := a.tells(lobby, "hello")
		expectList(t, "said to", to, "bob")
		for range 20 { // what ana hears meanwhile
			w.run(lost / 20)
			passing.tells(lobby, "more")
		}
		delete(w.cut, way)
		if !w.await(2*time.Second, func() bool { return len(a.core.rooms.said.of(id).missing) == 0 }) {
			t.Errorf("after %v: bob doesn't have it while another node of his is passing", lost)
		}
	}
}
