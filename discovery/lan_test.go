package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"earshot/discovery/lantest"
)

// lanNetwork makes a host on a LAN in memory the network of a Presence, with a
// stand-in for hashicorp/mdns.
type lanNetwork struct {
	host     *lantest.Host
	ifaces   *[]*lantest.Interface
	port     *atomic.Uint32 // last ephemeral
	noBrowse bool           // as on a host without a default route
	noAsker  bool
	noSend   *atomic.Bool // as while an IPv6 address is tentative; nil: never
	sendErr  error        // then; nil: that of such an address
}

func newLANNetwork(h *lantest.Host, ifaces ...*lantest.Interface) lanNetwork {
	port := new(atomic.Uint32)
	port.Store(50000)
	return lanNetwork{host: h, ifaces: &ifaces, port: port}
}

func (l lanNetwork) interfaces([]string) (use []netif, skipped []Skipped, err error) {
	for k, i := range *l.ifaces {
		if n := (netif{index: k + 1, name: i.Name(), prefixes: i.Addrs()}); len(n.prefixes) > 0 {
			use = append(use, n)
		} else {
			skipped = append(skipped, Skipped{i.Name(), "no address"})
		}
	}
	return use, skipped, nil
}

type lanConn struct {
	*lantest.Conn
	in     arrival
	noSend *atomic.Bool
	err    error
}

func (l lanNetwork) listen(n netif, fam family, port uint16, unicast bool) lanConn {
	group := netip.AddrPortFrom(groups[fam].Addr(), port)
	return lanConn{(*l.ifaces)[n.index-1].ListenMulticast(group), arrival{link: n.index, family: fam, unicast: unicast}, l.noSend, l.sendErr}
}

func (l lanNetwork) open(n netif, fam family) (conn, error) {
	return l.listen(n, fam, mdnsPort, false), nil
}

func (l lanNetwork) openAsker(n netif, fam family) (conn, error) {
	if l.noAsker {
		return nil, errors.New("no socket")
	}
	return l.listen(n, fam, uint16(l.port.Add(1)), true), nil
}

func (c lanConn) read(b []byte) (int, arrival, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err == nil && from.Addr().Is4() != (c.in.family == v4) {
			continue // the LAN's sockets have both families
		}
		in := c.in
		in.source = from
		return n, in, err
	}
}

func (c lanConn) write(b []byte, to netip.AddrPort) error {
	if c.noSend != nil && c.noSend.Load() {
		return cmp.Or(c.err, errors.New("cannot assign requested address"))
	}
	if !to.IsValid() {
		to = groups[c.in.family]
	}
	_, err := c.WriteToUDPAddrPort(b, to)
	return err
}

func (c lanConn) close() { _ = c.Close() }

func (l lanNetwork) serve(n netif, records func(dns.Question) []dns.RR) (func(), error) {
	var conns []lanConn
	for fam := range n.families().each(n.families()) {
		c := l.listen(n, fam, mdnsPort, false)
		conns = append(conns, c)
		go func() {
			b := make([]byte, maxPacket)
			for {
				k, in, err := c.read(b)
				if err != nil {
					return
				}
				var msg dns.Msg
				if msg.Unpack(b[:k]) != nil || msg.Response || len(msg.Question) == 0 || msg.Question[0].Qclass&topBit == 0 {
					continue
				}
				if rrs := records(msg.Question[0]); rrs != nil {
					reply := dns.Msg{MsgHdr: dns.MsgHdr{Id: msg.Id, Response: true}, Compress: true, Answer: rrs}
					data, err := reply.Pack()
					if err != nil {
						panic(err)
					}
					_ = c.write(data, in.source)
				}
			}
		}()
	}
	return func() {
		for _, c := range conns {
			c.close()
		}
	}, nil
}

