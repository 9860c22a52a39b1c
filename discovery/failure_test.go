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

// at makes an arrival of each packet of a flood come from another address.
func at(n int) string { return fmt.Sprintf("198.18.%d.%d:5353", n>>8&0xff, n&0xff) }

const bobDown = "down bob [198.18.0.2:41027]"

// RFC 6762 §10.5: two questions of others that go unanswered, and ten seconds.
func TestPassiveObservationOfFailures(t *testing.T) {
	question := ask(dns.TypePTR, dns.ClassINET, serviceName)
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 4500))
	d.expectEvents(bobUp)
	d.wait(time.Minute)
	d.hear("198.18.0.3:5353", question)
	d.wait(time.Minute)
	d.expectEvents() // one isn't enough
	d.hear("198.18.0.3:5353", question)
	d.wait(failureTime - time.Millisecond)
	d.expectEvents()
	d.wait(time.Second)
	d.expectEvents(bobDown)

	for name, spare := range map[string]func(d *dialogue){
		"he answers": func(d *dialogue) {
			d.hear("198.18.0.3:5353", question)
			d.hear(bobAt, bob(t, 4500))
		},
		"they know him": func(d *dialogue) {
			d.hear("198.18.0.3:5353", ask(dns.TypePTR, dns.ClassINET, serviceName, bob(t, 4500).Answer[0]))
		},
		"they turn out to know him": func(d *dialogue) {
			first := *question
			first.Truncated = true
			d.hear("198.18.0.3:5353", &first)
			d.wait(10 * time.Millisecond)
			d.hear("198.18.0.3:5353", &dns.Msg{Answer: bob(t, 4500).Answer[:1]})
		},
		"by the other family":  func(d *dialogue) { d.hear("[fe80::3%eth0]:5353", question) },
		"to be answered apart": func(d *dialogue) { d.hear("198.18.0.3:5353", ask(dns.TypePTR, dns.ClassINET|topBit, serviceName)) },
		"off the link": func(d *dialogue) {
			d.c.receive(arrival{link: eth.index, unicast: true, source: netip.MustParseAddrPort("203.0.113.1:5353")}, pack(t, question), d.now)
		},
		"as good as one":        func(d *dialogue) { d.c.links[eth.index].instances["bob-caaaaa._earshot._udp.local."].missedAt = d.now },
		"for something else":    func(d *dialogue) { d.hear("198.18.0.3:5353", ask(dns.TypePTR, dns.ClassINET, enumName)) },
		"the plain kind of DNS": func(d *dialogue) { d.hear("198.18.0.3:4000", question) },
	} {
		t.Run(name, func(t *testing.T) {
			d := talk(t, ana, true)
			d.hear(bobAt, bob(t, 4500))
			for range 5 {
				d.wait(2 * time.Second)
				spare(d)
			}
			d.wait(time.Minute)
			d.expectEvents(bobUp)
		})
	}
}

func pack(t testing.TB, msg *dns.Msg) []byte {
	t.Helper()
	data, err := msg.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// RFC 6762 §10.4.
func TestReconfirm(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 4500))
	d.expectEvents(bobUp)
	d.wait(time.Minute)
	began := d.now.Sub(d.start)
	d.c.reconfirm(testID(2), d.now)
	d.c.reconfirm(testID(2), d.now.Add(time.Second)) // again makes no difference
	d.c.reconfirm(testID(3), d.now)                  // nobody
	d.c.reconfirm("", d.now)
	d.listen()
	d.wait(failureTime - time.Millisecond)
	d.expectEvents()
	var asked []time.Duration
	for _, s := range d.said {
		if s.family == v4 {
			asked = append(asked, s.at-began)
		}
	}
	if want := []time.Duration{0, time.Second, 3 * time.Second, 6 * time.Second}; len(asked) != len(want) || asked[0] > 10*time.Millisecond || asked[3] > 7*time.Second {
		t.Errorf("asked at %v, not %v", asked, want)
	}
	d.wait(time.Millisecond)
	d.expectEvents(bobDown)

	d = talk(t, ana, true)
	d.hear(bobAt, bob(t, 4500))
	d.c.reconfirm(testID(2), d.now)
	d.wait(5 * time.Second)
	d.hear(bobAt, answerOf(t, "!bob-caaaaa._earshot._udp.local. 4500 SRV 0 0 41027 caaaaaearshotear.local."))
	d.wait(time.Hour)
	d.expectEvents(bobUp)
}

