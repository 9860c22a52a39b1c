package discovery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// network is what discovery needs of the operating system and of
// hashicorp/mdns; tests have another one.
type network interface {
	interfaces(only []string) (use []netif, skipped []Skipped, err error)
	// open joins the family's group on an interface.
	open(n netif, fam family) (conn, error)
	// openAsker opens a port to which unicast answers can come.
	openAsker(n netif, fam family) (conn, error)
	// serve answers questions by unicast, with what records returns for them.
	// On some systems it also hears the questions of other interfaces.
	serve(n netif, records func(dns.Question) []dns.RR) (stop func(), err error)
	// browse asks for all instances with the QU bit and hands over what is
	// found within settleUnicast. After an error nothing was asked.
	browse(ctx context.Context, n netif, fam family, found func([]dns.RR)) error
}

// askerTime is how long our own socket waits for unicast answers.
const askerTime = time.Second

// attachment is an interface in use.
type attachment struct {
	netif
	conns  [2]conn
	failed families // whose last packet couldn't be sent
	// How often what failed was tried anew since anything could be sent, and whether it
	// was told that nothing can.
	failures int
	told     bool
	unseen   families        // where nobody could be asked to answer by unicast
	stop     func()          // the server; nil if there is none
	ctx      context.Context // ends with its use
	cancel   context.CancelFunc
}

// opened is the families that were joined.
func (a *attachment) opened() (f families) {
	for fam, c := range a.conns {
		if c != nil {
			f |= 1 << fam
		}
	}
	return f
}

// refresh makes the links those of the interfaces there are now. p.mu is held.
func (p *Presence) refresh(rejoin bool) error {
	use, skipped, err := p.net.interfaces(p.cfg.Interfaces)
	if err != nil {
		return err
	}
	for index, a := range p.links {
		if at := slices.IndexFunc(use, func(n netif) bool { return n.index == index }); at < 0 {
			p.detach(index)
			p.core.dropLink(index)
			p.log.Info("interface gone", "interface", a.name)
		} else if rejoin || !a.equal(use[at]) {
			p.detach(index)
		}
	}
	for _, n := range use {
		a := p.links[n.index]
		if a == nil {
			if err := p.attach(n); err != nil {
				reason := err.Error()
				if PortHeld(err) {
					reason = Held
				}
				skipped = append(skipped, Skipped{n.name, reason})
				p.core.dropLink(n.index)
			}
			continue
		}
		// Try what failed once more: an IPv6 address isn't usable at once.
		again := n.families()&^a.opened() | a.failed
		for fam := range again.each(again) {
			if a.conns[fam] == nil && p.open(a, fam) != nil {
				again &^= 1 << fam
			}
		}
		if again != 0 {
			a.failures++
			p.core.setLink(n, a.opened(), again, time.Now())
			p.flush()
			p.browseAll(a, again&^a.failed)
		}
	}
	p.skipped = skipped
	p.flush()
	return nil
}

// attach starts to use an interface. One family is enough. p.mu is held.
func (p *Presence) attach(n netif) error {
	a := &attachment{netif: n}
	a.ctx, a.cancel = context.WithCancel(p.ctx)
	var errs []error
	for fam := range n.families().each(n.families()) {
		if err := p.open(a, fam); err != nil {
			errs = append(errs, err)
		}
	}
	if a.opened() == 0 {
		a.cancel()
		return errors.Join(errs...)
	}
	p.links[n.index] = a
	if !p.cfg.Hidden {
		stop, err := p.net.serve(n, func(q dns.Question) []dns.RR { return p.unicastAnswer(n, q) })
		if err != nil {
			p.log.Warn("can't answer by unicast", "interface", n.name, "error", err)
		}
		a.stop = stop
	}
	p.log.Info("interface joined", "interface", n.name, "addresses", n.prefixes)
	p.core.setLink(n, a.opened(), a.opened(), time.Now())
	p.flush()
	p.browseAll(a, a.opened())
	return nil
}

// open joins one family and starts its reader. p.mu is held.
func (p *Presence) open(a *attachment, fam family) error {
	c, err := p.net.open(a.netif, fam)
	if err != nil {
		return err
	}
	a.conns[fam] = c
	p.running.Go(func() { p.read(c) })
	return nil
}

