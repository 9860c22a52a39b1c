package discovery

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// RFC 6762 §8.3, §10.2, §5.2; SPEC §4.
func TestAnnouncesTwiceAndAsks(t *testing.T) {
	d := talk(t, ana, false)
	d.wait(20 * time.Second)
	var announced, asked [2][]time.Duration
	for _, s := range d.said {
		if s.to.IsValid() {
			t.Errorf("said to %v", s.to)
		}
		if !s.Response {
			asked[s.family] = append(asked[s.family], s.at)
			continue
		}
		announced[s.family] = append(announced[s.family], s.at)
		if got := kinds(s.Answer); got != "PTR SRV! TXT! A! AAAA!" {
			t.Errorf("announced %v", got)
		}
		if s.Id != 0 || !s.Authoritative || len(s.Question) > 0 {
			t.Errorf("header of an announcement: %v", s.Msg)
		}
	}
	for _, fam := range []family{v4, v6} {
		if want := []time.Duration{0, time.Second}; !slices.Equal(announced[fam], want) {
			t.Errorf("announced at %v", announced[fam])
		}
	}
	first := settleUnicast
	if want := []time.Duration{first, first + time.Second, first + 3*time.Second, first + 7*time.Second}; !slices.Equal(asked[v4], want) {
		t.Errorf("asked at %v", asked[v4])
	}
	if want := []time.Duration{time.Second, 3 * time.Second, 7 * time.Second}; !slices.Equal(asked[v6], want) {
		t.Errorf("asked over IPv6 at %v", asked[v6])
	}
}

// RFC 6762 §8.4.
func TestRename(t *testing.T) {
	d := talk(t, ana, true)
	d.c.rename(ana.ID, "anna", d.now)
	d.wait(5 * time.Second)
	for _, s := range d.expect(4) { // twice over each family
		if got := kinds(s.Answer); got != "PTR SRV! TXT! A! AAAA!" {
			t.Errorf("announced %v", got)
		}
		for _, rr := range s.Answer {
			if txt, ok := rr.(*dns.TXT); ok && !slices.Contains(txt.Txt, "name=anna") {
				t.Errorf("announced %v", txt)
			}
		}
	}
	d.c.rename(ana.ID, "ana", d.now)
	d.c.rename(ana.ID, "anna", d.now)
	d.wait(5 * time.Second)
	d.expect(6) // the first of the last one only after a second
	d = talk(t, Config{ID: ana.ID, Name: "ana", Hidden: true}, true)
	d.c.rename(ana.ID, "anna", d.now)
	d.wait(5 * time.Second)
	d.expect(0)
}

// RFC 6762 §10.1.
func TestGoodbye(t *testing.T) {
	d := talk(t, ana, true)
	d.c.goodbye()
	d.listen()
	for _, s := range d.expect(2) {
		if got := kinds(s.Answer); got != "PTR SRV! TXT! A! AAAA!" {
			t.Errorf("said goodbye to %v", got)
		}
		for _, rr := range s.Answer {
			if rr.Header().Ttl != 0 {
				t.Errorf("goodbye with TTL: %v", rr)
			}
		}
	}
}

func TestHiddenSaysNothingOfItself(t *testing.T) {
	cfg := ana
	cfg.Hidden = true
	d := talk(t, cfg, false)
	d.wait(10 * time.Second)
	d.hear(bobAt, ask(dns.TypePTR, dns.ClassINET, serviceName))
	d.hear("198.18.0.2:4000", ask(dns.TypePTR, dns.ClassINET, serviceName))
	d.wait(5 * time.Second)
	d.c.goodbye()
	d.listen()
	for _, s := range d.expect(7) {
		if s.Response {
			t.Errorf("said %v", s.Msg)
		}
	}
	d.hear(bobAt, bob(t, 30))
	d.expectEvents(bobUp)
}

