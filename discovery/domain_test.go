package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"earshot/discovery/lantest"
)

// zoneOf is a DNS server with those records; names in broken have none to give.
func zoneOf(t testing.TB, broken string, lines ...string) (ask look, asked func() int) {
	rrs := records(t, lines...)
	var mu sync.Mutex
	count := 0
	return func(_ context.Context, name string, rrtype uint16) (found []dns.RR, err error) {
		mu.Lock()
		count++
		mu.Unlock()
		if broken != "" && strings.HasPrefix(name, broken) {
			return nil, errors.New("broken")
		}
		for _, rr := range rrs {
			if canonical(rr.Header().Name) == canonical(name) && rr.Header().Rrtype == rrtype {
				found = append(found, rr)
			}
		}
		return found, nil
	}, func() int { return count }
}

var bobListed = []string{
	"_earshot._udp.lan.example. 60 PTR bob\\032b._earshot._udp.lan.example.",
	"bob\\032b._earshot._udp.lan.example. 40 SRV 0 0 41027 bob.lan.example.",
	"bob\\032b._earshot._udp.lan.example. 60 TXT txtvers=1 id=" + testID(2) + " name=bob",
	"bob.lan.example. 50 A 192.0.2.2",
	"bob.lan.example. 50 AAAA 2001:db8::2",
}

// RFC 6763 §4 to §6, over unicast.
func TestBrowseDomain(t *testing.T) {
	many := slices.Clone(bobListed)
	for n := range 2 * maxListed {
		many = append(many, fmt.Sprintf("_earshot._udp.lan.example. 60 PTR p%d._earshot._udp.lan.example.", n))
	}
	for name, tc := range map[string]struct {
		zone   []string
		broken string
		want   []string
		ttl    time.Duration
		failed bool
	}{
		"one":           {zone: bobListed, want: []string{"bob b 41027 [192.0.2.2 2001:db8::2]"}, ttl: 40 * time.Second},
		"nobody":        {},
		"broken":        {zone: bobListed, broken: "_earshot", failed: true},
		"broken person": {zone: bobListed, broken: "bob\\032b", want: []string{"bob b 0 []"}, ttl: time.Minute},
		"broken host":   {zone: bobListed, broken: "bob.", want: []string{"bob b 41027 []"}, ttl: 40 * time.Second},
		"no TXT":        {zone: append(slices.Clone(bobListed[:2]), bobListed[3]), want: []string{"bob b 0 []"}, ttl: time.Minute},
		"listed twice":  {zone: append(slices.Clone(bobListed), strings.ToUpper(bobListed[0])), want: []string{"bob b 41027 [192.0.2.2 2001:db8::2]"}, ttl: 40 * time.Second},
		"elsewhere": {zone: []string{
			"_earshot._udp.lan.example. 60 PTR bob._earshot._udp.other.example.",
			"_earshot._udp.lan.example. 60 PTR a.b._earshot._udp.lan.example.",
			"_earshot._udp.lan.example. 60 PTR .",
		}},
		"impossible addresses": {zone: append(slices.Clone(bobListed[:3]),
			"bob.lan.example. 50 A 127.0.0.1", "bob.lan.example. 50 A 224.0.0.251", "bob.lan.example. 50 A 255.255.255.255", "bob.lan.example. 50 A 0.0.0.0",
			"bob.lan.example. 50 AAAA fe80::1", "bob.lan.example. 50 AAAA ::1", "bob.lan.example. 50 AAAA ::ffff:192.0.2.1",
		), want: []string{"bob b 41027 []"}, ttl: 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			ask, _ := zoneOf(t, tc.broken, tc.zone...)
			found, ttl, err := browseDomain(t.Context(), ask, "LAN.example")
			if (err != nil) != tc.failed || ttl != tc.ttl {
				t.Errorf("TTL %v, %v", ttl, err)
			}
			var got []string
			for _, l := range found {
				next, _ := dns.NextLabel(l.name, 0)
				got = append(got, strings.ToLower(fmt.Sprint(unescape(l.name[:next-1]), " ", l.port, " ", l.addrs)))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("found %q, want %q", got, tc.want)
			}
		})
	}
	ask, asked := zoneOf(t, "", many...)
	if found, _, err := browseDomain(t.Context(), ask, "lan.example."); err != nil || len(found) != maxListed || asked() > 1+4*maxListed {
		t.Errorf("%d found with %d questions, %v", len(found), asked(), err)
	}
}