// detach stops to use an interface; what was heard on it stays in the core.
// p.mu is held.
func (p *Presence) detach(index int) {
	a := p.links[index]
	delete(p.links, index)
	a.cancel()
	if a.stop != nil {
		a.stop()
	}
	for _, c := range a.conns {
		if c != nil {
			c.close()
		}
	}
}

// read takes in what arrives until the connection is closed.
func (p *Presence) read(c conn) {
	buf := make([]byte, maxPacket+1)
	for {
		n, in, err := c.read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Some systems report here what became of a packet sent.
			if !p.sleep(10 * time.Millisecond) {
				return
			}
			continue
		}
		p.mu.Lock()
		if !p.left {
			p.core.receive(in, buf[:n], time.Now())
			p.flush()
		}
		p.mu.Unlock()
	}
}

// send sends a packet of the core's. p.mu is held.
func (p *Presence) send(a *attachment, out packet) {
	c := a.conns[out.family]
	if c == nil {
		return
	}
	if err := c.write(out.data, out.to); !out.to.IsValid() {
		p.refused(a, out.family, err)
	}
}

// unicastAnswer is what the server of an interface answers a question with. It
// doesn't know by which interface the question came or from whom, so it answers
// only what our own socket there heard too, for which it waits a little (SPEC §1).
func (p *Presence) unicastAnswer(n netif, q dns.Question) []dns.RR {
	if q.Qclass&topBit == 0 {
		return nil // the core answers
	}
	for wait := 200 * time.Microsecond; wait < 10*time.Millisecond; wait *= 2 {
		p.mu.Lock()
		rrs, ok := p.core.unicastAnswer(n.index, q, time.Now())
		p.mu.Unlock()
		if ok {
			return rrs
		}
		if !p.sleep(wait) {
			break
		}
	}
	return nil
}

// browseAll asks by the families of a link for answers by unicast. p.mu is held.
func (p *Presence) browseAll(a *attachment, over families) {
	for fam := range over.each(over) {
		first := p.first
		if first != nil {
			first.Add(1)
		}
		p.running.Go(func() {
			p.browse(a, fam)
			if first != nil {
				first.Done()
			}
		})
	}
}

// browse asks by one family of a link for answers by unicast; by a socket of
// our own where hashicorp/mdns can't, as on a host without a default route. It
// returns when they must have come.
func (p *Presence) browse(a *attachment, fam family) {
	err := p.net.browse(a.ctx, a.netif, fam, func(rrs []dns.RR) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.left {
			p.core.hint(a.index, fam, rrs, time.Now())
			p.flush()
		}
	})
	if err == nil || a.ctx.Err() != nil {
		return
	}
	c, err := p.net.openAsker(a.netif, fam)
	if err == nil {
		if err = c.write(unicastQuestion(randomCase(serviceName)), netip.AddrPort{}); err != nil {
			c.close()
		}
	}
	if err != nil {
		p.mu.Lock()
		a.unseen |= 1 << fam
		if !p.left {
			p.core.ask(a.index, fam, time.Now())
			p.flush()
		}
		p.mu.Unlock()
		return
	}
	p.running.Go(func() { p.read(c) })
	stop := context.AfterFunc(a.ctx, c.close)
	time.AfterFunc(askerTime, func() {
		if stop() {
			c.close()
		}
	})
	p.sleep(settleUnicast)
}

// unicastQuestion asks for all instances of a service, to be answered by unicast
// (RFC 6762 §5.4).
func unicastQuestion(service string) []byte {
	b, err := (&dns.Msg{Question: []dns.Question{{Name: service, Qtype: dns.TypePTR, Qclass: dns.ClassINET | topBit}}}).Pack()
	if err != nil {
		panic("discovery: own question can't be packed: " + err.Error())
	}
	return b
}

// askedEverywhere reports whether everybody on a working link was asked to
// answer by unicast.
func (p *Presence) askedEverywhere() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.links {
		if working := a.opened() &^ a.failed; working == 0 || working&a.unseen != 0 {
			return false
		}
	}
	return true
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
