package chat

import (
	"time"

	"earshot/chat/room"
	"earshot/chat/wire"
)

// Overhear takes what another node of ours, with the same Store, has said or heard: an
// event follows as if it had come here. It returns false while too many events wait,
// and once the node is closing.
func (n *Node) Overhear(k Kept) (taken bool) {
	n.do(func(now time.Time) { taken = n.core.overhear(now, k) })
	return taken
}

// Share gives what any node of ours has said lately in a room to those members who were
// never told it (SPEC §13.7).
func (n *Node) Share(name string) {
	n.do(func(now time.Time) { n.core.shareAll(now, name) })
}

// Event returns the event that tells of k.
func (k *Kept) Event() Event {
	e := Event{
		Kind: Message, Person: Person{k.To, k.Name}, As: k.As, ID: k.ID, Text: k.Text, Sent: k.Sent, Received: k.At,
		Clock: k.Clock, Kept: k.N,
	}
	e.Room = RoomName(k.Room)
	if k.Out {
		e.Kind = Said
	}
	return e
}

func (c *core) overhear(now time.Time, k Kept) bool {
	switch {
	case c.closing || !c.events.room(k.To): // after the last event nothing takes another
		return false
	case !k.Out && c.refuse(k.To):
		return true
	}
	e := k.Event()
	from := k.To
	if k.Out {
		from = c.key
	} else {
		_, e.Here = c.behind.from[k.To]
	}
	r := c.rooms.in[e.Room]
	if r == nil || r.handle != k.Room {
		c.events.add(e)
		return true
	}
	ref := room.Ref{ID: k.ID, Author: author(from)}
	if r.order.Knows(ref) {
		return true
	}
	h, _, _ := wire.ParseRoomHead(k.Head + ".") // what an earlier version kept has none
	r.show(r.order.Add(now, room.Message[Event]{
		Ref: ref, Clock: k.Clock, Parents: refs(h.Parents), Earlier: refs(h.Earlier), Size: len(k.Text), Body: e,
	}, c.patience))
	return true
}

// shareAll gives members what they were never told. With those of the lobby who haven't
// told their rooms yet a session is opened, which begins with that.
func (c *core) shareAll(now time.Time, name string) {
	r := c.rooms.in[name]
	if r == nil || c.rooms.passing {
		return
	}
	for _, p := range c.members(r.handle) {
		if p.word() == nil {
			c.meet(now, p, false)
			continue
		}
		p.parked = append(p.parked, c.share(now, p, r)...)
		p.unpark(now)
	}
}
