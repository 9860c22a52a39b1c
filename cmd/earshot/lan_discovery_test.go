//go:build linux

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLANDiscovery puts people into every kind of network, each situation a LAN of its
// own. More of them are in TestLAN: IPv4 only, IPv6 only, two links, loopback only, no
// usable interface; by default no host has a default route.
func TestLANDiscovery(t *testing.T) {
	needLAN(t)
	for _, situation := range []struct {
		name string
		test func(*testing.T)
	}{
		{"no default route", lanNoDefaultRoute},
		{"default route elsewhere", lanRouteElsewhere},
		{"several links", lanSeveralLinks},
		{"interfaces of other kinds", lanOddInterfaces},
		{"two instances of one person", lanTwoInstances},
		{"two people at one machine", lanTwoAtOneMachine},
		{"beside Avahi", lanBesideAvahi},
		{"beside another holder of port 5353", lanBesideResolver},
		{"interface down and up", lanDownAndUp},
		{"interface comes", lanInterfaceComes},
		{"renumbered", lanRenumbered},
		{"asleep", lanAsleep},
		{"unicast answers dropped", lanUnicastDropped},
		{"copied data directory", lanCopied},
		{"forged goodbyes", lanForgedGoodbyes},
		{"flood of fakes", lanFakes},
	} {
		t.Run(situation.name, func(t *testing.T) {
			t.Parallel()
			situation.test(t)
		})
	}
}

const (
	noticed = slack * 3 * time.Second // what a change of interfaces may take to be noticed
	again   = slack * 5 * time.Second // and people to be seen anew
)

// by asserts that an event was told within limit of began.
func (e event) by(t *testing.T, began time.Time, limit time.Duration) event {
	t.Helper()
	if took := since(t, began, e.Time); took > limit {
		t.Errorf("%s of %s after %v, more than %v", e.Event, e.Peer.Name, took, limit)
	}
	return e
}

func lanNoDefaultRoute(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	for _, version := range []string{"-4", "-6"} {
		if routes := ana.exec("ip", version, "route", "show", "default"); routes != "" {
			t.Fatalf("there is a default route: %s", routes)
		}
	}
	listening(ana, bob)
	ana.sees(bob)
	bob.sees(ana)
}

// A VPN, say, takes the default route: multicast still goes out on every link.
func lanRouteElsewhere(t *testing.T) {
	l, other := newLAN(t), newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	for _, h := range []*host{ana, bob} {
		h.plug(other, noIPv6)
		h.exec("ip", "route", "add", "default", "dev", "eth1")
		h.cable("eth1", "down")
	}
	listening(ana, bob)
	rows := ana.sees(bob)
	if want := bob.ip("eth0", "4") + ":41027"; !slices.Contains(rows["bob"].Addrs, want) {
		t.Errorf("bob is at %v, which lacks %s", rows["bob"].Addrs, want)
	}
	bob.sees(ana)
}

func lanSeveralLinks(t *testing.T) {
	wire, wifi := newLAN(t), newLAN(t)
	ana, bob := wire.host("ana"), wire.host("bob")
	ana.plug(wifi, dual)
	bob.plug(wifi, dual)
	there := listening(ana, bob)
	want := []string{
		bob.ip("eth0", "4") + ":41027", bob.ip("eth1", "4") + ":41027",
		"[" + bob.ip("eth0", "6") + "%eth0]:41027", "[" + bob.ip("eth1", "6") + "%eth1]:41027",
	}
	got := ana.sees(bob)["bob"].Addrs
	if len(got) != len(want) || !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("bob is at %v, not %v", got, want)
	}
	if first := slices.IndexFunc(got, func(a string) bool { return strings.HasPrefix(a, "[") }); first != 2 {
		t.Errorf("bob's addresses are ordered %v", got)
	}
	bob.cable("eth0", "down")
	ana.run("send", "bob", "by the other one").exits(0)
	there["bob"].event("message")
	there["ana"].eventWithin(40*time.Second, "peer-changed", func(e event) bool { return !slices.Contains(e.Peer.Addrs, want[0]) })
	ana.sees(bob)
}

