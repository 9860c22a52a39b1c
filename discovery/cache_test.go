package discovery

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// asks are the times at which a question of that type was multicast.
func (d *dialogue) asks(qtype uint16) (at []time.Duration) {
	for _, s := range d.said {
		if !s.Response && slices.ContainsFunc(s.Question, func(q dns.Question) bool { return q.Qtype == qtype }) {
			at = append(at, s.at)
		}
	}
	d.said = nil
	return at
}

// RFC 6762 §5.2, §10.
func TestRefreshesThenForgets(t *testing.T) {
	d := talk(t, ana, true)
	heard := d.now.Sub(d.start)
	d.hear(bobAt, bob(t, 100))
	d.expectEvents(bobUp)
	d.wait(99 * time.Second)
	asks := d.asks(dns.TypePTR)
	// The first over the family he was heard on, the others over both.
	if len(asks) != 7 {
		t.Fatalf("asked at %v", asks)
	}
	for k, at := range asks {
		percent := 80 + 5*((k+1)/2)
		least := heard + time.Duration(percent)*time.Second
		if at < least || at > least+2*time.Second {
			t.Errorf("question %d at %v, not %v to 2 s later", k, at-heard, least-heard)
		}
	}
	d.expectEvents() // no answer for a while changes nothing on one link
	d.wait(time.Second)
	d.expectEvents("down bob [198.18.0.2:41027]")
	if l := d.c.links[eth.index]; len(l.instances)+len(l.hosts)+len(d.c.dues)+len(d.c.rows) != 0 {
		t.Errorf("something is left: %+v", l)
	}
}

func TestAnAnswerRefreshes(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 30))
	for range 20 {
		d.wait(25 * time.Second)
		if asks := d.asks(dns.TypePTR); len(asks) != 1 {
			t.Fatalf("asked at %v", asks)
		}
		d.hear(bobAt, bob(t, 30))
	}
	d.expectEvents(bobUp)
}

// RFC 6762 §7.3.
func TestDuplicateQuestionSuppression(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 100))
	d.wait(79500 * time.Millisecond)
	d.hear("198.18.0.3:5353", ask(dns.TypePTR, dns.ClassINET, serviceName))
	d.said = nil
	d.wait(500 * time.Millisecond)
	d.said = nil // our own answer
	d.wait(400 * time.Millisecond)
	if asks := d.asks(dns.TypePTR); len(asks) != 0 && asks[0]-10*time.Second < 80500*time.Millisecond {
		t.Errorf("asked at %v", asks)
	}

	// Not if the other knows him and so won't have him answer.
	d = talk(t, ana, true)
	d.hear(bobAt, bob(t, 100))
	d.wait(81500 * time.Millisecond)
	d.said = nil
	d.c.links[eth.index].ends[v4].ownAskAt = time.Time{}
	i := d.c.links[eth.index].instances["bob-caaaaa._earshot._udp.local."]
	i.ptr.asks, i.ptr.next = 0, d.now.Add(500*time.Millisecond)
	d.c.touch(i)
	d.hear("198.18.0.3:5353", ask(dns.TypePTR, dns.ClassINET, serviceName, records(t, "_earshot._udp.local. 60 PTR bob-caaaaa._earshot._udp.local.")...))
	d.wait(700 * time.Millisecond)
	if asks := d.asks(dns.TypePTR); len(asks) != 1 {
		t.Errorf("asked at %v", asks)
	}
}

// RFC 6762 §10.1; SPEC §7.
func TestHearsGoodbye(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 30))
	d.expectEvents(bobUp)
	d.hear(bobAt, bob(t, 0))
	d.expectEvents("down bob [198.18.0.2:41027]")
	d.c.hint(eth.index, v4, bob(t, 0).Answer, d.now) // a late unicast answer
	d.expectEvents()
	if len(d.c.links[eth.index].instances) != 1 {
		t.Error("forgotten at once")
	}
	d.wait(goodbyeGrace)
	if len(d.c.links[eth.index].instances) != 0 {
		t.Error("not forgotten")
	}
	d.hear(bobAt, bob(t, 30))
	d.hear(bobAt, bob(t, 0))
	d.wait(goodbyeGrace / 2)
	d.hear(bobAt, bob(t, 30)) // the goodbye was somebody else's
	d.wait(5 * time.Second)
	d.expectEvents(bobUp)
}

