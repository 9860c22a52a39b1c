package discovery

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// What is done about those who don't answer, those who are said to be gone, and
// those who say they are us.

// missing counts, for each instance that question asks for and doesn't list as
// known, that it should answer now. Two such questions without an answer to any
// mean that it is gone (RFC 6762 §10.5).
func (c *core) missing(l *link, fam family) {
	for _, i := range l.instances {
		if i.families&(1<<fam) == 0 || i.leaving || i.knownAt.Equal(c.now) || c.now.Sub(i.missedAt) < askInterval ||
			i.missed >= failureAsks {
			continue
		}
		i.missed++
		i.missedAt = c.now
		if i.missed == failureAsks {
			c.touch(i)
		}
	}
}

// listed notes that a question's list of known answers has the instance: it
// needn't answer, nor what it was asked before and hasn't answered yet.
func (c *core) listed(i *instance) {
	i.knownAt, i.missed = c.now, 0
}

// goneAt is when an instance that missed its questions is dropped.
func (c *core) goneAt(i *instance) time.Time {
	return i.missedAt.Add(failureTime + i.link.crowdDelay())
}

// reconfirm asks for everything under that identity, and drops what doesn't
// answer (RFC 6762 §10.4).
func (c *core) reconfirm(id string, now time.Time) {
	c.now, c.jitter = now, c.rng.Float64()
	if r := c.rows[id]; r != nil && id != "" {
		for _, i := range r.instances {
			if i.link.index == domainLink {
				continue // who is listed there is not asked
			}
			i.srv.reconfirm(now)
			c.touch(i)
		}
	}
	c.advance(now)
}

// confirm notes that somebody has proven to be there.
func (c *core) confirm(id string, now time.Time) {
	if r := c.rows[id]; r != nil {
		r.confirmed = now
	}
}

// vouched reports whether to believe a packet that takes records of an instance
// back: it comes from one of its addresses, and nobody knows better.
func (c *core) vouched(i *instance, in arrival) bool {
	if r := c.rows[i.row]; r != nil && !r.confirmed.IsZero() && c.now.Sub(r.confirmed) < confirmedLife {
		return false
	}
	source := in.source.Addr().WithZone("")
	return i.link.loopback || len(i.addrs) == 0 ||
		slices.ContainsFunc(i.addrs, func(a address) bool { return a.vouched && a.addr == source })
}

// grace is how long records are kept that a packet takes back which is vouched
// for or not. If not the instance is asked for them meanwhile.
func (c *core) grace(i *instance, vouched bool) time.Duration {
	if vouched {
		return goodbyeGrace
	}
	i.disputedAt = c.now
	c.request(i, unitSRV|unitTXT|unitAddr)
	return disputedGrace
}

// hearCopy notes an address of somebody who announces our identity, unless it is
// ours: another process of ours on this machine has the same. That one may have
// noticed an address before us, so it is asked for once more before it counts.
func (c *core) hearCopy(at *link, addr netip.Addr) {
	for _, l := range c.links {
		if l.own(addr) {
			return
		}
	}
	lately := c.now.Sub(c.copyAskAt) <= failureTime
	switch {
	case c.copied.IsValid():
	case c.copyAskAt.IsZero() || addr != c.copySeen && !lately:
		c.copySeen, c.copyLink, c.copyAskAt, c.copyAsked = addr, at.index, c.now.Add(copyDelay), false
	case c.copyAsked:
		c.copied = addr
	}
}

// askCopy asks for who announces our identity: under our host's name, as who has a copy of
// the data directory does, or as another instance.
func (c *core) askCopy() {
	c.copyAsked = true
	l := c.links[c.copyLink]
	if l == nil {
		return
	}
	hosts := []string{c.own.host}
	for fam := range l.families.each(l.families) {
		if r := c.rows[c.self]; r != nil {
			for _, i := range r.instances {
				if i.link == l {
					hosts = append(hosts, i.host)
					l.ends[fam].ask(i.name, dns.TypeSRV)
				}
			}
		}
		for _, host := range hosts {
			l.ends[fam].ask(host, dns.TypeA)
			l.ends[fam].ask(host, dns.TypeAAAA)
		}
	}
}
