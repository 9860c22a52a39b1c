package chat

import (
	"context"
	"time"
)

// Join makes this node be in a room, of which the others are told. What was said in it in
// the last hours follows, from those who said it. It fails with ErrTooManyRooms.
func (n *Node) Join(m Membership) (err error) {
	n.do(func(now time.Time) { err = n.core.join(now, m) })
	return err
}

// Leave makes this node be in a room no more. It fails with ErrNotIn.
func (n *Node) Leave(name string) (err error) {
	n.do(func(now time.Time) { err = n.core.leave(now, name) })
	return err
}

// Rooms returns the rooms in which anybody is of whom that is known, the lobby included.
func (n *Node) Rooms() (all []Room) {
	n.do(func(time.Time) { all = n.core.list() })
	return all
}

// Members returns who else is in a room: of a private one only while this node is in it.
func (n *Node) Members(name string) (all []Person) {
	n.do(func(time.Time) {
		handle := name
		if r := n.core.rooms.in[name]; r != nil {
			handle = r.handle
		}
		for _, p := range n.core.members(handle) {
			all = append(all, p.Person)
		}
	})
	return all
}

// Survey opens sessions with everybody visible, and returns when all have told which rooms
// they are in, ctx ends, or the node is closed.
func (n *Node) Survey(ctx context.Context) {
	done := make(chan struct{})
	var cancel func()
	n.do(func(now time.Time) {
		n.resume(now)
		cancel = n.core.survey(now, func() { close(done) })
	})
	select {
	case <-done:
	case <-ctx.Done():
		n.do(func(time.Time) { cancel() })
	}
}

// SendRoom says text in a room that this node is in, and returns to whom: those known to be
// in it, and in the lobby everybody visible. Delivered, Excluded or Declined follows for each. It
// fails with ErrNotIn, ErrEmpty, ErrTooLong, ErrBacklog or ErrClosed.
func (n *Node) SendRoom(name, text string) (id MessageID, to []Person, err error) {
	n.do(func(now time.Time) { id, to, err = n.core.sayIn(now, name, text) })
	return id, to, err
}

// Delivery returns how many of the members to whom a message was said in a room have it, of
// how many, and who is missing. It knows the last 256 messages.
func (n *Node) Delivery(id MessageID) (delivered, total int, missing []Missing) {
	n.do(func(time.Time) {
		f := n.core.rooms.said.of(id)
		if f == nil {
			return
		}
		for _, p := range f.missing {
			missing = append(missing, p)
		}
		delivered, total = f.total-len(missing), f.total
	})
	return delivered, total, missing
}
