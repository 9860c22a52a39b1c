package chat

import (
	"slices"
	"time"

	"earshot/chat/room"
)

// meeting is the sessions still to be opened for the sake of rooms, so many at a time that
// many people who do the same don't flood the network (SPEC §13.4).
type meeting struct {
	urgent []Key // something is to be said to them, or somebody waits to hear of them
	later  []Key
	timer  timer
}

// meet sees to it that there will be a session with the person in which both have told
// their rooms.
func (c *core) meet(now time.Time, p *person, urgent bool) {
	if p.word() != nil || c.closing {
		return
	}
	q := &c.rooms.meeting.later
	if urgent {
		q = &c.rooms.meeting.urgent
	}
	if slices.Contains(*q, p.Key) {
		return
	}
	*q = append(*q, p.Key)
	if t := &c.rooms.meeting.timer; t.at.IsZero() {
		t.run = c.introductions
		c.timers.set(t, now)
	}
}

// introductions opens the next few sessions.
func (c *core) introductions(now time.Time) {
	m := &c.rooms.meeting
	for range min(len(m.urgent), meetUrgent) {
		c.call(now, m.urgent[0])
		m.urgent = m.urgent[1:]
	}
	if n := len(m.later); n > 0 && len(m.urgent) == 0 {
		i := c.random.IntN(n)
		key := m.later[i]
		m.later = slices.Delete(m.later, i, i+1)
		if c.wantsCompany(now) {
			c.call(now, key)
		}
	}
	if len(m.urgent)+len(m.later) > 0 {
		c.timers.set(&m.timer, now.Add(meetEvery))
	}
}

// wantsCompany reports whether there is something to tell to those who become visible.
func (c *core) wantsCompany(now time.Time) bool {
	for name := range c.rooms.in {
		if name != room.Here && !c.rooms.passing {
			return true
		}
	}
	return c.rooms.in[room.Here] != nil && !c.rooms.passing && c.store.Spoke(room.Here, now)
}

// call opens a session with somebody, unless there is one.
func (c *core) call(now time.Time, key Key) {
	p := c.people[key]
	if p == nil || p.word() != nil || c.refuse(key) {
		return
	}
	addrs := p.addrs()
	switch {
	case len(addrs) > 0 && p.passesAt(addrs[0]): // so at all of them: nobody else is to be found there
		return
	case p.dial != nil:
		p.dial.retarget(now, addrs)
	default:
		p.redial(now)
	}
	if p.dial != nil {
		p.dial.rooms = true
	}
}

// seek looks for another node of the person where what is to be said or told in rooms can't go to those
// that are in session with us, which are passing.
func (p *person) seek(now time.Time) {
	c := p.core
	asked := len(c.rooms.surveys) > 0 && p.visible && !p.spoken
	if asked || len(p.parked) > 0 {
		c.meet(now, p, true)
	} else if p.visible && !c.rooms.passing {
		c.meet(now, p, false)
	}
}

// lasts reports whether a node is at the other end that is no passing one, as far as it has told.
func (l *link) lasts() bool { return l.told != nil && !l.told.passing }

// passes reports whether the session is with a node that has told that it is only passing.
func (l *link) passes() bool { return !l.retired && !l.doubted && l.told != nil && l.told.passing }

// passes reports whether all nodes in session with us are only passing.
func (p *person) passes() bool {
	return !slices.ContainsFunc(p.links, func(l *link) bool { return !l.retired && !l.passes() })
}

// seen follows that discovery sees the person, and not since before.
func (p *person) seen(now time.Time) {
	if p.visible {
		return
	}
	p.visible = true
	if p.core.rooms.tells && !p.core.rooms.passing {
		p.core.meet(now, p, false)
	}
}

// unseen follows that discovery sees the person no more.
func (p *person) unseen(now time.Time) {
	p.visible = false
	p.gone(now, false)
	p.core.surveyed()
	p.prune()
}

// survey is somebody who waits until everybody visible has told their rooms.
type survey struct{ done func() }

// survey meets everybody visible, and calls done once all have told their rooms.
func (c *core) survey(now time.Time, done func()) (cancel func()) {
	s := &survey{done}
	c.rooms.surveys = append(c.rooms.surveys, s)
	c.rooms.tells = true
	for _, p := range c.sorted() {
		if p.visible && !p.spoken && !c.refuse(p.Key) {
			c.meet(now, p, true)
		}
	}
	c.surveyed()
	return func() {
		c.rooms.surveys = slices.DeleteFunc(c.rooms.surveys, func(o *survey) bool { return o == s })
	}
}

// surveyed ends the surveys, if there is nobody left to hear of, or nobody will be heard.
func (c *core) surveyed() {
	if len(c.rooms.surveys) == 0 {
		return
	}
	for _, p := range c.people {
		if p.visible && !p.spoken && !c.refuse(p.Key) && !c.closing {
			return
		}
	}
	for _, s := range c.rooms.surveys {
		s.done()
	}
	c.rooms.surveys = nil
}
