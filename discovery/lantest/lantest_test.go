package lantest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var group = netip.MustParseAddrPort("224.0.0.251:5353")

func listen(t *testing.T, h *Host, port uint16) *Conn {
	t.Helper()
	c, err := h.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// collect reads c until it is closed.
func collect(c *Conn) <-chan []string {
	done := make(chan []string, 1)
	go func() {
		var got []string
		b := make([]byte, 100)
		for {
			n, _, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				done <- got
				return
			}
			got = append(got, string(b[:n]))
		}
	}()
	return done
}

func read(t *testing.T, c *Conn) (string, netip.AddrPort) {
	t.Helper()
	b := make([]byte, 100)
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n]), from
}

func write(t *testing.T, c *Conn, text, to string) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(text), netip.MustParseAddrPort(to)); err != nil {
		t.Fatal(err)
	}
}

func TestUnicast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := New(1)
		wifi, wire := lan.Link(), lan.Link()
		a, b := lan.Host("a"), lan.Host("b")
		a.Attach(wifi, "198.18.0.1/24")
		b.Attach(wifi, "198.18.0.2/24")
		a.Attach(wire, "fe80::1/64")
		b.Attach(wire, "fe80::2/64")
		ca, cb := listen(t, a, 7), listen(t, b, 0)
		port := cb.LocalAddr().(*net.UDPAddr).Port

		write(t, ca, "four", fmt.Sprintf("198.18.0.2:%d", port))
		if text, from := read(t, cb); text != "four" || from.String() != "198.18.0.1:7" {
			t.Errorf("got %q from %v", text, from)
		}
		write(t, ca, "six", fmt.Sprintf("[fe80::2%%eth1]:%d", port))
		if text, from := read(t, cb); text != "six" || from.String() != "[fe80::1%eth1]:7" {
			t.Errorf("got %q from %v", text, from)
		}
		write(t, ca, "self", "198.18.0.1:7")
		if text, _ := read(t, ca); text != "self" {
			t.Errorf("got %q", text)
		}
		if _, err := ca.WriteToUDPAddrPort(nil, netip.MustParseAddrPort("203.0.113.1:7")); !errors.Is(err, ErrUnreachable) {
			t.Errorf("off-link: %v", err)
		}
		if _, err := a.Listen(7); !errors.Is(err, ErrPortInUse) {
			t.Errorf("taken port: %v", err)
		}
		if c := wifi.Counters(); c.Packets != 2 || c.Bytes != 8 || c.Multicast != 0 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestMulticastStaysOnItsLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := New(1)
		wifi, wire := lan.Link(), lan.Link()
		a, b, c := lan.Host("a"), lan.Host("b"), lan.Host("c")
		ma := a.Attach(wifi, "198.18.0.1/24").ListenMulticast(group)
		mb := b.Attach(wifi, "198.18.0.2/24").ListenMulticast(group)
		mc := c.Attach(wire, "198.18.0.3/24").ListenMulticast(group)
		other := collect(mc)
		write(t, ma, "hello", group.String())
		for _, m := range []*Conn{ma, mb} { // the sender hears itself
			if text, from := read(t, m); text != "hello" || from.String() != "198.18.0.1:5353" {
				t.Errorf("got %q from %v", text, from)
			}
		}
		time.Sleep(time.Second)
		_ = mc.Close()
		if got := <-other; len(got) != 0 {
			t.Errorf("the other link heard %q", got)
		}
	})
}

func TestCloseWakesReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := listen(t, New(1).Host("a"), 7)
		got := collect(c)
		synctest.Wait()
		_ = c.Close()
		<-got
		if _, _, err := c.ReadFromUDPAddrPort(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
		if _, err := c.WriteToUDPAddrPort(nil, group); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
	})
}

func TestReaddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := New(1)
		link := lan.Link()
		a, b := lan.Host("a"), lan.Host("b")
		a.Attach(link, "198.18.0.1/24")
		i := b.Attach(link, "198.18.0.2/24")
		ca, cb := listen(t, a, 7), listen(t, b, 7)
		write(t, ca, "in flight", "198.18.0.2:7")
		i.SetAddrs("198.18.0.9/24")
		write(t, ca, "to the old", "198.18.0.2:7")
		write(t, ca, "to the new", "198.18.0.9:7")
		if text, _ := read(t, cb); text != "to the new" {
			t.Errorf("got %q", text)
		}
		write(t, cb, "from the new", "198.18.0.1:7")
		if _, from := read(t, ca); from.String() != "198.18.0.9:7" {
			t.Errorf("from %v", from)
		}
	})
}