func lanOddInterfaces(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	ana.exec("ip", "tuntap", "add", "tun0", "mode", "tun")
	ana.exec("ip", "addr", "add", "10.8.0.2", "peer", "10.8.0.1", "dev", "tun0")
	ana.exec("ip", "link", "set", "tun0", "up")
	ana.exec("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
	ana.exec("ip", "link", "set", "veth0", "up", "multicast", "off")
	ana.exec("ip", "link", "add", "bridge0", "type", "bridge") // as containers have
	ana.exec("ip", "addr", "add", "172.17.0.1/16", "dev", "bridge0")
	ana.exec("ip", "link", "set", "bridge0", "up")
	listening(ana, bob)
	ana.sees(bob)
	if rows := bob.sees(ana); slices.ContainsFunc(rows["ana"].Addrs, func(a string) bool { return strings.HasPrefix(a, "10.") || strings.HasPrefix(a, "172.") }) {
		t.Errorf("ana is at %v", rows["ana"].Addrs) // each link gets its own addresses
	}
	d := decode[diagnosis](t, ana.run("doctor", "--json").exits(0).stdout)
	skipped := map[string]string{}
	for _, s := range d.Skipped {
		skipped[s.Name] = s.Reason
	}
	for name, want := range map[string]string{"tun0": "point-to-point", "veth0": "no multicast", "veth1": "down"} {
		if skipped[name] != want {
			t.Errorf("%s is skipped for %q, not %q", name, skipped[name], want)
		}
	}
	if !slices.Equal(slices.Sorted(slices.Values(d.Interfaces)), []string{"bridge0", "eth0", "lo"}) {
		t.Errorf("uses %v", d.Interfaces)
	}
}

func lanTwoInstances(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	watch := bob.start("listen", "--json")
	watch.event("ready")
	first := ana.start("listen", "--json")
	first.event("ready")
	watch.event("peer-up", of("ana"))
	second := ana.start("listen", "--json")
	port := second.event("ready").Port
	want := fmt.Sprintf("%s:%d", ana.ip("eth0", "4"), port)
	watch.event("peer-changed", func(e event) bool { return slices.Contains(e.Peer.Addrs, want) })
	if rows := bob.sees(ana); !slices.Contains(rows["ana"].Addrs, ana.ip("eth0", "4")+":41027") {
		t.Errorf("ana is at %v", rows["ana"].Addrs)
	}
	first.interrupt() // she goes on being there
	watch.event("peer-changed", func(e event) bool { return !slices.Contains(e.Peer.Addrs, ana.ip("eth0", "4")+":41027") })
	bob.sees(ana)
	second.interrupt()
	watch.event("peer-down", of("ana"))
	if said := first.stderr.String() + second.stderr.String(); strings.Contains(said, "copied") {
		t.Errorf("she takes herself for somebody else:\n%s", said)
	}
}

func lanTwoAtOneMachine(t *testing.T) {
	l := newLAN(t)
	ana, carol := l.host("ana"), l.host("carol")
	bob := ana.person("bob")
	there := listening(ana, carol)
	there["bob"] = bob.start("listen", "--json")
	there["bob"].event("ready")
	ana.sees(bob, carol)
	bob.sees(ana, carol)
	carol.sees(ana, bob)
	carol.run("send", "bob", "to the second").exits(0)
	if m := there["bob"].event("message"); m.Text != "to the second" {
		t.Errorf("bob got %q", m.Text)
	}
}

func lanBesideAvahi(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	local := ana.avahi()
	local.publish("a printer", "_ipp._tcp", 631)
	listening(ana, bob)
	ana.sees(bob)
	bob.sees(ana)
	// Neither is in the way of the other.
	found := local.browse("_earshot._udp")
	if label := "bob-" + bob.identity()[:6]; found[[2]string{label, "IPv4"}] == nil {
		t.Errorf("Avahi does not see %s: %v", label, found)
	}
	remote := bob.avahi()
	if found := remote.browse("_ipp._tcp"); found[[2]string{"a printer", "IPv4"}] == nil {
		t.Errorf("the printer is not seen: %v", found)
	}
	ana.sees(bob)
	bob.sees(ana)
}

// holdPort binds the port for all addresses, to be shared, as systemd-resolved does.
const holdPort = `
import socket, sys
held = []
for family, group, level, join in ((socket.AF_INET, "0.0.0.0", 0, 0), (socket.AF_INET6, "::", 0, 0)):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((group, 5353))
    held.append(s)
print("held", flush=True)
sys.stdin.read()
`

func lanBesideResolver(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	ana.startProgram(nil, python, "-c", holdPort).expect("held")
	there := listening(ana, bob)
	there["late"] = bob.person("late").start("listen", "--json") // started after
	there["ana"].event("peer-up", of("late"))
	if rows := ana.roster(); len(rows) != 2 {
		t.Errorf("ana sees %v", rows)
	}
	if _, ok := bob.roster()["ana"]; !ok {
		t.Error("bob does not see ana")
	}
}

func lanDownAndUp(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	there := listening(ana, bob)
	there["bob"].event("peer-up", of("ana"))
	there["ana"].event("peer-up", of("bob"))
	began := time.Now()
	bob.exec("ip", "link", "set", "eth0", "down")
	there["bob"].event("peer-down", of("ana")).by(t, began, noticed)
	began = time.Now()
	bob.exec("ip", "link", "set", "eth0", "up")
	there["bob"].event("peer-up", of("ana")).by(t, began, again)
	bob.run("send", "ana", "back").exits(0)
	there["ana"].event("message")
	ana.sees(bob)
}

// One who starts without a network is joined to the first that comes.
func lanInterfaceComes(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), newHost(t, "bob")
	there := listening(ana, bob)
	began := time.Now()
	bob.plug(l, dual)
	there["bob"].event("peer-up", of("ana")).by(t, began, again)
	there["ana"].event("peer-up", of("bob")).by(t, began, again)
}

