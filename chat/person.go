package chat

import (
	"net/netip"
	"slices"
	"time"

	"earshot/chat/room"
	"earshot/chat/session"
	"earshot/chat/wire"
)

// person is one identity: the sessions with each running node that proves it, and
// what waits to be said to it.
type person struct {
	core *core
	Person
	links       []*link           // live ones, the newest last
	hints       []netip.AddrPort  // where discovery sees it
	told        []netip.AddrPort  // where it says it is, when it introduces itself
	trials      int               // how often told may still be tried
	last        netip.AddrPort    // where it was last shown to be, or found
	dial        *dial             // towards it, if one is under way
	waiting     []session.Message // to be said when there is a session
	waitingFrom time.Time
	watched     bool
	spokenTo    bool     // something was said to it, other than in rooms
	visible     bool     // discovery sees it
	spoken      bool     // it has told its rooms
	rooms       []string // handles of those it is in
	parked      []parked // to be said when both know of the other's rooms
	meter       room.Meter
	typing      time.Time // when it was last told that we write
	unreachable bool
	retry       timer   // when to send again what was declined for a while
	retries     uint    // how often it was, since something was delivered
	returning   timer   // when to send again what was declined in rooms that they have told since
	returns     bucket  // how often it was
	aside       bucket  // bytes of what they have said in rooms that this node isn't in
	pathSize    int     // of the session that sent last; 0: none did
	released    [8]byte // instance of the session that was given up last
	met         bool    // the owner is told of them
	named       bool    // by a node that speaks for them (SPEC §8.1)
	renamed     time.Time
	naming      timer // takes the name told since
	timer       timer
}

// backlog is the number of messages not yet acknowledged.
func (p *person) backlog() int {
	n := len(p.waiting) + len(p.parked)
	for _, l := range p.links {
		n += l.session.Pending()
	}
	return n
}

// speaking is the one session with messages not yet acknowledged. There is never a
// second, or the order between them would be lost. Nil when there is none.
func (p *person) speaking() *link {
	for _, l := range p.links {
		if l.session.Pending() > 0 {
			return l
		}
	}
	return nil
}

// best is the session to speak over: none in doubt, the one that is speaking, or
// else, of those that the peer is known to have, and of those that have told of rooms, if there
// are any, the one heard last. Nil when there is none.
func (p *person) best() *link {
	var best *link
	for _, l := range p.links {
		switch {
		case l.retired || l.doubted:
		case l.session.Pending() > 0:
			return l
		case best == nil, best.unproven != nil && l.unproven == nil:
			best = l
		case l.unproven != nil && best.unproven == nil:
		case l.lasts() && !best.lasts():
			best = l
		case l.lasts() == best.lasts() && l.session.Heard().After(best.session.Heard()):
			best = l
		}
	}
	return best
}

// other is a session besides l that owes no answer. Nil when there is none.
func (p *person) other(now time.Time, l *link) *link {
	for _, o := range p.links {
		if o != l && !o.retired && !o.doubted && !o.overdue(now, redialAfter) {
			return o
		}
	}
	return nil
}

// push says m after everything that was pushed before it.
func (p *person) push(now time.Time, m session.Message) {
	p.spokenTo = true
	l := p.best()
	if s := p.speaking(); l == nil || len(p.waiting) > 0 || s != nil && s != l {
		p.wait(now, append(p.waiting, m))
		p.redial(now)
		return
	}
	if !l.push(now, m) {
		return
	}
	switch {
	case p.core.corking && l.session.Corks():
		p.core.cork(l)
	case !l.session.Holds(now):
		l.send(now)
	}
}

// wait keeps messages until there is a session. They are all that wait from then on.
func (p *person) wait(now time.Time, all []session.Message) {
	if len(p.waiting) == 0 {
		p.waitingFrom = now
	}
	p.waiting = all
	p.schedule()
}

// resume hands all that is not acknowledged to the best session, if there is one.
func (p *person) resume(now time.Time) {
	l := p.best()
	if l == nil {
		return
	}
	if s := p.speaking(); s != nil && s != l {
		s.retire(now, l)
	}
	for _, m := range p.waiting {
		l.push(now, m)
	}
	p.waiting = nil
	p.schedule()
	l.flush(now)
}

// collect takes what waits in the store, now that there is a session for it. Else it
// asks for one.
func (p *person) collect(now time.Time) {
	c := p.core
	switch {
	case c.closing || c.refuse(p.Key):
		return
	case p.best() == nil:
		if c.store.Waits(p.Key) {
			p.redial(now)
		}
		p.prune()
		return
	}
	all, err := c.store.Outbox(p.Key)
	if err != nil {
		c.stats.StoreErrors++
	}
	for i := range all {
		p.say(now, &all[i])
	}
}

// release gives back to the store what could not be delivered.
func (p *person) release(now time.Time) {
	if !p.core.store.Release(p.Key) {
		return
	}
	for _, l := range slices.Clone(p.links) {
		if l.session.Pending() > 0 {
			l.session.Take()
			l.giveUp(now)
		}
	}
	p.waiting, p.parked = nil, nil
	p.schedule()
}

// lapse follows a time in which the process stood still. What was its own to send may be another's by
// now, delivered, or taken back: what still is its own is asked for again.
func (c *core) lapse(now time.Time) {
	for _, p := range c.sorted() {
		if p.backlog() > 0 {
			p.release(now)
			p.collect(now)
		}
	}
}

