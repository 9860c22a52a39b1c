//go:build linux

package main_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/ipv4"
)

// mdns4 is where multicast DNS is spoken over IPv4 (RFC 6762 section 3).
var mdns4 = netip.MustParseAddrPort("224.0.0.251:5353")

func lanGarbage(t *testing.T) {
	const messages, garbage = 100, 3000
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	there := listening(dave)
	a, b := ana.start("chat", "bob"), bob.start("chat", "ana")
	a.say("are you there?")
	b.expect(`are you there\?`)
	b.say("yes")
	a.expect(`yes`)

	targets := []netip.AddrPort{mdns4}
	for _, h := range []*host{ana, bob, dave} {
		ip := netip.MustParseAddr(h.ip("eth0", "4"))
		targets = append(targets, netip.AddrPortFrom(ip, 41027), netip.AddrPortFrom(ip, 5353))
	}
	together(
		func() { carol.spray(garbage, targets) },
		func() { speak(a, "ana", messages) },
		func() { speak(b, "bob", messages) },
	)
	// Whoever hung up earlier would leave before the other has said all.
	a.expect(fmt.Sprintf(`bob says %d\.`, messages-1))
	b.expect(fmt.Sprintf(`ana says %d\.`, messages-1))
	a.hangUp()
	b.hangUp()
	a.exits(0)
	b.exits(0)
	heardInOrder(t, b.stdout.String(), "ana", messages)
	heardInOrder(t, a.stdout.String(), "bob", messages)

	carol.sees(dave)
	carol.run("send", "dave", "still there?").exits(0)
	there["dave"].event("message", func(e event) bool { return e.Text == "still there?" })
	for _, p := range []*process{a, b, there["dave"]} {
		if said := p.stderr.String(); strings.Count(said, "\n") > 20 {
			t.Errorf("%s: garbage is talked about:\n%s", p.title, tail(said))
		}
	}
}

// spray sends random datagrams from the mDNS port of the host: some bare noise, some
// that begin like a datagram of ours, some like a DNS message.
func (h *host) spray(n int, targets []netip.AddrPort) {
	h.t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	h.inside(func() error {
		conn, err := net.ListenPacket("udp4", ":5353")
		if err != nil {
			return err
		}
		defer conn.Close()
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		if err := ipv4.NewPacketConn(conn).SetMulticastInterface(link); err != nil {
			return err
		}
		for i := range n {
			b := make([]byte, random.IntN(1400))
			for j := range b {
				b[j] = byte(random.Uint32())
			}
			switch i % 3 {
			case 1:
				if len(b) > 0 {
					b[0] %= 8
				}
			case 2:
				// A response with one record, whose name is a pointer to itself.
				b = append([]byte{0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xc0, 12}, b...)
			}
			to := targets[random.IntN(len(targets))]
			if _, err := conn.WriteTo(b, net.UDPAddrFromAddrPort(to)); err != nil {
				return fmt.Errorf("garbage to %s: %w", to, err)
			}
		}
		return nil
	})
}

func lanImpostor(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	there := listening(bob, dave)
	// Somebody announces ana's identity at bob's address.
	bob.avahi().publish("ana", "_earshot._udp", 41027, "txtvers=1", "id="+ana.identity(), "name=ana")
	carol.start("peers", "--watch", "--json").event("peer-up", of("ana"))
	carol.run("send", "ana", "for ana only").exits(6).notes("nothing was sent")
	carol.run("send", "--json", ana.identity(), "for ana only").exits(6)
	carol.run("send", "bob", "for bob").exits(0)
	if m := there["bob"].event("message"); m.Text != "for bob" {
		t.Errorf("bob got %q, which was not for him", m.Text)
	}
}

func lanHostileNames(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, eve := l.host("ana"), l.host("bob"), l.host("carol"), l.host("eve")
	names := []string{
		"\x1b[2J\x1b]0;owned\x07clear",
		"\u202egnp.exe\u2066",
		"bad \xff\xfe\xc0 bytes",
		"two\r\n{\"event\":\"ready\"}",
		"b\u200bo\u2060b\ufeff",
		strings.Repeat("ẩ̴", 40),
		"",
	}
	watch := ana.start("peers", "--watch", "--json")
	rows := ana.person("ann").start("peers", "--watch")
	listen := bob.start("listen")
	listening(carol)
	bus := eve.avahi()
	for i, name := range names {
		bus.publish(fmt.Sprintf("\x1b[31m%d", i), "_earshot._udp", 9, "txtvers=1", "name="+name, "id=\x1b[5m")
	}
	for range len(names) + 1 { // and carol
		watch.event("peer-up")
	}
	harmless(t, watch.stdout.String()) // names come whole, but escaped

	harmless(t, ana.run("peers").exits(0).stdout)
	for line := range strings.Lines(ana.run("peers", "--json").exits(0).stdout) {
		harmless(t, line)
		decode[person](t, line)
	}
	harmless(t, ana.run("send", "clea", "whom?").exits(3).stderr)
	rows.interrupt()
	rows.exits(130)
	harmless(t, rows.stdout.String()+rows.stderr.String())

	// The same by a text.
	ana.run("send", bob.identity(), "\x1b[2J\x1b]52;c;b3du\x07 \u202e\u009b31m text").exits(0)
	listen.expect(`text`)
	listen.interrupt()
	listen.exits(130)
	harmless(t, listen.stdout.String()+listen.stderr.String())
}

// harmless asserts that nothing in the text moves a cursor or fools an eye.
func harmless(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("not UTF-8: %q", text)
	}
	for _, r := range text {
		if r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || strings.ContainsRune("\u200b\u2060\ufeff\u2028\u2029", r) {
			t.Fatalf("%U gets through: %q", r, text)
		}
	}
}
