package discovery

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"earshot/discovery/lantest"
)

// chorus is the part of a crowd of which only the answering is simulated, by the
// same core: its members have no cache, and are told how many they are. They never
// ask: in a crowd one question does for all, and those who are there whole ask it.
type chorus struct {
	link *lantest.Link

	mu     sync.Mutex
	timer  *time.Timer
	voices []*voice
	byName map[string]*voice
	queue  voiceQueue
}

type voice struct {
	*core
	addr [2]netip.AddrPort
	due  time.Time // zero: not in the queue
}

type voiceQueue []*voice

func (q voiceQueue) Len() int           { return len(q) }
func (q voiceQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q voiceQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *voiceQueue) Push(x any)        { *q = append(*q, x.(*voice)) }
func (q *voiceQueue) Pop() any {
	old := *q
	v := old[len(old)-1]
	*q = old[:len(old)-1]
	return v
}

// newChorus lets people from first to count join, within that time.
func newChorus(t *testing.T, lan *lantest.LAN, link *lantest.Link, first, count int, within time.Duration) {
	t.Helper()
	c := &chorus{link: link, byName: map[string]*voice{}}
	c.timer = time.AfterFunc(time.Hour, c.sing)
	host := lan.Host("chorus")
	iface := host.Attach(link, "198.19.255.254/15", "fe80::ffff:ffff/64")
	for fam := range family(2) {
		conn := lanConn{Conn: iface.ListenMulticast(groups[fam]), in: arrival{link: eth.index, family: fam}}
		t.Cleanup(conn.close)
		go c.listen(conn)
	}
	t.Cleanup(func() { c.timer.Stop() })

	for n := first; n < count; n++ {
		addr4, addr6 := netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), netip.MustParseAddr(fmt.Sprintf("fe80::%x", n+1))
		v := &voice{core: newCore(Config{ID: testID(n), Name: fmt.Sprintf("person %04d", n), Port: 41027}, rand.New(rand.NewPCG(1, uint64(n))))}
		v.addr = [2]netip.AddrPort{netip.AddrPortFrom(addr4, mdnsPort), netip.AddrPortFrom(addr6, mdnsPort)}
		where := eth
		where.prefixes = []netip.Prefix{netip.PrefixFrom(addr4, 15), netip.PrefixFrom(addr6, 64)}
		time.AfterFunc(max(soonest, within*time.Duration(n-first)/time.Duration(count)), func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.voices = append(c.voices, v)
			c.byName[v.own.key] = v
			v.setLink(where, where.families(), where.families(), time.Now())
			l := v.links[eth.index]
			l.crowd = count
			for fam := range l.ends {
				l.ends[fam].asks = 0
			}
			c.follow(v)
		})
	}
}

// listen hands each question to everybody; it is parsed once.
func (c *chorus) listen(conn lanConn) {
	buf := make([]byte, maxPacket)
	for {
		n, in, err := conn.read(buf)
		if err != nil {
			return
		}
		msg, ok := parse(buf[:n])
		if !ok || msg.Response {
			continue
		}
		c.mu.Lock()
		concerned := c.voices
		if len(msg.Question) == 0 { // more known answers: it takes long to ask all
			concerned = nil
			for _, rr := range msg.Answer {
				if v := c.byName[canonical(rr.(*dns.PTR).Ptr)]; v != nil {
					concerned = append(concerned, v)
				}
			}
		}
		for _, v := range concerned {
			v.hear(in, msg, time.Now())
			c.follow(v)
		}
		c.mu.Unlock()
	}
}

// sing lets those speak whose time it is.
func (c *chorus) sing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for now := time.Now(); len(c.queue) > 0; {
		v := c.queue[0]
		if wait := v.due.Sub(now); wait > 0 {
			c.timer.Reset(wait)
			return
		}
		heap.Pop(&c.queue)
		v.due = time.Time{}
		v.advance(now)
		c.follow(v)
	}
}

