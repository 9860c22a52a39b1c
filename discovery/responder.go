package discovery

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// announce multicasts all our records (RFC 6762 §8.3).
func (c *core) announce(l *link, fam family) {
	e := &l.ends[fam]
	e.announces--
	e.announceAt, e.announcedAt = c.now.Add(announceInterval), c.now
	e.answer &^= unitAll
	c.multicast(l, fam, unitAll)
}

// multicast sends the records u names, all of them as answers.
func (c *core) multicast(l *link, fam family, u unit) {
	e := &l.ends[fam]
	msg := c.own.response(u, l.prefixes, l.ttl(), true)
	all := u | additional(u, l.prefixes)
	for k := range unitCount {
		if all&(1<<k) != 0 {
			e.sentAt[k] = c.now
		}
	}
	c.send(l, fam, netip.AddrPort{}, msg)
}

// goodbye tells every link that we leave (RFC 6762 §10.1).
func (c *core) goodbye() {
	if c.hidden {
		return
	}
	for _, l := range c.links {
		for fam := range l.families.each(l.families) {
			c.send(l, fam, netip.AddrPort{}, c.own.response(unitAll, l.prefixes, 0, true))
		}
	}
}

// question takes in a query. Questions with the QU bit are answered by the
// server of hashicorp/mdns (RFC 6762 §5.4); the rest here.
func (c *core) question(l *link, in arrival, msg *dns.Msg) {
	if in.unicast && !l.onLink(in.source.Addr()) {
		c.dropped++
		return
	}
	e := &l.ends[in.family]
	if !c.hidden && l.onLink(in.source.Addr()) {
		c.noteUnicast(l, msg.Question)
	}
	if in.source.Port() != mdnsPort {
		c.answerLegacy(l, in, msg)
		return
	}
	c.hearKnock(l, in, msg)
	var want unit
	asksAll := false
	for _, q := range msg.Question {
		u := c.own.asked(q, l)
		if q.Qclass&topBit != 0 {
			if l.crowd <= unicastCrowd || in.family == v6 && l.families&(1<<v4) != 0 {
				continue
			}
			// Who asks so over both families is answered over one.
		} else if u&unitPTR != 0 {
			asksAll = true
		}
		want |= u
	}
	if c.hidden {
		want = 0
	}
	known := c.knownAnswers(l, msg)
	if asksAll {
		e.askedAt = c.now
		c.missing(l, in.family)
	}
	if len(msg.Question) == 0 && in.source.Addr() == e.asker {
		e.answer &^= known // the rest of a long list (RFC 6762 §7.2)
	}
	if want &^= known; want != 0 {
		c.schedule(l, e, want, in.source.Addr(), msg.Truncated)
	}
}

// unicastAsk is a question with the QU bit that was heard on a link. The server
// of hashicorp/mdns, which answers it, can't know that.
type unicastAsk struct {
	name     string // in the case it was asked in
	wanted   unit
	at       time.Time
	answered bool
}

func (a unicastAsk) is(q dns.Question, now time.Time) bool {
	return a.name == q.Name && now.Sub(a.at) <= unicastAskLife
}

// noteUnicast lets the server answer such questions once.
func (c *core) noteUnicast(l *link, questions []dns.Question) {
	l.unicast = slices.DeleteFunc(l.unicast, func(a unicastAsk) bool { return c.now.Sub(a.at) > unicastAskLife })
	for _, q := range questions {
		if u := c.own.asked(q, l); u != 0 && q.Qclass&topBit != 0 && len(l.unicast) < maxUnicastAsks {
			l.unicast = append(l.unicast, unicastAsk{name: q.Name, wanted: u, at: c.now})
		}
	}
}

// unicastAnswer is what to answer q with on a link, nothing if it came by
// another. It isn't known as long as q wasn't heard, from somebody on a link
// (RFC 6762 §11). In a crowd nothing is.
func (c *core) unicastAnswer(index int, q dns.Question, now time.Time) (rrs []dns.RR, known bool) {
	l := c.links[index]
	if l == nil || l.crowd > unicastCrowd {
		return nil, true
	}
	u := c.own.asked(q, l)
	if u == 0 {
		return nil, true
	}
	for k := range l.unicast {
		if a := &l.unicast[k]; a.is(q, now) && a.wanted == u && !a.answered {
			a.answered = true
			return c.own.records(u|additional(u, l.prefixes), l.prefixes, l.ttl(), false), true
		}
	}
	for _, other := range c.links {
		if other != l && slices.ContainsFunc(other.unicast, func(a unicastAsk) bool { return a.is(q, now) }) {
			return nil, true
		}
	}
	return nil, false
}

// knownAnswers goes through a known-answer list: it returns what of ours is in
// it with at least half its TTL left (RFC 6762 §7.1), and marks those of others
// that the question won't refresh.
func (c *core) knownAnswers(l *link, msg *dns.Msg) (known unit) {
	half := uint32(l.ttl() / 2 / time.Second)
	mine := make([]int, unitCount)
	for _, rr := range msg.Answer {
		if ptr, ok := rr.(*dns.PTR); ok && canonical(ptr.Hdr.Name) == serviceName {
			if i := l.instances[canonical(ptr.Ptr)]; i != nil {
				c.listed(i)
				continue
			}
		}
		if u := c.sameAsOurs(l, rr); u != 0 && rr.Header().Ttl >= half {
			for k := range unitCount {
				if u == 1<<k {
					mine[k]++
				}
			}
		}
	}
	for k, n := range mine {
		if u := unit(1) << k; n > 0 && n >= len(c.own.records(u, l.prefixes, 0, false)) {
			known |= u
		}
	}
	return known
}