// RFC 6762 §6, RFC 6763 §12.1.
func TestAnswersByMulticastAfterARandomDelay(t *testing.T) {
	var delays []time.Duration
	for range 20 {
		d := talk(t, ana, true)
		d.c.rng = rand.New(rand.NewPCG(uint64(len(delays)), 0))
		asked := d.now.Sub(d.start)
		d.hear(bobAt, ask(dns.TypePTR, dns.ClassINET, "_EARSHOT._udp.local."))
		d.expect(0)
		d.wait(time.Second)
		s := d.expect(1)[0]
		delay := s.at - asked
		if delay < sharedDelayMin || delay > sharedDelayMax {
			t.Errorf("answered after %v", delay)
		}
		if s.to.IsValid() || s.family != v4 || kinds(s.Answer) != "PTR" || kinds(s.Extra) != "SRV! TXT! A! AAAA!" {
			t.Errorf("answered %v to %v by family %v", s.Msg, s.to, s.family)
		}
		delays = append(delays, delay)
	}
	slices.Sort(delays)
	if len(slices.Compact(delays)) < 15 {
		t.Errorf("delays aren't random: %v", delays)
	}
}

// RFC 6762 §6: nothing is multicast twice within a second.
func TestAnswersNotTwiceWithinASecond(t *testing.T) {
	d := talk(t, ana, true)
	for range 10 {
		d.hear(bobAt, ask(dns.TypePTR, dns.ClassINET, serviceName))
		d.wait(200 * time.Millisecond)
	}
	said := d.expect(2)
	if gap := said[1].at - said[0].at; gap < time.Second {
		t.Errorf("answers %v apart", gap)
	}
	d.wait(2 * time.Second)
	d.expect(1)
}

// RFC 6762 §6: what only we can answer is answered at once.
func TestUniqueRecordsAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		qtype         uint16
		name          string
		answer, extra string
	}{
		"SRV":            {dns.TypeSRV, "ana-baaaaa._earshot._udp.local.", "SRV!", "A! AAAA!"},
		"TXT":            {dns.TypeTXT, "Ana-BAAAAA._earshot._udp.local.", "TXT!", ""},
		"A":              {dns.TypeA, "baaaaaearshotear.local.", "A! AAAA!", ""},
		"any of a host":  {dns.TypeANY, "baaaaaearshotear.local.", "A! AAAA!", ""},
		"any of service": {dns.TypeANY, "ana-baaaaa._earshot._udp.local.", "SRV! TXT!", "A! AAAA!"},
	} {
		t.Run(name, func(t *testing.T) {
			d := talk(t, ana, true)
			d.hear(bobAt6, ask(tc.qtype, dns.ClassINET, tc.name))
			s := d.expect(1)[0]
			if kinds(s.Answer) != tc.answer || kinds(s.Extra) != tc.extra || s.family != v6 {
				t.Errorf("answered %v", s.Msg)
			}
		})
	}
}

// RFC 6762 §5.4: hashicorp/mdns answers those. What isn't ours isn't answered.
func TestSilence(t *testing.T) {
	for name, msg := range map[string]*dns.Msg{
		"QU":             ask(dns.TypePTR, dns.ClassINET|topBit, serviceName),
		"other service":  ask(dns.TypePTR, dns.ClassINET, "_ipp._tcp.local."),
		"other instance": ask(dns.TypeSRV, dns.ClassINET, "bob-caaaaa._earshot._udp.local."),
		"other class":    ask(dns.TypePTR, dns.ClassCHAOS, serviceName),
		"nothing asked":  {},
	} {
		t.Run(name, func(t *testing.T) {
			d := talk(t, ana, true)
			d.hear(bobAt, msg)
			d.hear("198.18.0.2:4000", msg)
			d.wait(5 * time.Second)
			d.expect(0)
		})
	}
}

// RFC 6762 §7.1, from the answering side.
func TestKnownAnswersAreNotRepeated(t *testing.T) {
	for ttl, answers := range map[int]int{28: 0, 14: 0, 13: 1} {
		d := talk(t, ana, true)
		d.hear(bobAt, ask(dns.TypePTR, dns.ClassINET, serviceName,
			records(t, fmt.Sprintf("_earshot._udp.local. %d PTR Ana-baaaaa._earshot._udp.local.", ttl))...))
		d.wait(time.Second)
		d.expect(answers)
	}
	d := talk(t, ana, true)
	d.hear(bobAt, ask(dns.TypeA, dns.ClassINET, "baaaaaearshotear.local.", records(t, "baaaaaearshotear.local. 30 A 198.18.0.1")...))
	d.expect(1) // only one of the two is known
	d.wait(2 * time.Second)
	d.hear(bobAt, ask(dns.TypeA, dns.ClassINET, "baaaaaearshotear.local.",
		records(t, "baaaaaearshotear.local. 30 A 198.18.0.1", "baaaaaearshotear.local. 30 AAAA fe80::1")...))
	d.expect(0)
}

