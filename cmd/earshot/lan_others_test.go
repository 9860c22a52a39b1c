//go:build linux

package main_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func lanAvahi(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	there := listening(ana, bob, carol)
	other := l.host("other").avahi()

	found := other.browse("_earshot._udp")
	for _, h := range []*host{ana, bob, carol} {
		id := h.identity()
		addrs := []string{h.ip("eth0", "4"), h.ip("eth0", "6")} // Avahi gives either over either
		for _, version := range []string{"IPv4", "IPv6"} {
			f := found[[2]string{h.name + "-" + id[:6], version}]
			if f == nil {
				t.Errorf("Avahi does not see %s over %s: %v", h.name, version, found)
				continue
			}
			if !slices.Contains(addrs, f[7]) || f[8] != "41027" {
				t.Errorf("Avahi sees %s at %s port %s, want port 41027 of %v", h.name, f[7], f[8], addrs)
			}
			for _, pair := range []string{`"txtvers=1"`, `"id=` + id + `"`, `"name=` + h.name + `"`} {
				if !strings.Contains(f[9], pair) {
					t.Errorf("Avahi sees %s without %s: %s", h.name, pair, f[9])
				}
			}
		}
	}

	watch := dave.start("peers", "--watch", "--json")
	watch.event("peer-up", of("carol"))
	stranger := other.publish("a stranger", "_earshot._udp", 9)
	up := watch.event("peer-up", of("a stranger"))
	if up.Peer.Verified || up.Peer.ID != "" || len(up.Peer.Addrs) == 0 || up.Peer.Status != "unproven" {
		t.Errorf("who proved nothing is shown as %+v", up.Peer)
	}
	if row := dave.sees(ana, bob, carol, &host{name: "a stranger"})["a stranger"]; row.Status != "unproven" {
		t.Errorf("who proved nothing is listed as %+v", row)
	}
	stranger.interrupt()
	watch.event("peer-down", of("a stranger"))

	// A goodbye is understood by Avahi too.
	browse := other.client("avahi-browse", "-p", "_earshot._udp")
	ana6 := "ana-" + ana.identity()[:6]
	browse.expect(`^\+;eth0;IPv4;` + ana6)
	there["ana"].interrupt()
	watch.event("peer-down", of("ana"))
	browse.expect(`^-;eth0;IPv4;` + ana6)
}

func lanZeroconf(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	there := listening(ana, bob)
	watch := dave.start("peers", "--watch", "--json")
	other := carol.zeroconf("python", 9)
	other.expect("registered")
	up := watch.event("peer-up", of("python"))
	if up.Peer.Status != "unproven" || len(up.Peer.Addrs) != 1 || up.Peer.Addrs[0] != carol.ip("eth0", "4")+":9" {
		t.Errorf("zeroconf's instance is shown as %+v", up.Peer)
	}
	late := dave.start("peers", "--watch", "--json") // its answers are understood as well
	late.event("peer-up", of("python"))
	for _, h := range []*host{ana, bob} {
		id := h.identity()
		// Found in any order, so the whole of what was said is searched.
		other.anywhere("found " + h.name + "-" + id[:6] + " " + h.ip("eth0", "4") + `[^ ]* ` + strconv.Itoa(41027) +
			` .*'id': '` + id + `'`)
	}
	there["ana"].interrupt()
	other.anywhere("gone ana-" + ana.identity()[:6])
	other.hangUp()
	watch.event("peer-down", of("python"))
}
