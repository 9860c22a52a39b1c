package discovery

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// crowd is a core that sees count people, and their announcements.
func crowd(b *testing.B, count int) (c *core, packets [][]byte, now time.Time) {
	b.Helper()
	now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c = newCore(Config{ID: testID(1 << 20), Name: "me", Port: 1}, rand.New(rand.NewPCG(1, 1)))
	c.setLink(eth, eth.families(), eth.families(), now)
	for n := range count {
		own := newIdentity(Config{ID: testID(n), Name: fmt.Sprint("person ", n), Port: 41027})
		addrs := []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("198.18.%d.%d/15", n>>8, n&255)), netip.MustParsePrefix(fmt.Sprintf("fe80::%x/64", n+1))}
		data, err := own.response(unitAll, addrs, 200*time.Second, true).Pack()
		if err != nil {
			b.Fatal(err)
		}
		packets = append(packets, data)
	}
	for k, data := range packets {
		c.receive(benchArrival(k), data, now)
	}
	c.take()
	if got := len(c.peers()); got != count {
		b.Fatalf("%d of %d people", got, count)
	}
	return c, packets, now
}

func benchArrival(n int) arrival {
	return arrival{link: eth.index, source: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), mdnsPort)}
}

func BenchmarkParse(b *testing.B) {
	_, packets, _ := crowd(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		var msg dns.Msg
		if err := msg.Unpack(packets[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// A packet that refreshes one of 1,000 people.
func BenchmarkCacheUpdate(b *testing.B) {
	c, packets, now := crowd(b, 1000)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		now = now.Add(time.Millisecond)
		c.receive(benchArrival(n%1000), packets[n%1000], now)
		c.take()
	}
}

func BenchmarkRosterQuery(b *testing.B) {
	c, _, _ := crowd(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if len(c.peers()) != 1000 {
			b.Fatal("somebody is missing")
		}
	}
}

func BenchmarkRosterMemory(b *testing.B) {
	var per float64
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		c, packets, _ := crowd(b, 1000)
		clear(packets)
		runtime.GC()
		runtime.ReadMemStats(&after)
		per = float64(after.HeapAlloc-before.HeapAlloc) / 1000
		runtime.KeepAlive(c)
	}
	b.ReportMetric(per, "B/peer")
}
