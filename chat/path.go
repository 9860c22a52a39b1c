package chat

import (
	"time"

	"earshot/chat/session"
)

// What the path to a peer doesn't carry (SPEC §7.20).

// push says m over the link, and reports whether it does: where m can't get there beyond doubt, it fails.
func (l *link) push(now time.Time, m session.Message) bool {
	if l.session.TooBig(now, len(m.Text)) {
		l.person.fail(m, TooBigForPath)
		return false
	}
	l.session.Push(m)
	return true
}

// shed gives up what the path doesn't carry, and has all else said over a new session: in this one the
// numbers of its fragments can't be given to anything else.
func (p *person) shed(now time.Time, l *link) {
	var rest []session.Message
	for _, m := range l.session.Take() {
		if l.session.Carries(len(m.Text)) {
			rest = append(rest, m)
		} else {
			p.fail(m, TooBigForPath)
		}
	}
	p.pathSize = l.session.PathSize()
	if rest = p.takeBack(now, rest); len(rest) > 0 {
		p.wait(now, append(rest, p.waiting...))
	}
	l.doubted = true
	p.redial(now)
	l.giveUp(now)
}

// fail gives up a message to the person, and says why.
func (p *person) fail(m session.Message, why Failure) {
	c := p.core
	if c.store.Fail(p.Key, m.ID, why) != nil {
		c.stats.StoreErrors++
	}
	e := Event{Kind: Failed, Person: p.Person, ID: m.ID, Failure: why}
	if f := c.rooms.said.of(m.ID); f != nil {
		e.Room = f.room
	}
	c.events.add(e)
}
