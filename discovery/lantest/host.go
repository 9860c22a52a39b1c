package lantest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	maxPayload     = 65507   // of a UDP datagram over IPv4
	receiveBuffer  = 1 << 20 // bytes a socket holds unread before it drops; an overhead is added per datagram
	bufferOverhead = 512
	firstEphemeral = 49152
)

// Errors of a socket, beside net.ErrClosed.
var (
	ErrUnreachable = errors.New("lantest: network is unreachable")
	ErrTooLarge    = errors.New("lantest: message too long")
	ErrPortInUse   = errors.New("lantest: address already in use")
)

// Host is a machine.
type Host struct {
	lan    *LAN
	name   string
	ifaces []*Interface
	conns  []*Conn
}

// Host adds a machine. Names are to be unique: accidents are drawn by name.
func (l *LAN) Host(name string) *Host { return &Host{lan: l, name: name} }

// Interface joins a host to a link.
type Interface struct {
	host  *Host
	link  *Link
	name  string
	addrs []netip.Prefix
}

// Attach joins the host to link by a new interface, named eth0, eth1, ...,
// with addresses such as "198.18.0.1/24" or "fe80::1/64". It panics on a
// malformed one.
func (h *Host) Attach(link *Link, addrs ...string) *Interface {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	i := &Interface{host: h, link: link, name: fmt.Sprintf("eth%d", len(h.ifaces)), addrs: prefixes(addrs)}
	h.ifaces = append(h.ifaces, i)
	link.ifaces = append(link.ifaces, i)
	return i
}

// SetAddrs replaces the interface's addresses; none takes it off the link.
func (i *Interface) SetAddrs(addrs ...string) {
	i.host.lan.mu.Lock()
	defer i.host.lan.mu.Unlock()
	i.addrs = prefixes(addrs)
}

// Name is the interface's name, the zone of its link-local addresses.
func (i *Interface) Name() string { return i.name }

// Addrs returns the interface's addresses.
func (i *Interface) Addrs() []netip.Prefix {
	i.host.lan.mu.Lock()
	defer i.host.lan.mu.Unlock()
	return slices.Clone(i.addrs)
}

func prefixes(addrs []string) (ps []netip.Prefix) {
	for _, a := range addrs {
		ps = append(ps, netip.MustParsePrefix(a))
	}
	return ps
}

// hears reports whether a datagram to dst is for this interface.
func (i *Interface) hears(dst netip.Addr) bool {
	if dst.IsMulticast() {
		return i.source(dst).IsValid()
	}
	return slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr() == dst })
}

