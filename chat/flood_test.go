package chat

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"earshot/chat/wire"
)

// A hello that nobody could answer is dropped without a word, and before anything is
// computed: while cookies are asked for, too.
func TestLowOrderHellos(t *testing.T) {
	w := newWorld(t, 1)
	b := w.node("bob")
	sent := 0
	b.core.out = func([]byte, netip.AddrPort) { sent++ }
	low := rawHello(w, [16]byte{})
	clear(low[24:56])
	for range 2 * cookiesFrom {
		b.core.receive(w.now, netip.MustParseAddrPort("198.19.0.1:1000"), bytes.Clone(low))
	}
	for i := range byte(cookiesFrom) {
		b.core.receive(w.now, netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 19, 1, i}), 1000), rawHello(w, [16]byte{}))
	}
	answered := sent
	b.core.receive(w.now, netip.MustParseAddrPort("198.19.0.2:1000"), low)
	if sent != answered || len(b.core.halves) != cookiesFrom || b.core.stats.Forged != 2*cookiesFrom+1 {
		t.Errorf("%d answers, %d halves, %d forged", sent-answered, len(b.core.halves), b.core.stats.Forged)
	}
}

// hears is how many answers of each type n sends for the datagram, which it gets from src.
func (n *simNode) hears(src netip.AddrPort, d []byte) (answers map[byte]int) {
	answers = map[byte]int{}
	out := n.core.out
	n.core.out = func(b []byte, _ netip.AddrPort) { answers[b[0]]++ }
	n.core.receive(n.w.now, src, bytes.Clone(d))
	n.core.out = out
	return answers
}

// Openings in somebody's name, however many, don't keep them from opening: they are asked
// for a cookie, which those who use their name never get.
func TestNobodyIsLockedOut(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	spoof := &timer{}
	spoof.run = func(now time.Time) {
		for i := range uint16(maxHalvesPerSource) {
			b.hears(netip.AddrPortFrom(a.addr.Addr(), 1000+i), rawHello(w, [16]byte{1}))
		}
		b.core.timers.set(spoof, now.Add(halfLife/50))
	}
	spoof.run(w.now)
	began := w.now
	if _, err := a.opens(time.Minute, Target{Addrs: b.at()}); err != nil || w.now.Sub(began) > 100*time.Millisecond {
		t.Errorf("open: %v after %v", err, w.now.Sub(began))
	}
	if n := len(b.core.halves); n > cookiesFromSource {
		t.Errorf("%d handshakes of one source answered without a cookie", n)
	}
}

// However fast openings end, only so many a second are answered without a cookie.
func TestOpeningsAreAnsweredAtARate(t *testing.T) {
	w := newWorld(t, 1)
	b := w.node("bob")
	answered := 0
	for i := range 10_000 {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}), 1000)
		answered += b.hears(src, rawHello(w, [16]byte{}))[wire.TypeReply]
		for _, f := range b.core.halves {
			f.end()
		}
		w.now = w.now.Add(200 * time.Microsecond)
	}
	if answered > 3*cookiesFrom {
		t.Errorf("%d answered in 2 s", answered)
	}
}

// What one source can take up, in IPv6 too, and all together.
func TestHalvesOfSources(t *testing.T) {
	v6 := func(net string, host int) netip.Addr {
		a := netip.MustParseAddr(net).As16()
		a[14], a[15] = byte(host>>8), byte(host)
		return netip.AddrFrom16(a)
	}
	own := netip.MustParseAddrPort("[2001:db8:1::1]:41027")
	for _, tc := range []struct {
		name  string
		from  func(i int) netip.Addr
		taken int
	}{
		{"one IPv4 address", func(int) netip.Addr { return netip.MustParseAddr("198.19.0.1") }, maxHalvesPerSource},
		{"one IPv6 network", func(i int) netip.Addr { return v6("2001:db8:2::", i) }, maxHalvesPerSource},
		{"two IPv6 networks", func(i int) netip.Addr { return v6([]string{"2001:db8:2::", "2001:db8:3::"}[i%2], i) }, 2 * maxHalvesPerSource},
		{"our own network", func(i int) netip.Addr { return v6("2001:db8:1::", i) }, maxHalves},
		{"link-local", func(i int) netip.Addr { return v6("fe80::", i).WithZone("eth0") }, maxHalves},
		{"one link-local address", func(int) netip.Addr { return v6("fe80::", 9).WithZone("eth0") }, maxHalvesPerSource},
		{"IPv4 addresses", func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}) }, maxHalves},
	} {
		w := newWorld(t, 1)
		b := w.node("bob")
		if err := b.core.introduce([]netip.AddrPort{own}); err != nil {
			t.Fatal(err)
		}
		for i := range maxHalves + 100 {
			src := netip.AddrPortFrom(tc.from(i), uint16(1000+i))
			b.hears(src, rawHello(w, b.core.cookies.make(w.now, src)))
		}
		if n := len(b.core.halves); n != tc.taken {
			t.Errorf("%s: %d handshakes answered, want %d", tc.name, n, tc.taken)
		}
		w.run(halfLife + time.Second)
		if len(b.core.halves)+len(b.core.hellos)+len(b.core.sources) != 0 {
			t.Errorf("%s: something is left", tc.name)
		}
	}
}

