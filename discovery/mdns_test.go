package discovery

import (
	"net"
	"testing"

	"github.com/hashicorp/mdns"
)

// SPEC §1: a browse on one link hears others too.
func TestEntriesOfOtherLinks(t *testing.T) {
	v6 := func(addr, zone string) *net.IPAddr { return &net.IPAddr{IP: net.ParseIP(addr), Zone: zone} }
	for name, tc := range map[string]struct {
		entry mdns.ServiceEntry
		want  string
	}{
		"in the subnet":               {mdns.ServiceEntry{AddrV4: net.IPv4(198, 18, 0, 7)}, "PTR SRV TXT A"},
		"in another":                  {mdns.ServiceEntry{AddrV4: net.IPv4(198, 19, 0, 7)}, ""},
		"link-local":                  {mdns.ServiceEntry{AddrV6IPAddr: v6("fe80::7", "eth0")}, "PTR SRV TXT AAAA"},
		"link-local, zone by number":  {mdns.ServiceEntry{AddrV6IPAddr: v6("fe80::7", "2")}, "PTR SRV TXT AAAA"},
		"link-local, another zone":    {mdns.ServiceEntry{AddrV6IPAddr: v6("fe80::7", "eth1")}, ""},
		"link-local by IPv4":          {mdns.ServiceEntry{AddrV4: net.IPv4(198, 18, 0, 7), AddrV6IPAddr: v6("fe80::7", "")}, "PTR SRV TXT A"},
		"global elsewhere and subnet": {mdns.ServiceEntry{AddrV4: net.IPv4(198, 18, 0, 7), AddrV6IPAddr: v6("2001:db8::7", "")}, "PTR SRV TXT A AAAA"},
		"no address":                  {mdns.ServiceEntry{}, ""},
	} {
		tc.entry.Name, tc.entry.Host = "bob-caaaaa._earshot._udp.local.", "caaaaaearshotear.local."
		if got := kinds(eth.entryRecords(&tc.entry)); got != tc.want {
			t.Errorf("%s: %q, not %q", name, got, tc.want)
		}
	}
}
