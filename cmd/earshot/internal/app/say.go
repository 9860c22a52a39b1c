package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"earshot/chat"
	"earshot/chat/store"
)

// turnLate shows a conversation that was asked for, unless the person has done something
// since, or is about to: that was for the one shown.
func (s *Session) turnLate(conv Conv, since int, how string, now time.Time) {
	if s.busy || s.acts != since {
		c := s.about(conv)
		said := strings.Replace(how, "%", s.Label(conv), 1)
		s.Tell(said + ": /to " + c.arg)
		return
	}
	s.Turn(conv, now)
}

// Turn shows another conversation; the zero Conv none. Only what the person does calls it, when
// they do it: whatever happens to a conversation, what is typed in it goes nowhere else.
func (s *Session) Turn(conv Conv, now time.Time) {
	s.acts++
	if s.current != nil {
		s.watch(s.current, false)
		s.current.past = lines{}
		s.draft(s.current).take()
		s.current = nil
	}
	s.news = append(s.news, News{Kind: Turned, Conv: conv})
	if conv.IsZero() {
		return
	}
	c := s.about(conv)
	if conv.Room != "" {
		s.count()
	}
	s.current = c
	c.meant, c.barred = c.handle, c.blocked
	s.watch(c, true)
	first := !c.opened
	if c.opened = true; first {
		here := s.reload(c)
		s.older(c)
		for i := range c.tail.all() {
			l := &c.tail.all()[i]
			l.here = l.here || here[l.lineID()]
		}
	}
	c.rule = 0
	for range store.MaxUnread / pageLines { // to where the rule stands
		if all := c.tail.all(); c.view.Unread == 0 || len(all) > 0 && all[0].number() <= c.view.Seen || !s.older(c) {
			break
		}
	}
	if all := c.tail.all(); c.view.Unread > 0 {
		if i := slices.IndexFunc(all, func(l Line) bool { return !l.Out && !l.Notice && l.number() > c.view.Seen }); i >= 0 {
			c.rule = all[i].N
		}
	}
	if s.attended {
		s.seen(c)
	}
	if !c.linked && conv.Room == "" {
		s.reach(c)
	}
}

// reload forgets what came to a room before it was first shown, but for what isn't kept: the log has it in its order.
// It returns which of that was said here.
func (s *Session) reload(c *contact) (here map[lineID]bool) {
	if c.conv.Room == "" || s.store == nil || s.store.Flush() != nil {
		return nil
	}
	here = map[lineID]bool{}
	for _, l := range slices.Clone(c.tail.all()) {
		if l.ID != (chat.MessageID{}) {
			here[l.lineID()] = l.here
			c.tail.remove(l.N)
		}
	}
	c.undone = slices.DeleteFunc(c.undone, func(n int64) bool { return c.tail.at(n) == nil })
	return here
}

// watch says whether a conversation is before somebody's eyes.
func (s *Session) watch(c *contact, on bool) {
	if c.conv.Room == "" {
		s.node.Watch(c.conv.Key, on)
	}
}

