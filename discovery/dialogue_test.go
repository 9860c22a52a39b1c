package discovery

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// dialogue is a core under an explicit clock and what it says.
type dialogue struct {
	*testing.T
	c     *core
	start time.Time
	now   time.Time
	said  []said
}

// said is a packet the core sent.
type said struct {
	at time.Duration // since the dialogue began
	packet
	*dns.Msg
}

var (
	ana = Config{ID: testID(1), Name: "ana", Port: 41027}
	eth = netif{index: 2, name: "eth0", running: true, prefixes: []netip.Prefix{
		netip.MustParsePrefix("198.18.0.1/24"), netip.MustParsePrefix("fe80::1/64"),
	}}
	wlan = netif{index: 3, name: "wlan0", running: true, prefixes: []netip.Prefix{netip.MustParsePrefix("198.19.0.1/24")}}
)

// talk begins as ana on eth. quiet: after she has announced herself and asked.
func talk(t *testing.T, cfg Config, quiet bool) *dialogue {
	t.Helper()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := &dialogue{T: t, c: newCore(cfg, rand.New(rand.NewPCG(1, 2))), start: start, now: start}
	d.c.setLink(eth, eth.families(), eth.families(), d.now)
	d.listen()
	if quiet {
		d.wait(10 * time.Second)
		d.said = nil
	}
	return d
}

func (d *dialogue) listen() {
	d.Helper()
	for _, p := range d.c.take() {
		var msg dns.Msg
		if err := msg.Unpack(p.data); err != nil {
			d.Fatal(err)
		}
		d.said = append(d.said, said{d.now.Sub(d.start), p, &msg})
	}
}

// wait lets time pass.
func (d *dialogue) wait(dur time.Duration) {
	d.Helper()
	end := d.now.Add(dur)
	for {
		at := d.c.wake()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(d.now) {
			d.now = at
		}
		d.c.advance(d.now)
		d.listen()
	}
	d.now = end
	d.c.advance(end)
	d.listen()
}

// hear has msg arrive at eth, from the family of source.
func (d *dialogue) hear(source string, msg *dns.Msg) {
	d.Helper()
	data, err := msg.Pack()
	if err != nil {
		d.Fatal(err)
	}
	d.hearOn(eth.index, source, data)
}

func (d *dialogue) hearOn(link int, source string, data []byte) {
	d.Helper()
	in := arrival{link: link, source: netip.MustParseAddrPort(source)}
	if in.source.Addr().Is6() {
		in.family = v6
	}
	d.c.receive(in, data, d.now)
	d.listen()
}

// expect checks what was said since the last time.
func (d *dialogue) expect(n int) []said {
	d.Helper()
	said := d.said
	d.said = nil
	if len(said) != n {
		for _, s := range said {
			d.Logf("%v to %v\n%v", s.at, s.to, s.Msg)
		}
		d.Fatalf("said %d packets, not %d", len(said), n)
	}
	return said
}

// events are the changes of the roster since the last time.
func (d *dialogue) events() (es []string) {
	for {
		e, ok := d.c.event()
		if !ok {
			slices.Sort(es)
			return es
		}
		es = append(es, fmt.Sprint(e.Change, " ", e.Peer.Name, " ", e.Peer.Addrs))
	}
}

func (d *dialogue) expectEvents(want ...string) {
	d.Helper()
	if got := d.events(); !slices.Equal(got, want) {
		d.Errorf("events %q, not %q", got, want)
	}
}

const (
	bobAt  = "198.18.0.2:5353"
	bobAt6 = "[fe80::2%eth0]:5353"
)

var bobUp = "up bob [198.18.0.2:41027]"

// records parses a zone file line by line; !, in front, sets the cache-flush bit.
func records(t testing.TB, lines ...string) (rrs []dns.RR) {
	t.Helper()
	for _, line := range lines {
		flush := strings.HasPrefix(line, "!")
		rr, err := dns.NewRR(strings.TrimPrefix(line, "!"))
		if err != nil {
			t.Fatal(err)
		}
		if flush {
			rr.Header().Class |= topBit
		}
		rrs = append(rrs, rr)
	}
	return rrs
}

func answerOf(t testing.TB, lines ...string) *dns.Msg {
	t.Helper()
	return &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Compress: true, Answer: records(t, lines...)}
}

// bob is his announcement with that TTL.
func bob(t testing.TB, ttl int) *dns.Msg {
	t.Helper()
	return answerOf(t,
		fmt.Sprintf("_earshot._udp.local. %d PTR bob-caaaaa._earshot._udp.local.", ttl),
		fmt.Sprintf("!bob-caaaaa._earshot._udp.local. %d SRV 0 0 41027 caaaaaearshotear.local.", ttl),
		fmt.Sprintf("!bob-caaaaa._earshot._udp.local. %d TXT txtvers=1 id=%s name=bob", ttl, testID(2)),
		fmt.Sprintf("!caaaaaearshotear.local. %d A 198.18.0.2", ttl))
}

func ask(qtype, qclass uint16, name string, known ...dns.RR) *dns.Msg {
	return &dns.Msg{Question: []dns.Question{{Name: name, Qtype: qtype, Qclass: qclass}}, Answer: known}
}

func kinds(rrs []dns.RR) string {
	var ks []string
	for _, rr := range rrs {
		k := dns.TypeToString[rr.Header().Rrtype]
		if rr.Header().Class&topBit != 0 {
			k += "!"
		}
		ks = append(ks, k)
	}
	return strings.Join(ks, " ")
}
