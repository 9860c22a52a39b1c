package chat

import (
	"net/netip"
	"slices"
	"time"

	"earshot/chat/session"
	"earshot/chat/wire"
)

// link is a session with one running node of one person, and where that node is.
type link struct {
	core         *core
	person       *person
	session      *session.Session
	addr         netip.AddrPort   // source of the latest authentic datagram
	also         []netip.AddrPort // where the same node has been found to answer
	counts       netip.Addr       // whom it counts for
	budget       int              // bytes that may go to addr while it is unchecked
	instance     [8]byte
	name         string            // of the node there
	whose        uint8             // is name, as the introduction says
	since        time.Time         // when a session with that node began
	capabilities wire.Capabilities // of the peer's node
	binding      [32]byte          // hash of the handshake
	told         *peerState        // nil: nothing yet
	state        stateTold
	initiator    bool // we opened it
	born         time.Time
	renew        time.Time // when to ask for its successor
	unproven     *unproven // until the peer shows that it has our last handshake message
	unmet        bool      // the owner isn't told of it yet
	waiters      []*waiter // who asked for it, until it is heard
	aside        bool      // what is next goes beyond what is kept of rooms that this node isn't in
	again        time.Time // when to offer the store what it would not take; zero: nothing
	typing       time.Time // when the peer last told that they write
	retired      bool      // replaced: still takes in, says nothing new
	doubted      bool      // the peer seems not to know it any more
	until        time.Time // of a retired one
	outlived     bool      // told of rooms when it was retired
	held         int       // bytes of messages in the making, as counted last
	accepted     uint64    // fragments, likewise
	stuckFrom    time.Time // when it last got on, or had nothing in the making
	timer        timer
}

// unproven is what an initiator repeats until the responder is heard.
type unproven struct {
	final []byte
	tries uint
	again time.Time
}

// establish makes the link of a handshake that has ended, for the initiator with the
// final that it has to repeat. There must be room.
func (c *core) establish(now time.Time, addr netip.AddrPort, s *session.Session, peer Key, binding [32]byte, intro wire.Introduction, final []byte) *link {
	counts := c.source(addr.Addr())
	c.hosts[counts]++
	p := c.person(peer)
	l := &link{
		core: c, person: p, session: s, addr: addr, counts: counts, born: now, renew: now.Add(rekeyAfter), initiator: final != nil,
		instance: [8]byte(intro.Instance), capabilities: intro.Capabilities, binding: binding, budget: uncheckedFactor * wire.FinalSize,
		name: intro.Name, whose: intro.Whose, since: now,
	}
	l.continues()
	if l.initiator {
		l.unproven = &unproven{final: final, again: now.Add(backoff(0)), tries: 1}
	}
	l.timer.run = l.fire
	if l.capabilities.Has(wire.SmallFragments) {
		s.Divide()
	}
	if p.pathSize != 0 {
		s.StartPath(now, p.pathSize)
	}
	if c.weakReplay {
		s.WeakenReplay()
	}
	c.links[s.Local()] = l
	c.remotes[s.Remote()] = append(c.remotes[s.Remote()], l)
	known := p.released == l.instance || slices.ContainsFunc(p.links, func(o *link) bool { return !o.retired && o.instance == l.instance })
	if p.Name == "" {
		p.Name = intro.Name
	}
	if !s.Checking() {
		p.last = addr
	}
	p.tells(intro.Addrs)
	p.links = append(p.links, l)
	p.rename(now)
	p.settle(now, l)
	p.crowd(now)
	l.unmet = l.unmet || !known
	if !l.initiator { // else when it is heard
		l.met()
		p.alive()
	}
	if c.rooms.tells && !l.retired {
		l.tell()
	}
	p.resume(now)
	p.collect(now)
	if p.retry.at.IsZero() { // a new session is no reason to ask sooner
		p.redeliver(now, nil)
	}
	if l.initiator && c.links[s.Local()] == l { // it may not be the one to speak over yet
		l.flush(now)
	}
	return l
}

// makeRoom reports whether there is room for a session with whoever is at an address. Where
// there are as many as may be, of one source or in all, it ends the one that has been silent
// longest with somebody to whom nothing was said: who comes is not kept out by those who
// only take room (SPEC §10.3).
func (c *core) makeRoom(now time.Time, addr netip.Addr) bool {
	source := c.source(addr)
	ofSource := c.hosts[source] >= maxLinksPerSource
	if !ofSource && len(c.links) < maxLinks {
		return true
	}
	var idle *link
	for _, l := range c.links {
		if ofSource && l.counts != source || l.person.spokenTo || l.person.watched || l.session.Pending() > 0 {
			continue
		}
		if idle == nil || l.session.Heard().Before(idle.session.Heard()) {
			idle = l
		}
	}
	c.stats.Refused++
	if idle != nil {
		idle.remove(now)
	}
	return idle != nil
}