// RFC 6762 §7.2, from the answering side.
func TestMoreKnownAnswersAreWaitedFor(t *testing.T) {
	mine := records(t, "_earshot._udp.local. 30 PTR ana-baaaaa._earshot._udp.local.")
	first := ask(dns.TypePTR, dns.ClassINET, serviceName)
	first.Truncated = true

	d := talk(t, ana, true)
	asked := d.now.Sub(d.start)
	d.hear(bobAt, first)
	d.wait(tcDelayMax)
	if delay := d.expect(1)[0].at - asked; delay < tcDelayMin {
		t.Errorf("answered after %v", delay)
	}

	d = talk(t, ana, true)
	d.hear(bobAt, first)
	d.wait(100 * time.Millisecond)
	d.hear(bobAt, &dns.Msg{Answer: mine})
	d.wait(time.Second)
	d.expect(0)

	d = talk(t, ana, true)
	d.hear(bobAt, first)
	d.hear("198.18.0.3:5353", ask(dns.TypePTR, dns.ClassINET, serviceName))
	d.hear(bobAt, &dns.Msg{Answer: mine}) // somebody else still wants to know
	d.wait(time.Second)
	d.expect(1)
}

// RFC 6762 §7.1, §7.2, from the asking side; §7.1: not with half the TTL gone.
func TestAsksWithKnownAnswers(t *testing.T) {
	d := talk(t, ana, false)
	d.expect(2)
	d.hear(bobAt, bob(t, 100))
	old := bob(t, 4)
	for _, rr := range old.Answer {
		rr.Header().Name = strings.ReplaceAll(rr.Header().Name, "bob", "old")
	}
	old.Answer[0].(*dns.PTR).Ptr = "old-caaaaa._earshot._udp.local."
	d.hear(bobAt, old)
	d.wait(2500 * time.Millisecond)
	d.said = nil
	d.wait(600 * time.Millisecond) // the third question
	q := d.said[0]
	if got := fmt.Sprint(q.Answer); !strings.Contains(got, "\t97\tIN\tPTR\tbob-caaaaa") || strings.Contains(got, "old") || !strings.Contains(got, "PTR\tana-baaaaa") {
		t.Errorf("known answers %v", got)
	}
}

func TestLongKnownAnswerListsAreSplit(t *testing.T) {
	d := talk(t, ana, true)
	const count = 200
	for n := range count {
		d.hear(bobAt, answerOf(t, fmt.Sprintf("_earshot._udp.local. 4500 PTR somebody-%03d._earshot._udp.local.", n)))
	}
	d.said = nil
	d.c.askPTR(d.c.links[eth.index], v4)
	d.listen()
	known := 0
	for k, s := range d.said {
		known += len(s.Answer)
		if last := k == len(d.said)-1; s.Truncated == last {
			t.Errorf("packet %d of %d: TC is %v", k, len(d.said), s.Truncated)
		}
		if (k == 0) != (len(s.Question) == 1) {
			t.Errorf("packet %d has %d questions", k, len(s.Question))
		}
		if len(s.data) > 1400 {
			t.Errorf("packet of %d bytes", len(s.data))
		}
	}
	if known != count+1 || len(d.said) < 3 {
		t.Errorf("%d known answers in %d packets", known, len(d.said))
	}
}

// RFC 6762 §6.7, §11.
func TestLegacyQuestions(t *testing.T) {
	msg := ask(dns.TypePTR, dns.ClassINET, serviceName)
	msg.Id = 4711
	d := talk(t, ana, true)
	d.hear("198.18.0.7:40000", msg)
	s := d.expect(1)[0]
	if s.to.String() != "198.18.0.7:40000" || s.Id != 4711 || len(s.Question) != 1 || s.Question[0] != msg.Question[0] {
		t.Errorf("answered %v to %v", s.Msg, s.to)
	}
	if kinds(s.Answer) != "PTR" || kinds(s.Extra) != "SRV TXT A AAAA" {
		t.Errorf("answered %v with %v", kinds(s.Answer), kinds(s.Extra))
	}
	for _, rr := range append(s.Answer, s.Extra...) {
		if rr.Header().Ttl > 10 {
			t.Errorf("TTL of %v", rr)
		}
	}
	d.hear("203.0.113.7:40000", msg) // not on the link
	d.wait(time.Second)
	d.expect(0)
}