func TestCutTapInject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := New(1)
		link := lan.Link()
		a, b := lan.Host("a"), lan.Host("b")
		a.Attach(link, "198.18.0.1/24")
		b.Attach(link, "198.18.0.2/24")
		ca, cb := listen(t, a, 7), listen(t, b, 7)
		lan.Cut(a, b)
		write(t, ca, "cut", "198.18.0.2:7")
		write(t, cb, "other way", "198.18.0.1:7")
		if text, _ := read(t, ca); text != "other way" {
			t.Errorf("got %q", text)
		}
		lan.Partition([]*Host{a}, []*Host{b})
		write(t, cb, "cut", "198.18.0.1:7")
		lan.Heal()
		var seen []string
		link.Tap(func(d Datagram) bool { seen = append(seen, string(d.Data)); return string(d.Data) != "drop" })
		write(t, ca, "drop", "198.18.0.2:7")
		write(t, ca, "keep", "198.18.0.2:7")
		if text, _ := read(t, cb); text != "keep" || !slices.Equal(seen, []string{"drop", "keep"}) {
			t.Errorf("got %q, tapped %q", text, seen)
		}
		link.Inject(Datagram{Src: netip.MustParseAddrPort("203.0.113.9:1"), Dst: netip.MustParseAddrPort("198.18.0.2:7"), Data: []byte("forged")})
		if text, from := read(t, cb); text != "forged" || from.String() != "203.0.113.9:1" {
			t.Errorf("got %q from %v", text, from)
		}
		if c := link.Counters(); c.Packets != 6 || c.Lost != 3 {
			t.Errorf("counters %+v", c)
		}
	})
}

// accidents sends numbered datagrams from two hosts at once over a bad link.
func accidents(t *testing.T, seed uint64) (got []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		lan := New(seed)
		link := lan.Link()
		link.SetConditions(Conditions{Loss: 0.2, Duplicate: 0.1, Delay: time.Millisecond, Jitter: 5 * time.Millisecond})
		to := lan.Host("to")
		to.Attach(link, "198.18.0.100/24")
		c := listen(t, to, 7)
		done := collect(c)
		for n := range 2 {
			h := lan.Host(fmt.Sprint("from", n))
			h.Attach(link, fmt.Sprintf("198.18.0.%d/24", n+1))
			from := listen(t, h, 7)
			go func() {
				for k := range 200 {
					write(t, from, fmt.Sprintf("%d-%03d", n, k), "198.18.0.100:7")
					time.Sleep(time.Millisecond)
				}
			}()
		}
		time.Sleep(time.Second)
		_ = c.Close()
		got = <-done
	})
	return got
}

func TestAccidentsFollowTheSeed(t *testing.T) {
	one := accidents(t, 1)
	if again := accidents(t, 1); !slices.Equal(one, again) {
		t.Error("one seed, two courses")
	}
	if slices.Equal(one, accidents(t, 2)) {
		t.Error("two seeds, one course")
	}
	distinct := map[string]bool{}
	for _, d := range one {
		distinct[d] = true
	}
	if n := len(distinct); n < 290 || n > 350 { // 400 sent, 20 % lost
		t.Errorf("%d of 400 arrived", n)
	}
	if len(one) == len(distinct) {
		t.Error("nothing was duplicated")
	}
	if slices.IsSorted(one) {
		t.Error("nothing was reordered")
	}
}

func TestReceiveBufferOverruns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := New(1)
		link := lan.Link()
		a := lan.Host("a")
		a.Attach(link, "198.18.0.1/24")
		c := listen(t, a, 7)
		big := make([]byte, 10000)
		for range 200 {
			if _, err := c.WriteToUDPAddrPort(big, netip.MustParseAddrPort("198.18.0.1:7")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if lost := link.Counters().Lost; lost != 101 { // 1 MiB holds 99 of 10,512 bytes
			t.Errorf("%d lost", lost)
		}
	})
}