// met tells of a person who is proven, and has shown to want the session too.
func (l *link) met() {
	if l.unmet {
		l.unmet = false
		l.person.met = true
		l.core.events.add(Event{Kind: Met, Person: l.person.Person, Alias: !l.person.named, Addr: l.addr})
	}
	for _, w := range l.waiters {
		w.done(l.person.Person, nil)
	}
	l.waiters = nil
}

// await tells the waiters when the link is proven from both sides: at once if it is.
func (l *link) await(waiters []*waiter) {
	if l.waiters = append(l.waiters, waiters...); l.unproven == nil {
		l.met()
	}
}

// overdue reports whether an answer has been due for d.
func (l *link) overdue(now time.Time, d time.Duration) bool {
	since := l.session.WaitingSince()
	return !since.IsZero() && now.Sub(since) >= d
}

// from notes where an authentic datagram of size bytes came from. The latest tells
// where the peer is; a new address gets little until it is checked (SPEC §5).
func (l *link) from(src netip.AddrPort, size int, latest bool) {
	if latest && src != l.addr {
		l.addr, l.budget = src, 0
		l.session.Check(l.core.random.Uint64())
	}
	if src == l.addr && l.session.Checking() {
		l.budget += uncheckedFactor * size
	}
}

// heard follows an authentic datagram.
func (l *link) heard(now time.Time) {
	first := l.unproven != nil
	l.unproven = nil
	l.met()
	if !l.retired {
		if first {
			l.person.proven(now, l)
			l.person.resume(now)
		}
		if l.doubted {
			l.doubted = false
			l.person.resume(now)
		}
		if !l.session.Checking() {
			l.person.last = l.addr
		}
		if l.person.unreachable {
			l.person.alive()
			l.person.collect(now) // what was given back meanwhile
		}
		l.person.found()
	}
	l.flush(now)
	if l.session.PeerTyping() && now.Sub(l.typing) >= typingHeed { // later than the messages beside it (SPEC §9)
		l.typing = now
		l.core.events.add(Event{Kind: Typing, Person: l.person.Person})
	}
	if l.session.PeerLeft() || l.session.Violated() {
		l.remove(now)
	}
}

// doubt follows a sign that the peer has lost the session.
func (l *link) doubt(now time.Time) {
	if l.retired || l.doubted {
		return
	}
	l.doubted = true
	l.person.redial(now)
}

// flush takes in what has come, reports it, and then sends.
func (l *link) flush(now time.Time) {
	c, p := l.core, l.person
	l.again, l.aside = time.Time{}, false
	l.news(now)
	waits := false // a message for us to take it
	for {
		m, ok := l.session.Incoming()
		if !ok {
			break
		}
		if waits = true; !c.mayTake(now, l) {
			break
		}
		if m.Form == wire.FormRoom {
			accepted, reason := l.hearIn(now, m)
			if !accepted && reason == 0 {
				waits = !l.aside
				break
			}
			if waits = false; accepted {
				l.session.Accept()
			} else {
				l.session.Decline(reason)
			}
			continue
		}
		fresh, err := c.store.Heard(l.speaker(), m.ID, m.Text, m.Sent, now)
		if err != nil {
			reason := l.notKept(now, err)
			if reason == 0 {
				break
			}
			l.session.Decline(reason)
			waits = false
			continue
		}
		if fresh && c.behind.on {
			c.deferred(p.Key)
		} else if fresh {
			l.typing = time.Time{}
			c.events.add(Event{
				Kind: Message, Person: p.Person, As: l.name, ID: m.ID, Text: m.Text, Sent: m.Sent, Received: now,
			})
		}
		l.session.Accept()
		waits = false
	}
	for {
		r, ok := l.session.Receipt()
		if !ok {
			break
		}
		if r.Declined != 0 {
			l.declined(now, r)
			continue
		}
		p.retries = 0
		if c.store.Delivered(p.Key, r.ID, now) != nil {
			c.stats.StoreErrors++
		}
		p.delivered(r)
	}
	if len(p.parked) > 0 {
		p.unpark(now)
	}
	l.weigh(now, waits)
	if l.session.Stuck(now) {
		p.shed(now, l)
		return
	}
	l.send(now)
}

