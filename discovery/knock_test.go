package discovery

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// knockOf is what caller multicasts to reach callee.
func knockOf(caller, callee string) *dns.Msg {
	return ask(dns.TypeTXT, dns.ClassINET, callee+"."+caller+"._KNOCK._earshot._udp.local.")
}

func (d *dialogue) opened() (all []string) {
	for _, addrs := range d.c.takeKnocks() {
		all = append(all, fmt.Sprint(addrs))
	}
	return all
}

// SPEC §14: whoever is seen is opened to, at the addresses announced on the link.
func TestKnockIsHeeded(t *testing.T) {
	d := talk(t, ana, true)
	msg := bob(t, 30)
	msg.Answer = append(msg.Answer, records(t,
		"!caaaaaearshotear.local. 30 AAAA fe80::2",
		"!caaaaaearshotear.local. 30 A 192.0.2.7")...) // of elsewhere: nothing goes there
	d.hear(bobAt, msg)
	d.hear(bobAt, knockOf(testID(2), testID(1)))
	want := []string{"[198.18.0.2:41027 [fe80::2%eth0]:41027]"}
	if got := d.opened(); !slices.Equal(got, want) {
		t.Errorf("opened to %q, not %q", got, want)
	}
	d.expect(0)

	// One knock comes by both families; more come from whoever means ill.
	d.hear(bobAt6, knockOf(testID(2), testID(1)))
	d.wait(knockInterval - time.Millisecond)
	d.hear(bobAt, knockOf(testID(2), testID(1)))
	if got := d.opened(); got != nil {
		t.Errorf("opened again to %q", got)
	}
	d.wait(time.Millisecond)
	d.hear(bobAt6, knockOf(testID(2), testID(1)))
	if got := d.opened(); !slices.Equal(got, want) {
		t.Errorf("opened to %q after the interval, not %q", got, want)
	}
}

// Nobody can aim what we send at anybody but somebody visible who asks themselves.
func TestKnockIsNotHeeded(t *testing.T) {
	hidden := ana
	hidden.Hidden = true
	for name, tc := range map[string]struct {
		cfg     Config
		unseen  bool
		source  string
		unicast bool
		msg     *dns.Msg
	}{
		"not seen":             {cfg: ana, unseen: true, source: bobAt, msg: knockOf(testID(2), testID(1))},
		"for somebody else":    {cfg: ana, source: bobAt, msg: knockOf(testID(2), testID(3))},
		"of nobody":            {cfg: ana, source: bobAt, msg: knockOf(testID(3), testID(1))},
		"of ourselves":         {cfg: ana, source: "198.18.0.1:5353", msg: knockOf(testID(1), testID(1))},
		"from another address": {cfg: ana, source: "198.18.0.66:5353", msg: knockOf(testID(2), testID(1))},
		"from off the link":    {cfg: ana, source: "192.0.2.7:5353", msg: knockOf(testID(2), testID(1))},
		"from another port":    {cfg: ana, source: "198.18.0.2:4000", msg: knockOf(testID(2), testID(1))},
		"by unicast":           {cfg: ana, source: bobAt, unicast: true, msg: knockOf(testID(2), testID(1))},
		"as an answer":         {cfg: ana, source: bobAt, msg: answerOf(t, testID(1)+"."+testID(2)+"._knock._earshot._udp.local. 30 TXT x")},
		"another name":         {cfg: ana, source: bobAt, msg: ask(dns.TypeTXT, dns.ClassINET, testID(1)+"."+testID(2)+"._earshot._udp.local.")},
		"no caller":            {cfg: ana, source: bobAt, msg: ask(dns.TypeTXT, dns.ClassINET, testID(1)+"._knock._earshot._udp.local.")},
		"of one who is hidden": {cfg: hidden, source: bobAt, msg: knockOf(testID(2), testID(1))},
	} {
		t.Run(name, func(t *testing.T) {
			d := talk(t, tc.cfg, true)
			if !tc.unseen {
				d.hear(bobAt, bob(t, 30))
			}
			data, err := tc.msg.Pack()
			if err != nil {
				t.Fatal(err)
			}
			d.c.receive(arrival{link: eth.index, source: netip.MustParseAddrPort(tc.source), unicast: tc.unicast}, data, d.now)
			if got := d.opened(); got != nil {
				t.Errorf("opened to %q", got)
			}
		})
	}

	// Seen on another link: what is announced there says nothing of this one.
	d := talk(t, ana, true)
	d.c.setLink(wlan, wlan.families(), wlan.families(), d.now)
	d.hear(bobAt, bob(t, 30))
	data, err := knockOf(testID(2), testID(1)).Pack()
	if err != nil {
		t.Fatal(err)
	}
	d.hearOn(wlan.index, bobAt, data)
	if got := d.opened(); got != nil {
		t.Errorf("opened to %q", got)
	}
}

