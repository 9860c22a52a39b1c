package chat

import (
	"net/netip"
	"slices"
	"time"
)

// What is done about people with whom to have nothing to do (SPEC §10.6).

// shunned is who was refused at an address.
type shunned struct {
	key   Key
	until time.Time
}

// shun drops, for a while, whatever comes from where somebody refused has proven to be,
// unless others are there: an address may be shared, or taken over.
func (c *core) shun(now time.Time, key Key, at netip.AddrPort) {
	c.stats.Refused++
	if c.sees(at, false) {
		return
	}
	if len(c.shuns) >= maxShuns {
		for a := range c.shuns { // any: they are many, and it costs one handshake
			delete(c.shuns, a)
			break
		}
	}
	c.shuns[at] = shunned{key, now.Add(shunFor)}
}

// shunned reports whether to drop what comes from an address.
func (c *core) shunned(now time.Time, src netip.AddrPort) bool {
	s, ok := c.shuns[src]
	if ok && (!now.Before(s.until) || !c.refuse(s.key)) {
		delete(c.shuns, src)
		return false
	}
	return ok
}

// drop ends everything with somebody refused, without a word. What waits for them in
// the store stays there.
func (c *core) drop(now time.Time, key Key) {
	p := c.people[key]
	if p == nil || !c.refuse(key) {
		return
	}
	c.store.Release(key)
	p.waiting, p.parked, p.watched = nil, nil, false
	p.schedule()
	for _, l := range slices.Clone(p.links) {
		if !l.session.Checking() { // they could name anybody's address
			c.shun(now, key, l.addr)
		}
		l.session.Take()
		l.remove(now)
	}
	if p.dial != nil {
		p.dial.end(Person{}, ErrRefused)
	}
	p.prune()
}

// welcome makes an end of shunning addresses at which somebody not refused is seen.
func (c *core) welcome(key Key, addrs []netip.AddrPort) {
	if len(c.shuns) == 0 || c.refuse(key) {
		return
	}
	for _, a := range addrs {
		delete(c.shuns, a)
	}
}

// sees reports whether somebody refused, or somebody not refused, is at an address, as
// discovery sees it or a session leads there.
func (c *core) sees(at netip.AddrPort, refused bool) bool {
	for key, p := range c.people {
		there := slices.Contains(p.hints, at) || slices.ContainsFunc(p.links, func(l *link) bool { return l.addr == at })
		if there && c.refuse(key) == refused {
			return true
		}
	}
	return false
}
