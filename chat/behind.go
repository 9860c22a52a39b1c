package chat

import "time"

// While nobody takes events, the bounds of eventQueue hold up the peers whose messages would follow. With a
// Store that gives its messages again that needn't be: the node falls behind, that is, it keeps and
// acknowledges what comes and leaves it to the Store, from where it comes by Overhear, in order, once
// there is capacity.

// behindAfter is how long messages find no capacity before the node falls behind. What is taken sooner is
// worth no reading from the disk.
const behindAfter = 250 * time.Millisecond

// behind is what a node has left to its Store.
type behind struct {
	followed bool      // there is who calls Overhear
	on       bool      // messages are left to the Store
	left     uint64    // messages left so far
	full     time.Time // since when a message finds no capacity; zero: none does
	from     map[Key]struct{}
	capacity chan struct{} // that there is some
}

// maxBehindFrom bounds of how many people it is known that something of theirs is left to the Store.
const maxBehindFrom = 1000

// Follow says that Overhear is called from now on for all that [store.News] returns, and returns what then
// tells of capacity for more. The node may leave events of messages to the Store.
func (n *Node) Follow() (capacity <-chan struct{}) {
	n.do(func(time.Time) { n.core.behind.followed, n.core.events.lossy = true, true })
	return n.core.behind.capacity
}

// Left returns how many messages have been left to the Store so far.
func (n *Node) Left() (left uint64) {
	n.do(func(time.Time) { left = n.core.behind.left })
	return left
}

// CaughtUp says that everything has been given to Overhear that was in the Store when Left returned left. It
// reports whether that is all, so that messages make events at once again.
func (n *Node) CaughtUp(left uint64) (all bool) {
	n.do(func(time.Time) { all = n.core.caughtUp(left) })
	return all
}

// Behind reports whether messages are left to the Store.
func (n *Node) Behind() (on bool) {
	n.do(func(time.Time) { on = n.core.behind.on })
	return on
}

func (c *core) caughtUp(left uint64) bool {
	b := &c.behind
	if b.on && b.left != left {
		return false
	}
	if b.on {
		b.on, b.full, b.from = false, time.Time{}, nil
		c.store.Defer(false)
	}
	return true
}

// mayTake reports whether to take the next message of the link: there is capacity for its event, or that is
// left to the Store.
func (c *core) mayTake(now time.Time, l *link) bool {
	b := &c.behind
	if b.on || c.events.room(l.person.Key) {
		return true
	}
	if b.followed {
		if b.full.IsZero() {
			b.full = now
		}
		if at := b.full.Add(behindAfter); now.Before(at) {
			l.again = at
		} else if b.on = c.store.Defer(true); b.on {
			delete(c.stalled, l)
			return true
		}
	}
	c.stalled[l] = struct{}{}
	return false
}

// deferred notes that a message that was just kept makes no event now.
func (c *core) deferred(from Key) {
	b := &c.behind
	if b.left++; b.from == nil {
		b.from = map[Key]struct{}{}
	}
	if len(b.from) < maxBehindFrom {
		b.from[from] = struct{}{}
	}
}

// drained follows the taking of events: whoever follows is told when there is capacity for any message.
func (c *core) drained() {
	if b := &c.behind; b.on && c.events.Len() <= maxWaitingOfOne/2 {
		select {
		case b.capacity <- struct{}{}:
		default:
		}
	}
}
