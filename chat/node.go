// Package chat talks: a Node is one UDP socket over which people, each proven by
// their key, exchange messages that are sealed, acknowledged, in order and taken
// once. What it puts on the wire is in SPEC.md.
package chat

import (
	"context"
	cryptorand "crypto/rand"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// soonest is the least a timer is set for: under a test's fake clock one that is due when it
// is set runs at once, which the race detector doesn't survive (go.dev/issue/78156).
const soonest = time.Nanosecond

// PacketConn is the socket under a Node. A *net.UDPConn is one.
type PacketConn interface {
	ReadFromUDPAddrPort(b []byte) (n int, addr netip.AddrPort, err error)
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
	SetReadDeadline(t time.Time) error
	LocalAddr() net.Addr
	Close() error
}

// Config says who a Node is.
type Config struct {
	Identity *Identity
	Name     string // what others are shown, at most MaxName bytes
	Alias    bool   // Name is this node's alone: who knows the person goes on calling them as before
	Store    Store  // nil: everything is forgotten with the process
	// Refuse says with whom to have nothing to do (SPEC §10.6): what they send is
	// dropped, as if nobody were here, and nothing is sent to them. It is called for every datagram, one at a time. Nil: nobody.
	Refuse func(Key) bool

	Rooms   []Membership // to be in from the beginning
	Passing bool         // soon gone: a member of no room, though heard in all of Rooms

	// Unanswered, if not nil, is called when somebody looked for by key hasn't
	// answered for 300 ms, then 1, 2, 4... 32 s later for as long as that goes on: a
	// firewall may keep us out until they Poke us. It must neither block nor call the
	// node.
	Unanswered func(Key)
}

// Target says whom to reach and where.
type Target struct {
	Key   Key              // who must answer; the zero Key: whoever does
	Addrs []netip.AddrPort // at most 8 are tried, all at once
}

// Node is one running participant. It is safe for concurrent use.
type Node struct {
	conn PacketConn
	bulk bulk          // conn, if it takes many datagrams at once
	buf  []byte        // of whoever reads
	stop chan struct{} // closed when the socket is

	mu    sync.Mutex
	core  *core
	batch batch
	timer *time.Timer
	armed time.Time // when timer fires; zero: not before somebody arms it

	reading reading
}

// NewNode starts a node on conn, which it owns from then on.
func NewNode(conn PacketConn, cfg Config) (*Node, error) { return newNode(conn, cfg, newRandom()) }

func newNode(conn PacketConn, cfg Config, random *rand.Rand) (*Node, error) {
	n := &Node{conn: conn, bulk: newBulk(conn), stop: make(chan struct{}), reading: newReading()}
	size := readBuffer
	if n.bulk != nil {
		size = bulkBytes
	}
	n.buf = make([]byte, size)
	var err error
	if n.core, err = newCore(cfg, random, n.write); err != nil {
		return nil, err
	}
	for _, m := range cfg.Rooms {
		if err := n.core.join(time.Now(), m); err != nil {
			return nil, err
		}
	}
	n.timer = time.AfterFunc(time.Hour, n.tick)
	go n.read()
	return n, nil
}

// newRandom returns a fast generator that nobody can predict.
func newRandom() *rand.Rand {
	var seed [32]byte
	cryptorand.Read(seed[:])
	return rand.New(rand.NewChaCha8(seed))
}

func (n *Node) tick() {
	n.do(func(now time.Time) {
		n.armed = time.Time{}
		n.core.tick(now)
	})
}

// do runs f on the core, then sees to the timer and to who waits for events.
func (n *Node) do(f func(now time.Time)) {
	n.mu.Lock()
	now := time.Now()
	if n.core.store.Lapsed() {
		n.core.lapse(now)
	}
	f(now)
	relief := n.relieve(now)
	n.writeBatch()
	send := n.core.events.Len() > 0 && n.attract()
	next := n.core.timers.next()
	if next.IsZero() || !relief.IsZero() && relief.Before(next) {
		next = relief
	}
	if !next.IsZero() && (n.armed.IsZero() || next.Before(n.armed)) {
		n.armed = next
		n.timer.Reset(max(soonest, next.Sub(now)))
	}
	if n.core.closing && len(n.core.links) == 0 {
		n.shut()
	}
	n.mu.Unlock()
	if send { // without the lock, since who is told wants it at once
		select {
		case n.reading.news <- struct{}{}:
		default:
		}
	}
}

// shut closes the socket, once.
func (n *Node) shut() {
	select {
	case <-n.stop:
	default:
		close(n.stop)
		n.timer.Stop()
		n.conn.Close()
	}
}

// LocalAddr is the address of the node's socket.
func (n *Node) LocalAddr() netip.AddrPort {
	a, _ := netip.ParseAddrPort(n.conn.LocalAddr().String())
	return a
}

// Open returns the target once it is proven by a handshake or by a session that
// works. It fails with ErrUnreachable when ctx ends first, with a *MismatchError
// when somebody else answers at every address, with ErrNoAddress, ErrSelf, ErrRefused
// or ErrClosed.
func (n *Node) Open(ctx context.Context, t Target) (Person, error) {
	type result struct {
		person Person
		err    error
	}
	done := make(chan result, 1)
	var cancel func(time.Time)
	n.do(func(now time.Time) {
		n.resume(now)
		cancel = n.core.open(now, t, func(p Person, err error) { done <- result{p, err} })
	})
	select {
	case r := <-done:
		return r.person, r.err
	case <-ctx.Done():
		n.do(cancel)
		select {
		case r := <-done:
			return r.person, r.err
		default:
			return Person{}, ErrUnreachable
		}
	}
}

// Send queues text for somebody met, opened or hinted at before, and returns at
// once. It is sent until it is acknowledged, over any number of sessions, for as
// long as the node lives; then a Delivered event follows. It fails with ErrEmpty,
// ErrTooLong, ErrBacklog, ErrNoAddress, ErrRefused or ErrClosed.
func (n *Node) Send(to Key, text string) (id MessageID, err error) {
	n.do(func(now time.Time) {
		n.core.corking = n.away()
		id, err = n.core.send(now, to, text)
		n.core.corking = false
	})
	return id, err
}

// Hint says where discovery sees the person now, nowhere when addrs is empty.
func (n *Node) Hint(key Key, addrs []netip.AddrPort) {
	n.do(func(now time.Time) {
		p := n.core.person(key)
		if len(addrs) > 0 {
			p.seen(now)
		}
		p.hint(now, addrs)
	})
}

// Unseen says that discovery sees the person no more. Where they were last is remembered.
func (n *Node) Unseen(key Key) {
	n.do(func(now time.Time) { n.core.person(key).unseen(now) })
}

// Collect says that something new may wait for the person in the Store.
func (n *Node) Collect(key Key) {
	n.do(func(now time.Time) { n.core.person(key).collect(now) })
}

// Drop ends what there is with somebody whom Config.Refuse has come to refuse,
// without a word to them.
func (n *Node) Drop(key Key) {
	n.do(func(now time.Time) { n.core.drop(now, key) })
}

// Poke sends a datagram that means nothing to each address, at most 8 of them: a
// firewall before us that lets answers in then lets in what comes from there.
func (n *Node) Poke(addrs []netip.AddrPort) {
	n.do(func(time.Time) { n.core.poke(addrs) })
}

// Introduce says where this node can be reached, the best address first. People whom
// it meets from then on are told, so that those who met it by one address find it at
// the others too. Only the first 8 are told, and no link-local ones.
func (n *Node) Introduce(addrs []netip.AddrPort) (err error) {
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return !tellable(a) })
	n.do(func(time.Time) { err = n.core.introduce(addrs) })
	return err
}

