//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/mdns"
)

// TestLANDiscoveryFigures measures, between real processes, what discovery promises:
// how fast people come and go, and what being there costs. It logs the figures and
// holds them to their limits.
//
//	EARSHOT_REQUIRE_LAN=1 go test -count=1 -v -run TestLANDiscoveryFigures ./cmd/earshot
func TestLANDiscoveryFigures(t *testing.T) {
	needLAN(t)
	if os.Getenv("EARSHOT_REQUIRE_LAN") != "1" {
		t.Skip("takes two minutes\nrun: EARSHOT_REQUIRE_LAN=1 go test -count=1 -v -run TestLANDiscoveryFigures ./cmd/earshot")
	}
	unmeasurable(t)
	f := figures{t}
	const machines, second = 30, 20 // at that many of them a second person
	l := newLAN(t)
	l.countDNS()
	var hosts []*host
	for n := range machines {
		hosts = append(hosts, l.host(fmt.Sprintf("p%02d", n)))
	}
	people := map[*host]*process{}
	for _, h := range hosts {
		people[h] = h.start("listen", "--json")
	}
	for _, p := range people {
		for range machines - 1 {
			p.event("peer-up")
		}
	}
	const steady = 30 * time.Second
	time.Sleep(8 * time.Second) // the questions on joining are over
	before := l.dnsPackets()
	time.Sleep(steady) // longer than a TTL
	ours := float64(l.dnsPackets()-before) / steady.Seconds()
	t.Logf("%d processes: %.1f packets/s", machines, ours)
	f.atMost("packets/s", ours, 10)

	// Joining: from the start of the process until it is in the list of each who is there.
	var joined []time.Duration
	for n, h := range hosts[:second] {
		h := h.person(fmt.Sprintf("q%02d", n))
		began := time.Now()
		p := h.start("listen", "--json")
		for _, there := range people {
			joined = append(joined, since(t, began, there.event("peer-up", of(h.name)).Time))
		}
		people[h] = p
		hosts = append(hosts, h)
		p.event("ready")
	}
	f.quantiles("start to list", joined, 50*time.Millisecond, 250*time.Millisecond)

	// Being there.
	time.Sleep(8 * time.Second)
	before, cpu := l.dnsPackets(), time.Duration(0)
	for _, p := range people {
		cpu -= cpuTime(t, p.cmd.Process.Pid)
	}
	time.Sleep(steady)
	for _, p := range people {
		cpu += cpuTime(t, p.cmd.Process.Pid)
	}
	share := 100 * cpu.Seconds() / steady.Seconds() / float64(len(people))
	rate := float64(l.dnsPackets()-before) / steady.Seconds()
	t.Logf("%d processes: %.1f packets/s; an idle one takes %.3f %% of a core", len(people), rate, share)
	f.atMost("packets/s", rate, 10)
	f.atMost("% of a core", share, noise*0.2)

	// Looking: `earshot peers`.
	guest := l.host("guest")
	for range 5 {
		r := guest.run("peers", "--json").exits(0)
		seen := strings.Count(r.stdout, "\n")
		t.Logf("earshot peers: %d of %d in %v", seen, len(people), r.took)
		if seen != len(people) {
			t.Errorf("earshot peers shows %d of %d", seen, len(people))
		}
		f.atMost("s for earshot peers", r.took.Seconds(), noise*0.6)
	}

	// Being killed, among 50.
	killed := hosts[0]
	began := time.Now()
	_ = people[killed].cmd.Process.Kill()
	delete(people, killed)
	var slowest time.Duration
	for _, there := range people {
		slowest = max(slowest, since(t, began, there.eventWithin(40*time.Second, "peer-down", of(killed.name)).Time))
	}
	t.Logf("killed, and gone from every list after %v", slowest)
	f.atMost("s to miss the killed", slowest.Seconds(), 30)

	// Leaving. Of two people at one machine only one leaves.
	var left []time.Duration
	for _, h := range hosts[machines:] {
		p := people[h]
		delete(people, h)
		began := time.Now()
		p.interrupt()
		for _, there := range people {
			left = append(left, since(t, began, there.event("peer-down", of(h.name)).Time))
		}
	}
	f.quantiles("leaving to gone", left, 100*time.Millisecond, 100*time.Millisecond)

	// The same number of processes, each of which does as most programs do.
	for _, p := range people {
		p.interrupt()
	}
	for n, h := range hosts[:machines] {
		h.exec("ip", "route", "add", "default", "dev", "eth0")
		h.startProgram([]string{"EARSHOT_NAIVE=n" + strconv.Itoa(n)}, os.Args[0], "-test.run=^TestNaiveQuerier$", "-test.v")
	}
	time.Sleep(12 * time.Second)
	before = l.dnsPackets()
	const rounds = 2 * naivePeriod
	time.Sleep(rounds)
	naive := float64(l.dnsPackets()-before) / rounds.Seconds()
	t.Logf("%d processes that query every %v with hashicorp/mdns: %.1f packets/s, to our %.1f", machines, naivePeriod, naive, ours)
	f.atMost("packets/s, a tenth of theirs being", ours, naive/10)
}