// RFC 6762 §10.1; SPEC §7: who is there isn't lost to goodbyes of others.
func TestForgedGoodbyes(t *testing.T) {
	forged := bob(t, 0)
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 4500))
	d.wait(time.Millisecond)
	d.hear("198.18.0.66:5353", answerOf(t, "caaaaaearshotear.local. 120 A 198.18.0.66")) // he pretends to be on the same host
	for n := range 230 {
		d.wait(100 * time.Millisecond)
		if n < 200 {
			d.hear("198.18.0.66:5353", forged)
		}
		for _, s := range d.said {
			if !s.Response && slices.ContainsFunc(s.Question, func(q dns.Question) bool { return q.Qtype == dns.TypeSRV }) {
				d.hear(bobAt, answerOf(t, // as he answers that question
					"!bob-caaaaa._earshot._udp.local. 4500 SRV 0 0 41027 caaaaaearshotear.local.",
					fmt.Sprintf("!bob-caaaaa._earshot._udp.local. 4500 TXT txtvers=1 id=%s name=bob", testID(2)),
					"!caaaaaearshotear.local. 4500 A 198.18.0.2"))
			}
		}
		d.said = nil
	}
	d.wait(time.Minute)
	d.expectEvents(bobUp)

	// Nobody objects.
	d.hear("198.18.0.66:5353", forged)
	d.wait(disputedGrace - time.Millisecond)
	d.expectEvents()
	d.wait(time.Millisecond)
	d.expectEvents(bobDown)

	// From his own address, while he is known to be there.
	d = talk(t, ana, true)
	d.hear(bobAt, bob(t, 4500))
	d.expectEvents(bobUp)
	d.c.confirm(testID(2), d.now)
	d.c.confirm(testID(3), d.now)
	d.hear(bobAt, forged)
	d.hear(bobAt, bob(t, 4500)) // he objects
	d.wait(5 * time.Second)
	d.expectEvents()
	d.wait(confirmedLife)
	d.hear(bobAt, forged)
	d.expectEvents(bobDown)
}

// RFC 6762 §10.2: nor to cache-flush bits.
func TestForgedCacheFlush(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, bob(t, 4500))
	d.expectEvents(bobUp)
	d.wait(time.Minute)
	d.said = nil
	d.hear("198.18.0.66:5353", answerOf(t, "!caaaaaearshotear.local. 4500 A 198.18.0.66"))
	if got := d.expect(2)[0].Question; len(got) != 4 { // over both families
		t.Errorf("asked %v", got)
	}
	d.wait(disputedGrace - time.Millisecond)
	d.hear(bobAt, answerOf(t, "!caaaaaearshotear.local. 4500 A 198.18.0.2"))
	d.wait(time.Minute)
	d.expectEvents() // the forged one came and went
}

// SPEC §6: a flood from one place leaves room for others, one from anywhere for
// those who are there.
func TestAMillionFakes(t *testing.T) {
	const each = 500
	for name, packets := range map[string]int{"one source": 2000, "many": 100} {
		t.Run(name, func(t *testing.T) {
			source := at
			if name == "one source" {
				source = func(int) string { return "198.18.0.66:5353" }
			}
			d := talk(t, ana, true)
			d.hear(bobAt, bob(t, 4500))
			msg := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: make([]dns.RR, each)}
			for n := range packets {
				for k := range each {
					msg.Answer[k] = &dns.PTR{
						Hdr: dns.RR_Header{Name: serviceName, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: 4500},
						Ptr: fmt.Sprintf("x%d.%s", n*each+k, serviceName),
					}
				}
				d.c.hear(arrival{link: eth.index, source: netip.MustParseAddrPort(source(n))}, msg, d.now)
			}
			l := d.c.links[eth.index]
			want := maxInstances
			if name == "one source" {
				want = 1 + maxPerSource
			}
			if len(l.instances) != want || len(d.c.dues) != want || len(l.sources) > want {
				t.Errorf("%d instances of %d sources, %d due", len(l.instances), len(l.sources), len(d.c.dues))
			}
			carol := bob(t, 4500)
			for _, rr := range carol.Answer {
				rr.Header().Name = map[uint16]string{dns.TypePTR: serviceName, dns.TypeA: "caaaaaearshotear.local."}[rr.Header().Rrtype]
				if rr.Header().Name == "" {
					rr.Header().Name = "carol." + serviceName
				}
			}
			carol.Answer[0].(*dns.PTR).Ptr = "carol." + serviceName
			carol.Answer[2].(*dns.TXT).Txt = []string{"id=" + testID(3), "name=carol"}
			d.hear("198.18.0.3:5353", carol)
			events := []string{bobUp}
			if name == "one source" {
				events = append(events, "up carol [198.18.0.2:41027]")
			}
			d.expectEvents(events...)
			d.hear(bobAt, bob(t, 0))
			d.expectEvents(bobDown)
		})
	}
}

