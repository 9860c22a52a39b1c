package discovery

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Every section of the two RFCs that SPEC.md is to speak of.
var sections = map[string]string{
	"RFC 6762": "5.1 5.2 5.3 5.4 5.5 6 6.1 6.2 6.3 6.4 6.5 6.6 6.7 7.1 7.2 7.3 7.4 8.1 8.2 8.3 8.4 9 10 10.1 10.2 10.3 10.4 10.5 11 14 15 16 17 18",
	"RFC 6763": "4.1 4.2 4.3 5 6 6.1 6.3 6.4 6.5 6.7 6.8 7 7.1 9 12 13",
}

// TestConformanceTables holds SPEC.md to its word: each section has a row, and each
// rule kept names tests that exist.
func TestConformanceTables(t *testing.T) {
	spec, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllStringSubmatch(string(src), -1) {
			tests[m[1]] = true
		}
	}
	for rfc, list := range sections {
		_, table, ok := strings.Cut(string(spec), ". "+rfc+"\n")
		if !ok {
			t.Fatalf("no table for %s", rfc)
		}
		table, _, _ = strings.Cut(table, "\n## ")
		rows := map[string]bool{}
		for line := range strings.Lines(table) {
			cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "|"), "|"), "|")
			if !strings.HasPrefix(line, "| ") || len(cells) != 4 || strings.TrimSpace(cells[0]) == "section" {
				continue
			}
			section, _, _ := strings.Cut(strings.TrimSpace(cells[0]), " ")
			verdict := strings.TrimSpace(cells[1])
			rows[section] = true
			named := regexp.MustCompile(`Test\w+`).FindAllString(cells[3], -1)
			if verdict != "not" && len(named) == 0 {
				t.Errorf("%s section %s is %q without a test", rfc, section, verdict)
			}
			if verdict == "not" && len(strings.TrimSpace(cells[2])) < 10 {
				t.Errorf("%s section %s isn't kept without a reason", rfc, section)
			}
			for _, name := range named {
				if !tests[name] {
					t.Errorf("%s section %s: there is no %s", rfc, section, name)
				}
			}
		}
		for section := range strings.FieldsSeq(list) {
			if !rows[section] {
				t.Errorf("%s section %s has no row", rfc, section)
			}
		}
	}
}

// RFC 6762 §5.3, §6.3: several questions in one packet, answered in one.
func TestSeveralQuestions(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, &dns.Msg{Question: []dns.Question{
		{Name: "ana-baaaaa._earshot._udp.local.", Qtype: dns.TypeTXT, Qclass: dns.ClassINET},
		{Name: "_ipp._tcp.local.", Qtype: dns.TypePTR, Qclass: dns.ClassINET},
		{Name: "baaaaaearshotear.local.", Qtype: dns.TypeA, Qclass: dns.ClassINET},
	}})
	d.wait(time.Second)
	if got := kinds(d.expect(1)[0].Answer); got != "TXT! A! AAAA!" {
		t.Errorf("answered %v", got)
	}
}

// RFC 6762 §6.4: what is asked for while an answer waits joins it.
func TestAnswersAreAggregated(t *testing.T) {
	d := talk(t, ana, true)
	d.hear(bobAt, ask(dns.TypePTR, dns.ClassINET, serviceName))
	d.hear("198.18.0.3:5353", ask(dns.TypePTR, dns.ClassINET, enumName))
	d.hear("198.18.0.4:5353", ask(dns.TypePTR, dns.ClassINET, serviceName))
	d.wait(5 * time.Second)
	if got := kinds(d.expect(1)[0].Answer); got != "PTR PTR" {
		t.Errorf("answered %v", got)
	}
}

// RFC 6762 §5.5: a question sent to us alone, from the mDNS port.
func TestDirectQuestions(t *testing.T) {
	data := pack(t, ask(dns.TypePTR, dns.ClassINET, serviceName))
	for from, answers := range map[string]int{bobAt: 1, "203.0.113.9:5353": 0} {
		d := talk(t, ana, true)
		d.c.receive(arrival{link: eth.index, unicast: true, source: netip.MustParseAddrPort(from)}, data, d.now)
		d.wait(time.Second)
		for _, s := range d.expect(answers) {
			if s.to.IsValid() {
				t.Errorf("answered to %v", s.to)
			}
		}
	}
}

// RFC 6762 §6.1, §6.2: what there isn't.
func TestNegativeAnswers(t *testing.T) {
	v4only := eth
	v4only.prefixes = eth.prefixes[:1]
	for name, tc := range map[string]struct {
		on            netif
		qtype         uint16
		name          string
		answer, extra string
		types         []uint16
	}{
		"no AAAA":         {v4only, dns.TypeAAAA, "baaaaaearshotear.local.", "A! NSEC!", "", []uint16{dns.TypeA}},
		"A, but no AAAA":  {v4only, dns.TypeA, "baaaaaearshotear.local.", "A!", "NSEC!", []uint16{dns.TypeA}},
		"MX of the host":  {eth, dns.TypeMX, "baaaaaearshotear.local.", "NSEC!", "", []uint16{dns.TypeA, dns.TypeAAAA}},
		"A of a service":  {eth, dns.TypeA, "ana-baaaaa._earshot._udp.local.", "NSEC!", "", []uint16{dns.TypeTXT, dns.TypeSRV}},
		"A, and AAAA too": {eth, dns.TypeA, "baaaaaearshotear.local.", "A! AAAA!", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := talk(t, ana, true)
			d.c.setLink(tc.on, tc.on.families(), 0, d.now)
			d.said = nil
			d.hear(bobAt, ask(tc.qtype, dns.ClassINET, tc.name))
			s := d.expect(1)[0]
			if kinds(s.Answer) != tc.answer || kinds(s.Extra) != tc.extra {
				t.Fatalf("answered %v with %v", kinds(s.Answer), kinds(s.Extra))
			}
			for _, rr := range slices.Concat(s.Answer, s.Extra) {
				if nsec, ok := rr.(*dns.NSEC); ok && (nsec.NextDomain != tc.name || !slices.Equal(nsec.TypeBitMap, tc.types)) {
					t.Errorf("said %v", nsec)
				}
			}
		})
	}
}

