package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/wire"
)

// crowd is people who say things in a room, each with an id of one byte.
type crowd struct {
	t     testing.TB
	name  string
	nodes []room.Node
}

var me = chat.Person{Key: key(200), Name: "me"}

// says makes a message of somebody, which names others.
func (c *crowd) says(who chat.Person, n int, clock uint64, names ...room.Ref) chat.Saying {
	h := wire.RoomHead{Name: c.name, Clock: clock}
	for i, r := range names {
		if b := refBytes(r); i%3 < 2 {
			h.Parents = append(h.Parents, b)
		} else {
			h.Earlier = append(h.Earlier, b)
		}
	}
	head := must[[]byte](c.t)(wire.MarshalRoomHead(&h))
	c.nodes = append(c.nodes, room.Node{Ref: refOf(id(n), who.Key), Clock: clock, Names: names})
	return chat.Saying{From: who.Key, ID: id(n), Text: fmt.Sprint(n), Sent: now, Room: c.name, Head: string(head), Clock: clock}
}

// keep puts a message into a store.
func keep(t testing.TB, s *Store, m chat.Saying) {
	t.Helper()
	if m.From == me.Key {
		must[[]bool](t)(s.SaidIn(m, nil))
	} else {
		must[bool](t)(s.HeardIn(chat.Person{Key: m.From, Name: "x"}, m, now))
	}
}

// ordered returns the numbers of messages in the order of their room.
func ordered(nodes []room.Node) (all []string) {
	nodes = slices.Clone(nodes)
	room.Sort(nodes)
	for _, n := range nodes {
		all = append(all, fmt.Sprint(int(n.ID[0])<<16|int(n.ID[1])<<8|int(n.ID[2])))
	}
	return all
}

// However messages come, and whatever is deleted of them, the log has them in the order of the room; and so it has
// pages of it.
func TestOrder(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := &crowd{t: t, name: room.Here}
		people := append(slices.Clone(trio), me)
		var all []chat.Saying
		for n := range 5 + r.IntN(40) {
			clock := []uint64{tick(uint64(n)), tick(uint64(n)), tick(0) + 400*86_400_000, tick(0) - 8*365*86_400_000, 1, 1 << 63}[r.IntN(6)]
			var names []room.Ref
			for range r.IntN(4) {
				if n > 0 && r.IntN(20) > 0 {
					names = append(names, c.nodes[max(0, n-1-r.IntN(4))].Ref)
				} else { // something of later, or of nobody
					names = append(names, refOf(id(r.IntN(n+9)), people[r.IntN(4)].Key))
				}
			}
			all = append(all, c.says(people[r.IntN(4)], n, clock, names...))
		}
		s := open(t, t.TempDir())
		for i := range all { // out of order, mostly near
			j := min(len(all)-1, i+r.IntN(1+r.IntN(8)))
			all[i], all[j] = all[j], all[i]
		}
		log := func(f Filter) []string { f.Room = c.name; return texts(must[[]Message](t)(s.Log(f))) }
		for i, m := range all {
			keep(t, s, m)
			if r.IntN(5) == 0 {
				check(t, s.Flush())
			}
			if r.IntN(9) > 0 && i < len(all)-1 {
				continue
			}
			check(t, s.Flush())
			here := slices.DeleteFunc(slices.Clone(c.nodes), func(n room.Node) bool {
				return !slices.ContainsFunc(all[:i+1], func(m chat.Saying) bool { return m.ID == chat.MessageID(n.ID) })
			})
			if got, want := log(Filter{}), ordered(here); !slices.Equal(got, want) {
				t.Fatalf("seed %d, %d messages: %q, want %q", seed, i+1, got, want)
			}
		}
		want := ordered(c.nodes)
		var pages []string
		for above := int64(0); len(pages) < len(want); {
			page := must[[]Message](t)(s.Log(Filter{Room: c.name, Above: above, Limit: 7}))
			if len(page) == 0 {
				break
			}
			pages, above = append(texts(page), pages...), page[0].N
		}
		if !slices.Equal(pages, want) {
			t.Fatalf("seed %d: in pages %q, want %q", seed, pages, want)
		}
		first := must[[]Message](t)(s.Log(Filter{Room: c.name, Limit: 5, First: true}))
		if got := log(Filter{Below: first[4].N, Limit: 7, First: true}); !slices.Equal(got, want[5:][:min(7, len(want)-5)]) {
			t.Fatalf("seed %d: after the fifth %q, want %q", seed, got, want[5:])
		}
		must[int64](t)(s.Delete(ctx, Filter{Peer: key(1)})) // nothing
		check(t, s.Forget(ctx, key(2)))
		c.nodes = slices.DeleteFunc(c.nodes, func(n room.Node) bool { return n.Author == room.Author{2} })
		if got, want := log(Filter{}), ordered(c.nodes); !slices.Equal(got, want) {
			t.Fatalf("seed %d, less what one has said: %q, want %q", seed, got, want)
		}
		check(t, s.Close())
	}
}

