package chat

import (
	"context"
	"time"

	"earshot/chat/wire"
)

// The socket is read by whoever waits for events, in Next, so that what a datagram tells
// needs no hand-off to another goroutine: on two cores that costs as much as a datagram's
// way to the other side. While nobody waits, a goroutine of the node's reads: it takes over
// when the caller of Next has been away for absent, and gives the socket up as soon as it
// has an event for one who waits.

// absent is how long the caller of Next may be away before the socket is read for it. When
// both sides are, an ack still comes before MinRTO; and timers that fire often wake threads
// to no purpose.
const absent = 2 * time.Millisecond

// reading is who reads the socket, and who waits for what comes of it.
type reading struct {
	// Under the node's lock:
	theirs bool      // the caller of Next is to read; else the node's goroutine
	inside bool      // it does, at this moment
	kicked bool      // and has been called back from it
	waits  bool      // the caller of Next waits for news
	left   time.Time // when the caller of Next went away last, or was given the socket

	news chan struct{} // to the caller of Next, for whom events are there
	turn chan struct{} // to the node's goroutine, which is to read again

	// Of the caller of Next:
	fetched, taken []Event
	done           <-chan struct{} // of the context that calls it back
	unheed         func() bool
}

// One more than a datagram may have, so that what is too long is seen to be.
const readBuffer = wire.MaxDatagram + 1

func newReading() reading {
	return reading{news: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
}

// read reads the socket while the caller of Next doesn't.
func (n *Node) read() {
	for {
		in, closed := n.readSome()
		if closed {
			return
		}
		theirs := false
		n.do(func(now time.Time) {
			n.receive(now, in)
			if theirs = n.reading.waits && n.core.events.Len() > 0; theirs {
				n.reading.theirs, n.reading.left = true, now
			}
		})
		if theirs {
			select {
			case <-n.reading.turn:
			case <-n.stop:
				return
			}
		}
	}
}

// Next returns the next event, waiting for one until ctx ends or, with ErrClosed,
// the node is closed and no event is left. One caller at a time. While nobody calls,
// messages pile up to a bound and are then no longer acknowledged. What comes within 2 ms
// after a call may wait until they have passed, or for the next call.
func (n *Node) Next(ctx context.Context) (Event, error) {
	r := &n.reading
	if len(r.taken) == 0 {
		if err := n.fetch(ctx); err != nil {
			return Event{}, err
		}
	}
	e := r.taken[0]
	r.taken[0] = Event{}
	r.taken = r.taken[1:]
	return e, nil
}

// fetch takes a few events, so that whoever takes many does not contend for the lock for
// each. While there are none it reads the socket, or waits for who does.
func (n *Node) fetch(ctx context.Context) error {
	r := &n.reading
	n.heed(ctx)
	var in arrivals
	closed := false
	for {
		var reads bool
		var ended error
		n.do(func(now time.Time) {
			n.receive(now, in)
			ended = ctx.Err()
			reads = n.look(now, ended == nil)
		})
		switch in = (arrivals{}); {
		case len(r.taken) > 0:
			return nil
		case ended != nil:
			return ended
		case closed:
			return ErrClosed
		case reads:
			in, closed = n.readSome()
		default:
			select {
			case <-r.news:
			case <-ctx.Done():
			case <-n.stop:
				closed = true // what came before is still to be had
			}
		}
	}
}

// look takes a few events for the caller of Next. If there are none it notes that the
// caller stays, if so, and reports whether to read.
func (n *Node) look(now time.Time, stays bool) (reads bool) {
	r := &n.reading
	if r.kicked {
		_ = n.conn.SetReadDeadline(time.Time{})
	}
	r.inside, r.kicked, r.waits = false, false, false
	n.core.uncork(now)
	r.fetched = n.core.next(now, r.fetched[:0])
	r.taken = r.fetched
	if len(r.taken) == 0 && stays {
		r.inside, r.waits = r.theirs, !r.theirs
	} else {
		r.left = now
	}
	return r.inside
}

// heed has the end of ctx call the caller of Next back from reading.
func (n *Node) heed(ctx context.Context) {
	r := &n.reading
	if done := ctx.Done(); done != r.done {
		if r.unheed != nil {
			r.unheed()
		}
		r.done = done
		r.unheed = context.AfterFunc(ctx, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.kick()
		})
	}
}

// attract calls the caller of Next to events, and reports whether to send news of them.
func (n *Node) attract() (send bool) {
	r := &n.reading
	n.kick()
	send, r.waits = r.waits, false
	return send
}

// kick calls the caller of Next back from reading.
func (n *Node) kick() {
	if r := &n.reading; r.inside && !r.kicked {
		r.kicked = true
		_ = n.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// away reports whether the caller of Next has the socket and is about to come back to it,
// since it has just taken events: what may wait goes out when it does, or when it is
// relieved, in one call.
func (n *Node) away() bool { return n.reading.theirs && !n.reading.inside }

// relieve has the socket read if the caller of Next stays away, and returns when to look
// again; zero: when anything else has happened.
func (n *Node) relieve(now time.Time) time.Time {
	r := &n.reading
	if !n.away() {
		return time.Time{}
	}
	if at := r.left.Add(absent); now.Before(at) {
		return at
	}
	n.resume(now)
	return time.Time{}
}

// resume has the node's goroutine read if nobody does.
func (n *Node) resume(now time.Time) {
	if r := &n.reading; n.away() {
		r.theirs = false
		n.core.uncork(now)
		r.turn <- struct{}{}
	}
}