// RFC 6762 §10.2.
func TestCacheFlush(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 100))
	d.hear(bobAt, answerOf(t, "!caaaaaearshotear.local. 100 A 198.18.0.22")) // within a second: one set in two packets
	d.expectEvents("up bob [198.18.0.2:41027 198.18.0.22:41027]")
	d.wait(2 * time.Second)
	d.hear(bobAt, answerOf(t, "!caaaaaearshotear.local. 100 AAAA fe80::2"))
	d.wait(2 * time.Second)
	d.expectEvents("changed bob [198.18.0.2:41027 198.18.0.22:41027 [fe80::2%eth0]:41027]")
	d.hear(bobAt, answerOf(t, "!caaaaaearshotear.local. 100 A 198.18.0.33"))
	d.wait(2 * time.Second)
	d.expectEvents("changed bob [198.18.0.33:41027 [fe80::2%eth0]:41027]")
	d.hear(bobAt, answerOf(t, "caaaaaearshotear.local. 100 A 198.18.0.34"))
	d.wait(2 * time.Second)
	d.expectEvents("changed bob [198.18.0.33:41027 198.18.0.34:41027 [fe80::2%eth0]:41027]")
}

func TestChangedTXTAndSRV(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 100))
	d.expectEvents(bobUp)
	d.hear(bobAt, answerOf(t, "!bob-caaaaa._earshot._udp.local. 100 TXT id="+testID(2)+" name=robert"))
	d.expectEvents("changed robert [198.18.0.2:41027]")
	d.hear(bobAt, answerOf(t, "!bob-caaaaa._earshot._udp.local. 100 SRV 0 0 41028 caaaaaearshotear.local."))
	d.expectEvents("changed robert [198.18.0.2:41028]")
	d.hear(bobAt, answerOf(t, "!bob-caaaaa._earshot._udp.local. 100 TXT name=robert"))
	d.expectEvents("down robert [198.18.0.2:41028]", "up robert [198.18.0.2:41028]") // no longer the identity he was
	d.hear(bobAt, answerOf(t, "!bob-caaaaa._earshot._udp.local. 100 TXT id="+testID(1)))
	d.expectEvents("down robert [198.18.0.2:41028]") // claims to be us
}

// What nobody fetched in between isn't told.
func TestEventsCoalesce(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 100))
	d.hear(bobAt, answerOf(t, "!bob-caaaaa._earshot._udp.local. 100 TXT id="+testID(2)+" name=robert"))
	d.expectEvents("up robert [198.18.0.2:41027]")
	d.hear(bobAt, bob(t, 0))
	d.hear(bobAt, bob(t, 100))
	d.expectEvents("changed bob [198.18.0.2:41027]")
	d.hear(bobAt, answerOf(t, "_earshot._udp.local. 0 PTR bob-caaaaa._earshot._udp.local."))
	d.hear(bobAt, bob(t, 100))
	d.expectEvents()
	for n := range 1000 { // coming and going, with nobody listening
		d.hear(bobAt, answerOf(t,
			fmt.Sprintf("_earshot._udp.local. 100 PTR x%d._earshot._udp.local.", n),
			fmt.Sprintf("x%d._earshot._udp.local. 100 SRV 0 0 1 x.local.", n),
			fmt.Sprintf("x%d._earshot._udp.local. 100 TXT name=x", n), "x.local. 100 A 198.18.0.7"))
		d.hear(bobAt, answerOf(t, fmt.Sprintf("_earshot._udp.local. 0 PTR x%d._earshot._udp.local.", n)))
		d.wait(2 * goodbyeGrace)
	}
	if len(d.c.dirty) > 1 || len(d.c.told) > 1 || len(d.c.dues) > 1 {
		t.Errorf("kept %d dirty, %d told, %d due", len(d.c.dirty), len(d.c.told), len(d.c.dues))
	}
}

// RFC 6763 §12: those who don't send everything at once are asked for the rest.
func TestResolvesIncompleteInstances(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, answerOf(t, "_earshot._udp.local. 4500 PTR bob-caaaaa._earshot._udp.local."))
	d.expectEvents()
	d.wait(200 * time.Millisecond)
	s := d.expect(1)[0]
	if len(s.Question) != 2 || s.Question[0].Qtype != dns.TypeSRV || s.Question[1].Qtype != dns.TypeTXT {
		t.Errorf("asked %v", s.Question)
	}
	d.hear(bobAt, answerOf(t, "!bob-caaaaa._earshot._udp.local. 120 SRV 0 0 41027 caaaaaearshotear.local."))
	d.wait(2 * time.Second)
	s = d.expect(2)[0] // over both families now
	if len(s.Question) != 3 || s.Question[0].Qtype != dns.TypeTXT || s.Question[1].Qtype != dns.TypeA || s.Question[2].Qtype != dns.TypeAAAA {
		t.Errorf("asked %v", s.Question)
	}
	d.hear(bobAt, answerOf(t, "!bob-caaaaa._earshot._udp.local. 120 TXT \"\"", "!caaaaaearshotear.local. 120 A 198.18.0.2"))
	d.expectEvents("up bob-caaaaa [198.18.0.2:41027]")
	// The PTR lives on; the others are refreshed by themselves.
	d.wait(100 * time.Second)
	if asks := d.asks(dns.TypeSRV); len(asks) != 1 {
		t.Errorf("asked for SRV at %v", asks)
	}

	// Somebody who never answers isn't asked for ever.
	d = talk(t, ana, true)
	d.hear(bobAt, answerOf(t, "_earshot._udp.local. 4500 PTR bob-caaaaa._earshot._udp.local."))
	d.wait(3000 * time.Second)
	if asks := d.asks(dns.TypeSRV); len(asks) != 2*maxResolves-1 {
		t.Errorf("asked at %v", asks)
	}
}

