package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"earshot/chat"
)

// knockEvery is how long somebody called by address may not answer before a knock is asked
// of who is visible there, and then before the next: as the node does for people.
const knockEvery = 300 * time.Millisecond

// RouteError reports that this machine has no way to an address.
type RouteError struct{ Addr netip.Addr }

func (e *RouteError) Error() string { return fmt.Sprintf("no route to %s from this machine", e.Addr) }

// Near reports whether somebody that q means may be visible: unless it is an address beyond
// the subnets of this machine, or one for the machine itself.
func (q Query) Near() bool {
	return q.Addrs == nil || slices.ContainsFunc(q.Addrs, func(a netip.AddrPort) bool {
		addr := a.Addr()
		return addr.IsLinkLocalUnicast() || !addr.IsLoopback() && slices.ContainsFunc(subnets(), func(p netip.Prefix) bool { return p.Contains(addr) })
	})
}

// Open reaches whoever t is, as the node does. At an address it says at once where there is
// no way to it, and where nobody could be but ourselves; if somebody visible is there, they
// are asked to open the path from their side. It adds the error [*RouteError].
func (a *App) Open(ctx context.Context, t chat.Target) (chat.Person, error) {
	if !t.Key.IsZero() || len(t.Addrs) == 0 {
		return a.Node.Open(ctx, t)
	}
	if !slices.ContainsFunc(t.Addrs, routed) {
		return chat.Person{}, &RouteError{t.Addrs[0].Addr()}
	}
	if !slices.ContainsFunc(t.Addrs, func(addr netip.AddrPort) bool { return !deserted(addr) }) {
		return chat.Person{}, chat.ErrSelf
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if a.Presence != nil {
		go a.knockAt(ctx, t.Addrs)
	}
	person, err := a.Node.Open(ctx, t)
	if err == nil && person.Key == a.Me.Key {
		return person, chat.ErrSelf // another process of ours
	}
	return person, err
}

// knockAt has those knocked for who are visible at one of the addresses, until ctx ends.
func (a *App) knockAt(ctx context.Context, addrs []netip.AddrPort) {
	again := time.NewTicker(knockEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
		for _, p := range a.Presence.Peers() {
			key, err := chat.ParseKey(p.ID)
			if err == nil && slices.ContainsFunc(p.Addrs, func(at netip.AddrPort) bool { return slices.Contains(addrs, at) }) {
				a.unanswered(key)
			}
		}
	}
}

// routed reports whether the system has a way to an address. Nothing is sent.
func routed(addr netip.AddrPort) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// deserted reports whether an address is where we ourselves would be met, and nobody is.
func deserted(addr netip.AddrPort) bool {
	own := slices.ContainsFunc(subnets(), func(p netip.Prefix) bool { return p.Addr() == addr.Addr().WithZone("") })
	if addr.Port() != chat.DefaultPort || !own {
		return false
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// subnets are those this machine is in, with its own addresses.
func subnets() []netip.Prefix {
	addrs, _ := net.InterfaceAddrs()
	return prefixes(addrs)
}

// prefixes are the addresses of interfaces, with the subnets they are in.
func prefixes(addrs []net.Addr) (all []netip.Prefix) {
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			addr, _ := netip.AddrFromSlice(n.IP)
			ones, bits := n.Mask.Size()
			all = append(all, netip.PrefixFrom(addr.Unmap(), ones-bits+addr.Unmap().BitLen()))
		}
	}
	return all
}