// RFC 6763 §9, RFC 6762 §7.4.
func TestServiceEnumeration(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, ask(dns.TypePTR, dns.ClassINET, enumName))
	d.wait(time.Second)
	s := d.expect(1)[0]
	if len(s.Answer) != 1 || len(s.Extra) != 0 || s.Answer[0].(*dns.PTR).Ptr != serviceName {
		t.Errorf("answered %v", s.Msg)
	}
	d.wait(time.Second)
	d.hear(bobAt, ask(dns.TypePTR, dns.ClassINET, enumName))
	d.hear("198.18.0.3:5353", answerOf(t, "_services._dns-sd._udp.local. 120 PTR _earshot._udp.local."))
	d.wait(time.Second)
	d.expect(0) // somebody said so already
}

// RFC 6762 §6.6, §9, §10.1.
func TestDefendsItsRecords(t *testing.T) {
	for name, lines := range map[string]string{
		"goodbye for us":  "_earshot._udp.local. 0 PTR ana-baaaaa._earshot._udp.local.",
		"address flushed": "!baaaaaearshotear.local. 0 A 198.18.0.1",
		"short TTL":       "!ana-baaaaa._earshot._udp.local. 5 SRV 0 0 41027 baaaaaearshotear.local.",
		"our label taken": "!ana-baaaaa._earshot._udp.local. 120 SRV 0 0 9 elsewhere.local.",
		"our TXT taken":   "!ana-baaaaa._earshot._udp.local. 120 TXT id=x",
	} {
		t.Run(name, func(t *testing.T) {
			d := talk(t, ana, true)
			for range 5 {
				d.hear(bobAt, answerOf(t, lines))
			}
			if got := kinds(d.expect(1)[0].Answer); got != "PTR SRV! TXT! A! AAAA!" {
				t.Errorf("said %v", got)
			}
			d.hear(bobAt, answerOf(t, lines))
			d.expect(0)
			for range 100 {
				d.wait(time.Second)
				d.hear(bobAt, answerOf(t, lines))
			}
			if n := len(d.said); n < 12 || n > 14 { // after 1, 2, 4, 8, 8, ... s
				t.Errorf("said so %d times in 100 s", n)
			}
		})
	}
	d := talk(t, ana, true)
	same := d.c.own.response(unitAll, eth.prefixes, d.c.links[eth.index].ttl(), true)
	d.hear(bobAt, same) // as our own packets, that we hear too
	d.wait(2 * time.Second)
	d.expect(0)
}

// RFC 6762 §18, §6, §11, §17: dropped and counted, with no effect.
func TestMalformedPackets(t *testing.T) {
	good, err := bob(t, 30).Pack()
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, b byte) []byte {
		data := slices.Clone(good)
		data[at] = b
		return data
	}
	loop := append(slices.Clone(good[:12]), 0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12)
	for name, data := range map[string][]byte{
		"empty":            {},
		"short header":     good[:11],
		"cut":              good[:len(good)-3],
		"opcode":           change(2, good[2]|0x08),
		"rcode":            change(3, good[3]|0x03),
		"compression loop": loop,
		"oversized":        append(slices.Clone(good), make([]byte, maxPacket)...),
		"garbage":          []byte(strings.Repeat("earshot", 20)),
	} {
		t.Run(name, func(t *testing.T) {
			d := talk(t, ana, true)
			d.hearOn(eth.index, bobAt, data)
			if d.c.dropped != 1 {
				t.Errorf("%d dropped", d.c.dropped)
			}
			d.expectEvents()
			d.expect(0)
		})
	}
	d := talk(t, ana, true)
	d.hearOn(eth.index, "198.18.0.2:5354", good)                                                                           // not from port 5353
	d.c.receive(arrival{link: eth.index, source: netip.MustParseAddrPort("203.0.113.1:5353"), unicast: true}, good, d.now) // off-link
	if d.c.dropped != 2 {
		t.Errorf("%d dropped", d.c.dropped)
	}
	d.hearOn(99, bobAt, good) // no such link
	d.expectEvents()
}