// send sends all that is due.
func (l *link) send(now time.Time) {
	l.retell()
	for {
		limit := wire.MaxDatagram
		if l.session.Checking() {
			limit = l.budget
		}
		b := l.session.Next(now, &l.core.scratch, limit)
		if b == nil {
			break
		}
		l.budget -= len(b)
		l.core.alone = l.session.Alone()
		l.core.out(b, l.addr)
		l.core.alone = false
	}
	l.person.pathSize = l.session.PathSize()
	l.schedule(now)
}

// schedule sets the link's next appointment.
func (l *link) schedule(now time.Time) {
	at := l.session.Heard().Add(expireAfter)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	sooner(l.session.Wake())
	if l.retired {
		sooner(l.until)
	} else {
		sooner(l.renew)
	}
	sooner(l.again)
	if l.unproven != nil {
		sooner(l.unproven.again)
	}
	if since := l.session.WaitingSince(); l.retired || l.core.closing {
		// Nobody is looked for any more, or looked after.
	} else if !since.IsZero() {
		if now.Sub(since) < redialAfter {
			sooner(since.Add(redialAfter))
		} else if !l.person.unreachable {
			sooner(since.Add(UnreachableAfter))
		}
	} else if l.person.watched {
		sooner(l.session.Heard().Add(pingAfter))
	}
	l.core.timers.set(&l.timer, at)
}

func (l *link) fire(now time.Time) {
	c := l.core
	switch {
	case l.retired && !now.Before(l.until):
		l.remove(now)
		l.reconcile(now)
		return
	case now.Sub(l.session.Heard()) >= expireAfter:
		l.remove(now)
		return
	case l.retired || l.core.closing:
	case l.overdue(now, UnreachableAfter):
		if o := l.person.other(now, l); o != nil {
			l.retire(now, o)
			o.flush(now)
		} else {
			if l.person.silent(now); c.links[l.session.Local()] != l {
				return // released
			}
		}
	case l.overdue(now, redialAfter):
		l.person.redial(now)
	case l.person.watched && now.Sub(l.session.Heard()) >= pingAfter && l.session.WaitingSince().IsZero():
		l.session.Ping()
	}
	if u := l.unproven; u != nil && !now.Before(u.again) {
		if u.tries > finalTries {
			l.giveUp(now)
			return
		}
		l.core.out(u.final, l.addr)
		u.again = now.Add(backoff(u.tries))
		u.tries++
	}
	if !l.retired && !now.Before(l.renew) {
		l.renew = now.Add(renewAgain)
		if l.person.dial == nil {
			l.person.redial(now)
		}
		if l.person.dial != nil {
			l.person.dial.renewal = true
		}
	}
	l.flush(now)
}

// giveUp forgets the link, for want of an answer. If the owner was told of it, the next
// session with the same node is no news.
func (l *link) giveUp(now time.Time) {
	if !l.unmet {
		l.person.released = l.instance
	}
	o := l.person.other(now, l)
	if o != nil { // which must show that it works
		o.waiters, l.waiters = append(o.waiters, l.waiters...), nil
		o.session.Ping()
	}
	l.remove(now)
	if o != nil {
		o.flush(now)
	}
}

// remove forgets the link. What it had not had acknowledged waits for another.
func (l *link) remove(now time.Time) {
	c, p := l.core, l.person
	c.timers.set(&l.timer, time.Time{})
	c.held -= l.held
	l.held = 0
	delete(c.links, l.session.Local())
	delete(c.stalled, l)
	if c.hosts[l.counts]--; c.hosts[l.counts] == 0 {
		delete(c.hosts, l.counts)
	}
	remote := l.session.Remote()
	if c.remotes[remote] = slices.DeleteFunc(c.remotes[remote], func(o *link) bool { return o == l }); len(c.remotes[remote]) == 0 {
		delete(c.remotes, remote)
	}
	p.links = slices.DeleteFunc(p.links, func(o *link) bool { return o == l })
	l.waiters = slices.DeleteFunc(l.waiters, (*waiter).gone)
	if len(l.waiters) == 0 {
		// Nobody asked for it.
	} else if o := p.best(); o != nil {
		o.await(l.waiters)
	} else {
		p.await(now, l.waiters)
	}
	if rest := p.takeBack(now, l.session.Take()); len(rest) > 0 && !c.closing {
		p.wait(now, append(rest, p.waiting...))
	}
	live := slices.ContainsFunc(p.links, func(o *link) bool { return !o.retired })
	if l.session.PeerLeft() && !l.retired && !live {
		c.events.add(Event{Kind: Left, Person: p.Person})
	}
	p.gone(now, l.session.PeerLeft())
	p.rename(now)
	if len(p.waiting)+len(p.parked) > 0 {
		p.resume(now)
		p.ask(now)
	}
	p.prune()
}
