package chat

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"earshot/chat/handshake"
	"earshot/chat/session"
	"earshot/chat/wire"
)

// dial is a handshake that we open, towards every address of a person at once: the
// first genuine reply wins (SPEC §4).
type dial struct {
	core     *core
	index    uint32 // of the session to be
	want     Key    // zero: whoever answers
	addrs    []netip.AddrPort
	asked    map[netip.AddrPort]*asked
	first    netip.AddrPort // of those asked
	spread   bool           // others have been asked too
	machine  *handshake.Initiator
	tries    uint
	waiters  []*waiter
	mismatch *MismatchError // somebody else answered, or seemed to
	strayed  time.Time      // when one first did
	verdict  timer
	renewal  bool // the session it replaces works: it is only old
	rooms    bool // a node is looked for that isn't passing
	timer    timer
	patience time.Duration // until the owner is told that nobody answers
	knock    timer
}

// asked is an address to which hellos have gone.
type asked struct {
	cookie [wire.CookieSize]byte
	draws  bool // a cookie from there is answered at once: the first after each hello
	other  bool // somebody else has answered there, as it seems
}

// startDial begins a handshake and sends the first hello.
func (c *core) startDial(now time.Time, want Key, addrs []netip.AddrPort) *dial {
	index := c.newIndex()
	machine, err := handshake.Initiate(c.identity.private, newEphemeral(), index, c.intro)
	if err != nil {
		panic(err) // nothing in it comes from outside
	}
	d := &dial{
		core: c, index: index, want: want, addrs: addrs, machine: machine,
		asked: map[netip.AddrPort]*asked{},
	}
	d.timer.run, d.verdict.run = d.fire, d.judge
	if d.knock.run = d.unanswered; c.unanswered != nil && !want.IsZero() {
		c.timers.set(&d.knock, now.Add(knockAfter))
	}
	c.dials[d.index] = d
	if !want.IsZero() {
		c.person(want).dial = d
	}
	d.fire(now)
	return d
}

// open asks for a proven session with the target. Done is called once, at once if
// there is such a session.
func (c *core) open(now time.Time, t Target, done func(Person, error)) (cancel func(time.Time)) {
	none := func(time.Time) {}
	if c.closing {
		done(Person{}, ErrClosed)
		return none
	}
	var d *dial
	addrs := t.Addrs[:min(len(t.Addrs), maxDialAddrs)]
	if !t.Key.IsZero() && c.refuse(t.Key) {
		done(Person{}, ErrRefused)
		return none
	}
	w := &waiter{tell: done}
	findable := len(addrs) > 0
	if p := c.people[t.Key]; p != nil {
		if l := p.best(); l != nil && !l.overdue(now, redialAfter) {
			l.await([]*waiter{w})
			return w.leave
		}
		for _, a := range addrs {
			if !slices.Contains(p.hints, a) {
				p.hints = append(p.hints, a)
			}
		}
		if d, addrs = p.dial, p.addrs(); d != nil {
			d.retarget(now, addrs)
		}
		findable = p.findable()
	}
	if !findable {
		done(Person{}, ErrNoAddress)
		return none
	}
	if d == nil {
		d = c.startDial(now, t.Key, slices.Clone(addrs))
	}
	d.waiters = append(d.waiters, w)
	return func(now time.Time) {
		if d.mismatch != nil {
			w.done(Person{}, d.mismatch)
		}
		w.leave(now)
		d.waiters = slices.DeleteFunc(d.waiters, func(o *waiter) bool { return o == w })
		if p := c.people[d.want]; len(d.waiters) == 0 && (p == nil || p.dial != d || len(p.waiting)+len(p.parked) == 0 && len(p.links) == 0) {
			d.end(Person{}, ErrUnreachable)
		}
	}
}

// waiter is somebody who asked for the session to be.
type waiter struct {
	tell func(Person, error)
	left bool
}

// done tells what came of it, once.
func (w *waiter) done(p Person, err error) {
	tell := w.tell
	w.leave(time.Time{})
	tell(p, err)
}

// leave makes nobody wait any more.
func (w *waiter) leave(time.Time) { w.tell, w.left = func(Person, error) {}, true }

func (w *waiter) gone() bool { return w.left }

