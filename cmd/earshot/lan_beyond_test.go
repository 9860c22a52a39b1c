//go:build linux

package main_test

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLANBeyond is about people whom packets don't simply reach.
func TestLANBeyond(t *testing.T) {
	needLAN(t)
	for name, test := range map[string]func(*testing.T){
		"firewall":      lanFirewall,
		"two firewalls": lanTwoFirewalls,
		"short memory":  lanShortMemory,
		"router":        lanRouter,
		"reflector":     lanReflector,
		"domain":        lanDomain,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// wall is the default of common desktop firewalls: in comes only what answers, and
// multicast DNS.
const wall = `chain in { type filter hook input priority 0; policy drop;
	ct state established,related accept
	iifname lo accept
	meta l4proto ipv6-icmp accept
	udp dport 5353 accept
}`

func lanFirewall(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol := l.host("ana"), l.host("bob"), l.host("carol")
	bob.nft(wall)
	listen := bob.start("listen", "--json")
	listen.event("ready")
	watch := carol.start("peers", "--watch", "--json")
	watch.event("peer-up", of("bob"))

	// Whoever isn't announced shows themselves for as long as it takes.
	r := ana.run("send", "--json", "bob", "through the wall").exits(0)
	if m := listen.event("message"); m.Text != "through the wall" || m.From.Name != "ana" {
		t.Errorf("bob got %q from %s", m.Text, m.From.Name)
	}
	t.Logf("sent through a firewall in %v", r.took)
	if r.took > slack*2*time.Second {
		t.Errorf("sending took %v", r.took)
	}
	watch.event("peer-up", of("ana"))
	watch.event("peer-down", of("ana"))

	// Who is announced needn't; both ways, in one conversation.
	there := ana.start("chat", "bob")
	there.say("I am here")
	listen.event("message", func(e event) bool { return e.Text == "I am here" })
	bob.run("send", "ana", "and I").exits(0)
	there.expect("and I")
	there.hangUp()
	there.exits(0)

	// Called by the address at which they are visible, people are asked as well.
	erin := l.host("erin")
	erin.run("send", bob.ip("eth0", "4"), "by address").exits(0)
	listen.event("message", func(e event) bool { return e.Text == "by address" })
	l.host("fred").run("chat", bob.ip("eth0", "4")).exits(0)

	// Who wants to stay hidden does.
	carol.run("--hidden", "send", "--timeout", "2s", "bob", "hello").exits(5)
	ana.sees(bob)
}

func lanTwoFirewalls(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	ana.nft(wall)
	bob.nft(wall)
	listen := bob.start("listen", "--json")
	listen.event("ready")
	ana.run("send", "bob", "through two walls").exits(0)
	listen.event("message", func(e event) bool { return e.Text == "through two walls" })
	there := ana.start("chat", "bob")
	there.say("and again")
	listen.event("message", func(e event) bool { return e.Text == "and again" })
}

// lanShortMemory: the firewalls have forgotten the conversation by the time the next
// line is said.
func lanShortMemory(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	for _, h := range []*host{ana, bob} {
		h.nft(wall)
		h.exec("sh", "-c", "cd /proc/sys/net/netfilter && echo 1 >nf_conntrack_udp_timeout && echo 1 >nf_conntrack_udp_timeout_stream")
	}
	listen := bob.start("listen", "--json")
	listen.event("ready")
	there := ana.start("chat", "bob")
	for _, text := range []string{"one", "two", "three"} {
		there.say(text)
		began := time.Now()
		m := listen.event("message")
		if m.Text != text {
			t.Errorf("bob got %q, not %q", m.Text, text)
		}
		t.Logf("%q took %v", text, time.Since(began))
		<-time.After(2500 * time.Millisecond) // of silence: that is the situation
	}
	there.hangUp()
	there.exits(0)
}

// routed lays two segments with a router between them and a person on each.
func routed(t *testing.T) (ana, bob, router *host) {
	t.Helper()
	a, b := newLAN(t), newLAN(t)
	router = a.host("router")
	router.plug(b, dual)
	router.exec("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	ana, bob = a.host("ana"), b.host("bob")
	ana.exec("ip", "route", "add", "default", "via", router.ip("eth0", "4"))
	bob.exec("ip", "route", "add", "default", "via", router.ip("eth1", "4"))
	return ana, bob, router
}

// lanRouter: whoever is on another subnet is reached by address, and found again there.
func lanRouter(t *testing.T) {
	ana, bob, router := routed(t)
	listen := bob.start("listen", "--json")
	listen.event("ready")
	if rows := ana.roster(); len(rows) != 0 {
		t.Fatalf("the router lets multicast through: %v", rows)
	}
	there := ana.start("chat", bob.ip("eth0", "4"))
	there.expectNote("talking with bob") // he has introduced himself
	there.say("over the router")
	m := listen.event("message")
	if m.Text != "over the router" || m.From.Name != "ana" || m.From.ID != ana.identity() {
		t.Errorf("bob got %q from %+v", m.Text, m.From)
	}
	router.cable("eth1", "down")
	there.expectNote("bob can't be reached")
	there.say("are you there?")
	router.cable("eth1", "up")
	there.expectNote("bob is back")
	listen.event("message", func(e event) bool { return e.Text == "are you there?" })

	// And a program that starts anew at the same address.
	listen.interrupt()
	listen.exits(130)
	there.expectNote("bob has left")
	there.say("gone?")
	listen = bob.start("listen", "--json")
	listen.event("message", func(e event) bool { return e.Text == "gone?" })
	there.hangUp()
	there.exits(0)
}

// lanReflector: Avahi carries multicast DNS from link to link.
func lanReflector(t *testing.T) {
	ana, bob, router := routed(t)
	router.avahi("[reflector]\nenable-reflector=yes\n")
	there := listening(ana, bob)
	there["ana"].event("peer-up", of("bob"))
	there["bob"].event("peer-up", of("ana"))
	carol, dave := ana.person("carol"), bob.person("dave")
	for _, from := range []struct{ here, far *host }{{carol, bob}, {dave, ana}} {
		want := from.far.ip("eth0", "4") + ":41027"
		if up := from.here.start("peers", "--watch", "--json").event("peer-up", of(from.far.name)); !slices.Contains(up.Peer.Addrs, want) {
			t.Errorf("%s sees %s at %v, which lacks %s", from.here.name, from.far.name, up.Peer.Addrs, want)
		}
		from.here.run("send", from.far.name, "from", from.here.name).exits(0)
		if m := there[from.far.name].event("message"); m.Text != "from "+from.here.name {
			t.Errorf("%s got %q", from.far.name, m.Text)
		}
	}
	// If somebody asks within a second of a goodbye, Avahi answers from its cache. Then
	// bob is gone when that has run out.
	there["bob"].interrupt()
	deadline := time.After(2 * patience)
	for gone := false; !gone; {
		line, ok := there["ana"].stdout.next(deadline)
		if !ok {
			t.Fatal("ana still sees bob")
		}
		e := decode[event](t, line)
		gone = e.Event == "peer-down" && e.Peer.Name == "bob"
	}
}

// lanDomain: a domain's DNS server, here dnsmasq, says who is where.
func lanDomain(t *testing.T) {
	ana, bob, router := routed(t)
	listen := bob.start("listen", "--json")
	listen.event("ready")
	config := filepath.Join(router.home, "dnsmasq.conf")
	serve := func(lines ...string) *process {
		write(t, config, strings.Join(append([]string{
			"port=53", "local=/lan.example/", "no-resolv", "no-hosts", "keep-in-foreground", "bind-interfaces", "interface=eth0", "user=root", "pid-file=", "local-ttl=5",
			"log-facility=-",
		}, lines...), "\n")+"\n")
		p := router.startProgram(nil, "dnsmasq", "--conf-file="+config)
		p.expectNote("started")
		return p
	}
	// A name with blanks, as instances may have.
	const instance = "Bob at work._earshot._udp.lan.example"
	server := serve(
		`ptr-record=_earshot._udp.lan.example,"`+instance+`"`,
		`srv-host="`+instance+`",bob.lan.example,41027`,
		`txt-record="`+instance+`",txtvers=1,id=`+bob.identity()+`,name=bob`,
		"host-record=bob.lan.example,"+bob.ip("eth0", "4"))
	at := []string{"--domain", "lan.example", "--dns", router.ip("eth0", "4")}
	in := func(args ...string) []string { return append(slices.Clone(at), args...) }

	rows := decode[person](t, ana.run(in("peers", "--json")...).exits(0).stdout)
	if want := []string{bob.ip("eth0", "4") + ":41027"}; rows.Name != "bob" || rows.ID != bob.identity() || !slices.Equal(rows.Addrs, want) {
		t.Errorf("found %+v", rows)
	}
	ana.run(in("send", "bob", "by way of the DNS")...).exits(0)
	if m := listen.event("message"); m.Text != "by way of the DNS" {
		t.Errorf("bob got %q", m.Text)
	}
	watch := ana.start(in("peers", "--watch", "--json")...)
	watch.event("peer-up", of("bob"))
	_ = server.cmd.Process.Signal(syscall.SIGTERM)
	server.wait()
	serve() // nobody is listed any more
	watch.event("peer-down", of("bob"))

	// Where there is no server, or no such domain, the link is looked at as ever.
	began := time.Now()
	listening(ana)
	carol := ana.person("carol")
	carol.run("--domain", "nowhere.example", "--dns", router.ip("eth0", "4"), "send", "ana", "hello").exits(0)
	carol.run("--domain", "lan.example", "--dns", "198.18.255.254", "send", "ana", "hello").exits(0)
	silent := ana.ip("eth0", "4")
	silent = silent[:strings.LastIndexByte(silent, '.')] + ".250"
	carol.run("--domain", "lan.example", "--dns", silent, "peers").exits(0).notes("earshot: people can't be looked for in the domain lan.example: ", "\nname a server that knows it")
	carol.run("--domain", "lan.example", "--dns", ana.ip("eth0", "4"), "peers").exits(0).notes("the DNS server " + ana.ip("eth0", "4") + ":53 doesn't answer")
	if took := time.Since(began); took > slack*5*time.Second {
		t.Errorf("a server that isn't there takes %v", took)
	}
	carol.run("--domain", "printer.local", "peers").exits(2).notes("can't be looked for")
	carol.run("--domain", "lan.example", "--dns", "ns.example", "peers").exits(2).notes("not the address of a DNS server")
}
