//go:build linux

package main_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// spoof opens a socket on the host that sends to the mDNS group as a responder does.
func (h *host) spoof() func(rrs ...dns.RR) {
	h.t.Helper()
	var conn *net.UDPConn
	h.inside(func() (err error) {
		eth, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err = net.ListenMulticastUDP("udp4", eth, net.UDPAddrFromAddrPort(mdnsGroup))
		return err
	})
	h.exec("ip", "route", "add", "224.0.0.0/4", "dev", "eth0")
	h.t.Cleanup(func() { _ = conn.Close() })
	return func(rrs ...dns.RR) {
		h.t.Helper()
		data, err := (&dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Compress: true, Answer: rrs}).Pack()
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err := conn.WriteToUDPAddrPort(data, mdnsGroup); err != nil {
			h.t.Fatal(err)
		}
	}
}

var mdnsGroup = netip.MustParseAddrPort("224.0.0.251:5353")

func record(t *testing.T, format string, args ...any) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(fmt.Sprintf(format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// Goodbyes and flushed addresses for bob, ten times a second.
func lanForgedGoodbyes(t *testing.T) {
	l := newLAN(t)
	ana, bob, mallory, carol := l.host("ana"), l.host("bob"), l.host("mallory"), l.host("carol")
	there := listening(ana, bob)
	there["ana"].event("peer-up", of("bob"))
	say := mallory.spoof()
	id := bob.identity()
	instance, machine := "bob-"+id[:6]+"._earshot._udp.local.", id[:16]+".local."
	flush := record(t, "%s 120 A 198.18.255.1", machine)
	flush.Header().Class |= 1 << 15
	for range 40 {
		say(record(t, "_earshot._udp.local. 0 PTR %s", instance), record(t, "%s 0 SRV 0 0 41027 %s", instance, machine),
			record(t, "%s 0 A %s", machine, bob.ip("eth0", "4")), flush)
		time.Sleep(100 * time.Millisecond)
	}
	listening(carol)
	there["ana"].event("peer-up", of("carol"), func(e event) bool {
		if e.Event == "peer-down" {
			t.Errorf("forged goodbyes took %s away", e.Peer.Name)
		}
		return e.Event == "peer-up"
	})
	if rows := ana.sees(bob, carol); len(rows["bob"].Addrs) == 0 || rows["bob"].Addrs[0] != bob.ip("eth0", "4")+":41027" {
		t.Errorf("bob is at %v", rows["bob"].Addrs)
	}
	bob.run("send", "ana", "still here").exits(0)
	there["ana"].event("message")
	there["bob"].interrupt() // his own goodbye counts at once
	there["ana"].event("peer-down", of("bob"))
}

// Twenty thousand instances that nobody is, while people come and go.
func lanFakes(t *testing.T) {
	l := newLAN(t)
	ana, bob, mallory, carol := l.host("ana"), l.host("bob"), l.host("mallory"), l.host("carol")
	there := listening(ana, bob)
	there["ana"].event("peer-up", of("bob"))
	say := mallory.spoof()
	for n := range 400 {
		var rrs []dns.RR
		for k := range 50 {
			rrs = append(rrs, record(t, "_earshot._udp.local. 4294967295 PTR x%d.%d._earshot._udp.local.", n, k),
				record(t, "_earshot._udp.local. 4294967295 PTR x%d-%d._earshot._udp.local.", n, k))
		}
		say(rrs...)
		if n%20 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	there["carol"] = carol.start("listen", "--json")
	there["ana"].event("peer-up", of("carol"))
	ana.sees(bob, carol)
	there["bob"].interrupt()
	there["ana"].event("peer-down", of("bob"))
	ana.sees(carol)
}

// Three hundred fakes from one machine, and somebody there who calls himself bob. They hide
// nobody from a newcomer, nor has she, who never met bob, an impostor for him while his
// answer is late. How late it is counts, so nothing else runs beside this.
func TestLANImpostor(t *testing.T) {
	needLAN(t)
	l := newLAN(t)
	ana, bob, carol, mallory := l.hostWith("ana", noIPv6), l.hostWith("bob", noIPv6), l.hostWith("carol", noIPv6), l.hostWith("mallory", noIPv6)
	there := listening(bob, carol)
	say := mallory.spoof()
	for n := range 300 {
		id := fmt.Sprintf("%s%c%c%ca", strings.Repeat("z", 48), 'a'+n/100, 'a'+n/10%10, 'a'+n%10)
		name := fmt.Sprintf("x%d", n)
		say(record(t, "_earshot._udp.local. 4500 PTR %s._earshot._udp.local.", name), record(t, "%s._earshot._udp.local. 4500 SRV 0 0 41027 %s.local.", name, name),
			record(t, "%s._earshot._udp.local. 4500 TXT id=%s name=%s", name, id, name), record(t, "%s.local. 4500 A 198.18.%d.250", name, l.subnet))
	}
	for range 300 {
		there["carol"].event("peer-up", func(e event) bool { return strings.HasPrefix(e.Peer.Name, "x") })
	}
	if rows := ana.roster("--wait", "0"); rows["bob"].ID == "" || rows["carol"].ID == "" {
		t.Errorf("a newcomer sees %v", rows)
	}
	impostor := mallory.person("bob")
	impostor.start("listen")
	there["carol"].event("peer-up", func(e event) bool { return e.Peer.ID == impostor.identity() })
	nft(t, l.ns, fmt.Sprintf("table bridge earshot { chain forward { type filter hook forward priority 0; ip saddr %s udp sport 5353 ip daddr != 224.0.0.251 drop; }; }", bob.ip("eth0", "4")))
	time.Sleep(4500 * time.Millisecond) // what is multicast for the questions of who joined, 3 s after that, is not multicast again for 1 s
	ana.run("send", "bob", "are you there").exits(4).notes("bob·"+bob.identity()[:6], "bob·"+impostor.identity()[:6])
}