// retarget gives the dial new addresses, and tries them at once.
func (d *dial) retarget(now time.Time, addrs []netip.AddrPort) {
	if slices.Equal(addrs, d.addrs) {
		return
	}
	d.addrs, d.tries = addrs, 0
	maps.DeleteFunc(d.asked, func(a netip.AddrPort, _ *asked) bool { return !slices.Contains(addrs, a) })
	d.fire(now)
}

// fire sends the hello to every address and makes the next appointment. Where the person
// only says to be is tried when the others haven't answered a while: with the third hello,
// the fifth, the ninth.
func (d *dial) fire(now time.Time) {
	d.waiters = slices.DeleteFunc(d.waiters, (*waiter).gone)
	p := d.core.people[d.want]
	if d.tries > 0 && len(d.waiters) == 0 && (p == nil || !p.sought()) {
		d.end(Person{}, ErrUnreachable)
		return
	}
	for _, a := range d.addrs {
		d.hello(a, true)
	}
	if p != nil && d.tries >= toldFrom && d.tries&(d.tries-1) == 0 {
		for _, a := range p.elsewhere(now, d.addrs) {
			d.hello(a, false)
		}
	}
	d.core.timers.set(&d.timer, now.Add(backoff(d.tries)))
	d.tries++
}

// unanswered tells the owner that nobody answers, and when to be told again.
func (d *dial) unanswered(now time.Time) {
	d.core.unanswered(d.want)
	d.patience = min(max(2*d.patience, knockAgain), knockMax)
	d.core.timers.set(&d.knock, now.Add(d.patience))
}

// poke sends what nobody takes in: a notice of index 0, which no session has.
func (c *core) poke(to []netip.AddrPort) {
	for _, a := range to[:min(len(to), maxDialAddrs)] {
		if u := (wire.Unknown{}); !c.sees(a, true) {
			c.out(u.Append(c.buf()), a)
		}
	}
}

// hello says hello to an address, from where a cookie then may draw another.
func (d *dial) hello(to netip.AddrPort, draws bool) {
	a := d.asked[to]
	if a == nil {
		a = &asked{}
		d.asked[to] = a
	}
	a.draws = draws
	if !d.first.IsValid() {
		d.first = to
	}
	d.spread = d.spread || to != d.first
	h := wire.Hello{Sender: d.index, Cookie: a.cookie, Noise: d.machine.Hello()}
	d.core.out(h.Append(d.core.buf()), to)
}

// end closes the dial and tells those who wait.
func (d *dial) end(p Person, err error) {
	c := d.core
	c.timers.set(&d.timer, time.Time{})
	c.timers.set(&d.knock, time.Time{})
	c.timers.set(&d.verdict, time.Time{})
	delete(c.dials, d.index)
	if o := c.people[d.want]; o != nil && o.dial == d {
		o.dial = nil
		o.prune()
	}
	for _, w := range d.waiters {
		w.done(p, err)
	}
}

// cookie takes a request to say hello again with a proof of address (SPEC §10).
func (c *core) cookie(src netip.AddrPort, b []byte) {
	k, err := wire.ParseCookie(b)
	if err != nil {
		c.stats.Malformed++
		return
	}
	d := c.dials[k.Receiver]
	if d == nil || d.asked[src] == nil || d.asked[src].cookie == k.Cookie {
		c.stats.Unknown++
		return
	}
	d.asked[src].cookie = k.Cookie
	if d.asked[src].draws { // else it goes with the next hello: nobody can draw more than we would send
		d.hello(src, false)
	}
}