func lanRenumbered(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	there := listening(ana, bob)
	there["ana"].event("peer-up", of("bob"))
	old := bob.ip("eth0", "4")
	moved := fmt.Sprintf("198.18.%d.200", l.subnet)
	began := time.Now()
	bob.exec("ip", "addr", "del", old+"/24", "dev", "eth0")
	bob.exec("ip", "addr", "add", moved+"/24", "dev", "eth0")
	there["ana"].event("peer-changed", func(e event) bool { return slices.Contains(e.Peer.Addrs, moved+":41027") }).by(t, began, noticed)
	there["ana"].event("peer-changed", func(e event) bool { return !slices.Contains(e.Peer.Addrs, old+":41027") }).by(t, began, again)
	ana.run("send", "bob", "to the new address").exits(0)
	there["bob"].event("message")
	bob.sees(ana)
}

// A process that is stopped is to others like a machine that sleeps, and to itself too:
// the clock jumps.
func lanAsleep(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	there := listening(ana, bob)
	there["ana"].event("peer-up", of("bob"))
	there["bob"].event("peer-up", of("ana"))
	began := time.Now()
	_ = there["bob"].cmd.Process.Signal(syscall.SIGSTOP)
	there["ana"].eventWithin(40*time.Second, "peer-down", of("bob")).by(t, began, 30*time.Second)
	began = time.Now()
	_ = there["bob"].cmd.Process.Signal(syscall.SIGCONT)
	there["ana"].event("peer-up", of("bob")).by(t, began, again)
	bob.run("send", "ana", "awake").exits(0)
	there["ana"].event("message")
	ana.sees(bob)
	bob.sees(ana)
}

// Many a desktop's firewall lets mDNS in, but no answers to other ports.
func lanUnicastDropped(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol := l.host("ana"), l.host("bob"), l.host("carol")
	ana.nft("chain in { type filter hook input priority 0; policy drop; ct state established,related accept; iifname lo accept; meta l4proto ipv6-icmp accept; udp dport 5353 accept; }")
	listening(bob, carol)
	for range 3 {
		if r := ana.run("peers").exits(0); r.took > slack*2*time.Second {
			t.Errorf("peers took %v", r.took)
		}
		ana.sees(bob, carol)
	}
	there := listening(ana)
	there["ana"].event("peer-up")
	bob.sees(ana, carol)
}

func lanCopied(t *testing.T) {
	l := newLAN(t)
	ana, laptop, bob := l.host("ana"), l.host("ana"), l.host("bob")
	there := listening(ana, bob)
	there["bob"].event("peer-up", of("ana"))
	ana.exec("cp", "-a", ana.dir, laptop.dir)
	// What belongs to the running process isn't copied.
	for _, leftover := range []string{"lock", "earshot.lock"} {
		_ = os.Remove(filepath.Join(laptop.dir, leftover))
	}
	second := laptop.start("listen", "--json")
	second.event("ready")
	there["ana"].expectNote("^earshot: somebody else announces this identity, at (" + laptop.ip("eth0", "4") + "|" + laptop.ip("eth0", "6") + "): a copied data directory")
	second.expectNote("copied data directory")
	if rows := bob.roster(); len(rows) != 1 { // still one row
		t.Errorf("bob sees %v", rows)
	}
}
