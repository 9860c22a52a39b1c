package discovery

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"earshot/discovery/lantest"
)

// loopback is the name of the loopback interface, if multicast works there.
func loopback(t *testing.T) string {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("EARSHOT_REQUIRE_LAN") != "" {
		skip = t.Fatalf
	}
	use, _, err := interfaces([]string{lantest.Loopback(t)})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(use, func(n netif) bool { return n.loopback && n.families()&(1<<v4) != 0 })
	if at < 0 {
		skip("no loopback interface with an IPv4 address: bring it up (ip link set lo up)")
		return ""
	}
	n := use[at]
	c, err := openSocket(n, v4)
	if err != nil {
		skip("no multicast on %s: %v; a sandbox that forbids it has to be left", n.name, err)
		return ""
	}
	defer c.close()
	heard := make(chan struct{})
	go func() {
		if _, _, err := c.read(make([]byte, maxPacket)); err == nil {
			close(heard)
		}
	}()
	if err := c.write([]byte("not a DNS packet"), netip.AddrPort{}); err == nil {
		select {
		case <-heard:
			return n.name
		case <-time.After(time.Second):
		}
	}
	skip("a packet multicast on %s doesn't come back: let a firewall pass UDP port 5353 there", n.name)
	return ""
}

func joinLoopback(t *testing.T, lo string, n int, change func(*Config)) *Presence {
	t.Helper()
	cfg := Config{ID: testID(n), Name: fmt.Sprintf("loop %d", n), Port: uint16(41000 + n), Interfaces: []string{lo}}
	if change != nil {
		change(&cfg)
	}
	p, err := Join(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Leave)
	return p
}

// awaitChange waits for a change of the row of person n.
func awaitChange(t *testing.T, p *Presence, change Change, n int) Peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for {
		e, err := p.Next(ctx)
		if err != nil {
			t.Fatalf("waiting for %v of %d: %v", change, n, err)
		}
		if e.Change == change && e.Peer.ID == testID(n) {
			return e.Peer
		}
	}
}

// Two processes on one machine without a network, by real sockets and
// hashicorp/mdns.
func TestLoopback(t *testing.T) {
	lo := loopback(t)
	id := os.Getpid() % 1000 * 10 // beside the tests of other checkouts and users
	var logged bytes.Buffer
	one := joinLoopback(t, lo, id+1, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&logged, nil)) })
	two := joinLoopback(t, lo, id+2, nil)
	if p := awaitChange(t, one, Up, id+2); p.Name != fmt.Sprint("loop ", id+2) || p.Addrs[0].Port() != uint16(41000+id+2) || !p.Addrs[0].Addr().IsLoopback() {
		t.Errorf("one sees %+v", p)
	}
	awaitChange(t, two, Up, id+1)

	three := joinLoopback(t, lo, id+3, nil)
	<-three.Settled()
	var seen []string
	for _, p := range three.Peers() {
		if p.ID == testID(id+1) || p.ID == testID(id+2) {
			seen = append(seen, p.Name)
		}
	}
	if len(seen) != 2 {
		t.Errorf("three has settled and sees only %q", seen)
	}
	awaitChange(t, one, Up, id+3)

	// Two processes of one identity are one row, with both ports.
	joinLoopback(t, lo, id+3, func(c *Config) { c.Twin, c.Port = true, 40000 })
	if p := awaitChange(t, one, Changed, id+3); len(p.Addrs) < 2 {
		t.Errorf("twins at %v", p.Addrs)
	}

	start := time.Now()
	two.Leave()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("leaving took %v", took)
	}
	awaitChange(t, one, Down, id+2)
	one.Leave()
	if n := bytes.Count(logged.Bytes(), []byte("\n")); n > 5 {
		t.Errorf("%d lines logged:\n%s", n, logged.String())
	}
}

// Garbage on port 5353 has no effect.
func TestLoopbackGarbage(t *testing.T) {
	lo := loopback(t)
	id := os.Getpid() % 1000 * 10
	one := joinLoopback(t, lo, id+5, nil)
	ifi, err := net.InterfaceByName(lo)
	if err != nil {
		t.Fatal(err)
	}
	use, _, err := interfaces([]string{ifi.Name})
	if err != nil {
		t.Fatal(err)
	}
	c, err := openAsker(use[0], v4)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for n := range 200 {
		if err := c.write(bytes.Repeat([]byte{byte(n)}, n*40), netip.AddrPort{}); err != nil {
			t.Fatal(err)
		}
	}
	joinLoopback(t, lo, id+6, nil)
	awaitChange(t, one, Up, id+6)
}
