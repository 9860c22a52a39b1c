package discovery

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// link is an interface in use.
type link struct {
	index    int
	name     string
	loopback bool
	prefixes []netip.Prefix
	families families
	ends     [2]end
	unicast  []unicastAsk // heard, to be answered by the server

	instances map[string]*instance   // by canonical name
	hosts     map[string][]*instance // by canonical host name
	sources   map[netip.Addr]source
	crowd     int // people, as far as they are believed (SPEC §5)
}

// source is what was first heard from one address.
type source struct{ instances, shown int }

func newLink(index int) *link {
	return &link{index: index, instances: map[string]*instance{}, hosts: map[string][]*instance{}, sources: map[netip.Addr]source{}}
}

// count notes that there are so many more instances, and shown ones, from an address.
func (l *link) count(addr netip.Addr, instances, shown int) {
	s := l.sources[addr]
	l.crowd -= min(s.shown, maxCrowdPerSource)
	s.instances += instances
	s.shown += shown
	l.crowd += min(s.shown, maxCrowdPerSource)
	if l.sources[addr] = s; s.instances == 0 {
		delete(l.sources, addr)
	}
}

// attribute notes who multicasts an instance that a browse, which doesn't tell, has found.
func (i *instance) attribute(addr netip.Addr) {
	shown := 0
	if i.row != "" {
		shown = 1
	}
	i.link.count(i.source, -1, -shown)
	i.source = addr
	i.link.count(i.source, 1, shown)
}

// crowdDelay is over how long the answers of all are spread, to have one every
// delayPerPerson on average.
func (l *link) crowdDelay() time.Duration { return time.Duration(l.crowd) * delayPerPerson }

// ttl is that of our records there at present.
func (l *link) ttl() time.Duration { return recordTTL(l.crowd) }

// end is one family of a link: what was sent and heard there, and what is to be
// sent. Times at which nothing is to be done are zero.
type end struct {
	announceAt, announcedAt time.Time
	announces               int           // left
	defendInterval          time.Duration // since the last announcement, until somebody's claim is answered

	askAt    time.Time // of the questions asked on joining
	asks     int       // of them left
	found    int       // instances there were at the last
	ownAskAt time.Time // when we last asked for the PTR records
	askedAt  time.Time // when anybody did
	split    bool      // the last of our questions, for the known answers: those to it come late
	wantPTR  bool
	// Other questions, asked together.
	questions   []dns.Question
	questionsAt time.Time // when the last were sent

	answer   unit // to be multicast
	answerAt time.Time
	asker    netip.Addr // who asked for it; invalid if several did
	sentAt   [unitCount]time.Time
}

// ptrSentAt is when our PTR record was last multicast.
func (e *end) ptrSentAt() time.Time { return e.sentAt[0] }

// setLink adds a link, or takes note of its change, and announces and asks over
// the families in fresh (RFC 6762 §8.3, §8.4). If those are all, what was heard
// on it before goes unless it is confirmed.
func (c *core) setLink(n netif, fams, fresh families, now time.Time) {
	c.now = now
	l := c.links[n.index]
	if l == nil {
		l = newLink(n.index)
		c.links[n.index] = l
	}
	gone := slices.DeleteFunc(l.prefixes, func(p netip.Prefix) bool { return slices.Contains(n.prefixes, p) })
	l.name, l.loopback, l.prefixes, l.families = n.name, n.loopback, slices.Clone(n.prefixes), fams
	for fam := range fresh.each(fams) {
		e := &l.ends[fam]
		if !c.hidden {
			e.announces, e.announceAt = announceCount, now
			if len(gone) > 0 { // cache-flush bits don't do, if it was the last of its family
				c.send(l, fam, netip.AddrPort{}, &dns.Msg{
					MsgHdr: dns.MsgHdr{Response: true, Authoritative: true},
					Answer: c.own.records(unitAddr, gone, 0, false),
				})
			}
		}
		// The unicast answers come first: with those known the question, for
		// whom they didn't reach, makes few answer. Few have IPv6 only.
		e.asks, e.askAt, e.found = askCount, now.Add(settleUnicast), 0
		if fam == v6 && fams&(1<<v4) != 0 {
			e.asks, e.askAt = askCount-1, now.Add(askInterval)
		}
	}
	if fresh == fams {
		for _, i := range l.instances {
			i.doubt(now)
			c.touch(i)
		}
	}
	c.advance(now)
}

// rename makes name the one advertised, and announces it (RFC 6762 §8.4). The label
// stays what it was.
func (c *core) rename(id, name string, now time.Time) {
	if c.own.txt = txtStrings(id, name); !c.hidden {
		for _, l := range c.links {
			for fam := range l.families.each(l.families) {
				e := &l.ends[fam]
				e.announces, e.announceAt = announceCount, later(now, e.announcedAt.Add(announceInterval))
			}
		}
	}
	c.advance(now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// dropLink forgets a link and what was heard on it.
func (c *core) dropLink(index int) {
	l := c.links[index]
	if l == nil {
		return
	}
	for _, i := range l.instances {
		c.drop(i)
	}
	delete(c.links, index)
}

// onLink reports whether an address is one of the link's subnets (RFC 6762 §11).
// On loopback it always is: packets come from the machine itself, on Linux from
// any of its addresses.
func (l *link) onLink(addr netip.Addr) bool {
	addr = addr.WithZone("")
	return l.loopback || addr.IsLinkLocalUnicast() ||
		slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// own reports whether addr is one of ours on the link.
func (l *link) own(addr netip.Addr) bool {
	return slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Addr() == addr.WithZone("") })
}

// IsBroadcast reports whether addr means all machines of an IPv4 subnet.
func IsBroadcast(addr netip.Addr, subnet netip.Prefix) bool {
	const pointToPoint = 31 // RFC 3021: in so small a subnet there is none
	return addr.Is4() && subnet.Bits() < pointToPoint && subnet.Contains(addr) && !subnet.Contains(addr.Next())
}

// plausible reports whether an address heard on the link can be somebody's
// there: a unicast one, loopback only on loopback, link-local only elsewhere.
func (l *link) plausible(addr netip.Addr) bool {
	return !addr.IsUnspecified() && !addr.IsMulticast() && !addr.Is4In6() &&
		addr != netip.AddrFrom4([4]byte{255, 255, 255, 255}) &&
		!slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return IsBroadcast(addr, p) }) &&
		(l.loopback || !addr.IsLoopback()) && (!l.loopback || !addr.IsLinkLocalUnicast())
}
