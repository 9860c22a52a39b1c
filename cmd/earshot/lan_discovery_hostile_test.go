//go:build linux

package main_test

import (
	"fmt"
	"net"
	"net/netip"
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