// Late is what stands in the log before something kept before it.
func TestLate(t *testing.T) {
	s := open(t, t.TempDir())
	c := &crowd{t: t, name: room.Here}
	question := c.says(trio[0], 1, tick(1))
	answer := c.says(trio[1], 2, tick(2), c.nodes[0].Ref)
	more := c.says(trio[2], 3, tick(3), c.nodes[1].Ref)
	for _, m := range []chat.Saying{answer, question, more} {
		keep(t, s, m)
	}
	check(t, s.Flush())
	var got []string
	for _, m := range must[[]Message](t)(s.Log(Filter{Room: room.Here, Follow: true})) {
		got = append(got, fmt.Sprint(m.Text, m.Late))
	}
	if want := []string{"2false", "1true", "3false"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A room that an earlier version kept has the new order where parents were kept, and its own where not.
func TestRoomsOfAnOlderDatabase(t *testing.T) {
	c := &crowd{t: t, name: room.Here}
	q := c.says(trio[0], 1, tick(0)-8*365*86_400_000)
	x := c.says(trio[1], 2, tick(100))
	a := c.says(me, 3, tick(200), c.nodes[0].Ref, c.nodes[1].Ref)
	b := c.says(trio[0], 4, tick(300), c.nodes[2].Ref)
	const hour = 3_600_000
	yesterday := c.says(trio[2], 5, tick(100)-20*hour) // which none names
	dir := t.TempDir()
	var rows []string
	row := func(m chat.Saying, clock uint64, head string) {
		peer, out := int(m.From[0]), 0
		if m.From == me.Key {
			peer, out = -1, 1
		}
		rows = append(rows, fmt.Sprintf(`INSERT INTO messages (peer, id, out, name, text, sent, received, status, owner, room, head, clock)
			VALUES (%d, x'%x', %d, '', '%s', 1, 1, 1, 0, '%s', x'%x', %d)`, peer, m.ID[:], out, m.Text, m.Room, head, clock))
	}
	for i, p := range trio {
		rows = append(rows, fmt.Sprintf(`INSERT INTO people (n, key, name, petname, first, last, verified, blocked) VALUES (%d, x'%x', '', '', 1, 1, 0, 0)`, i+1, p.Key[:]))
	}
	row(b, b.Clock, b.Head)
	row(a, a.Clock, a.Head)
	row(q, q.Clock, q.Head)
	row(x, x.Clock, x.Head)
	row(yesterday, yesterday.Clock, yesterday.Head)
	for n, clock := range []uint64{30, 10, 20} { // without heads, by clocks that can't be right
		m := chat.Saying{From: trio[0].Key, ID: id(10 + n), Text: fmt.Sprint(10 + n), Room: "#old"}
		row(m, clock, "")
	}
	older(t, dir, "ADD COLUMN ref BLOB", rows...)
	s := open(t, dir)
	for name, want := range map[string]string{room.Here: "5 1 2 3 4", "#old": "11 12 10"} {
		if got := strings.Join(texts(must[[]Message](t)(s.Log(Filter{Room: name}))), " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	keep(t, s, c.says(trio[1], 6, tick(400), refOf(id(3), me.Key), refOf(id(4), key(1))))
	check(t, s.Flush())
	if got := strings.Join(texts(must[[]Message](t)(s.Log(Filter{Room: room.Here}))), " "); got != "5 1 2 3 4 6" {
		t.Errorf("with one more: %s", got)
	}
}

// A long log, read in each way, and once more after a message to which the order of all has to be found anew.
func BenchmarkLongRoom(b *testing.B) {
	s := open(b, b.TempDir())
	c := &crowd{t: b, name: room.Here}
	const many = 20_000
	for n := range many {
		var names []room.Ref
		if n > 0 {
			names = []room.Ref{c.nodes[n-1].Ref}
		}
		keep(b, s, c.says(trio[n%3], n, tick(uint64(n)*1000), names...))
	}
	check(b, s.Flush())
	read := func(f Filter, want int) func(*testing.B) {
		f.Room = room.Here
		return func(b *testing.B) {
			for b.Loop() {
				if n := len(must[[]Message](b)(s.Log(f))); n != want {
					b.Errorf("%d messages", n)
				}
			}
		}
	}
	middle := must[[]Message](b)(s.Log(Filter{Room: room.Here, Limit: 1, Above: many / 2}))[0].N
	b.Run("all", read(Filter{}, many))
	b.Run("last", read(Filter{Limit: 50}, 50))
	b.Run("above", read(Filter{Limit: 200, Above: middle}, 200))
	b.Run("below", read(Filter{Limit: 200, Below: middle, First: true}, 200))
	b.Run("tail", func(b *testing.B) {
		for b.Loop() {
			must[[]chat.Trace](b)(s.Tail(room.Here, now))
		}
	})
	b.Run("ranked", func(b *testing.B) {
		for n := many; b.Loop(); n += 2 {
			keep(b, s, c.says(trio[0], n, tick(uint64(n)*2000), refOf(id(n+1), key(1)), c.nodes[many-1].Ref))
			keep(b, s, c.says(trio[0], n+1, tick(uint64(n)*3000))) // later than what names it
			check(b, s.Flush())
			must[[]Message](b)(s.Log(Filter{Room: room.Here, Limit: 50}))
		}
	})
}