func (c *chorus) follow(v *voice) {
	for _, p := range v.take() {
		to := p.to
		if !to.IsValid() {
			to = groups[p.family]
		}
		c.link.Inject(lantest.Datagram{Src: v.addr[p.family], Dst: to, Data: p.data})
	}
	at := v.wake()
	if at.IsZero() || !v.due.IsZero() && !at.Before(v.due) {
		return // nothing, or it is awake early enough
	}
	if !v.due.IsZero() {
		for k, o := range c.queue {
			if o == v {
				heap.Remove(&c.queue, k)
				break
			}
		}
	}
	v.due = at
	heap.Push(&c.queue, v)
	if c.queue[0] == v {
		c.timer.Reset(max(soonest, time.Until(at)))
	}
}

// SPEC §5: in a crowd of any size steady traffic stays under 10 packets a second,
// nobody is lost, and a newcomer sees all soon without anybody's receive buffer
// overrunning.
func TestCrowd(t *testing.T) {
	for _, tc := range []struct {
		count int
		limit time.Duration // for the newcomer
	}{
		{200, 2 * time.Second},
		{1000, 5 * time.Second},
		{5000, 20 * time.Second},
	} {
		t.Run(fmt.Sprint(tc.count), func(t *testing.T) {
			if tc.count > 1000 && os.Getenv("EARSHOT_LARGE") == "" {
				t.Skip("takes a while\nrun: EARSHOT_LARGE=1 go test -v -run TestCrowd ./discovery")
			}
			synctest.Test(t, func(t *testing.T) { crowdTest(t, tc.count, tc.limit) })
		})
	}
}

func crowdTest(t *testing.T, count int, limit time.Duration) {
	lan := lantest.New(1)
	link := lan.Link()
	const whole = 8
	ttl := recordTTL(count)
	newChorus(t, lan, link, whole, count, 30*time.Second)
	var people []person
	for n := range whole {
		people = append(people, joinLAN(t, lan, link, n, nil))
		time.Sleep(5 * time.Second)
	}
	time.Sleep(ttl) // everybody was asked for once
	before := link.Counters()
	start := time.Now()
	for range 10 {
		time.Sleep(ttl * 2 / 10)
		for n, p := range people {
			if got := len(p.Peers()); got != count-1 {
				t.Errorf("person %d sees %d of %d", n, got, count-1)
			}
		}
	}
	after := link.Counters()
	rate := float64(after.Packets-before.Packets) / time.Since(start).Seconds()
	t.Logf("%d people: %.1f packets/s, %.0f bytes/s", count, rate, float64(after.Bytes-before.Bytes)/time.Since(start).Seconds())
	if rate > 10 {
		t.Errorf("%.1f packets/s", rate)
	}

	start, before = time.Now(), link.Counters()
	newcomer := joinLAN(t, lan, link, count, nil)
	var sent []uint64 // per 10 ms
	last := before.Packets
	for len(newcomer.Peers()) < count {
		time.Sleep(10 * time.Millisecond)
		now := link.Counters().Packets
		sent, last = append(sent, now-last), now
		if time.Since(start) > limit {
			t.Fatalf("the newcomer sees %d of %d after %v", len(newcomer.Peers()), count, limit)
		}
	}
	var worst, window uint64
	for k, n := range sent {
		if window += n; k >= 10 {
			window -= sent[k-10]
		}
		worst = max(worst, window)
	}
	t.Logf("a newcomer sees all after %v; at worst %d packets in 100 ms", time.Since(start), worst)
	// Linux's default receive buffer holds 277 small packets: 208 KiB, of 768 bytes each.
	if worst > 277 {
		t.Errorf("%d packets in 100 ms", worst)
	}
	time.Sleep(time.Minute)
	after = link.Counters()
	t.Logf("his coming cost %d packets", after.Packets-before.Packets)
}