func (l lanNetwork) browse(ctx context.Context, n netif, fam family, found func([]dns.RR)) error {
	if l.noBrowse {
		return errors.New("no such device")
	}
	c, err := l.openAsker(n, fam)
	if err != nil {
		return err
	}
	if err := c.write(unicastQuestion(randomCase(serviceName)), netip.AddrPort{}); err != nil {
		c.close()
		return err
	}
	defer context.AfterFunc(ctx, c.close)()
	defer time.AfterFunc(settleUnicast, c.close).Stop()
	b := make([]byte, maxPacket)
	var all [][]dns.RR
	for {
		k, _, err := c.read(b)
		if err != nil {
			break
		}
		var msg dns.Msg
		if msg.Unpack(b[:k]) == nil {
			all = append(all, msg.Answer)
		}
	}
	for _, rrs := range all {
		found(rrs)
	}
	return nil
}

// testID is a valid identity, different for each n.
func testID(n int) string {
	const digits = "abcdefghijklmnopqrstuvwxyz234567"
	id := []byte("aaaaaa" + "earshotearshotearshotearshotearshotearshotear" + "q")
	for k := range 6 {
		id[k] = digits[n%32]
		n /= 32
	}
	return string(id)
}

// person is a Presence on a LAN.
type person struct {
	*Presence
	host  *lantest.Host
	iface *lantest.Interface
}

// joinLAN puts person n on a link, at 198.18.0.0/15 and by link-local IPv6.
func joinLAN(t *testing.T, lan *lantest.LAN, link *lantest.Link, n int, change func(*Config, *lanNetwork)) person {
	t.Helper()
	h := lan.Host(fmt.Sprint("host", n))
	i := h.Attach(link, fmt.Sprintf("198.18.%d.%d/15", n>>8, n&255), fmt.Sprintf("fe80::%x/64", n+1))
	cfg := Config{ID: testID(n), Name: fmt.Sprintf("person %04d", n), Port: 41027}
	network := newLANNetwork(h, i)
	if change != nil {
		change(&cfg, &network)
	}
	p, err := join(cfg, network)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Leave)
	return person{p, h, i}
}

func names(p *Presence) (ns []string) {
	for _, peer := range p.Peers() {
		ns = append(ns, peer.Name)
	}
	return ns
}

// others are the names that person n of count is to see.
func others(n, count int) (ns []string) {
	for k := range count {
		if k != n {
			ns = append(ns, fmt.Sprintf("person %04d", k))
		}
	}
	return ns
}

// awaitEveryone waits until everyone sees everyone else, and nobody else.
func awaitEveryone(t *testing.T, people []person, limit time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		missing := ""
		for n, p := range people {
			if got := names(p.Presence); !slices.Equal(got, others(n, len(people))) {
				missing = fmt.Sprintf("person %d sees %d of %d: %q", n, len(got), len(people)-1, got)
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(missing)
		}
	}
}

func TestNewcomerSeesAllByTheTimeItSettles(t *testing.T) {
	for _, route := range []bool{true, false} {
		t.Run(fmt.Sprintf("route=%v", route), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan := lantest.New(1)
				link := lan.Link()
				for n := range 20 {
					joinLAN(t, lan, link, n, nil)
				}
				time.Sleep(10 * time.Second)
				start := time.Now()
				p := joinLAN(t, lan, link, 20, func(_ *Config, l *lanNetwork) { l.noBrowse = !route })
				<-p.Settled()
				if took := time.Since(start); took != settleUnicast {
					t.Errorf("settled after %v", took)
				}
				if got := names(p.Presence); !slices.Equal(got, others(20, 21)) {
					t.Errorf("sees %q", got)
				}
			})
		})
	}
}

func TestEveryoneSeesEveryone(t *testing.T) {
	conditions := map[string]lantest.Conditions{
		"healthy": {Delay: time.Millisecond},
		"lossy":   {Loss: 0.2, Duplicate: 0.05, Delay: 2 * time.Millisecond, Jitter: 30 * time.Millisecond},
	}
	for name, cond := range conditions {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				synctest.Test(t, func(t *testing.T) {
					lan := lantest.New(seed)
					link := lan.Link()
					link.SetConditions(cond)
					var people []person
					for n := range 20 {
						people = append(people, joinLAN(t, lan, link, n, nil))
						time.Sleep(20 * time.Millisecond)
					}
					t.Log("seed", seed)
					awaitEveryone(t, people, 8*time.Second)
					time.Sleep(2 * time.Minute)
					// On the lossy link somebody may be lost for a moment.
					awaitEveryone(t, people, 40*time.Second)
				})
			}
		})
	}
}
