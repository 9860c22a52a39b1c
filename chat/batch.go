package chat

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"earshot/chat/wire"
)

// Of what one turn of the core sends, datagrams of one size to one address go to the
// system in one call, where it can cut them apart itself, and come in one call where it
// can leave them together: with many messages under way its calls cost the most.

// bulk is a socket that takes and gives many datagrams at once.
type bulk interface {
	// write sends b as datagrams of size bytes, the last perhaps shorter. It reports
	// whether the system can do that.
	write(b []byte, size int, to netip.AddrPort) bool
	// read is ReadFromUDPAddrPort for datagrams of size bytes, the last perhaps shorter.
	read(b []byte) (n, size int, src netip.AddrPort, err error)
}

const (
	maxBatch  = 64         // datagrams: the most that Linux before 6.9 takes
	bulkBytes = 64<<10 - 1 // that one call can give
	batchRoom = 54 * wire.MaxDatagram
)

// batch is what waits to be sent in one call.
type batch struct {
	b    []byte
	size int // of each datagram but the last
	to   netip.AddrPort
}

// fits reports whether d can follow what is there.
func (w *batch) fits(d []byte, to netip.AddrPort) bool {
	return to == w.to && len(d) <= w.size && len(w.b)%w.size == 0 && len(w.b) < maxBatch*w.size && len(w.b)+len(d) <= batchRoom
}

// write sends one datagram, at the end of the turn at the latest.
func (n *Node) write(d []byte, to netip.AddrPort) {
	if n.bulk == nil {
		n.writeOne(d, to)
		return
	}
	w := &n.batch
	if n.core.alone { // what looks at it on this machine may take a batch for one datagram
		n.writeBatch()
		n.writeOne(d, to)
		return
	}
	if len(w.b) > 0 && !w.fits(d, to) {
		n.writeBatch()
	}
	if len(w.b) == 0 {
		w.size, w.to = len(d), to
	}
	w.b = append(w.b, d...)
}

func (n *Node) writeBatch() {
	w := &n.batch
	if len(w.b) <= w.size || !n.bulk.write(w.b, w.size, w.to) {
		for rest := w.b; len(rest) > 0; {
			d := rest[:min(w.size, len(rest))]
			n.writeOne(d, w.to)
			rest = rest[len(d):]
		}
	}
	w.b = w.b[:0]
}

// writeOne sends one datagram. What the system refuses is sent again when its
// acknowledgement fails to come, like any other loss.
func (n *Node) writeOne(d []byte, to netip.AddrPort) {
	if _, err := n.conn.WriteToUDPAddrPort(d, to); err != nil {
		n.core.stats.SendErrors++
	}
}

// arrivals is what one call read: datagrams of size bytes from one address, the last
// perhaps shorter. None means that there was nothing after all.
type arrivals struct {
	b    []byte
	size int
	src  netip.AddrPort
}

// readSome waits for datagrams.
func (n *Node) readSome() (in arrivals, closed bool) {
	var err error
	var size int
	if n.bulk != nil {
		size, in.size, in.src, err = n.bulk.read(n.buf)
	} else {
		size, in.src, err = n.conn.ReadFromUDPAddrPort(n.buf)
		in.size = size
	}
	if err != nil { // Windows reports here that an earlier datagram was refused
		return arrivals{}, errors.Is(err, net.ErrClosed)
	}
	in.b, in.src = n.buf[:size], netip.AddrPortFrom(in.src.Addr().Unmap(), in.src.Port())
	return in, false
}

// receive takes what one call read.
func (n *Node) receive(now time.Time, in arrivals) {
	for rest := in.b; rest != nil; {
		d := rest[:min(in.size, len(rest))]
		if rest = rest[len(d):]; len(rest) == 0 {
			rest = nil
		}
		n.core.receive(now, in.src, d)
	}
}
