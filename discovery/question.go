package discovery

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// ask has the PTR question multicast at once.
func (c *core) ask(index int, fam family, now time.Time) {
	c.now = now
	if l := c.links[index]; l != nil {
		l.ends[fam].askAt = now
		c.advance(now)
	}
}

// askJoining asks one of the questions of joining (RFC 6762 §5.2). What a crowd
// answers comes over some time (SPEC §5); then it is asked once, for those
// that are still missing.
func (c *core) askJoining(l *link, fam family) {
	e := &l.ends[fam]
	known := l.crowd
	coming := known >= askManyKnown && known-e.found >= askGrowth
	e.found = known
	if coming {
		e.askAt = c.now.Add(askInterval)
		return
	}
	e.askAt = c.now.Add(askInterval << (askCount - e.asks))
	if e.asks--; known >= askManyKnown {
		e.asks = 0
	}
	c.askPTR(l, fam)
}

// askPTR multicasts the question for all instances, with those already known
// (RFC 6762 §7.1), in as many packets as that takes (§7.2).
func (c *core) askPTR(l *link, fam family) {
	e := &l.ends[fam]
	e.wantPTR, e.ownAskAt, e.askedAt = false, c.now, c.now
	msg := &dns.Msg{Compress: true, Question: []dns.Question{{Name: serviceName, Qtype: dns.TypePTR, Qclass: dns.ClassINET}}}
	size := 0
	add := func(instance string, left time.Duration) {
		const overhead = 14 // of a compressed PTR record, besides the name
		if size += overhead + len(instance) - len(serviceName); size > maxKnownPayload {
			msg.Truncated = true
			c.send(l, fam, netip.AddrPort{}, msg)
			msg, size = &dns.Msg{Compress: true}, 0
		}
		msg.Answer = append(msg.Answer, &dns.PTR{
			Hdr: dns.RR_Header{Name: serviceName, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: uint32(left / time.Second)},
			Ptr: instance,
		})
	}
	for _, i := range l.instances {
		if i.ptr.known(c.now) {
			add(i.name, i.ptr.expires.Sub(c.now))
		}
	}
	// We hear our own question too. It is to be answered, lest others have to
	// ask for our record, but not soon after we multicast it.
	if left := e.ptrSentAt().Add(l.ttl()).Sub(c.now); !c.hidden && left > l.ttl()/2 {
		add(c.own.instance, left)
	}
	c.send(l, fam, netip.AddrPort{}, msg)
	e.split = len(msg.Question) == 0
}

// answered is when those must have answered the first questions of joining who do so by
// multicast only.
func (c *core) answered() (at time.Time) {
	for _, l := range c.links {
		for fam := range l.families.each(l.families) {
			e := &l.ends[fam]
			asked, delay := e.ownAskAt, max(sharedDelayMax, l.crowdDelay())
			if e.split {
				delay = max(tcDelayMax, tcDelayMin+l.crowdDelay())
			}
			if asked.IsZero() {
				asked = e.askAt
			}
			// Few have IPv6 only.
			if by := asked.Add(delay + settleAir); (fam == v4 || l.families&(1<<v4) == 0) && by.After(at) {
				at = by
			}
		}
	}
	return at
}

// request notes what of an instance to ask for. The first time over the family
// it was heard on, then over all of them.
func (c *core) request(i *instance, want unit) {
	over := i.families
	switch {
	case i.ptr.asks > 1 || i.resolves > 1 || i.srv.doubted || c.now.Sub(i.disputedAt) <= disputedGrace:
		over = i.link.families
	case over&(1<<v4) != 0:
		over = 1 << v4
	}
	for fam := range over.each(i.link.families) {
		e := &i.link.ends[fam]
		if want&unitPTR != 0 {
			// Duplicate question suppression: somebody, maybe we, asked just
			// now, and didn't say they know this one (RFC 6762 §7.3).
			// Answers may still be coming.
			if c.now.Sub(e.askedAt) > askInterval+i.link.crowdDelay() || !i.knownAt.Before(e.askedAt) {
				e.wantPTR = true
			}
		}
		if want&unitSRV != 0 {
			e.ask(i.name, dns.TypeSRV)
		}
		if want&unitTXT != 0 {
			e.ask(i.name, dns.TypeTXT)
		}
		if want&unitAddr != 0 {
			e.ask(i.host, dns.TypeA)
			e.ask(i.host, dns.TypeAAAA)
		}
	}
}

// ask has a question asked with the next ones, if there is room.
func (e *end) ask(name string, qtype uint16) {
	q := dns.Question{Name: name, Qtype: qtype, Qclass: dns.ClassINET}
	if len(e.questions) < maxQuestions && !slices.Contains(e.questions, q) {
		e.questions = append(e.questions, q)
	}
}