// source is the address the interface sends to dst from: one in the same
// subnet; for a group the first of the family. It is invalid when there is none.
func (i *Interface) source(dst netip.Addr) netip.Addr {
	for _, p := range i.addrs {
		if p.Contains(dst.WithZone("")) || dst.IsMulticast() && p.Addr().Is4() == dst.Is4() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// receive gives d to every socket of the host that it is for.
func (i *Interface) receive(d Datagram) {
	if !i.hears(d.Dst.Addr()) {
		i.link.counters.Lost++ // readdressed while it was on its way
		return
	}
	if d.Src.Addr().IsLinkLocalUnicast() && d.Src.Addr().Is6() {
		d.Src = netip.AddrPortFrom(d.Src.Addr().WithZone(i.name), d.Src.Port())
	}
	for _, c := range i.host.conns {
		onIface := c.iface == nil && !d.Dst.Addr().IsMulticast() || c.iface == i
		inGroup := !d.Dst.Addr().IsMulticast() || c.group == d.Dst.Addr()
		if onIface && inGroup && c.port == d.Dst.Port() && !c.push(d) {
			i.link.counters.Lost++
		}
	}
}

// Conn is a UDP socket. It has the methods of *net.UDPConn that take and
// return netip addresses.
type Conn struct {
	host  *Host
	iface *Interface // nil: all of them
	group netip.Addr // the one joined, if any
	port  uint16

	mu     sync.Mutex // taken after lan.mu
	wake   sync.Cond
	inbox  []Datagram
	held   int
	closed bool

	deadline time.Time // of readers
}

// Listen opens a unicast socket on all the host's addresses; port 0 picks a
// free one.
func (h *Host) Listen(port uint16) (*Conn, error) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	taken := func(port uint16) bool {
		return slices.ContainsFunc(h.conns, func(c *Conn) bool { return c.port == port })
	}
	if port == 0 {
		for port = firstEphemeral; taken(port); port++ {
		}
	} else if taken(port) {
		return nil, ErrPortInUse
	}
	return h.open(&Conn{host: h, port: port}), nil
}

// ListenMulticast opens a socket on one interface that has joined group and
// also receives unicast to its port. Any number may share a port.
func (i *Interface) ListenMulticast(group netip.AddrPort) *Conn {
	i.host.lan.mu.Lock()
	defer i.host.lan.mu.Unlock()
	return i.host.open(&Conn{host: i.host, iface: i, group: group.Addr(), port: group.Port()})
}

func (h *Host) open(c *Conn) *Conn {
	c.wake.L = &c.mu
	h.conns = append(h.conns, c)
	return c
}

func (c *Conn) push(d Datagram) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(d.Data) + bufferOverhead
	if c.held+size > receiveBuffer {
		return false
	}
	c.held += size
	c.inbox = append(c.inbox, d)
	c.wake.Signal()
	return true
}

// ReadFromUDPAddrPort waits for a datagram and cuts it to b. After Close it
// returns net.ErrClosed.
func (c *Conn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	late := func() bool { return !c.deadline.IsZero() && !time.Now().Before(c.deadline) }
	for len(c.inbox) == 0 && !c.closed && !late() {
		c.wake.Wait()
	}
	switch {
	case c.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	case late():
		return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
	}
	d := c.inbox[0]
	c.inbox[0] = Datagram{}
	c.inbox = c.inbox[1:]
	c.held -= len(d.Data) + bufferOverhead
	return copy(b, d.Data), d.Src, nil
}

// WriteToUDPAddrPort sends b to a group or an address in a subnet of the host,
// or to the host itself.
func (c *Conn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	if len(b) > maxPayload {
		return 0, ErrTooLarge
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	out, src := c.route(to.Addr())
	if out == nil {
		return 0, ErrUnreachable
	}
	out.link.send(out, Datagram{
		Src:  netip.AddrPortFrom(src, c.port),
		Dst:  netip.AddrPortFrom(to.Addr().WithZone(""), to.Port()),
		Data: slices.Clone(b),
	})
	return len(b), nil
}

// route picks the interface, and its address, to send to dst from.
func (c *Conn) route(dst netip.Addr) (*Interface, netip.Addr) {
	c.host.lan.mu.Lock()
	defer c.host.lan.mu.Unlock()
	for _, i := range c.host.ifaces {
		if c.iface != nil && c.iface != i || dst.Zone() != "" && dst.Zone() != i.name {
			continue
		}
		if src := i.source(dst); src.IsValid() {
			return i, src
		}
	}
	return nil, netip.Addr{}
}

// SetReadDeadline has readers fail with [os.ErrDeadlineExceeded] from t on; never for the
// zero time.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		time.AfterFunc(wait, c.wake.Broadcast)
	} else {
		c.wake.Broadcast()
	}
	return nil
}

// LocalAddr is the wildcard address and the socket's port.
func (c *Conn) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.IPv6Unspecified(), c.port))
}

// Close frees the port and wakes the readers. A second one returns
// net.ErrClosed.
func (c *Conn) Close() error {
	c.host.lan.mu.Lock()
	defer c.host.lan.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	c.inbox = nil
	c.host.conns = slices.DeleteFunc(c.host.conns, func(o *Conn) bool { return o == c })
	c.wake.Broadcast()
	return nil
}
