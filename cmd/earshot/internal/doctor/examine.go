package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/ipv4"

	"earshot/discovery"
)

const (
	span     = 1600 * time.Millisecond // of listening: two questions, and the answers to them
	toolTime = 2 * time.Second         // what the firewalls' tools may take
)

// Config says what to examine.
type Config struct {
	ID         string   // own identity, which doesn't count as visible; may be ""
	Port       uint16   // where people talk
	Interfaces []string // empty: every usable one

	Domain string         // where to look for people by unicast DNS too; empty: nowhere
	DNS    netip.AddrPort // the server to ask; invalid: the system's
}

// Examine looks at this machine and listens to the network. It takes about two
// seconds, and says on the network no more than a question.
func Examine(ctx context.Context, cfg Config) (Facts, error) {
	f := Facts{OS: runtime.GOOS, Port: cfg.Port, Root: os.Geteuid() == 0}
	var err error
	var all sync.WaitGroup
	all.Go(func() { f.Trials, f.Skipped, err = discovery.Probe(ctx, cfg.Interfaces, span) })
	all.Go(func() { f.Visible, f.Domain = visible(ctx, cfg) })
	all.Go(func() {
		limited, cancel := context.WithTimeout(ctx, toolTime)
		defer cancel()
		f.Firewalls = firewalls(limited, f.OS, run, []uint16{MDNSPort, cfg.Port})
	})
	all.Wait()
	if err != nil {
		return f, err
	}
	var names []string
	for _, t := range f.Trials {
		if !t.Loopback && !t.Unplugged && !slices.Contains(names, t.Interface) {
			names = append(names, t.Interface)
		}
	}
	for _, name := range names {
		f.look(name)
	}
	if at := slices.Index(f.Addrs, defaultAddr()); at > 0 {
		f.Addrs[0], f.Addrs[at] = f.Addrs[at], f.Addrs[0]
	}
	return f, ctx.Err()
}

// run is a runner of the tools there are.
func run(ctx context.Context, name string, args ...string) string {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 100 * time.Millisecond
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return ""
	}
	return string(out)
}

// visible counts the people on other machines, and says why they can't be looked for in
// the domain.
func visible(ctx context.Context, cfg Config) (count int, domain *discovery.DomainError) {
	var mu sync.Mutex
	var failed *discovery.DomainError
	presence, err := discovery.Join(discovery.Config{
		ID: cfg.ID, Hidden: true, Interfaces: cfg.Interfaces, Domain: cfg.Domain, DNS: cfg.DNS,
		Trouble: func(err error) {
			if e, ok := errors.AsType[*discovery.DomainError](err); ok {
				mu.Lock()
				defer mu.Unlock()
				failed = e
			}
		},
	})
	if err != nil {
		return 0, nil // the trials say why
	}
	defer presence.Leave()
	select {
	case <-time.After(span):
	case <-ctx.Done():
	}
	own := map[netip.Addr]bool{}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			ip, _ := netip.AddrFromSlice(n.IP)
			own[ip.Unmap()] = true
		}
	}
	for _, p := range presence.Peers() {
		if slices.ContainsFunc(p.Addrs, func(a netip.AddrPort) bool { return !own[a.Addr().WithZone("")] }) {
			count++
		}
	}
	mu.Lock()
	defer mu.Unlock()
	return count, failed
}

// look tries an interface with what stays on the machine.
func (f *Facts) look(name string) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return // gone meanwhile
	}
	nets, _ := ifi.Addrs()
	for _, a := range nets {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.To4() == nil {
			continue
		}
		addr, _ := netip.AddrFromSlice(n.IP.To4())
		f.Addrs = append(f.Addrs, addr)
		if by := leavesBy(addr, n); by != "" && by != name && !slices.Contains(f.Captures, Capture{by, name}) {
			f.Captures = append(f.Captures, Capture{by, name})
		}
	}
	if hears, known := hearsItself(ifi, f.Port); known && !hears {
		f.Deaf = append(f.Deaf, name)
	}
}

// defaultAddr is the address from which packets go to the rest of the world: the one
// of the network most likely meant. Nothing is sent.
func defaultAddr() netip.Addr {
	conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: MDNSPort}) // of documentation
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// leavesBy names the interface by which packets to others in the subnet of addr leave;
// "" if that isn't known. Nothing is sent.
func leavesBy(addr netip.Addr, subnet *net.IPNet) string {
	other := addr.Next()
	if !subnet.Contains(other.AsSlice()) || !subnet.Contains(other.Next().AsSlice()) { // the broadcast address, or a subnet of one
		if other = addr.Prev(); !subnet.Contains(other.AsSlice()) || other.AsSlice()[3] == 0 {
			return ""
		}
	}
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(other, MDNSPort)))
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	from := conn.LocalAddr().(*net.UDPAddr).IP
	all, _ := net.Interfaces()
	for _, ifi := range all {
		addrs, _ := ifi.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(from) {
				return ifi.Name
			}
		}
	}
	return ""
}

// hearsItself tries whether a datagram to the port comes in by the interface: one to
// the group, with a TTL of 0, so that it goes round inside the machine. It isn't known
// where a program has the port.
func hearsItself(ifi *net.Interface, port uint16) (hears, known bool) {
	const patience = 100 * time.Millisecond
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: int(port)}
	conn, err := net.ListenMulticastUDP("udp4", ifi, group)
	if err != nil {
		return false, false
	}
	defer func() { _ = conn.Close() }()
	p := ipv4.NewPacketConn(conn)
	if p.SetMulticastInterface(ifi) != nil || p.SetMulticastTTL(0) != nil || p.SetMulticastLoopback(true) != nil {
		return false, false
	}
	token := rand.Text()
	buf := make([]byte, 512)
	for range 3 {
		if _, err := conn.WriteTo([]byte(token), group); err != nil {
			return false, false
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		for {
			n, err := conn.Read(buf)
			if err != nil {
				break
			}
			if strings.HasPrefix(string(buf[:n]), token) {
				return true, true
			}
		}
	}
	return false, true
}
