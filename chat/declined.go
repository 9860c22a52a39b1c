package chat

import (
	"errors"
	"slices"
	"time"

	"earshot/chat/room"
	"earshot/chat/session"
	"earshot/chat/wire"
)

// Reason says why somebody doesn't have a message that was said to them: they declined it (SPEC §7.16).
type Reason uint8

// Reasons. What is declined for another one is declined for NotNow.
const (
	NotInRoom = Reason(wire.NotInRoom) // no node of theirs that was met is in the room
	Quota     = Reason(wire.Quota)     // they keep too much of ours already
	NotNow    = Reason(wire.NotNow)
)

// String returns the reason as it stands behind a name; empty: there is none.
func (r Reason) String() string {
	switch r {
	case 0:
		return ""
	case NotInRoom:
		return "not in the room"
	case Quota:
		return "too many of your messages wait there"
	}
	return "not now"
}

// DeclineError is what a Store returns for a message that it doesn't keep for now. It is declined,
// or where the peer doesn't understand that, offered again.
type DeclineError struct{ Reason Reason }

// Error says that the message isn't kept, and why.
func (e *DeclineError) Error() string { return "chat: the message is declined: " + e.Reason.String() }

// Missing is a person who doesn't have a message that was said in a room.
type Missing struct {
	Person
	Reason Reason // 0: it wasn't declined
}

// SPEC §7.16: how long a message declined for another reason than NotInRoom waits at first.
func (r Reason) wait() time.Duration {
	if r == Quota {
		return time.Minute
	}
	return 30 * time.Second
}

// maxRetryWait is how long it waits at most.
const maxRetryWait = time.Hour

// notKept follows that the store hasn't kept a message of the peer's, and returns for which reason it
// is declined; 0: it waits.
func (l *link) notKept(now time.Time, err error) wire.Reason {
	if d, ok := errors.AsType[*DeclineError](err); ok && l.capabilities.Has(wire.CanDecline) {
		if !l.session.MayDecline() {
			return 0 // until the peer has confirmed some
		}
		return wire.Reason(d.Reason)
	}
	l.core.stats.StoreErrors++
	l.again = now.Add(storeAgain)
	return 0
}

// declined follows that the peer's node hasn't kept a message.
func (l *link) declined(now time.Time, r session.Receipt) {
	p, reason := l.person, Reason(r.Declined)
	if reason == NotInRoom && r.Form != wire.FormRoom {
		reason = NotNow
	}
	if reason == NotInRoom && l.told != nil && !slices.Contains(l.told.left, r.Room) { // what it told is out of date
		l.told.left = append(l.told.left, r.Room)
		p.reread(now)
	}
	p.decline(now, r.Message, reason)
	if reason == NotInRoom && p.in(r.Room) { // with another node
		p.core.timers.set(&p.returning, now)
	}
}

// returned sends again what the person has declined because they weren't in a room, where they tell that they
// are. Nodes that tell that and decline what is said there aren't sent it again and again (SPEC §7.16).
func (p *person) returned(now time.Time) {
	p.core.timers.set(&p.returning, time.Time{})
	if p.word() == nil || len(p.rooms) == 0 {
		return
	}
	if !p.returns.take(now, 1) {
		p.core.timers.set(&p.returning, now.Add(returnEvery))
		return
	}
	if p.redeliver(now, p.rooms) == 0 {
		p.returns.used--
	}
}

// decline keeps a message that the person doesn't take, to be sent when they do.
func (p *person) decline(now time.Time, m session.Message, reason Reason) {
	c := p.core
	s := Saying{To: p.Key, Name: p.Name, ID: m.ID, Text: m.Text, Sent: m.Sent, Room: m.Room}
	if m.Room != "" {
		_, s.Text, _ = wire.ParseRoomHead(m.Text)
		s.Head = m.Text[:len(m.Text)-len(s.Text)]
	}
	if c.store.Decline(s, reason, now) != nil {
		c.stats.StoreErrors++
	}
	e := Event{Kind: Declined, Person: p.Person, ID: m.ID, Room: RoomName(m.Room), Reason: reason}
	if f := c.rooms.said.of(m.ID); f != nil {
		if at, ok := f.missing[p.Key]; ok {
			at.Reason = reason
			f.missing[p.Key] = at
		}
	}
	c.events.add(e)
	if reason == NotInRoom {
		return
	}
	if p.retry.at.IsZero() { // else it goes with what was declined before
		c.timers.set(&p.retry, now.Add(min(reason.wait()<<min(p.retries, 16), maxRetryWait)))
		p.retries++
	}
}

// retryDeclined sends again what was declined a while ago.
func (p *person) retryDeclined(now time.Time) {
	if p.best() != nil { // else with the next session
		p.redeliver(now, nil)
	}
}

// redeliver sends what the person has declined because they weren't in one of these rooms; nil: for
// other reasons. It returns how many messages these are.
func (p *person) redeliver(now time.Time, rooms []string) int {
	all, err := p.core.store.Redeliver(p.Key, rooms)
	if err != nil {
		p.core.stats.StoreErrors++
	}
	for i := range all {
		p.say(now, &all[i])
	}
	return len(all)
}

// say sends a message that comes from the store.
func (p *person) say(now time.Time, s *Saying) {
	if m := s.message(); m.Form == wire.FormRoom {
		p.sayIn(now, parked{Message: m, maybe: s.maybe()})
	} else {
		p.push(now, m)
	}
}

// takeBack takes what a session that is over still had to send, and returns what can go over another at once.
// What was said in rooms waits for a session whose node is in the room.
func (p *person) takeBack(now time.Time, all []session.Message) (direct []session.Message) {
	var rooms []parked
	for _, m := range all {
		if m.Form == wire.FormRoom {
			rooms = append(rooms, parked{Message: m})
		} else {
			direct = append(direct, m)
		}
	}
	if len(rooms) > 0 && len(p.parked) == 0 {
		p.waitingFrom = now
	}
	p.parked = append(rooms, p.parked...)
	return direct
}

// maxLeft is how many private rooms are remembered that were left.
const maxLeft = 64

// forget remembers a private room that is left.
func (r *rooms) forget(m Membership) {
	if m.Key.IsZero() {
		return
	}
	if r.left == nil || len(r.left) >= maxLeft {
		r.left = map[room.ID]Membership{}
	}
	r.left[m.Key.ID()] = m
}

// unread keeps what is said in a room that this node isn't in, where the store doesn't.
func (r *rooms) unread(s Store, handle string, m room.Message[Event]) {
	if _, forgets := s.(*memory); !forgets {
		return
	}
	if r.waiting == nil {
		r.waiting = map[string][]room.Message[Event]{}
	}
	if len(r.waiting[handle]) < maxUnread && (r.waiting[handle] != nil || len(r.waiting) < maxLeft) {
		r.waiting[handle] = append(r.waiting[handle], m)
	}
}

// maxUnread is how many messages of one room wait until the node is in it.
const maxUnread = 256