// Watch says whether a conversation is before somebody's eyes. While it is, silence
// is broken by pings, so that an Unreachable event comes within 10 s of the peer's
// disappearance, and a Reachable one when it is back.
func (n *Node) Watch(key Key, on bool) {
	n.do(func(now time.Time) { n.core.watch(now, key, on) })
}

// Typing tells somebody that the person here is writing to them, at most every 3 s and
// only where there is a session with them; it may get lost.
func (n *Node) Typing(key Key) {
	n.do(func(now time.Time) { n.core.typing(now, key) })
}

// Rename changes what others are told that the person here is called, which is no alias. Those in
// a session hear it with the next one, which is asked for now. It fails when the name is longer
// than MaxName.
func (n *Node) Rename(name string) (err error) {
	n.do(func(now time.Time) { err = n.core.rename(now, name) })
	return err
}

// Stats returns what has been dropped so far.
func (n *Node) Stats() (s Stats) {
	n.do(func(time.Time) {
		s = n.core.stats
		s.LostEvents = n.core.events.lost
	})
	return s
}

// Close says goodbye to everybody and closes the socket once they have answered,
// ctx ends, or a short while has passed. What was not acknowledged is lost, unless
// there is a Store.
func (n *Node) Close(ctx context.Context) error {
	n.do(func(now time.Time) {
		n.resume(now)
		n.core.close(now)
	})
	wait, cancel := context.WithTimeout(ctx, byeFor)
	defer cancel()
	select {
	case <-n.stop:
	case <-wait.Done():
		n.mu.Lock()
		n.shut()
		n.mu.Unlock()
	}
	return nil
}