// SPEC §7: somebody else with our identity.
func TestHearsOfACopy(t *testing.T) {
	mine := newIdentity(ana)
	for name, tc := range map[string]struct {
		rrs  []dns.RR
		want string
	}{
		"our own packets": {mine.records(unitAll, eth.prefixes, time.Minute, true), "invalid IP"},
		"on another link": {mine.records(unitAll, wlan.prefixes, time.Minute, true), "invalid IP"},
		"a twin": {records(t, "_earshot._udp.local. 60 PTR ana-baaaaa-5000._earshot._udp.local.", "!ana-baaaaa-5000._earshot._udp.local. 60 SRV 0 0 5000 baaaaaearshotear.local.",
			"!ana-baaaaa-5000._earshot._udp.local. 60 TXT id="+testID(1), "!baaaaaearshotear.local. 60 A 198.18.0.1"), "invalid IP"},
		"goodbye":         {records(t, "!baaaaaearshotear.local. 0 A 198.18.0.9"), "invalid IP"},
		"nonsense":        {records(t, "!baaaaaearshotear.local. 60 A 127.0.0.1"), "invalid IP"},
		"a copied key":    {mine.records(unitAll, []netip.Prefix{netip.MustParsePrefix("198.18.0.9/24")}, time.Minute, true), "198.18.0.9"},
		"the same, IPv6":  {mine.records(unitAll, []netip.Prefix{netip.MustParsePrefix("fe80::9/64")}, time.Minute, true), "fe80::9"},
		"under a new one": {records(t, "_earshot._udp.local. 60 PTR x._earshot._udp.local.", "x._earshot._udp.local. 60 SRV 0 0 5000 x.local.", "x._earshot._udp.local. 60 TXT id="+testID(1), "x.local. 60 A 198.18.0.8"), "198.18.0.8"},
	} {
		t.Run(name, func(t *testing.T) {
			d := talk(t, ana, true)
			d.c.setLink(wlan, wlan.families(), wlan.families(), d.now)
			for range 3 {
				d.hear("198.18.0.9:5353", &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: tc.rrs})
				d.wait(5 * time.Second)
			}
			if got := d.c.copied.String(); got != tc.want {
				t.Errorf("a copy at %v, not %v", got, tc.want)
			}
			d.expectEvents()
		})
	}
}

// An impostor with a label and a host of his own is asked for by these, and who doesn't
// answer is known by what he says again.
func TestAsksForAnImpostor(t *testing.T) {
	announced := answerOf(t, "_earshot._udp.local. 4500 PTR x._earshot._udp.local.", "x._earshot._udp.local. 4500 SRV 0 0 5000 x.local.",
		"x._earshot._udp.local. 4500 TXT id="+testID(1), "x.local. 4500 A 198.18.0.8")
	for name, tc := range map[string]struct {
		wait   time.Duration
		answer *dns.Msg
		want   string
	}{
		"he answers":          {copyDelay + time.Second, answerOf(t, "x.local. 4500 A 198.18.0.8"), "198.18.0.8"},
		"he says it later":    {time.Minute, announced, "198.18.0.8"},
		"too early":           {copyDelay - time.Second, announced, "invalid IP"},
		"elsewhere and later": {time.Minute, answerOf(t, "x.local. 4500 A 198.18.0.9"), "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			d := talk(t, ana, true)
			d.hear("198.18.0.8:5353", announced)
			d.wait(tc.wait)
			var asked []string
			for _, s := range d.said {
				for _, q := range s.Question {
					if s.family == v4 && strings.HasPrefix(q.Name, "x.") {
						asked = append(asked, dns.TypeToString[q.Qtype]+" "+q.Name)
					}
				}
			}
			if want := []string{"SRV x._earshot._udp.local.", "A x.local.", "AAAA x.local."}; tc.wait > copyDelay && !slices.Equal(asked, want) {
				t.Errorf("asked %q, not %q", asked, want)
			}
			d.hear("198.18.0.8:5353", tc.answer)
			if got := d.c.copied.String(); got != tc.want {
				t.Errorf("a copy at %v, not %v", got, tc.want)
			}
		})
	}
}

// Another process of ours that noticed a new address of the machine before us is
// no copy.
func TestNoCopyOnceAddressesAreKnown(t *testing.T) {
	d := talk(t, ana, true)
	moved := eth
	moved.prefixes = []netip.Prefix{netip.MustParsePrefix("198.18.0.9/24")}
	twin := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: newIdentity(ana).records(unitAll, moved.prefixes, time.Minute, true)}
	d.hear("198.18.0.9:5353", twin)
	d.wait(time.Second)
	d.hear("198.18.0.9:5353", twin)
	d.wait(pollInterval - time.Second)
	d.c.setLink(moved, moved.families(), moved.families(), d.now)
	d.wait(2 * time.Second)
	asked := false
	for _, s := range d.said {
		asked = asked || !s.Response && s.Question[0].Name == "baaaaaearshotear.local."
	}
	d.hear("198.18.0.9:5353", twin)
	if !asked || d.c.copied.IsValid() {
		t.Errorf("asked: %v, a copy at %v", asked, d.c.copied)
	}
}