// One row per identity, over links and labels; one per instance without.
func TestRows(t *testing.T) {
	d := talk(t, ana, true)
	d.c.setLink(wlan, wlan.families(), wlan.families(), d.now)
	d.hear(bobAt, bob(t, 100))
	d.wait(time.Second)
	overWLAN := bob(t, 100)
	overWLAN.Answer[3] = records(t, "!caaaaaearshotear.local. 100 A 198.19.0.2")[0]
	data, err := overWLAN.Pack()
	if err != nil {
		t.Fatal(err)
	}
	d.hearOn(wlan.index, "198.19.0.2:5353", data)
	d.hear(bobAt, answerOf(t, "_earshot._udp.local. 100 PTR bob-caaaaa-5000._earshot._udp.local.",
		"bob-caaaaa-5000._earshot._udp.local. 100 SRV 0 0 5000 caaaaaearshotear.local.",
		"bob-caaaaa-5000._earshot._udp.local. 100 TXT id="+testID(2)+" name=bob"))
	d.hear(bobAt, answerOf(t, `_earshot._udp.local. 100 PTR An\.other._earshot._udp.local.`,
		`An\.other._earshot._udp.local. 100 SRV 0 0 1 other.local.`, `An\.other._earshot._udp.local. 100 TXT ""`,
		"other.local. 100 A 203.0.113.1", "other.local. 100 AAAA 2001:db8::1", "other.local. 100 AAAA fe80::7", "other.local. 100 A 198.18.0.7"))
	d.hear(bobAt, answerOf(t, "_earshot._udp.local. 100 PTR ana-elsewhere._earshot._udp.local.",
		"ana-elsewhere._earshot._udp.local. 100 SRV 0 0 5000 caaaaaearshotear.local.",
		"ana-elsewhere._earshot._udp.local. 100 TXT id="+testID(1)+" name=ana"))
	peers := d.c.peers()
	if len(peers) != 2 {
		t.Fatalf("peers %+v", peers)
	}
	if p := peers[0]; p.ID != "" || p.Name != "An.other" || fmt.Sprint(p.Addrs) != "[198.18.0.7:1 [fe80::7%eth0]:1 203.0.113.1:1 [2001:db8::1]:1]" {
		t.Errorf("the one without identity: %+v", p)
	}
	if p := peers[1]; p.ID != testID(2) || p.Name != "bob" || !p.Since.Equal(d.now.Add(-time.Second)) ||
		fmt.Sprint(p.Addrs) != "[198.18.0.2:5000 198.18.0.2:41027 198.19.0.2:41027]" {
		t.Errorf("bob: %+v", p)
	}
	// When one link no longer answers, the other comes first.
	d.wait(20 * time.Second)
	d.hearOn(wlan.index, "198.19.0.2:5353", data)
	d.wait(70 * time.Second)
	if p := d.c.peers()[1]; p.Addrs[0] != netip.MustParseAddrPort("198.19.0.2:41027") {
		t.Errorf("bob, eth0 silent: %+v", p)
	}
	d.events()
	d.c.dropLink(eth.index)
	d.expectEvents("changed bob [198.19.0.2:41027]", "down An.other [198.18.0.7:1 [fe80::7%eth0]:1 203.0.113.1:1 [2001:db8::1]:1]")
}

func TestImplausibleAddresses(t *testing.T) {
	d := talk(t, ana, true)
	msg := bob(t, 100)
	msg.Answer = append(msg.Answer, records(t,
		"caaaaaearshotear.local. 100 A 198.18.0.255", "caaaaaearshotear.local. 100 A 127.0.0.1", "caaaaaearshotear.local. 100 A 0.0.0.0", "caaaaaearshotear.local. 100 A 224.0.0.1",
		"caaaaaearshotear.local. 100 A 255.255.255.255", "caaaaaearshotear.local. 100 AAAA ::1", "caaaaaearshotear.local. 100 AAAA ff02::1",
		"caaaaaearshotear.local. 100 AAAA ::", "caaaaaearshotear.local. 100 AAAA ::ffff:198.18.0.9", "somebody.local. 100 A 198.18.0.4")...)
	d.hear(bobAt, msg)
	d.expectEvents(bobUp)
}