// A crowd that knocks is heeded in part.
func TestKnocksAreFew(t *testing.T) {
	d := talk(t, ana, true)
	knockAll := func() (heeded int) {
		for n := 10; n < 40; n++ {
			d.hear(fmt.Sprintf("198.18.0.%d:5353", n), knockOf(testID(n), testID(1)))
		}
		for _, addrs := range d.c.takeKnocks() {
			if heeded++; len(addrs) > maxKnockAddrs {
				t.Errorf("opened to %d addresses", len(addrs))
			}
		}
		return heeded
	}
	for n := 10; n < 40; n++ {
		var addrs []string
		for k := range maxAddrs {
			addrs = append(addrs, fmt.Sprintf("h%d.local. 300 A 198.18.0.%d", n, n+40*k%200))
		}
		d.hear(fmt.Sprintf("198.18.0.%d:5353", n), answerOf(t, append(addrs,
			fmt.Sprintf("_earshot._udp.local. 300 PTR p%d._earshot._udp.local.", n),
			fmt.Sprintf("p%d._earshot._udp.local. 300 SRV 0 0 41027 h%d.local.", n, n),
			fmt.Sprintf("p%d._earshot._udp.local. 300 TXT id=%s", n, testID(n)))...))
	}
	count := knockAll()
	if count != maxKnocks || knockAll() != 0 {
		t.Errorf("%d heeded", count)
	}
	d.wait(knockInterval)
	if count = knockAll(); count != maxKnocks {
		t.Errorf("%d heeded after the interval", count)
	}
}

func TestKnocking(t *testing.T) {
	d := talk(t, ana, true)
	knock := func() int {
		d.c.knock(testID(2), d.now)
		d.listen()
		said := d.said
		d.said = nil
		for _, s := range said {
			if s.to.IsValid() || s.Response || len(s.Question) != 1 || s.Question[0].Name != testID(2)+"."+testID(1)+"._knock._earshot._udp.local." ||
				s.Question[0].Qtype != dns.TypeTXT || s.Question[0].Qclass != dns.ClassINET {
				t.Errorf("said %v to %v", s.Msg, s.to)
			}
		}
		return len(said)
	}
	if n := knock(); n != 0 {
		t.Errorf("%d knocks for somebody who isn't there", n)
	}
	d.hear(bobAt, bob(t, 30))
	if n := knock(); n != 2 { // by each family
		t.Errorf("%d knocks", n)
	}
	if n := knock(); n != 0 {
		t.Errorf("%d knocks again at once", n)
	}
	d.wait(knockInterval)
	d.said = nil
	if n := knock(); n != 2 {
		t.Errorf("%d knocks after the interval", n)
	}
}

// Whoever is hidden shows themselves first, or they weren't heeded; and says goodbye.
func TestKnockingShowsTheHidden(t *testing.T) {
	cfg := ana
	cfg.Hidden = true
	d := talk(t, cfg, true)
	d.hear(bobAt, bob(t, 30))
	d.c.knock(testID(3), d.now) // of nobody: nothing is shown for that
	d.listen()
	d.expect(0)
	d.c.knock(testID(2), d.now)
	d.listen()
	var order []string
	for _, s := range d.expect(4) {
		order = append(order, fmt.Sprint(s.family, kinds(s.Answer)))
	}
	// Announced on a family before the knock is on it.
	for _, fam := range []family{v4, v6} {
		announced := slices.Index(order, fmt.Sprint(fam, "PTR SRV! TXT! A! AAAA!"))
		if knocked := slices.Index(order, fmt.Sprint(fam, "")); announced < 0 || knocked < announced {
			t.Errorf("said %q", order)
		}
	}
	d.said = nil
	d.c.goodbye()
	d.listen()
	d.expect(2)
}
