package chat

import (
	"slices"
	"testing"
	"time"

	"earshot/chat/room"
)

// elsewhere is what another node of n's person has put into the store that they share.
func (n *simNode) elsewhere(from *simNode, id byte, text string, clock uint64, to ...*simNode) Kept {
	k := Kept{Saying: Saying{ID: MessageID{id}, Text: text, Sent: n.w.now, Room: lobby.Handle(), Clock: clock}, N: int64(id), Out: from == n, At: n.w.now}
	l := &line{from: from.id.Key(), n: len(n.disk.lines), at: n.w.now, times: 1}
	if k.Out {
		l.to = map[Key]bool{}
		for _, o := range to {
			l.to[o.id.Key()] = true
		}
	} else {
		k.To, k.Name = from.id.Key(), from.name
	}
	k.Head = n.core.rooms.in[lobby.Name].head(clock, nil, nil)
	l.Saying = k.Saying
	n.disk.lines[authored{l.from, k.ID}] = l
	return k
}

// A member whom another node of ours didn't know of is given what it has said by this one;
// who has been told isn't told again.
func TestShareElsewhere(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.inRooms("ana", lobby), w.inRooms("bob", lobby), w.inRooms("carol", lobby)
	w.gather()
	a.tells(lobby, "hello")
	w.run(time.Second)
	d := w.inRooms("dave", lobby) // with whom there is no session yet
	w.gather()
	if !a.core.overhear(w.now, a.elsewhere(a, 1, "from elsewhere", uint64(w.now.UnixMilli()), b)) {
		t.Fatal("there was no room for it")
	}
	a.core.shareAll(w.now, lobby.Name)
	a.drain()
	a.starving = true
	w.run(time.Second)
	delivered := 0
	for _, e := range a.core.next(w.now, nil) {
		if e.Kind == Delivered && e.ID == (MessageID{1}) && e.Room == lobby.Name {
			delivered++
		}
	}
	if delivered != 2 {
		t.Errorf("%d are known to have it", delivered)
	}
	expectList(t, "bob hears", b.heardIn(lobby), "hello")
	expectList(t, "carol hears", c.heardIn(lobby), "hello", "from elsewhere")
	expectList(t, "dave hears", d.heardIn(lobby), "hello", "from elsewhere")
	if !slices.ContainsFunc(a.events, func(e Event) bool { return e.Kind == Said && e.Room == lobby.Name && e.Kept == 1 }) {
		t.Errorf("ana was told %+v", a.events)
	}
}

// What answers a question that another node of ours has heard comes after it, and what is
// said here answers both.
func TestOverhear(t *testing.T) {
	w := newWorld(t, 1)
	a, b, c := w.inRooms("ana", lobby), w.inRooms("bob", lobby), w.inRooms("carol", lobby)
	w.gather()
	w.run(time.Second)
	ahead := uint64(w.now.UnixMilli()) + 5000
	question := a.elsewhere(b, 1, "question", ahead)
	c.core.rooms.in[lobby.Name].order.Said(w.now, room.Ref{ID: MessageID{1}, Author: author(b.id.Key())}, ahead, nil)
	c.tells(lobby, "answer")
	w.run(time.Second)
	expectList(t, "ana hears", a.heardIn(lobby))
	for range 2 { // what is known isn't told again
		a.core.overhear(w.now, question)
		a.drain()
	}
	expectList(t, "ana hears", a.heardIn(lobby), "question", "answer")
	if clock, parents, _ := a.core.rooms.in[lobby.Name].order.Next(w.now); clock <= ahead+1 || len(parents) != 1 {
		t.Errorf("the next stands at %d after %v", clock, parents)
	}
}
