package chat

import (
	"cmp"
	"slices"
	"time"
)

// weigh counts what the session holds. One that waits for us isn't stuck.
func (l *link) weigh(now time.Time, waits bool) {
	if l.core.links[l.session.Local()] != l {
		return // removed
	}
	held, accepted := l.session.Held(), l.session.Accepted()
	if l.held == 0 || accepted > l.accepted || waits {
		l.stuckFrom = now
	}
	l.core.held += held - l.held
	l.held, l.accepted = held, accepted
}

// unburden ends the sessions that have not got on for longest, when all together hold too
// much: a text in the making is there in a moment, unless its sender only means to take
// room (SPEC §10.4).
func (c *core) unburden(now time.Time) {
	if c.held <= maxHeld {
		return
	}
	var holders []*link
	for _, l := range c.links {
		if l.held > 0 {
			holders = append(holders, l)
		}
	}
	slices.SortFunc(holders, func(a, b *link) int {
		return cmp.Or(a.stuckFrom.Compare(b.stuckFrom), cmp.Compare(a.session.Local(), b.session.Local()))
	})
	for _, l := range holders {
		if c.held <= maxHeld*7/8 { // with some room gained it is long until the next time
			return
		}
		c.stats.Refused++
		l.remove(now)
	}
}
