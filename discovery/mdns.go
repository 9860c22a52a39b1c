package discovery

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"
)

// system is the network of this machine, with hashicorp/mdns to answer by
// unicast and to browse.
type system struct{}

// entriesBuffer is how many entries of a browse may wait: further ones are
// dropped by hashicorp/mdns.
const entriesBuffer = 1024

// silent keeps hashicorp/mdns from writing to the standard logger for each
// packet that it can't read.
var silent = log.New(io.Discard, "", 0)

func (system) interfaces(only []string) ([]netif, []Skipped, error) { return interfaces(only) }
func (system) open(n netif, fam family) (conn, error)               { return openSocket(n, fam) }
func (system) openAsker(n netif, fam family) (conn, error)          { return openAsker(n, fam) }

// errLoopback: whatever interface it is to ask on, hashicorp/mdns joins the group
// on the default one too. Who stays on loopback is to touch no other.
var errLoopback = errors.New("not browsed by hashicorp/mdns")

// zone makes a function what hashicorp/mdns serves from.
type zone func(dns.Question) []dns.RR

// Records is what mdns.Zone asks for.
func (z zone) Records(q dns.Question) []dns.RR { return z(q) }

func (system) serve(n netif, records func(dns.Question) []dns.RR) (stop func(), err error) {
	server, err := mdns.NewServer(&mdns.Config{Zone: zone(records), Iface: n.system(), Logger: silent})
	if err != nil {
		return nil, err
	}
	return func() { _ = server.Shutdown() }, nil
}

func (system) browse(ctx context.Context, n netif, fam family, found func([]dns.RR)) error {
	if n.loopback {
		return errLoopback
	}
	entries := make(chan *mdns.ServiceEntry, entriesBuffer)
	// One family at a time, lest one's failure ends the other.
	err := mdns.QueryContext(ctx, &mdns.QueryParam{
		Service: randomCase(Service), Domain: randomCase(domain), Timeout: settleUnicast, Interface: n.system(), Entries: entries,
		WantUnicastResponse: true, DisableIPv4: fam != v4, DisableIPv6: fam != v6, Logger: silent,
	})
	// It goes on changing entries after it has sent them, so they are read
	// when it is through.
	for len(entries) > 0 {
		found(n.entryRecords(<-entries))
	}
	return err
}

func (n netif) system() *net.Interface { return &net.Interface{Index: n.index, Name: n.name} }

// entryRecords are the records an entry was made from, if it is of this link:
// with an address in its subnets, or a link-local one with its zone. The browse
// also hears what is multicast on others, and what is said goodbye to on one
// link would live on on the other. Of several addresses an entry has only the
// last of each family.
func (n netif) entryRecords(e *mdns.ServiceEntry) []dns.RR {
	header := func(name string, rrtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET}
	}
	rrs := []dns.RR{
		&dns.PTR{Hdr: header(serviceName, dns.TypePTR), Ptr: e.Name},
		&dns.SRV{Hdr: header(e.Name, dns.TypeSRV), Port: uint16(e.Port), Target: e.Host},
		&dns.TXT{Hdr: header(e.Name, dns.TypeTXT), Txt: e.InfoFields},
	}
	near := false
	if addr, ok := netip.AddrFromSlice(e.AddrV4.To4()); ok {
		near = n.contains(addr)
		rrs = append(rrs, &dns.A{Hdr: header(e.Host, dns.TypeA), A: e.AddrV4})
	}
	if e.AddrV6IPAddr != nil {
		addr, _ := netip.AddrFromSlice(e.AddrV6IPAddr.IP)
		zone := e.AddrV6IPAddr.Zone
		ours := zone == n.name || zone == strconv.Itoa(n.index)
		if !addr.IsLinkLocalUnicast() || ours {
			near = near || ours || n.contains(addr)
			rrs = append(rrs, &dns.AAAA{Hdr: header(e.Host, dns.TypeAAAA), AAAA: e.AddrV6IPAddr.IP})
		}
	}
	if !near {
		return nil
	}
	return rrs
}

func (n netif) contains(addr netip.Addr) bool {
	return slices.ContainsFunc(n.prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