// addrs is where to look for the person, the likeliest first.
func (p *person) addrs() []netip.AddrPort {
	var all []netip.AddrPort
	if p.last.IsValid() {
		all = append(all, p.last)
	}
	for _, a := range p.hints {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	if p.word() == nil { // another hello to a passing node would only renew the session with it
		if stay := slices.DeleteFunc(slices.Clone(all), p.passesAt); len(stay) > 0 {
			all = stay
		}
	}
	return all[:min(len(all), maxDialAddrs)]
}

// passesAt reports whether a node that is only passing, and in session with us, is at an address.
func (p *person) passesAt(a netip.AddrPort) bool {
	return slices.ContainsFunc(p.links, func(l *link) bool {
		return l.passes() && (l.addr == a || slices.Contains(l.also, a))
	})
}

// tells takes the addresses of an introduction. They are the peer's own word and may be
// anybody's, so they are good for few hellos (SPEC §4.1).
func (p *person) tells(addrs [][]byte) {
	p.told, p.trials = nil, toldTrials
	for _, b := range addrs[:min(len(addrs), wire.MaxAddrs)] {
		a, err := wire.ParseAddr(b)
		if err == nil && tellable(a) && !slices.ContainsFunc(p.told, func(o netip.AddrPort) bool { return o.Addr() == a.Addr() }) {
			p.told = append(p.told, a)
		}
	}
}

// tellable reports whether an address can mean a node to somebody else. What ends in 255
// may be a broadcast: the mask of a network that we aren't in is not known.
func tellable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.Port() != 0 && ip.IsGlobalUnicast() && ip.Zone() == "" && (!ip.Is4() || ip.As4()[3] != 255)
}

// elsewhere is where the person only says to be, beside addrs, if that may be tried now.
func (p *person) elsewhere(now time.Time, addrs []netip.AddrPort) []netip.AddrPort {
	all := slices.DeleteFunc(slices.Clone(p.told), func(a netip.AddrPort) bool { return slices.Contains(addrs, a) })
	if len(all) == 0 || p.trials == 0 || !p.core.trials.take(now, len(all)) {
		return nil
	}
	p.trials--
	return all
}

// findable reports whether there is anywhere to look for the person.
func (p *person) findable() bool { return len(p.addrs()) > 0 || len(p.told) > 0 && p.trials > 0 }

// redial asks for a new session unless that is being done already.
func (p *person) redial(now time.Time) {
	if p.dial == nil && p.findable() && !p.core.closing && !p.core.refuse(p.Key) {
		p.core.startDial(now, p.Key, p.addrs())
	}
}

// ask looks for the person where something waits to be said to them.
func (p *person) ask(now time.Time) {
	if len(p.waiting) > 0 {
		p.redial(now)
	} else if len(p.parked) > 0 {
		p.core.meet(now, p, true)
	}
}

// found makes an end of looking for the person, with whom there is a session that works. For the sake of rooms
// one with a node that is only passing is none.
func (p *person) found() {
	if d := p.dial; d != nil && !d.renewal && (!d.rooms || !p.passes()) {
		d.end(p.Person, nil)
	}
}

// await asks for a new session for those who wait.
func (p *person) await(now time.Time, waiters []*waiter) {
	if p.redial(now); p.dial != nil {
		p.dial.waiters = append(p.dial.waiters, waiters...)
		return
	}
	for _, w := range waiters {
		w.done(Person{}, ErrUnreachable)
	}
}

// sought reports whether there is a reason to go on looking for the person.
func (p *person) sought() bool {
	return len(p.links) > 0 || len(p.waiting)+len(p.parked) > 0 || p.watched || p.visible || p.core.store.Waits(p.Key)
}

// hint takes the addresses that discovery sees now.
func (p *person) hint(now time.Time, addrs []netip.AddrPort) {
	p.hints = slices.Clone(addrs)
	p.core.welcome(p.Key, addrs)
	switch {
	case p.dial != nil && len(addrs) > 0:
		p.dial.retarget(now, p.addrs())
	case len(addrs) > 0 && p.best() == nil && p.core.store.Waits(p.Key):
		p.redial(now)
	default:
		p.ask(now)
	}
	p.prune()
}

// alive notes that the person has been heard.
func (p *person) alive() {
	if p.unreachable {
		p.unreachable = false
		p.core.events.add(Event{Kind: Reachable, Person: p.Person})
	}
}

// silent notes that no answer has come for UnreachableAfter.
func (p *person) silent(now time.Time) {
	if !p.unreachable {
		p.unreachable = true
		p.core.events.add(Event{Kind: Unreachable, Person: p.Person})
	}
	p.redial(now)
	p.release(now)
}

// stuck reports whether something waits to be said for which there is no session.
func (p *person) stuck() bool { return len(p.waiting) > 0 || len(p.parked) > 0 && len(p.links) == 0 }

// schedule sets when the person, having no session, is said to be unreachable.
func (p *person) schedule() {
	var at time.Time
	if p.stuck() && !p.unreachable {
		at = p.waitingFrom.Add(UnreachableAfter)
	}
	p.core.timers.set(&p.timer, at)
}

func (p *person) fire(now time.Time) {
	if p.stuck() && now.Sub(p.waitingFrom) >= UnreachableAfter {
		p.silent(now)
	}
}

// prune forgets a person of whom nothing is left to remember.
func (p *person) prune() {
	if p.retries == 0 && len(p.links) == 0 && len(p.waiting)+len(p.parked) == 0 && len(p.hints) == 0 && p.dial == nil && !p.watched && !p.visible {
		p.core.timers.set(&p.timer, time.Time{})
		p.core.timers.set(&p.retry, time.Time{})
		p.core.timers.set(&p.returning, time.Time{})
		p.core.timers.set(&p.naming, time.Time{})
		delete(p.core.people, p.Key)
	}
}
