package chat

import (
	"slices"
	"time"
)

// Which of several sessions with one person stays (SPEC §5).

// settle retires what the new link replaces: a session with the same running node,
// or with one that seems to be gone. When both sides opened at once, both must
// retire the same one: that which the larger key opened (SPEC §5). Of a session that we
// opened it isn't known yet whether the peer has it: until that is heard it replaces none that
// the peer is known to have.
func (p *person) settle(now time.Time, l *link) {
	stays := l
	for _, o := range p.links {
		if o == l || o.retired || o.instance != l.instance {
			continue
		}
		weOpenFirst := slices.Compare(p.core.key[:], p.Key[:]) < 0
		tie := now.Sub(o.born) < tieWithin && o.initiator != l.initiator && !o.doubted
		switch {
		case tie && o.initiator == weOpenFirst:
			stays = o
			l.retire(now, o)
		case tie || l.unproven == nil || o.unproven != nil:
			o.retire(now, l)
		}
	}
	if stays.unproven == nil {
		p.leave(now, stays)
	}
}

// proven follows the first datagram that comes over a session that we opened: it takes the
// place of those it was made for.
func (p *person) proven(now time.Time, l *link) {
	for _, o := range p.links {
		if o != l && !o.retired && o.instance == l.instance && !o.born.After(l.born) {
			o.retire(now, l)
		}
	}
	p.leave(now, l)
}

// leave retires sessions with nodes that seem to be gone.
func (p *person) leave(now time.Time, stays *link) {
	for _, o := range p.links {
		if o != stays && !o.retired && (o.doubted || o.overdue(now, redialAfter)) {
			o.retire(now, stays)
		}
	}
}

// crowd keeps a person's sessions within their number.
func (p *person) crowd(now time.Time) {
	for len(p.links) > maxLinksPerPerson {
		oldest := slices.MinFunc(p.links, func(a, b *link) int { return a.session.Heard().Compare(b.session.Heard()) })
		oldest.remove(now)
	}
}

// retire carries what l has not had acknowledged over to another link.
func (l *link) retire(now time.Time, to *link) {
	l.retired = true
	l.until = now.Add(retireFor)
	l.unproven = nil
	to.unmet, l.unmet = to.unmet || l.unmet, false
	to.await(l.waiters)
	l.waiters = nil
	for _, m := range l.person.takeBack(now, l.session.Take()) {
		to.session.Push(m)
	}
	if to.instance != l.instance {
		l.person.reread(now) // its node is gone, and so may be their only one in a room
	}
	l.schedule(now)
}