// noise is by how much a machine that others use too may exceed a limit on time before that
// counts as a fault. What was measured is printed in any case.
const noise = 2

type figures struct{ t *testing.T }

func (f figures) atMost(what string, got, limit float64) {
	f.t.Helper()
	if got > limit {
		f.t.Errorf("%.3g %s, more than %.3g", got, what, limit)
	}
}

func (f figures) quantiles(what string, all []time.Duration, median, p95 time.Duration) {
	f.t.Helper()
	slices.Sort(all)
	m, p := all[len(all)/2], all[len(all)*95/100]
	f.t.Logf("%s: median %v, 95th percentile %v, worst %v of %d", what, m, p, all[len(all)-1], len(all))
	f.atMost("s "+what+" (median)", m.Seconds(), noise*median.Seconds())
	f.atMost("s "+what+" (95th percentile)", p.Seconds(), noise*p95.Seconds())
}

// since is how long after began an event was told, by its own time: good to 1 ms.
func since(t *testing.T, began time.Time, told string) time.Duration {
	t.Helper()
	at, err := time.Parse(time.RFC3339, told)
	if err != nil {
		t.Fatal(err)
	}
	return max(0, at.Sub(began.Truncate(time.Millisecond)))
}

// eventWithin is event with a limit of its own.
func (p *process) eventWithin(limit time.Duration, kind string, where ...func(event) bool) event {
	p.t.Helper()
	deadline := time.After(limit)
	for {
		line, ok := p.stdout.next(deadline)
		if !ok {
			p.t.Fatalf("%s: no such event %q within %v", p.title, kind, limit)
		}
		e := decode[event](p.t, line)
		if e.Event == kind && !slices.ContainsFunc(where, func(holds func(event) bool) bool { return !holds(e) }) {
			return e
		}
	}
}

// cpuTime is what a process has computed so far.
func cpuTime(t *testing.T, pid int) (total time.Duration) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, thread.Name()))
		if err != nil {
			t.Fatal(err)
		}
		ns, err := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += time.Duration(ns)
	}
	return total
}

// countDNS makes the switch count what hosts send to or from port 5353.
func (l *lan) countDNS() {
	l.t.Helper()
	nft(l.t, l.ns, `table bridge count {
		counter dns { }
		chain in { type filter hook prerouting priority 0; udp dport 5353 counter name dns accept; udp sport 5353 counter name dns; }
	}`)
}

func (l *lan) dnsPackets() int {
	l.t.Helper()
	out := sh(l.t, "ip", "netns", "exec", l.ns, "nft", "-j", "list", "counter", "bridge", "count", "dns")
	var list struct {
		Nftables []struct{ Counter struct{ Packets int } }
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		l.t.Fatal(err)
	}
	packets := 0
	for _, o := range list.Nftables {
		packets += o.Counter.Packets
	}
	return packets
}

const naivePeriod = 10 * time.Second

// TestNaiveQuerier is no test but the program of comparison, run on hosts by the one
// above: it advertises itself, and looks for the others every naivePeriod.
func TestNaiveQuerier(t *testing.T) {
	name := os.Getenv("EARSHOT_NAIVE")
	if name == "" {
		t.Skip("run by TestLANDiscoveryFigures only")
	}
	const service = "_naive._udp"
	eth, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := eth.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	var ips []net.IP
	for _, a := range addrs {
		ips = append(ips, a.(*net.IPNet).IP)
	}
	zone, err := mdns.NewMDNSService(name, service, "", name+".local.", 4000, ips, []string{"txtvers=1"})
	if err != nil {
		t.Fatal(err)
	}
	silent := log.New(io.Discard, "", 0)
	server, err := mdns.NewServer(&mdns.Config{Zone: zone, Iface: eth, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Shutdown() }()
	found := make(chan *mdns.ServiceEntry, 100)
	for syscall.Getppid() != 1 { // until it is ended
		err := mdns.Query(&mdns.QueryParam{Service: service, Interface: eth, Timeout: time.Second, Entries: found, Logger: silent})
		fmt.Println("found", len(found), err)
		for len(found) > 0 {
			<-found
		}
		time.Sleep(naivePeriod - time.Second)
	}
}
