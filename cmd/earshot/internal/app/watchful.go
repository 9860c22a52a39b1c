package app

import (
	"cmp"
	"context"
	"time"

	"earshot/chat"
	"earshot/cmd/earshot/internal/clean"
)

// Tick does what is due, and returns when to be called again.
func (s *Session) Tick(now time.Time) (next time.Time) {
	s.now = now
	next = now.Truncate(glanceEvery).Add(glanceEvery) // with what else is done every second
	if now.Sub(s.looked) >= glanceEvery*9/10 {
		s.looked = now
		s.look()
	}
	for _, c := range s.contacts {
		if c.typingUntil.IsZero() {
			continue
		}
		if !now.Before(c.typingUntil) {
			c.typingUntil = time.Time{}
			s.stale = true
		} else if c.typingUntil.Before(next) {
			next = c.typingUntil
		}
	}
	if !s.keepAt.IsZero() && !now.Before(s.keepAt) && !s.busyKeeping {
		s.keep(0)
	} else if !s.keepAt.IsZero() && !s.busyKeeping && s.keepAt.Before(next) {
		next = s.keepAt
	}
	if s.lonely && !s.asked && s.diagnose != nil && now.Sub(s.began) >= lonelyFor {
		s.asked = true
		s.job(func(ctx context.Context) func(time.Time) {
			found := s.diagnose(ctx)
			return func(time.Time) { s.findings = found }
		})
	}
	return next
}

// Tell has text, which must be harmless, shown to the person.
func (s *Session) Tell(text string) { s.news = append(s.news, News{Kind: Told, Text: text}) }

// look notices what comes without an event: what other processes of this person's do.
func (s *Session) look() {
	if s.notices != nil {
		for _, text := range s.notices() {
			s.Tell(text)
		}
	}
	s.count()
	s.reread()
	s.barred()
	s.takeName()
	if s.store != nil {
		s.lookAtFates()
	}
}

// lookAtFates asks the store, where something was written to it, what has become of lines that
// another process may have delivered.
func (s *Session) lookAtFates() {
	writes := s.store.Writes()
	if writes == s.fated {
		return
	}
	s.fated = writes
	type fate struct {
		c  *contact
		id chat.MessageID
	}
	var open []fate
	for _, c := range s.contacts {
		if c.conv.Room != "" {
			s.recheck(c)
			continue
		}
		for _, n := range c.undone[:min(len(c.undone), 10)] { // what is oldest goes first
			if l := c.tail.at(n); l != nil {
				open = append(open, fate{c, l.ID})
			}
		}
	}
	if len(open) == 0 {
		return
	}
	s.job(func(context.Context) func(time.Time) {
		states, reasons := make([]State, len(open)), make([]string, len(open))
		var err error
		for i, f := range open {
			var bad error
			states[i], reasons[i], bad = s.fate(f.c.conv.Key, f.id)
			err = cmp.Or(err, bad)
		}
		return func(time.Time) {
			if err != nil {
				s.fated = 0
			}
			for i, f := range open {
				if states[i] != Queued {
					s.fated = 0 // there may be more behind it
					s.settle(f.c, f.id, states[i], reasons[i])
				}
			}
		}
	})
}

// takeName takes over the name that another process has kept.
func (s *Session) takeName() {
	if s.myName != nil && s.myName() != s.me.Name {
		s.me.Name = s.myName()
		s.rename()
		s.Tell("you are " + clean.Name(s.me.Name) + " from now on")
	}
}

// barred tells when another process has blocked the one whose conversation is shown.
func (s *Session) barred() {
	c := s.current
	if c == nil || c.conv.Room != "" {
		return
	}
	if s.Rows(); c.blocked == c.barred {
		return
	}
	if c.barred = c.blocked; c.barred {
		s.note(c, c.label+" is blocked by another process of yours: nothing passes any more; to undo it: /unblock "+c.arg, s.now)
	}
}

const takenBack = "taken back"

// Empty explains why nobody is there, several lines of harmless text; empty: somebody is.
func (s *Session) Empty() string {
	for _, c := range s.contacts {
		if c.addrs >= 0 || c.linked {
			return ""
		}
	}
	if len(s.unproven) > 0 {
		return ""
	}
	if s.findings != "" {
		return s.findings
	}
	return "nobody else is here yet; whoever starts earshot on this network is shown"
}
