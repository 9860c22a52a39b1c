package discovery

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"
)

// instance is a service instance as heard on one link.
type instance struct {
	link  *link
	name  string // as heard
	label string

	ptr, srv, txt life
	leaving       bool // said goodbye: out of the roster, its PTR in its grace

	host      string // canonical target of the SRV record
	port      uint16
	id, human string // from the TXT record
	addrs     []address

	families families   // over which the PTR was heard last
	knownAt  time.Time  // when somebody else's question last listed it as known
	source   netip.Addr // of the packet that first brought it; invalid as long as only a browse did

	firstAddrAt time.Time // when it had none before

	missed     uint8     // questions since it was last heard that it should have answered
	missedAt   time.Time // when the last of them was asked
	disputedAt time.Time // when somebody else last took records of it back

	resolveAt time.Time // when to ask for what is missing
	resolves  int

	row string // key of its row in the roster; "" while it isn't in one

	due   time.Time // when step is next to be called
	index int       // in the core's heap
}

// complete reports whether the instance can be shown: it has a port, an address
// and has said who it is (RFC 6763 §6: every instance has a TXT record).
func (i *instance) complete() bool {
	return i.ptr.alive() && !i.leaving && i.srv.alive() && i.txt.alive() && len(i.addrs) > 0
}

// doubt is for when the link has changed under the instance.
func (i *instance) doubt(now time.Time) {
	i.ptr.doubt(now)
	i.srv.doubt(now)
	i.txt.doubt(now)
	for k := range i.addrs {
		i.addrs[k].doubt(now)
	}
}

// dues is a heap of instances, the one due next first.
type dues []*instance

func (d dues) Len() int           { return len(d) }
func (d dues) Less(i, j int) bool { return d[i].due.Before(d[j].due) }
func (d dues) Swap(i, j int)      { d[i], d[j] = d[j], d[i]; d[i].index, d[j].index = i, j }
func (d *dues) Push(x any)        { i := x.(*instance); i.index = len(*d); *d = append(*d, i) }
func (d *dues) Pop() any {
	old := *d
	i := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	return i
}

// hearPTR notes that the instance called name is on the link.
func (c *core) hearPTR(l *link, in arrival, name string, ttl time.Duration) {
	label, ok := splitInstance(name)
	key := canonical(name)
	if !ok || key == c.own.key {
		return
	}
	i := l.instances[key]
	if ttl == 0 {
		if i != nil {
			i.leaving = c.vouched(i, in)
			i.ptr.end(c.now, c.grace(i, i.leaving))
			c.touch(i)
		}
		return
	}
	if i == nil {
		source := in.source.Addr().WithZone("")
		if len(l.instances) >= maxInstances || l.sources[source].instances >= maxPerSource {
			c.refused++
			return
		}
		i = &instance{link: l, name: name, label: label, source: source, resolveAt: c.now.Add(c.sharedDelay(l))}
		l.count(source, 1, 0)
		l.instances[key] = i
		heap.Push(&c.dues, i)
	}
	if !i.source.IsValid() && in.source.IsValid() {
		i.attribute(in.source.Addr().WithZone(""))
	}
	if c.now.Sub(i.ptr.heard) > repeatInterval {
		i.families = 0
	}
	i.families |= 1 << in.family
	i.leaving, i.missed = false, 0
	i.ptr.hear(c.now, ttl, c.jitter)
	c.touch(i)
}

// hearSRV notes where an instance listens.
func (c *core) hearSRV(l *link, in arrival, name, target string, port uint16, ttl time.Duration) {
	i := l.instances[canonical(name)]
	if i == nil {
		return
	}
	if ttl == 0 || port == 0 {
		i.srv.end(c.now, c.grace(i, c.vouched(i, in)))
		c.touch(i)
		return
	}
	if !i.leaving && c.now.Sub(i.disputedAt) <= disputedGrace {
		i.ptr.hear(c.now, ttl, c.jitter) // the goodbye was somebody else's
	}
	if host := canonical(target); host != i.host || !i.srv.alive() {
		if len(l.hosts[host]) >= maxPerHost {
			c.refused++
			return
		}
		c.forgetHost(i)
		i.host = host
		if others := l.hosts[host]; len(others) > 0 {
			i.addrs = slices.Clone(others[0].addrs)
		}
		l.hosts[host] = append(l.hosts[host], i)
	}
	i.port = port
	i.srv.hear(c.now, ttl, c.jitter)
	c.touch(i)
}

// forgetHost undoes the SRV record.
func (c *core) forgetHost(i *instance) {
	others := slices.DeleteFunc(i.link.hosts[i.host], func(o *instance) bool { return o == i })
	if i.link.hosts[i.host] = others; len(others) == 0 {
		delete(i.link.hosts, i.host)
	}
	i.host, i.port, i.addrs, i.srv = "", 0, nil, life{}
}

