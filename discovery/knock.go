package discovery

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A knock asks somebody visible to open the path to us from their side: their
// firewall may let in only what answers (SPEC §14).

const (
	knockName     = "_knock." + serviceName
	knockInterval = 500 * time.Millisecond // between two knocks for, or from, one person
	// Constants of this implementation.
	maxKnocks     = 16 // within the interval, for or from all people
	maxKnockAddrs = 8  // that are opened to
)

// Knock asks somebody visible, who doesn't answer, to open the path to us from their
// side; what they do is their Config.Knocked. They heed only those they see, so a
// hidden presence becomes visible by it; that takes an ID and a Port. It does nothing
// for those not visible, and within 500 ms of an earlier knock for them.
func (p *Presence) Knock(id string) {
	if !validID(p.cfg.ID) || p.cfg.Port == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.left {
		p.core.knock(id, time.Now())
		p.flush()
	}
}

// knocking is what the core knows of knocks.
type knocking struct {
	sent, heeded recent
	open         [][]netip.AddrPort // to be told to Config.Knocked
}

// recent are the people of the knocks within the last interval.
type recent []knocked

type knocked struct {
	id string
	at time.Time
}

// admit reports whether one more keeps to the limits, and notes it.
func (r *recent) admit(id string, now time.Time) bool {
	*r = slices.DeleteFunc(*r, func(k knocked) bool { return now.Sub(k.at) >= knockInterval })
	if len(*r) >= maxKnocks || slices.ContainsFunc(*r, func(k knocked) bool { return k.id == id }) {
		return false
	}
	*r = append(*r, knocked{id, now})
	return true
}

// knock multicasts the question on every link where id is seen, after announcing us
// if we were hidden.
func (c *core) knock(id string, now time.Time) {
	c.now = now
	r := c.rows[id]
	if !validID(id) || r == nil || !c.knocks.sent.admit(id, now) {
		return
	}
	if c.hidden {
		c.hidden = false
		for _, l := range c.links {
			for k := range l.ends {
				l.ends[k].announces, l.ends[k].announceAt = announceCount, now
			}
		}
		c.advance(now)
	}
	question := &dns.Msg{Question: []dns.Question{{Name: id + "." + c.self + "." + knockName, Qtype: dns.TypeTXT, Qclass: dns.ClassINET}}}
	for _, l := range c.links {
		if slices.ContainsFunc(r.instances, func(i *instance) bool { return i.link == l }) {
			for fam := range l.families.each(l.families) {
				c.send(l, fam, netip.AddrPort{}, question)
			}
		}
	}
}

// hearKnock heeds a knock for us, if whoever asks is visible on the link and asks from
// an address announced there: the path is opened to the addresses announced there, and
// to nothing else.
func (c *core) hearKnock(l *link, in arrival, msg *dns.Msg) {
	if c.hidden || in.unicast {
		return
	}
	for _, q := range msg.Question {
		rest, forUs := strings.CutPrefix(canonical(q.Name), c.self+".")
		caller, ok := strings.CutSuffix(rest, "."+knockName)
		if !forUs || !ok || caller == c.self || c.rows[caller] == nil {
			continue
		}
		from := in.source.Addr().WithZone("")
		genuine := false
		var open []netip.AddrPort
		for _, i := range c.rows[caller].instances {
			for _, a := range i.addrs {
				if i.link != l || !l.onLink(a.addr) || l.loopback && !a.addr.IsLoopback() {
					continue
				}
				genuine = genuine || a.addr == from
				if to := netip.AddrPortFrom(l.zoned(a.addr), i.port); len(open) < maxKnockAddrs && !slices.Contains(open, to) {
					open = append(open, to)
				}
			}
		}
		if genuine && c.knocks.heeded.admit(caller, c.now) {
			c.knocks.open = append(c.knocks.open, open)
		}
	}
}

// zoned gives a link-local IPv6 address its zone.
func (l *link) zoned(addr netip.Addr) netip.Addr {
	if addr.Is6() && addr.IsLinkLocalUnicast() {
		return addr.WithZone(l.name)
	}
	return addr
}

// takeKnocks returns the addresses to open the path to, and forgets them.
func (c *core) takeKnocks() [][]netip.AddrPort {
	open := c.knocks.open
	c.knocks.open = nil
	return open
}
