package discovery

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"
)

var update = flag.Bool("update", false, "write the golden vectors anew")

// TestVectors compares what ana says with testdata/vectors.txt: a line each, the
// name and the packet in hexadecimal (SPEC §10).
func TestVectors(t *testing.T) {
	own := newIdentity(Config{ID: testID(1), Name: `Ana "ö" B. \o/`, Port: 41027})
	addrs := []netip.Prefix{netip.MustParsePrefix("198.18.0.1/24"), netip.MustParsePrefix("fe80::1/64")}
	legacy := own.response(unitPTR, addrs, legacyTTL, false)
	legacy.Id = 4711
	legacy.Question = []dns.Question{{Name: serviceName, Qtype: dns.TypePTR, Qclass: dns.ClassINET}}
	d := talk(t, Config{ID: testID(1), Name: `Ana "ö" B. \o/`, Port: 41027}, true)
	d.hear(bobAt, bob(t, 30))
	d.said = nil
	d.c.links[eth.index].ends[v4].sentAt[0] = time.Time{}
	d.c.askPTR(d.c.links[eth.index], v4)
	d.listen()
	pack := func(msg *dns.Msg) []byte {
		data, err := msg.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	got := []struct {
		name string
		data []byte
	}{
		{"announcement", pack(own.response(unitAll, addrs, 30*time.Second, true))},
		{"goodbye", pack(own.response(unitAll, addrs, 0, true))},
		{"question-qm", d.said[0].data},
		{"question-qu", unicastQuestion(serviceName)},
		{"answer-multicast", pack(own.response(unitPTR, addrs, 30*time.Second, true))},
		{"answer-legacy", pack(legacy)},
		{"answer-enumeration", pack(own.response(unitEnum, addrs, 30*time.Second, true))},
	}
	path := filepath.Join("testdata", "vectors.txt")
	if *update {
		var b strings.Builder
		b.WriteString("# Packets of `Ana \"ö\" B. \\o/`, see SPEC.md section 10.\n")
		for _, g := range got {
			fmt.Fprintf(&b, "%s %x\n", g.name, g.data)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	want := map[string][]byte{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, data, ok := strings.Cut(lines.Text(), " "); ok && name != "#" {
			if want[name], err = hex.DecodeString(data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(want) != len(got) {
		t.Errorf("%d vectors, %d packets", len(want), len(got))
	}
	for _, g := range got {
		if !slices.Equal(g.data, want[g.name]) {
			t.Errorf("%s is\n%x, not\n%x", g.name, g.data, want[g.name])
		}
	}
	// And they can be read: the announcement makes ana appear, the goodbye go.
	reader := talk(t, Config{ID: testID(5), Name: "eve", Port: 1}, true)
	reader.hearOn(eth.index, bobAt, want["announcement"])
	reader.expectEvents(`up Ana "ö" B. \o/ [198.18.0.1:41027 [fe80::1%eth0]:41027]`)
	reader.hearOn(eth.index, "198.18.0.1:5353", want["goodbye"])
	reader.expectEvents(`down Ana "ö" B. \o/ [198.18.0.1:41027 [fe80::1%eth0]:41027]`)
}

// RFC 6763 §4.1.1; SPEC §3.
func TestInstanceLabels(t *testing.T) {
	long := strings.Repeat("ö", 40)
	for _, tc := range []struct {
		name string
		twin bool
		want string
	}{
		{"ana", false, "ana-baaaaa"},
		{"ana", true, "ana-baaaaa-41027"},
		{"", false, "baaaaa"},
		{"\x1b[31m\x00red\x7f", false, "[31mred-baaaaa"},
		{"\x01", true, "baaaaa-41027"},
		{"a\xffb", false, "a\uFFFDb-baaaaa"},
		{long, false, long[:56] + "-baaaaa"},
		{"x" + long, false, "x" + long[:54] + "-baaaaa"},
		{long, true, long[:50] + "-baaaaa-41027"},
	} {
		got := instanceLabel(tc.name, testID(1), tc.twin, 41027)
		if got != tc.want || len(got) > maxLabel || !utf8.ValidString(got) {
			t.Errorf("label of %q: %q, not %q", tc.name, got, tc.want)
		}
	}
}

// Any name survives the way over the wire.
func TestNamesRoundTrip(t *testing.T) {
	for _, name := range []string{"ana", "A.B. C", `back\slash`, `\065`, `"quoted"`, "tab\there", "日本語", "a=b;c", "(x) @ 'y'", "ends\\", strings.Repeat("é", 31)} {
		own := newIdentity(Config{ID: testID(1), Name: name, Port: 1})
		data, err := own.response(unitAll, []netip.Prefix{netip.MustParsePrefix("198.18.0.2/24")}, time.Minute, true).Pack()
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		d := talk(t, Config{ID: testID(5), Name: "eve", Port: 1}, true)
		d.hearOn(eth.index, bobAt, data)
		peers := d.c.peers()
		if len(peers) != 1 || peers[0].Name != name || peers[0].ID != testID(1) {
			t.Errorf("%q became %+v", name, peers)
		}
		for key, i := range d.c.links[eth.index].instances {
			if i.label != instanceLabel(name, testID(1), false, 1) || key != own.key {
				t.Errorf("%q: label %q, key %q", name, i.label, key)
			}
		}
		// Our own record is known for ours when it comes back.
		mine := talk(t, Config{ID: testID(1), Name: name, Port: 1}, true)
		mine.c.links[eth.index].prefixes = []netip.Prefix{netip.MustParsePrefix("198.18.0.2/24")}
		mine.hearOn(eth.index, bobAt, data)
		mine.wait(3 * time.Second)
		mine.expect(0)
	}
}

// RFC 6763 §6.
func TestParseTXT(t *testing.T) {
	id := testID(7)
	for _, tc := range []struct {
		txt      []string
		id, name string
	}{
		{nil, "", ""},
		{[]string{""}, "", ""},
		{[]string{"txtvers=1", "id=" + id, "name=ana"}, id, "ana"},
		{[]string{"ID=" + id, "Name=ana", "future=x", "flag"}, id, "ana"},
		{[]string{"id=" + id, "id=" + testID(8), "name=a", "name=b"}, id, "a"},
		{[]string{"id=", "id=" + id}, "", ""},
		{[]string{"id=" + strings.ToUpper(id)}, "", ""},
		{[]string{"id=" + id[:51]}, "", ""},
		{[]string{"id=" + id + "a"}, "", ""},
		{[]string{"id=" + id[:51] + "b"}, "", ""},
		{[]string{"id=1" + id[1:]}, "", ""},
		{[]string{`name=\195\182 \"\\`}, "", `ö "\`},
		{[]string{"name=" + strings.Repeat("x", 200)}, "", strings.Repeat("x", 63)},
		{[]string{`name=\027[31m`}, "", "\x1b[31m"},
		{[]string{"=x", "name"}, "", ""},
	} {
		if id, name := parseTXT(tc.txt); id != tc.id || name != tc.name {
			t.Errorf("%q: %q, %q", tc.txt, id, name)
		}
	}
}

func TestRecordTTL(t *testing.T) {
	for people, want := range map[int]time.Duration{0: 28 * time.Second, 50: 28 * time.Second, 150: 30 * time.Second, 1000: 200 * time.Second, 5000: 1000 * time.Second} {
		if got := recordTTL(people); got != want {
			t.Errorf("%d people: %v", people, got)
		}
	}
}

func FuzzTXT(f *testing.F) {
	f.Add("id=" + testID(1) + "\nname=ana")
	f.Add(`name=\0\`)
	f.Fuzz(func(t *testing.T, s string) {
		id, name := parseTXT(strings.Split(s, "\n"))
		if id != "" && !validID(id) || len(name) > maxName {
			t.Errorf("%q, %q", id, name)
		}
	})
}

func FuzzPacket(f *testing.F) {
	for _, msg := range []*dns.Msg{bob(f, 30), bob(f, 0), ask(dns.TypePTR, dns.ClassINET, serviceName), ask(dns.TypeANY, dns.ClassINET, "baaaaaearshotear.local.")} {
		data, err := msg.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint16(mdnsPort))
		f.Add(data, uint16(40000))
	}
	f.Add(ofZeroconf, uint16(mdnsPort))
	f.Fuzz(func(t *testing.T, data []byte, port uint16) {
		d := talk(t, ana, true)
		from := netip.AddrPortFrom(netip.MustParseAddr("198.18.0.2"), port)
		d.c.receive(arrival{link: eth.index, source: from}, data, d.now)
		for _, p := range d.c.peers() {
			if len(p.Addrs) == 0 || len(p.Addrs) > maxPeerAddrs || len(p.Name) > maxName || p.ID != "" && !validID(p.ID) {
				t.Errorf("peer %+v", p)
			}
		}
		d.listen()
		d.wait(10 * time.Second)
		d.events()
		if len(d.said) > 40 {
			t.Errorf("one packet made %d", len(d.said))
		}
		d.wait(maxTTL)
		if l := d.c.links[eth.index]; len(l.instances)+len(l.hosts)+len(d.c.dues)+len(d.c.rows) != 0 {
			t.Errorf("something is left: %+v", l)
		}
	})
}