// SPEC §5, §9: an attacker's crowd slows nobody down: who is there answers a newcomer at
// once. One whose unicast answers are lost, as by a firewall, is there when all are counted.
func TestFakesHideNobody(t *testing.T) {
	const there, fakes = 10, 500
	for name, quiet := range map[string]bool{"all answer at once": false, "one by multicast only": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan := lantest.New(1)
				link := lan.Link()
				for n := range there {
					joinLAN(t, lan, link, n, nil)
				}
				attacker := netip.MustParseAddrPort("198.18.66.66:5353")
				forge := func() {
					for n := range fakes {
						id := testID(1000 + n)
						rrs := records(t, fmt.Sprintf("_earshot._udp.local. 4500 PTR x%d._earshot._udp.local.", n),
							fmt.Sprintf("x%d._earshot._udp.local. 4500 SRV 0 0 41027 x%d.local.", n, n),
							fmt.Sprintf("x%d._earshot._udp.local. 4500 TXT id=%s name=x%d", n, id, n),
							fmt.Sprintf("x%d.local. 4500 A 198.18.77.%d", n, n%250))
						link.Inject(lantest.Datagram{Src: attacker, Dst: groups[v4], Data: pack(t, &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: rrs})})
					}
				}
				time.Sleep(5 * time.Second)
				forge()
				time.Sleep(5 * time.Second)
				if quiet {
					victim := netip.MustParseAddr("198.18.0.3")
					link.Tap(func(d lantest.Datagram) bool { return d.Src.Addr() != victim || d.Dst.Addr().IsMulticast() })
				}
				start := time.Now()
				newcomer := joinLAN(t, lan, link, there, nil)
				time.AfterFunc(5*time.Millisecond, forge)
				settled := newcomer.Settled()
				if quiet {
					settled = newcomer.Counted()
				}
				<-settled
				took := time.Since(start)
				seen := 0
				for _, name := range names(newcomer.Presence) {
					if strings.HasPrefix(name, "person") {
						seen++
					}
				}
				t.Logf("settled after %v", took)
				if limit := map[bool]time.Duration{false: settleUnicast, true: time.Second}[quiet]; took > limit || seen != there {
					t.Errorf("after %v the newcomer sees %d of %d", took, seen, there)
				}
			})
		})
	}
}

// SPEC §5: a crowd is counted by who sends, whoever it was first found by.
func TestCrowdIsCountedBySource(t *testing.T) {
	d := talk(t, ana, true)
	l := d.c.links[eth.index]
	for n := range 20 {
		rrs := records(t, fmt.Sprintf("_earshot._udp.local. 4500 PTR x%d._earshot._udp.local.", n),
			fmt.Sprintf("x%d._earshot._udp.local. 4500 SRV 0 0 41027 x%d.local.", n, n),
			fmt.Sprintf("x%d._earshot._udp.local. 4500 TXT id=%s", n, testID(n+5)),
			fmt.Sprintf("x%d.local. 4500 A 198.18.0.9", n))
		d.c.hint(eth.index, v4, rrs, d.now)
		for _, rr := range rrs {
			rr.Header().Ttl = 100
		}
		if l.crowd != min(n+1, maxCrowdPerSource) {
			t.Fatalf("%d found: a crowd of %d", n+1, l.crowd)
		}
	}
	for n := range 20 {
		d.hear(at(n+20), answerOf(t, fmt.Sprintf("_earshot._udp.local. 100 PTR x%d._earshot._udp.local.", n)))
	}
	if l.crowd != 20 || len(l.sources) != 20 {
		t.Errorf("20 senders are a crowd of %d, of %d sources", l.crowd, len(l.sources))
	}
	d.wait(time.Hour)
	if l.crowd != 0 || len(l.sources) != 0 {
		t.Errorf("gone, they are a crowd of %d, of %d sources", l.crowd, len(l.sources))
	}
}
