package discovery

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Skipped is an interface that isn't used, and why.
type Skipped struct{ Name, Reason string }

// Reasons that others than people go by.
const (
	Missing = "no such interface"
	Unasked = "not asked for"
	Held    = "another program has UDP port 5353 for itself"
)

// NoInterfaceError says that no network interface can be used.
type NoInterfaceError struct{ Tried []Skipped }

func (e *NoInterfaceError) Error() string {
	var tried []string
	for _, s := range e.Tried {
		tried = append(tried, s.Name+": "+s.Reason)
	}
	if tried == nil {
		return "no network interface"
	}
	return fmt.Sprintf("no usable network interface (%s)", strings.Join(tried, "; "))
}

// netif is a network interface that can be used.
type netif struct {
	index    int
	name     string
	loopback bool
	running  bool           // there is a carrier
	prefixes []netip.Prefix // sorted, without zones
}

func (n netif) equal(o netif) bool {
	return n.index == o.index && n.name == o.name && n.running == o.running && slices.Equal(n.prefixes, o.prefixes)
}

// families are those it has addresses of.
func (n netif) families() (f families) {
	for _, p := range n.prefixes {
		if p.Addr().Is4() {
			f |= 1 << v4
		} else {
			f |= 1 << v6
		}
	}
	return f
}

// interfaces lists the machine's interfaces: those to use, of the ones named in
// only if it isn't empty, and the others with the reason.
func interfaces(only []string) (use []netif, skipped []Skipped, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, nil, fmt.Errorf("list network interfaces: %w", err)
	}
	missing := slices.Clone(only)
	for _, ifi := range all {
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == ifi.Name })
		n := netif{
			index: ifi.Index, name: ifi.Name,
			loopback: ifi.Flags&net.FlagLoopback != 0, running: ifi.Flags&net.FlagRunning != 0,
		}
		// Linux doesn't call its loopback multicast-capable, yet it is.
		reason := ""
		switch {
		case len(only) > 0 && !slices.Contains(only, ifi.Name):
			reason = Unasked
		case ifi.Flags&net.FlagUp == 0:
			reason = "down"
		case n.loopback:
		case ifi.Flags&net.FlagPointToPoint != 0:
			reason = "point-to-point"
		case ifi.Flags&net.FlagMulticast == 0:
			reason = "no multicast"
		}
		if reason == "" {
			if n.prefixes, err = prefixes(ifi); err != nil {
				reason = err.Error()
			} else if len(n.prefixes) == 0 {
				reason = "no address"
			}
		}
		if reason != "" {
			skipped = append(skipped, Skipped{ifi.Name, reason})
			continue
		}
		use = append(use, n)
	}
	for _, name := range missing {
		skipped = append(skipped, Skipped{name, Missing})
	}
	return use, skipped, nil
}

// prefixes are the interface's unicast addresses, IPv4 first.
func prefixes(ifi net.Interface) (ps []netip.Prefix, err error) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(n.IP)
		if addr = addr.Unmap(); !ok || addr.IsUnspecified() || addr.IsMulticast() {
			continue
		}
		ones, bits := n.Mask.Size()
		ps = append(ps, netip.PrefixFrom(addr, ones-bits+addr.BitLen()))
	}
	slices.SortFunc(ps, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits())
	})
	return ps, nil
}