// ofZeroconf is an answer as python3-zeroconf 0.47.3 gives it: its NSEC record has the window
// of its bit map in two bytes.
var ofZeroconf, _ = hex.DecodeString("000084000000000100000004" + "085f65617273686f74045f756470056c6f63616c00000c000100001194000906707974686f6ec00c" +
	"c02b0021800100000078000f00000000000906707974686f6ec01a" + "c02b0010800100001194001609747874766572733d310b6e616d653d707974686f6e" +
	"c046002f800100000078000ac04600000004000000" + "08" + "c04600018001000000780004c6120002")

// SPEC §6: of a packet with a record that can't be read the others count.
func TestRecordsThatCannotBeReadAreSkipped(t *testing.T) {
	if new(dns.Msg).Unpack(ofZeroconf) == nil {
		t.Fatal("it can be read")
	}
	d := talk(t, ana, true)
	d.hearOn(eth.index, bobAt, ofZeroconf)
	d.expectEvents("up python [198.18.0.2:9]")
	if d.c.dropped != 0 {
		t.Errorf("%d dropped", d.c.dropped)
	}

	// The questions before it too; and nothing that points beyond the packet.
	question := append([]byte{0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0}, pack(t, ask(dns.TypePTR, dns.ClassINET, serviceName))[headerSize:]...)
	question = append(question, 0xc0, 12, 0, byte(dns.TypeA), 0, 1, 0, 0, 0, 9, 0, 3, 1, 2, 3)
	if msg, ok := parse(question); !ok || len(msg.Question) != 1 || msg.Question[0].Name != serviceName || len(msg.Answer) != 0 {
		t.Errorf("%v, %v", msg, ok)
	}
	for cut := headerSize; cut < len(question); cut++ {
		if _, ok := salvage(question[:cut]); ok {
			t.Errorf("read with %d bytes of %d", cut, len(question))
		}
	}
}

// RFC 6762 §5.4, §11: hashicorp/mdns answers, once, what was heard on the link.
func TestUnicastQuestionsAreHandedOver(t *testing.T) {
	q := dns.Question{Name: serviceName, Qtype: dns.TypePTR, Qclass: dns.ClassINET | topBit}
	d := talk(t, ana, true)
	d.c.setLink(wlan, wlan.families(), wlan.families(), d.now)
	if _, ok := d.c.unicastAnswer(eth.index, q, d.now); ok {
		t.Error("answered what wasn't asked")
	}
	d.hear("198.18.0.7:40000", &dns.Msg{Question: []dns.Question{q}})
	if rrs, known := d.c.unicastAnswer(wlan.index, q, d.now); rrs != nil || !known {
		t.Error("answered on another link")
	}
	other := q
	other.Name = "_Earshot._udp.local."
	if rrs, known := d.c.unicastAnswer(eth.index, other, d.now); rrs != nil || known {
		t.Error("answered another question")
	}
	if rrs, ok := d.c.unicastAnswer(eth.index, q, d.now); !ok || kinds(rrs) != "PTR SRV TXT A AAAA" {
		t.Errorf("answered %v, %v", rrs, ok)
	}
	if _, ok := d.c.unicastAnswer(eth.index, q, d.now); ok {
		t.Error("answered twice")
	}
	d.hear("203.0.113.7:40000", &dns.Msg{Question: []dns.Question{q}})
	if _, ok := d.c.unicastAnswer(eth.index, q, d.now); ok {
		t.Error("answered somebody off the link")
	}
	for range 2 * maxUnicastAsks {
		d.hear("198.18.0.7:40000", &dns.Msg{Question: []dns.Question{q}})
	}
	if n := len(d.c.links[eth.index].unicast); n > maxUnicastAsks {
		t.Errorf("%d wait", n)
	}
	d.wait(2 * unicastAskLife)
	if _, ok := d.c.unicastAnswer(eth.index, q, d.now); ok {
		t.Error("answered what was asked long ago")
	}
	if rrs, ok := d.c.unicastAnswer(eth.index, dns.Question{Name: "_ipp._tcp.local.", Qtype: dns.TypePTR}, d.now); rrs != nil || !ok {
		t.Error("answered for others")
	}
}