// A cookie is good where it was sent, for one or two minutes.
func TestCookies(t *testing.T) {
	w := newWorld(t, 1)
	b := w.node("bob")
	src := netip.MustParseAddrPort("[fe80::1%eth0]:1000")
	began := w.now
	var cookie [wire.CookieSize]byte
	good := func(from netip.AddrPort) bool {
		for i := range byte(cookiesFrom) { // so that one is asked for
			b.hears(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 19, 1, i}), 1000), rawHello(w, [16]byte{}))
		}
		answers := b.hears(from, rawHello(w, cookie))
		if answers[wire.TypeCookie]+answers[wire.TypeReply] != 1 {
			t.Fatalf("answers: %v", answers)
		}
		for _, f := range b.core.halves {
			f.end()
		}
		return answers[wire.TypeReply] == 1
	}
	if good(src) {
		t.Error("no cookie is as good as one")
	}
	cookie = b.core.cookies.make(w.now, src)
	for _, other := range []string{"[fe80::1%eth0]:1001", "[fe80::2%eth0]:1000", "[fe80::1%eth1]:1000", "[fe80::1]:1000"} {
		if good(netip.MustParseAddrPort(other)) {
			t.Errorf("good for %s", other)
		}
	}
	for _, step := range []struct {
		after time.Duration
		good  bool
	}{
		{0, true},
		{cookieEpoch - time.Second, true},
		{cookieEpoch + time.Second, true},
		{2*cookieEpoch + 2*time.Second, false},
	} {
		if w.now = began.Add(step.after); good(src) != step.good {
			t.Errorf("after %v: want %v", step.after, step.good)
		}
	}
	cookie = b.core.cookies.make(w.now, src)
	if w.now = w.now.Add(time.Hour); good(src) {
		t.Error("good after an hour in which nobody asked for any")
	}
}

// One source can't take all sessions, nor keep others, of its own or elsewhere, from opening
// one. People to whom something was said stay.
func TestSessionsOfOneSource(t *testing.T) {
	w := newWorld(t, 1)
	b, d := w.node("bob"), w.node("dave")
	host := netip.MustParseAddr("198.19.0.1")
	comes := func(i int) *simNode {
		n := w.person("somebody")
		n.addr = netip.AddrPortFrom(host, uint16(1000+i))
		n.start()
		if _, err := n.opens(time.Second, Target{Addrs: b.at()}); err != nil {
			t.Fatalf("newcomer %d: %v", i, err)
		}
		w.nodes = w.nodes[:len(w.nodes)-1] // it says nothing any more
		return n
	}
	first := comes(0)
	w.nodes = append(w.nodes, first)
	b.say(first, "hello")
	if !w.await(time.Second, w.settled) {
		t.Fatal("not delivered")
	}
	if _, err := d.opens(time.Second, Target{Addrs: b.at()}); err != nil {
		t.Fatal(err)
	}
	second := comes(1)
	for i := range maxLinksPerSource + 10 {
		comes(2 + i)
	}
	if n := len(b.core.links); n != maxLinksPerSource+1 || b.core.hosts[host] != maxLinksPerSource {
		t.Errorf("%d sessions, %d counted of the source", n, b.core.hosts[host])
	}
	for n, want := range map[*simNode]bool{first: true, d: true, second: false} {
		if got := b.core.people[n.id.Key()] != nil; got != want {
			t.Errorf("%s at %v has a session: %v, want %v", n.name, n.addr, got, want)
		}
	}
	w.run(2 * expireAfter)
	if len(b.core.links)+len(b.core.hosts) != 0 {
		t.Errorf("%d sessions and %d sources left", len(b.core.links), len(b.core.hosts))
	}
}

// Where everybody was spoken to, nobody is forgotten for a newcomer.
func TestNoRoomForSessions(t *testing.T) {
	w := newWorld(t, 1)
	b, m := w.node("bob"), w.node("mallory")
	source := b.core.source(m.addr.Addr())
	b.core.hosts[source] += maxLinksPerSource
	if _, err := m.opens(time.Second, Target{Addrs: b.at()}); err == nil || len(b.core.links) != 0 {
		t.Errorf("open: %v, %d sessions", err, len(b.core.links))
	}
	w.announce(m)
	b.say(m, "hello")
	w.run(10 * time.Second)
	b.core.hosts[source] -= maxLinksPerSource
	if !w.await(UnreachableAfter+time.Second, w.settled) {
		t.Error("what waited was not said when there was room")
	}
}
