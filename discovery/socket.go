package discovery

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// conn is one family of one interface. Only one goroutine reads.
type conn interface {
	// read waits for a packet that came in by the interface. After close it
	// returns net.ErrClosed.
	read(b []byte) (n int, in arrival, err error)
	write(b []byte, to netip.AddrPort) error
	close()
}

var udp = [2]string{v4: "udp4", v6: "udp6"}

// socket is a conn over UDP. Where the system says by which interface a packet
// to the group came, what came by another is skipped: on Linux a socket hears
// all groups that any socket has joined. Windows doesn't say; there it hears
// only its own. Unicast reaches one socket of those that share the port, any.
type socket struct {
	conn   *net.UDPConn
	p4     *ipv4.PacketConn // one of the two
	p6     *ipv6.PacketConn
	ifi    *net.Interface
	family family
	asker  bool // on a port of its own: what comes is for this interface
}

// openSocket joins the family's group on an interface.
func openSocket(n netif, fam family) (conn, error) {
	ifi := n.system()
	c, err := net.ListenMulticastUDP(udp[fam], ifi, net.UDPAddrFromAddrPort(groups[fam]))
	if err != nil {
		return nil, fmt.Errorf("join %v: %w", groups[fam].Addr(), err)
	}
	s, err := newSocket(c, ifi, fam)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return s, nil
}

// openAsker opens a socket on a port of its own, for questions whose answers are
// to come by unicast.
func openAsker(n netif, fam family) (conn, error) {
	c, err := net.ListenUDP(udp[fam], nil)
	if err != nil {
		return nil, err
	}
	s, err := newSocket(c, n.system(), fam)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	s.asker = true
	return s, nil
}

func newSocket(c *net.UDPConn, ifi *net.Interface, fam family) (*socket, error) {
	const ttl = 255 // RFC 6762 §11
	s := &socket{conn: c, ifi: ifi, family: fam}
	_ = c.SetReadBuffer(1 << 20) // for a burst of answers; less will do
	if fam == v4 {
		s.p4 = ipv4.NewPacketConn(c)
		_ = s.p4.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true) // not on Windows
		_ = s.p4.SetTTL(ttl)
		_ = s.p4.SetMulticastTTL(ttl)
		if err := s.p4.SetMulticastInterface(ifi); err != nil {
			return nil, fmt.Errorf("set multicast interface: %w", err)
		}
		return s, s.p4.SetMulticastLoopback(true)
	}
	s.p6 = ipv6.NewPacketConn(c)
	_ = s.p6.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true)
	_ = s.p6.SetHopLimit(ttl)
	_ = s.p6.SetMulticastHopLimit(ttl)
	if err := s.p6.SetMulticastInterface(ifi); err != nil {
		return nil, fmt.Errorf("set multicast interface: %w", err)
	}
	return s, s.p6.SetMulticastLoopback(true)
}

func (s *socket) read(b []byte) (n int, in arrival, err error) {
	for {
		var from net.Addr
		var dst net.IP
		var index int
		if s.p4 != nil {
			var cm *ipv4.ControlMessage
			if n, cm, from, err = s.p4.ReadFrom(b); cm != nil {
				dst, index = cm.Dst, cm.IfIndex
			}
		} else {
			var cm *ipv6.ControlMessage
			if n, cm, from, err = s.p6.ReadFrom(b); cm != nil {
				dst, index = cm.Dst, cm.IfIndex
			}
		}
		if err != nil {
			return 0, arrival{}, err
		}
		unicast := s.asker || dst != nil && !dst.IsMulticast()
		switch {
		case s.asker || index == 0:
			index = s.ifi.Index
		case !unicast && index != s.ifi.Index:
			continue
		}
		source := from.(*net.UDPAddr).AddrPort()
		return n, arrival{
			link: index, family: s.family, unicast: unicast,
			source: netip.AddrPortFrom(source.Addr().Unmap(), source.Port()),
		}, nil
	}
}

func (s *socket) write(b []byte, to netip.AddrPort) error {
	if !to.IsValid() {
		to = groups[s.family]
		if s.family == v6 { // the BSDs and Windows want the zone
			to = netip.AddrPortFrom(to.Addr().WithZone(s.ifi.Name), to.Port())
		}
	}
	_, err := s.conn.WriteToUDPAddrPort(b, to)
	return err
}

func (s *socket) close() { _ = s.conn.Close() }
