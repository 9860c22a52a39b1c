package discovery

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Peer is somebody visible, as they announce themselves.
type Peer struct {
	// ID is the identity claimed, in lower-case base32; "" if none or no valid
	// one is. A hint, never proof.
	ID string
	// Name is the name claimed, at most 63 bytes, unsanitised: it may hold
	// anything. Without one it is the instance's label.
	Name string
	// Addrs are where they listen, the best first (SPEC §8), at most 16.
	// Link-local IPv6 addresses have a zone.
	Addrs []netip.AddrPort
	// Since is when they were first seen.
	Since time.Time
}

// Change says what happened to a row of the roster.
type Change uint8

// The changes.
const (
	Up      Change = iota // somebody came
	Changed               // they have another name or other addresses
	Down                  // they went
)

func (c Change) String() string { return [...]string{"up", "changed", "down"}[c] }

// Event is a change of the roster. For Down, Peer is what was last known.
type Event struct {
	Change Change
	Peer   Peer
}

// row is what a person is shown as: all instances that claim one identity, the
// longest seen first; or a single one without identity.
type row struct {
	since     time.Time
	confirmed time.Time // when they last proved to be there
	instances []*instance
}

// moveRow puts an instance into the row key, out of the one it was in. Keys are
// identities, or a NUL and the name of an instance without one.
func (c *core) moveRow(i *instance, key string) {
	switch {
	case i.row == "" && key != "":
		i.link.count(i.source, 0, 1)
	case i.row != "" && key == "":
		i.link.count(i.source, 0, -1)
	}
	if old := c.rows[i.row]; old != nil {
		c.dirty[i.row] = struct{}{}
		old.instances = slices.DeleteFunc(old.instances, func(o *instance) bool { return o == i })
		if len(old.instances) == 0 {
			delete(c.rows, i.row)
			if _, ok := c.told[i.row]; !ok {
				delete(c.dirty, i.row) // nobody ever heard of it
			}
		}
	}
	if i.row = key; key == "" {
		return
	}
	r := c.rows[key]
	if r == nil {
		r = &row{since: c.now}
		c.rows[key] = r
	}
	r.instances = append(r.instances, i)
	c.dirty[key] = struct{}{}
}

// peer is what the row shows.
func (r *row) peer() Peer {
	first := r.instances[0]
	p := Peer{ID: first.id, Name: cmp.Or(first.human, first.label), Since: r.since}
	type ranked struct {
		rank int
		addr netip.AddrPort
	}
	var all []ranked
	for _, i := range r.instances {
		for _, a := range i.addrs {
			addr := a.addr
			if addr.Is6() && addr.IsLinkLocalUnicast() {
				addr = addr.WithZone(i.link.name)
			}
			n := ranked{i.link.rank(a), netip.AddrPortFrom(addr, i.port)}
			if at := slices.IndexFunc(all, func(o ranked) bool { return o.addr == n.addr }); at >= 0 {
				all[at].rank = min(all[at].rank, n.rank)
			} else if len(all) < maxPeerAddrs {
				all = append(all, n)
			}
		}
	}
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Or(a.rank-b.rank, a.addr.Compare(b.addr)) })
	for _, a := range all {
		p.Addrs = append(p.Addrs, a.addr)
	}
	return p
}

// rank orders addresses, the best lowest (SPEC §8): the machine itself, then
// what is on the link, IPv4 before IPv6 before link-local, then what is beyond;
// all that again for those nobody answers for any longer.
func (l *link) rank(a address) (rank int) {
	switch on := l.onLink(a.addr); {
	case a.addr.IsLoopback():
		rank = 0
	case on && a.addr.Is4():
		rank = 1
	case on && !a.addr.IsLinkLocalUnicast():
		rank = 2
	case on:
		rank = 3
	default:
		rank = 4
	}
	if !a.fresh() {
		rank += 5
	}
	return rank
}

// peers is the roster, by name, then identity.
func (c *core) peers() []Peer {
	peers := make([]Peer, 0, len(c.rows))
	for key, r := range c.rows {
		if key != c.self {
			peers = append(peers, r.peer())
		}
	}
	slices.SortFunc(peers, func(a, b Peer) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID), slices.CompareFunc(a.Addrs, b.Addrs, netip.AddrPort.Compare))
	})
	return peers
}

// event takes the next change to tell, if there is one. What came and went, or
// changed and changed back, in between isn't told.
func (c *core) event() (Event, bool) {
	for key := range c.dirty {
		delete(c.dirty, key)
		if key == c.self {
			continue
		}
		before, known := c.told[key]
		r := c.rows[key]
		switch {
		case r == nil && known:
			delete(c.told, key)
			return Event{Down, before}, true
		case r == nil:
		case !known:
			c.told[key] = r.peer()
			return Event{Up, c.told[key]}, true
		default:
			after := r.peer()
			if after.Name != before.Name || !slices.Equal(after.Addrs, before.Addrs) {
				c.told[key] = after
				return Event{Changed, after}, true
			}
		}
	}
	return Event{}, false
}
