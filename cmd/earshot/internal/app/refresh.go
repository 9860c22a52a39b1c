package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/store"
)

// Refresh takes in what other processes of this person's have changed: who is known or blocked, and
// how; the person's own name; the rooms; what is muted, read, or begun.
func (s *Session) Refresh(now time.Time) {
	s.now = now
	s.counted, s.stale = false, true
	if v := s.book.Version(); v != s.version {
		s.version = v
		s.rename()
	}
	s.barred()
	s.takeName()
	if s.store != nil {
		s.takeIn()
	}
}

// viewChange is a view as another process left it.
type viewChange struct {
	store.View
	unread []store.Message // in the order kept
}

// takeIn reads the views that have changed, as a job.
func (s *Session) takeIn() {
	if s.takeAgain = s.taking; s.taking {
		return
	}
	s.taking = true
	after := s.change
	s.job(func(context.Context) func(time.Time) {
		views, last, err := s.store.ViewChanges(after)
		var all []viewChange
		for _, v := range views {
			var unread []store.Message
			if err == nil {
				unread, err = s.store.Log(store.Filter{Peer: v.Peer, Room: v.Room, After: v.Seen, Limit: store.MaxUnread})
			}
			unread = slices.DeleteFunc(unread, func(m store.Message) bool { return m.Out })
			slices.SortFunc(unread, func(a, b store.Message) int { return cmp.Compare(a.N, b.N) })
			all = append(all, viewChange{v, unread})
		}
		return func(time.Time) {
			if s.taking = false; err == nil { // else the next Refresh takes them in
				for _, v := range all {
					s.changed(v)
				}
				s.change, s.stale = last, true
			}
			if s.takeAgain {
				s.takeIn()
			}
		}
	})
}

// changed takes in a view. What has been changed here since stays.
func (s *Session) changed(v viewChange) {
	conv := Conv{Key: v.Peer, Room: v.Room}
	c := s.contacts[conv]
	switch {
	case c != nil:
	case v.Room != "", v.Draft == "" && !v.Muted:
		return // it is read when it is needed
	default:
		if _, known := s.book.Get(v.Peer); !known && v.Draft == "" {
			return
		}
		c = s.contact(chat.Person{Key: v.Peer})
		c.view.Seen = v.Seen
		c.view.Unread, c.stored = len(v.unread), c.view
	}
	c.readTo = max(c.readTo, v.Seen) // its messages may come here only now
	if c.view.Muted == c.stored.Muted {
		c.view.Muted = v.Muted
	}
	c.stored.Muted = v.Muted
	d := s.draftIn(c, v.Handle)
	if d.elsewhere = &v.Draft; c != s.current || v.Handle != c.meant { // else it may be written here
		d.take()
	}
	s.readElsewhere(c, v)
}

// readElsewhere notes what another process has shown.
func (s *Session) readElsewhere(c *contact, v viewChange) {
	unread := map[lineID]bool{}
	mentions, processed := 0, 0
	shown := c.tail.all()
	for i, m := range v.unread {
		id := lineID{m.Peer, m.ID}
		unread[id] = true
		if c.tail.has(id) || m.N <= c.view.Newest { // else its event is yet to come
			processed = i + 1
		}
	}
	for _, m := range v.unread[:processed] {
		if c.conv.Room != "" && room.Mentions(m.Text, s.me.Name) {
			mentions++
		}
	}
	if processed >= c.view.Unread {
		return
	}
	seen := v.Seen
	for i := range shown {
		if unread[shown[i].lineID()] {
			break
		}
		seen = max(seen, shown[i].number())
	}
	c.view.Unread, c.mentions, c.view.Seen, c.stored.Seen = processed, mentions, seen, seen
	if processed == 0 && c != s.current {
		c.rule = 0
	}
}