// RFC 6762 §18.1 to §18.13: what our headers say, and what of others' is ignored.
func TestHeaders(t *testing.T) {
	d := talk(t, ana, false)
	d.wait(10 * time.Second)
	d.hear(bobAt, bob(t, 30))
	d.wait(30 * time.Second)
	if len(d.said) < 10 {
		t.Fatalf("said %d packets", len(d.said))
	}
	for _, s := range d.said {
		h := s.MsgHdr
		if h.Id != 0 || h.Opcode != 0 || h.Rcode != 0 || h.RecursionDesired || h.RecursionAvailable || h.Zero || h.AuthenticatedData || h.CheckingDisabled {
			t.Errorf("header %+v", h)
		}
		if h.Authoritative != h.Response || h.Response == (len(s.Question) > 0) {
			t.Errorf("header %+v with %d questions", h, len(s.Question))
		}
		for _, rr := range slices.Concat(s.Answer, s.Extra) {
			shared := rr.Header().Rrtype == dns.TypePTR
			if flush := rr.Header().Class&topBit != 0; h.Response && flush == shared || !h.Response && flush {
				t.Errorf("cache-flush bit of %v", rr)
			}
		}
	}
	d = talk(t, ana, true)
	odd := bob(t, 30)
	odd.MsgHdr = dns.MsgHdr{Id: 99, Response: true, Truncated: true, RecursionDesired: true, RecursionAvailable: true, Zero: true, AuthenticatedData: true, CheckingDisabled: true}
	d.hear(bobAt, odd)
	d.expectEvents(bobUp)
	question := ask(dns.TypeTXT, dns.ClassINET, "ana-baaaaa._earshot._udp.local.")
	question.Id, question.RecursionDesired, question.Zero = 99, true, true
	d.hear(bobAt, question)
	if s := d.expect(1)[0]; s.Id != 0 {
		t.Errorf("answered with ID %d", s.Id)
	}
}

// RFC 6762 §18.14: names are compressed, also in the targets of SRV records.
func TestNameCompression(t *testing.T) {
	msg := newIdentity(ana).response(unitAll, eth.prefixes, time.Minute, true)
	packed := pack(t, msg)
	msg.Compress = false
	if plain := pack(t, msg); len(packed) >= len(plain) {
		t.Errorf("%d bytes, uncompressed %d", len(packed), len(plain))
	}
	// miekg/dns doesn't compress the target; others do: a pointer to the host's name.
	const head, host, local, atLocal = "\x00\x00\x00\x00\xa0C", "\x10baaaaaearshotear", "\x05local\x00", "\xc0\x1a"
	others := strings.Replace(string(packed), "\x00\x1e"+head+host+local, "\x00\x19"+head+host+atLocal, 1)
	if len(others) != len(packed)-5 {
		t.Fatalf("no target in %x", packed)
	}
	d := talk(t, Config{ID: testID(5), Name: "eve", Port: 1}, true)
	d.hearOn(eth.index, "198.18.0.1:5353", []byte(others))
	d.expectEvents("up ana [198.18.0.1:41027 [fe80::1%eth0]:41027]")
}

// RFC 6763 §12.2, §12.3: an SRV answer brings addresses along, a TXT answer nothing.
func TestAdditionalRecords(t *testing.T) {
	for u, want := range map[unit]unit{
		unitPTR: unitSRV | unitTXT | unitAddr, unitSRV: unitAddr, unitTXT: 0, unitAddr: 0, unitEnum: 0,
		unitSRV | unitTXT: unitAddr, unitAll: 0,
	} {
		if got := additional(u, eth.prefixes); got != want {
			t.Errorf("with %b go %b, not %b", u, got, want)
		}
	}
}

// RFC 6763 §6.1, §6.8: TXT records of any size, the last heard counts.
func TestTXTBombs(t *testing.T) {
	txt := []string{"id=" + testID(2), "name=bob"}
	for range 25 {
		txt = append(txt, "x="+strings.Repeat("y", 250))
	}
	for range 100 {
		txt = append(txt, "", "=", "name=mallory", strings.Repeat(`\000`, 1))
	}
	d := talk(t, ana, true)
	msg := bob(t, 100)
	msg.Answer[2].(*dns.TXT).Txt = txt
	d.hear(bobAt, msg)
	d.expectEvents(bobUp)
	for _, i := range d.c.links[eth.index].instances {
		if i.id != testID(2) || i.human != "bob" {
			t.Errorf("kept %+v", i)
		}
	}
	data := pack(t, msg)
	if len(data) < 8000 {
		t.Fatalf("only %d bytes", len(data))
	}
}