// reply takes message 2 of a handshake of ours (SPEC §4).
func (c *core) reply(now time.Time, src netip.AddrPort, b []byte) {
	a, err := wire.ParseAnswer(b)
	if err != nil {
		c.stats.Malformed++
		return
	}
	d := c.dials[a.Receiver]
	if d == nil || a.Sender == 0 || c.closing {
		c.stats.Unknown++
		return
	}
	final, result, err := d.machine.ReadReply(a.Noise, a.Sender, d.want)
	switch {
	case errors.Is(err, handshake.ErrAbandon):
		d.refuse(now, src, &MismatchError{Want: d.want, Got: result.Peer, Addr: src})
		return
	case err != nil:
		c.stats.Forged++
		return
	}
	defer result.Wipe()
	intro, err := wire.ParseIntroduction(result.Intro)
	if err != nil {
		c.stats.Malformed++
		return
	}
	if [8]byte(intro.Instance) == c.instance {
		d.end(Person{}, ErrSelf)
		return
	}
	if c.refuse(result.Peer) {
		c.stats.Refused++
		d.end(Person{}, ErrRefused)
		return
	}
	if l := d.knows(now, [8]byte(intro.Instance)); l != nil {
		d.rewind()
		d.leaveOut(l, src)
		return
	}
	if !c.makeRoom(now, src.Addr()) {
		d.rewind() // there may be room for one of the next replies
		return
	}
	s := session.New(now, result.Send, result.Recv, d.index, a.Sender)
	if d.spread || src != d.first {
		s.Check(c.random.Uint64())
	}
	answer := wire.Answer{Type: wire.TypeFinal, Sender: d.index, Receiver: a.Sender, Noise: final}
	again := answer.Append(nil)
	c.out(again, src)
	l := c.establish(now, src, s, result.Peer, result.Binding, intro, again)
	if slices.Contains(d.addrs, src) { // not shown yet, but we have looked there of our own accord
		l.person.last = src
	}
	if o := l.person.best(); l.retired && o != nil { // the other side's opening stays
		l = o
	}
	l.await(d.waiters)
	d.waiters = nil
	d.end(l.person.Person, nil)
}

// knows returns the session with a node that is only passing, where another than that is looked for
// (SPEC §13.4); nil: what was found is of use.
func (d *dial) knows(now time.Time, instance [8]byte) *link {
	p := d.core.people[d.want]
	if p == nil || !d.rooms {
		return nil
	}
	for _, l := range p.links {
		if l.instance == instance && l.passes() && !l.overdue(now, redialAfter) {
			return l
		}
	}
	return nil
}

// leaveOut looks no more at the address from which the node answers that is at the other end of l.
func (d *dial) leaveOut(l *link, src netip.AddrPort) {
	at := d.askedAt(src)
	if d.asked[at] == nil {
		return // which of those it is can't be told
	}
	if !slices.Contains(l.also, at) {
		l.also = append(l.also, at)
	}
	d.addrs = slices.DeleteFunc(slices.Clone(d.addrs), func(a netip.AddrPort) bool { return a == at })
	delete(d.asked, at)
	l.await(d.waiters)
	if d.waiters = nil; len(d.addrs) == 0 {
		d.end(Person{}, ErrUnreachable)
	}
}

// askedAt returns where the hello went that is answered from src. Where only one did, the answer may come from
// another address.
func (d *dial) askedAt(src netip.AddrPort) netip.AddrPort {
	if !d.spread {
		return d.first
	}
	return src
}

// rewind leaves a genuine reply, to wait for others.
func (d *dial) rewind() {
	if err := d.machine.Rewind(); err != nil {
		panic(err) // nothing in it comes from outside
	}
}

// refuse notes that somebody else answers at an address. Whoever has got the hello can do so
// in another's name, so the right one may answer yet, there too.
func (d *dial) refuse(now time.Time, src netip.AddrPort, why *MismatchError) {
	if d.mismatch == nil {
		d.strayed = now
	}
	d.mismatch = why
	if a := d.asked[d.askedAt(src)]; a != nil {
		a.other = true
	}
	at := d.strayed.Add(mismatchGrace)
	if at.Before(now) {
		at = now
	}
	d.core.timers.set(&d.verdict, at)
}

// judge tells those who wait that somebody else answers, when no address is left that hasn't
// answered. It goes on looking if there is another reason to.
func (d *dial) judge(time.Time) {
	for _, a := range d.addrs {
		if o := d.asked[a]; o == nil || !o.other {
			return
		}
	}
	for _, w := range d.waiters {
		w.done(Person{}, d.mismatch)
	}
	d.waiters = nil
	if p := d.core.people[d.want]; p == nil || !p.sought() {
		d.end(Person{}, d.mismatch)
	}
}

// backoff is how long to wait for an answer to a handshake message after so many tries.
func backoff(tries uint) time.Duration { return min(helloFirst<<min(tries, 16), helloMax) }