// sameAsOurs is which of our records rr is, or none.
func (c *core) sameAsOurs(l *link, rr dns.RR) unit {
	name := canonical(rr.Header().Name)
	same := false
	var u unit
	switch rr := rr.(type) {
	case *dns.PTR:
		switch name {
		case serviceName:
			u, same = unitPTR, canonical(rr.Ptr) == c.own.key
		case enumName:
			u, same = unitEnum, canonical(rr.Ptr) == serviceName
		}
	case *dns.SRV:
		u, same = unitSRV, name == c.own.key && rr.Port == c.own.port && canonical(rr.Target) == c.own.host
	case *dns.TXT:
		u, same = unitTXT, name == c.own.key && slices.Equal(rr.Txt, c.own.txt)
	case *dns.A, *dns.AAAA:
		u, same = unitAddr, name == c.own.host && l.own(addrOf(rr))
	}
	if !same {
		return 0
	}
	return u
}

// schedule prepares a multicast answer: at once if only we can have it, else
// after a random delay; later if more known answers are to come or one of the
// records was multicast just now (RFC 6762 §6, §7.2).
func (c *core) schedule(l *link, e *end, want unit, asker netip.Addr, truncated bool) {
	at := c.now
	switch {
	case truncated:
		at = c.now.Add(c.between(tcDelayMin, max(tcDelayMax, tcDelayMin+l.crowdDelay())))
	case want&unitShared != 0:
		at = c.now.Add(c.sharedDelay(l))
	}
	switch {
	case e.answer == 0:
		e.asker, e.answerAt = asker, at
	case e.asker != asker:
		e.asker = netip.Addr{}
		if at.Before(e.answerAt) {
			e.answerAt = at
		}
	case truncated:
		e.answerAt = at
	}
	e.answer |= want
}

// answer multicasts what is due, but for records that were multicast within the
// last second: those wait (RFC 6762 §6).
func (c *core) answer(l *link, fam family) {
	e := &l.ends[fam]
	var wait unit
	for k := range unitCount {
		if again := e.sentAt[k].Add(repeatInterval); e.answer&(1<<k) != 0 && again.After(c.now) {
			if wait |= 1 << k; !e.answerAt.After(c.now) || again.Before(e.answerAt) {
				e.answerAt = again
			}
		}
	}
	u := e.answer &^ wait
	if e.answer = wait; u != 0 {
		c.multicast(l, fam, u)
	}
}

// answerLegacy answers somebody who doesn't speak multicast DNS, as a plain DNS
// server would (RFC 6762 §6.7): one question, no cache-flush bits, a short TTL;
// and only on our own links (§11).
func (c *core) answerLegacy(l *link, in arrival, msg *dns.Msg) {
	if c.hidden || len(msg.Question) == 0 || msg.Question[0].Qclass&topBit != 0 || !l.onLink(in.source.Addr()) {
		return
	}
	if want := c.own.asked(msg.Question[0], l); want != 0 {
		reply := c.own.response(want, l.prefixes, min(legacyTTL, l.ttl()), false)
		reply.Id, reply.Question = msg.Id, msg.Question[:1]
		c.send(l, in.family, in.source, reply)
	}
}

// defend looks at a record that others sent. If somebody says goodbye for one
// of ours, gives it away with less than half our TTL, or claims our name with
// other contents, we say again what is so (RFC 6762 §6.6, §9, §10.1). What
// others answer for us we needn't (§7.4).
func (c *core) defend(l *link, fam family, rr dns.RR) {
	e := &l.ends[fam]
	h := rr.Header()
	if c.hidden {
		return
	}
	same := c.sameAsOurs(l, rr)
	if same == unitEnum && ttlOf(h) >= l.ttl() {
		e.answer &^= unitEnum
	}
	// Claims to our addresses aren't answered: whose addresses are flushed by them
	// asks us. Two machines with one identity would never end their dispute.
	var claimed bool
	switch rr := rr.(type) {
	case *dns.SRV, *dns.TXT:
		claimed = same == 0 && canonical(h.Name) == c.own.key
	case *dns.A, *dns.AAAA:
		if addr := addrOf(rr); same == 0 && h.Ttl > 0 && canonical(h.Name) == c.own.host && l.plausible(addr) {
			c.hearCopy(l, addr)
		}
	}
	if (claimed || same != 0 && same != unitEnum && ttlOf(h) < l.ttl()/2) && e.announces == 0 {
		if c.now.Sub(e.announcedAt) > 2*maxDefendInterval {
			e.defendInterval = 0
		}
		// Somebody else who defends the same must not make it a duel.
		e.defendInterval = min(max(2*e.defendInterval, announceInterval), maxDefendInterval)
		e.announces, e.announceAt = 1, e.announcedAt.Add(e.defendInterval)
	}
}