// reach finds out whether somebody answers.
func (s *Session) reach(c *contact) {
	c.reaching = true
	s.job(func(ctx context.Context) func(time.Time) {
		limited, cancel := context.WithTimeout(ctx, openFor)
		defer cancel()
		person, err := s.node.Open(limited, chat.Target{Key: c.conv.Key})
		return func(now time.Time) {
			c.reaching = false
			switch {
			case err == nil:
				s.contact(person)
				s.link(c, now)
			case errors.Is(err, chat.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
				if !c.linked {
					s.unlink(c, "doesn't answer", now)
				}
			case errors.Is(err, chat.ErrNoAddress):
				if !c.linked {
					s.unlink(c, "isn't here", now)
				}
			case ctx.Err() == nil:
				s.refuse(s.explain(err))
			}
		}
	})
}

// Current returns the conversation that is shown; zero: none.
func (s *Session) Current() Conv {
	if s.current == nil {
		return Conv{}
	}
	return s.current.conv
}

// Attend says whether the end of the conversation shown is before somebody's eyes: the
// terminal has the focus, and nothing is scrolled. While it is, what comes is read.
func (s *Session) Attend(on bool) {
	if s.attended = on; on && s.current != nil {
		s.seen(s.current)
	}
}

// seen notes that all of a conversation has been read.
func (s *Session) seen(c *contact) {
	all := c.tail.all()
	if len(all) == 0 {
		return
	}
	last := all[len(all)-1].number()
	if c.conv.Room != "" && last < liveN {
		last = c.top
	}
	if last <= c.view.Seen && c.view.Unread == 0 {
		return
	}
	if c.view.Unread > 0 {
		s.stale = true
	}
	c.view.Unread, c.mentions = 0, 0
	c.view.Seen = last
	s.touch(c)
	s.keepSoon()
}

// Lines returns the lines of a conversation that are in memory, the oldest first: up to
// its end, or around the place of Jump. They are good until the next call of the Session.
func (s *Session) Lines(conv Conv) []Line {
	if c := s.contacts[conv]; c != nil {
		return c.shownLines().all()
	}
	return nil
}

// Rule returns the number of the line before which the unread rule stands; 0: nowhere.
// It stays until something unread comes after everything was read, or Turn.
func (s *Session) Rule(conv Conv) int64 {
	if c := s.contacts[conv]; c != nil {
		return c.rule
	}
	return 0
}

// Older puts earlier lines before those of Lines, and reports whether there were any.
// It reads the disk, for about a millisecond.
func (s *Session) Older(conv Conv) bool {
	c := s.contacts[conv]
	return c != nil && s.older(c)
}

// Newer puts later lines behind those of Lines, after Jump. It reports false at the end
// of the conversation.
func (s *Session) Newer(conv Conv) bool {
	c := s.contacts[conv]
	return c != nil && s.newer(c)
}

// Jump makes Lines those around a line, and reports whether it is there. Where it is among
// the newest it may have another N; its ID is the same.
func (s *Session) Jump(conv Conv, n int64) bool {
	c := s.contacts[conv]
	return c != nil && s.jump(c, n)
}

// End makes Lines those up to the end again, after Jump.
func (s *Session) End(conv Conv) {
	if c := s.contacts[conv]; c != nil {
		c.past = lines{}
	}
}

// Say says text in a conversation. What can't be sent is shown as failed.
func (s *Session) Say(conv Conv, raw string, now time.Time) {
	s.acts++
	if conv.IsZero() {
		return
	}
	raw, err := Text(raw)
	if err != nil {
		if !errors.Is(err, ErrEmpty) {
			s.refuse(s.explain(err))
		}
		return
	}
	c := s.about(conv)
	if c.meant == c.handle && Lines(s.draft(c).text) == raw { // by lines nothing else takes it away
		s.SetDraft(conv, "")
	}
	c.past = lines{}
	line := Line{From: s.me.Key, Out: true, here: true, At: now, State: c.sending()}
	line.Text, line.Action = text(raw)
	if conv.Room != "" {
		s.sayIn(c, line, raw)
		return
	}
	line.ID, err = s.node.Send(conv.Key, raw)
	if errors.Is(err, chat.ErrNoAddress) && s.store != nil {
		line.State = Queued
		line.ID, err = s.store.Queue(c.person, raw, now)
	}
	if err != nil {
		line.State, line.Reason, line.raw = Failed, s.reason(err), raw
	}
	n := s.add(c, line)
	if err == nil {
		c.undone = append(c.undone, n)
	}
	s.seen(c)
}

// errReplaced reports that a room isn't the one that was turned to.
var errReplaced = errors.New("another room has the name")

// reason says why something couldn't be said.
func (s *Session) reason(err error) string {
	switch {
	case errors.Is(err, errReplaced):
		return "another room has its name now"
	case errors.Is(err, chat.ErrNotIn):
		return "you aren't in it"
	case errors.Is(err, chat.ErrRefused):
		return "you have blocked them"
	case errors.Is(err, chat.ErrBacklog):
		return "too much waits for them already"
	case errors.Is(err, chat.ErrNoAddress):
		return "they aren't here, and nothing is kept for later"
	}
	return s.explain(err)
}

// Retry says a failed line again, by its number; 0: the last one of the conversation.
// What was never kept is said anew, at the end, but in no other room than the one in which it
// was typed. It reports whether there was one.
func (s *Session) Retry(conv Conv, n int64, now time.Time) bool {
	c := s.contacts[conv]
	if c == nil {
		return false
	}
	if conv.Room != "" {
		s.count()
	}
	elsewhere := false
	for _, l := range []*lines{&c.tail, &c.past} {
		line := l.at(n)
		if n == 0 {
			all := l.all()
			for i := range slices.Backward(all) {
				if s.again(&all[i]) && all[i].in == c.handle {
					line = &all[i]
					break
				}
				elsewhere = elsewhere || s.again(&all[i])
			}
		}
		if line == nil || !s.again(line) {
			continue
		}
		if line.in != c.handle {
			elsewhere = true
			continue
		}
		if raw := line.raw; raw != "" {
			l.remove(line.N)
			s.Say(conv, raw, now)
			return true
		}
		if err := s.store.Retry(line.ID, now); err != nil {
			s.refuse(s.explain(err))
			return false
		}
		line.State, line.Reason = c.sending(), ""
		c.undone = append(c.undone, line.N)
		slices.Sort(c.undone)
		s.news = append(s.news, News{Kind: Marked, Conv: conv, Line: *line})
		return true
	}
	if elsewhere {
		s.refuse("that was written in another room that was called " + c.label + "; to say it there, join that one again")
	}
	return elsewhere
}

// again reports whether a line has failed, and can be said again.
func (s *Session) again(l *Line) bool {
	return l.State == Failed && (l.raw != "" || s.store != nil && l.ID != chat.MessageID{})
}

// Undelivered returns what was said in this process and isn't known to be delivered,
// each as a Line in its conversation.
func (s *Session) Undelivered() (all []Hit) {
	for _, c := range s.contacts {
		for _, n := range c.undone {
			if l := c.tail.at(n); l != nil && l.here {
				all = append(all, Hit{c.conv, *l})
			}
		}
	}
	return all
}

// Sending reports whether something that was said in this process is on its way: sent, or waiting
// for somebody who is visible or being called.
func (s *Session) Sending() bool {
	return slices.ContainsFunc(s.Undelivered(), func(h Hit) bool {
		c := s.contacts[h.Conv]
		return h.Line.State == Sent || c.reaching || c.addrs >= 0 && !c.away
	})
}

// Typing tells whom the conversation is with that I write, unless that is turned off. Call
// it with every key; the node keeps the measure.
func (s *Session) Typing(conv Conv) {
	if c := s.contacts[conv]; c != nil && s.settings.Typing && c.linked {
		s.node.Typing(conv.Key)
	}
}

// Typed returns what was typed before, the oldest first, over restarts.
func (s *Session) Typed() []string { return s.typed }

// remember puts a typed line into the history of typing.
func (s *Session) remember(line string) {
	if n := len(s.typed); line == "" || n > 0 && s.typed[n-1] == line {
		return
	}
	s.typed = append(s.typed, line)
	if len(s.typed) > maxTold {
		s.typed = slices.Delete(s.typed, 0, len(s.typed)-maxTold)
	}
	if s.store != nil {
		s.newTyped = append(s.newTyped, line)
		s.due()
	}
}