func TestDomainInTheRoster(t *testing.T) {
	d := talk(t, ana, true)
	look := func(zone ...string) []listing {
		t.Helper()
		ask, _ := zoneOf(t, "", zone...)
		found, _, err := browseDomain(t.Context(), ask, "lan.example")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	const life = 3 * time.Minute
	d.c.list(look(bobListed...), life, d.now)
	d.expectEvents("up bob [192.0.2.2:41027 [2001:db8::2]:41027]")
	d.c.list(look(bobListed...), life, d.now)
	d.expectEvents()

	// Seen on the link too: one person, the link first.
	d.hear(bobAt, bob(t, 30))
	d.expectEvents("changed bob [198.18.0.2:41027 192.0.2.2:41027 [2001:db8::2]:41027]")
	d.hear(bobAt, bob(t, 0))
	d.wait(2 * time.Second)
	d.expectEvents("changed bob [192.0.2.2:41027 [2001:db8::2]:41027]")

	// Another address; one who can't be looked up stays as he was; taken off the list.
	moved := append(slices.Clone(bobListed[:3]), "bob.lan.example. 50 A 192.0.2.3")
	d.c.list(look(moved...), life, d.now)
	d.expectEvents("changed bob [192.0.2.3:41027]")
	d.c.list(look(bobListed[0]), life, d.now)
	d.expectEvents()
	d.said = nil
	d.c.reconfirm(testID(2), d.now)
	d.wait(time.Minute)
	d.expectEvents() // who is listed isn't asked for on the link
	for _, s := range d.said {
		if strings.Contains(s.Msg.String(), "bob") {
			t.Errorf("said %v", s.Msg)
		}
	}
	d.c.list(nil, life, d.now)
	d.expectEvents("down bob [192.0.2.3:41027]")

	// When the servers are gone, what they said lives on for a while.
	d.c.list(look(bobListed...), life, d.now)
	d.wait(life - time.Second)
	d.expectEvents("up bob [192.0.2.2:41027 [2001:db8::2]:41027]")
	d.wait(2 * time.Second)
	d.expectEvents("down bob [192.0.2.2:41027 [2001:db8::2]:41027]")
}

// Ourselves we don't see in the domain either, nor do we speak to it.
func TestOwnListing(t *testing.T) {
	d := talk(t, ana, true)
	d.c.list([]listing{{name: "a._earshot._udp.lan.example.", port: 41027, txt: []string{"id=" + testID(1)}, addrs: []netip.Addr{netip.MustParseAddr("198.18.0.1")}}}, time.Minute, d.now)
	d.c.goodbye()
	d.listen()
	for _, s := range d.said {
		if s.link == domainLink {
			t.Errorf("said %v", s.Msg)
		}
	}
	d.expectEvents()
	if d.c.copied.IsValid() {
		t.Error("taken for a copy")
	}
}

func TestValidDomain(t *testing.T) {
	for name, want := range map[string]bool{
		"lan.example": true, "lan.example.": true, "example": true, "": false, ".": false, "local": false, "Local.": false,
		"x.local": false, "notlocal": true, "a..b": false, strings.Repeat("x", 64): false, strings.Repeat("x.", 120): false,
	} {
		if got := ValidDomain(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// A domain that can't be looked in is said once, and again after it could be; and one
// whose server takes long before those wait in vain who look at what is there.
func TestDomainTroubleIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := lantest.New(1)
		told := make(chan error, 9)
		p := joinLAN(t, lan, lan.Link(), 1, func(cfg *Config, _ *lanNetwork) { cfg.Trouble = func(err error) { told <- err } })
		p.cfg.Domain = "lan.example"
		var broken atomic.Bool
		broken.Store(true)
		slow := 2 * time.Second
		first := make(chan struct{})
		go p.followDomain(func(ctx context.Context, _ string, _ uint16) ([]dns.RR, error) {
			select {
			case <-time.After(slow):
			case <-ctx.Done():
			}
			if broken.Load() {
				return nil, errors.New("no answer")
			}
			return nil, nil
		}, sync.OnceFunc(func() { close(first) }))
		start := time.Now()
		<-first
		if took := time.Since(start); took != settleDomain || len(told) != 1 {
			t.Errorf("after %v %d troubles", took, len(told))
		}
		if err := <-told; err.Error() != "people can't be looked for in the domain lan.example: no DNS server has answered yet" {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		broken.Store(false)
		time.Sleep(maxDomainWait)
		if len(told) != 0 {
			t.Error("said again:", <-told)
		}
		broken.Store(true)
		if err := (*DomainError)(nil); !errors.As(<-told, &err) || err.Err.Error() != "no answer" {
			t.Error(err)
		}
	})
}