// SPEC §6: what is there isn't evicted by a flood, and no amount is kept beyond
// the caps.
func TestFlood(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 4500))
	for n := 0; n < maxInstances+500; n += 10 {
		var lines []string
		for k := n; k < n+10; k++ {
			lines = append(lines, fmt.Sprintf("_earshot._udp.local. 4500 PTR x%d._earshot._udp.local.", k),
				fmt.Sprintf("x%d._earshot._udp.local. 4500 SRV 0 0 1 x%d.local.", k, k/20),
				fmt.Sprintf("x%d._earshot._udp.local. 4500 TXT name=x", k), fmt.Sprintf("x%d.local. 4500 A 198.18.0.7", k/20))
		}
		d.hear(fmt.Sprintf("198.18.0.%d:5353", 10+n/10%20), answerOf(t, lines...))
	}
	for n := range 50 {
		d.hear(bobAt, answerOf(t, fmt.Sprintf("caaaaaearshotear.local. 4500 A 198.18.1.%d", n)))
	}
	l := d.c.links[eth.index]
	if len(l.instances) != maxInstances || len(d.c.dues) != maxInstances {
		t.Errorf("%d instances", len(l.instances))
	}
	for host, is := range l.hosts {
		if len(is) > maxPerHost {
			t.Errorf("%d instances at %v", len(is), host)
		}
	}
	if d.c.refused < 500 {
		t.Errorf("%d refused", d.c.refused)
	}
	at := slices.IndexFunc(d.c.peers(), func(p Peer) bool { return p.ID == testID(2) })
	if at < 0 {
		t.Fatal("bob was evicted")
	}
	if addrs := d.c.peers()[at].Addrs; len(addrs) != maxAddrs || !slices.Contains(addrs, netip.MustParseAddrPort("198.18.0.2:41027")) {
		t.Errorf("bob is at %v", addrs)
	}
	// And asking after them all stays within bounds.
	d.said = nil
	d.wait(10 * time.Second)
	if len(d.said) > 2*10+4 {
		t.Errorf("%d packets in 10 s", len(d.said))
	}
}

func TestAnAddressFloodOfARow(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 100))
	for n := range 20 { // others claim bob's identity
		d.hear(bobAt, answerOf(t, fmt.Sprintf("_earshot._udp.local. 100 PTR x%d._earshot._udp.local.", n),
			fmt.Sprintf("x%d._earshot._udp.local. 100 SRV 0 0 1 x%d.local.", n, n),
			fmt.Sprintf("x%d._earshot._udp.local. 100 TXT name=mallory id=%s", n, testID(2)),
			fmt.Sprintf("x%d.local. 100 A 198.18.0.1%02d", n, n)))
	}
	p := d.c.peers()[0]
	if len(p.Addrs) != maxPeerAddrs || p.Name != "bob" || p.Addrs[0] != netip.MustParseAddrPort("198.18.0.2:41027") {
		t.Errorf("bob: %+v", p)
	}
}

func TestAbsurdTTL(t *testing.T) {
	d := talk(t, ana, true)
	msg := bob(t, 100)
	for _, rr := range msg.Answer {
		rr.Header().Ttl = 1<<32 - 1
	}
	d.hear(bobAt, msg)
	d.expectEvents(bobUp)
	d.wait(maxTTL)
	d.expectEvents("down bob [198.18.0.2:41027]")
}

// What was heard before a link changed goes unless it is heard again.
func TestLinkChange(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 4500))
	d.expectEvents(bobUp)
	moved := eth
	moved.prefixes = []netip.Prefix{netip.MustParsePrefix("198.18.0.100/24")}
	d.c.setLink(moved, moved.families(), moved.families(), d.now)
	d.listen()
	d.wait(settleUnicast)
	said := d.expect(3)
	if got := fmt.Sprint(said[0].Answer); kinds(said[0].Answer) != "A AAAA" || !strings.Contains(got, "\t0\tIN\tA\t198.18.0.1") { // RFC 6762 §8.4
		t.Errorf("said goodbye to %v", got)
	}
	if got := fmt.Sprint(said[1].Answer); !strings.Contains(got, "198.18.0.100") {
		t.Errorf("announced %v", got)
	}
	if got := fmt.Sprint(said[2].Answer); strings.Contains(got, "bob") {
		t.Errorf("asked with %v", got)
	}
	d.wait(2 * time.Second)
	d.hear(bobAt, bob(t, 4500))
	d.wait(doubtGrace)
	d.expectEvents()
	d.c.setLink(moved, moved.families(), moved.families(), d.now)
	d.wait(doubtGrace)
	d.expectEvents("down bob [198.18.0.2:41027]")
}