// hearTXT notes who an instance says it is.
func (c *core) hearTXT(l *link, in arrival, name string, txt []string, ttl time.Duration) {
	i := l.instances[canonical(name)]
	switch {
	case i == nil:
		return
	case ttl == 0:
		i.txt.end(c.now, c.grace(i, c.vouched(i, in)))
	default:
		i.id, i.human = parseTXT(txt)
		i.txt.hear(c.now, ttl, c.jitter)
	}
	c.touch(i)
}

// hearAddr notes an address of a host that an instance on the link is on; other
// hosts' don't interest us. flush: addresses that weren't repeated within a
// second are obsolete (RFC 6762 §10.2).
func (c *core) hearAddr(l *link, in arrival, host string, addr netip.Addr, ttl time.Duration, flush bool) {
	if !l.plausible(addr) {
		return
	}
	for _, i := range l.hosts[canonical(host)] {
		if len(i.addrs) == 0 {
			i.firstAddrAt = c.now
		}
		vouched := c.vouched(i, in) || i.firstAddrAt.Equal(c.now)
		at := slices.IndexFunc(i.addrs, func(a address) bool { return a.addr == addr })
		switch {
		case at >= 0 && ttl == 0:
			i.addrs[at].end(c.now, c.grace(i, vouched))
		case at >= 0:
			i.addrs[at].hear(c.now, ttl, c.jitter)
			i.addrs[at].vouched = i.addrs[at].vouched || vouched
		case ttl == 0:
		case len(i.addrs) >= maxAddrs:
			c.refused++
		default:
			a := address{addr: addr, vouched: vouched}
			a.hear(c.now, ttl, c.jitter)
			i.addrs = append(i.addrs, a)
		}
		for k := range i.addrs {
			if a := &i.addrs[k]; flush && a.addr.Is4() == addr.Is4() && c.now.Sub(a.heard) > goodbyeGrace {
				a.end(c.now, c.grace(i, vouched))
			}
		}
		c.touch(i)
	}
}

// touch follows up a change of an instance: its place in the roster and when it
// is due.
func (c *core) touch(i *instance) {
	row := ""
	if i.complete() {
		i.resolves = 0 // what is lost later is worth asking for again
		if row = i.id; row == "" {
			row = "\x00" + canonical(i.name)
		}
	}
	if row != i.row {
		c.moveRow(i, row)
	}
	if row != "" {
		c.dirty[row] = struct{}{}
	}
	if row != "" && row == c.self {
		for _, a := range i.addrs {
			if a.heard.Equal(c.now) {
				c.hearCopy(i.link, a.addr)
			}
		}
	}

	i.due = i.ptr.next
	earlier := func(t time.Time) {
		if t.Before(i.due) {
			i.due = t
		}
	}
	if i.srv.alive() {
		earlier(i.srv.next)
	}
	if i.txt.alive() {
		earlier(i.txt.next)
	}
	for k := range i.addrs {
		earlier(i.addrs[k].next)
	}
	if !i.complete() && !i.leaving && i.resolves < maxResolves {
		earlier(i.resolveAt)
	}
	if i.missed >= failureAsks {
		earlier(c.goneAt(i))
	}
	heap.Fix(&c.dues, i.index)
}

// drop removes an instance from the cache.
func (c *core) drop(i *instance) {
	c.moveRow(i, "")
	c.forgetHost(i)
	delete(i.link.instances, canonical(i.name))
	i.link.count(i.source, -1, 0)
	heap.Remove(&c.dues, i.index)
}

// step does what is due of an instance: expires records and says which to ask
// for, and over which families.
func (c *core) step(i *instance) {
	if !c.now.Before(i.ptr.expires) || i.missed >= failureAsks && !c.now.Before(c.goneAt(i)) {
		c.drop(i)
		return
	}
	asks := i.ptr.asks
	var want unit
	check := func(f *life, u unit) (expired bool) {
		if !f.alive() || c.now.Before(f.next) {
			return false
		}
		if !c.now.Before(f.expires) {
			return true
		}
		f.asks++
		f.schedule(c.jitter)
		want |= u
		return false
	}
	check(&i.ptr, unitPTR)
	if check(&i.srv, unitSRV) {
		c.forgetHost(i)
	}
	if check(&i.txt, unitTXT) {
		i.txt, i.id, i.human = life{}, "", ""
	}
	i.addrs = slices.DeleteFunc(i.addrs, func(a address) bool { return !c.now.Before(a.expires) })
	for k := range i.addrs {
		check(&i.addrs[k].life, unitAddr)
	}
	if !i.complete() && !i.leaving && i.resolves < maxResolves && !c.now.Before(i.resolveAt) {
		i.resolveAt = c.now.Add(resolveInterval)
		for range i.resolves {
			i.resolveAt = i.resolveAt.Add(2 * i.resolveAt.Sub(c.now))
		}
		i.resolves++
		want |= unitSRV | unitTXT
		if i.srv.alive() {
			want = want&^unitSRV | unitAddr
		}
		if i.txt.alive() {
			want &^= unitTXT
		}
	}
	// Whoever answers the PTR question adds the rest (RFC 6763 §12.1): ask for
	// more only if that didn't help.
	if want&unitPTR != 0 && asks == 0 {
		want = unitPTR
	}
	c.request(i, want)
	c.touch(i)
}
