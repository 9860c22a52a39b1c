package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/clean"
)

// parlour is what a contact has besides, when it is a room.
type parlour struct {
	joined   bool
	handle   string // of the room of this name that was joined last
	meant    string // of the one that was turned to, and what is begun is written in
	private  bool
	members  int // with me
	mentions int // of what is unread
	comings  comings
}

// room returns the contact of a room, made if need be.
func (s *Session) room(name string) *contact {
	conv := Conv{Room: name}
	c := s.contacts[conv]
	if c != nil {
		return c
	}
	label := clean.Line(name)
	c = &contact{conv: conv, known: true, addrs: -1, label: label, arg: label, sort: label}
	c.view.Room = name
	c.handle = store.UnknownRoom(name)
	c.meant = c.handle
	if name == room.Here { // stands first
		c.sort = ""
	}
	s.contacts[conv] = c
	s.stale = true
	if s.store == nil {
		return c
	}
	view, err := s.store.RoomView(name)
	if err == nil {
		c.view, c.stored, c.last = view, view, view.Last
	}
	if err == nil && view.Unread > 0 {
		var unread []store.Message
		unread, err = s.store.Log(store.Filter{Room: name, After: view.Seen, Limit: store.MaxUnread})
		for _, m := range unread {
			if !m.Out && room.Mentions(m.Text, s.me.Name) {
				c.mentions++
			}
		}
	}
	if err != nil {
		s.refuse(s.explain(err))
	}
	return c
}

// about returns the contact that a conversation is with.
func (s *Session) about(conv Conv) *contact {
	if conv.Room != "" {
		return s.room(conv.Room)
	}
	return s.contact(chat.Person{Key: conv.Key})
}

// count finds out which rooms we are in, and how many are in them.
func (s *Session) count() {
	s.counted = true
	in := map[string]bool{}
	for _, r := range s.node.Rooms() {
		if !r.Joined {
			continue
		}
		in[r.Name] = true
		c := s.room(r.Name)
		if c.handle != r.Handle {
			if c.handle = r.Handle; c != s.current {
				c.meant = c.handle
			} else {
				s.note(c, s.replaced(c), s.now)
			}
		}
		if !c.joined || c.members != r.Members || c.private != r.Private {
			c.joined, c.members, c.private = true, r.Members, r.Private
			s.stale = true
		}
	}
	for _, c := range s.contacts {
		if c.joined && !in[c.conv.Room] {
			c.joined, c.members = false, 0
			s.stale = true
		}
	}
}

func (c *contact) row() Row {
	return Row{
		Conv: c.conv, Label: c.label, Arg: c.arg, Present: c.joined, Muted: c.view.Muted, Unread: c.view.Unread,
		Mentions: c.mentions, Members: c.members, Private: c.private, Last: c.last, sort: c.sort,
	}
}

// author is under whom the store has a line of this conversation.
func (c *contact) author(l *Line) chat.Key {
	switch {
	case c.conv.Room == "":
		return c.conv.Key
	case l.Out:
		return chat.Key{}
	}
	return l.From
}

// inRoom makes a line of a message kept of a room.
func (s *Session) inRoom(l *Line, m store.Message) {
	if !m.Out {
		l.Mention = room.Mentions(m.Text, s.me.Name)
		return
	}
	l.From, l.At, l.State = s.me.Key, m.At(), Sent
	var err error
	if l.Got, l.Of, _, err = s.store.Delivery(m.ID); err != nil || l.Got == l.Of {
		l.State = Delivered
	}
}

// heardIn takes what was said in a room.
func (s *Session) heardIn(e chat.Event) {
	c := s.room(e.Room)
	if c.has(e) {
		return
	}
	line := Line{ID: e.ID, From: e.Person.Key, Name: e.As, At: e.Received, Late: e.Late, Mention: room.Mentions(e.Text, s.me.Name)}
	line.Text, line.Action = text(e.Text)
	s.take(c, line, e.Kept, line.Mention)
}

// replaced says that the room isn't the one that was turned to, which had the same name.
func (s *Session) replaced(c *contact) string {
	if c.meant == store.UnknownRoom(c.conv.Room) {
		return "another process of yours has joined " + c.label + "; to talk in it: /to " + c.arg
	}
	return "another room is called " + c.label + " now, which another process of yours has joined; to talk in it: /to " + c.arg
}

// sayIn says something in a room.
func (s *Session) sayIn(c *contact, line Line, raw string) {
	var id chat.MessageID
	var to []chat.Person
	err := errReplaced
	s.count()
	line.in = c.handle
	if c == s.current {
		line.in = c.meant
	}
	if line.in == c.handle {
		id, to, err = s.node.SendRoom(c.conv.Room, raw)
	}
	line.ID, line.Of, line.State = id, len(to), Sent
	switch {
	case err != nil:
		line.ID, line.State, line.Reason, line.raw = chat.MessageID{}, Failed, s.reason(err), raw
	case len(to) == 0:
		line.State = Delivered
		s.Tell("nobody else is in " + s.Label(c.conv) + " yet; who comes in the next hours is given what you have said, while you are here")
	}
	n := s.add(c, line)
	if line.State == Sent {
		c.undone = append(c.undone, n)
	}
	s.seen(c)
}

// recount says anew how many have what was said in a room.
func (s *Session) recount(c *contact, e chat.Event) {
	// The node doesn't know what is from before; that is rechecked.
	if got, of, _ := s.node.Delivery(e.ID); of > 0 || e.Kind == chat.Excluded {
		s.tally(c, e.ID, got, of)
	}
}

// of returns my own line of that id, or nil.
func (l *lines) of(id chat.MessageID) *Line {
	n, ok := l.byID[lineID{id: id}]
	if !ok {
		return nil
	}
	return l.at(n)
}

// tally notes how many have a line.
func (s *Session) tally(c *contact, id chat.MessageID, got, of int) {
	for _, l := range []*lines{&c.tail, &c.past} {
		line := l.of(id)
		if line == nil || line.Got == got && line.Of == of {
			continue
		}
		line.Got, line.Of = got, of
		if got < of {
			s.news = append(s.news, News{Kind: Marked, Conv: c.conv, Line: *line})
		}
	}
	if got == of {
		s.settle(c, id, Delivered, "")
	}
}

// recheck asks the store what has become of what isn't delivered to everybody, perhaps by
// another process.
func (s *Session) recheck(c *contact) {
	const most = 20 // of the newest
	var ids []chat.MessageID
	for _, n := range c.undone[max(0, len(c.undone)-most):] {
		if l := c.tail.at(n); l != nil {
			ids = append(ids, l.ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	s.job(func(context.Context) func(time.Time) {
		type tally struct{ got, of int }
		tallies := make([]tally, len(ids))
		for i, id := range ids {
			var err error
			if tallies[i].got, tallies[i].of, _, err = s.store.Delivery(id); err != nil {
				tallies[i].got = -1
			}
		}
		return func(time.Time) {
			for i, id := range ids {
				l := c.tail.of(id)
				if tallies[i].got < 0 || l != nil && (tallies[i].got > l.Got || tallies[i].got == tallies[i].of) {
					s.fated = 0 // there may be more before it
				}
				if l != nil && tallies[i].got >= l.Got {
					s.tally(c, id, tallies[i].got, tallies[i].of)
				}
			}
		}
	})
}

// comings are those who have come to a room and left it since anything else happened there.
type comings struct {
	n            int64 // the line that tells of them
	joined, left []string
}

// mostComings is how many are named.
const mostComings = 8

func (k *comings) String() string {
	var parts []string
	for _, p := range []struct {
		who  []string
		what string
	}{{k.joined, "joined"}, {k.left, "left"}} {
		switch n := len(p.who); {
		case n > mostComings:
			parts = append(parts, strings.Join(p.who[:mostComings], ", ")+" and others "+p.what)
		case n > 0:
			parts = append(parts, strings.Join(p.who, ", ")+" "+p.what)
		}
	}
	return strings.Join(parts, "; ")
}

// fold notes that somebody has come to a room, or left it, in one line for as long as
// nothing else happens.
func (s *Session) fold(c, who *contact, joined bool, now time.Time) {
	s.counted, s.stale = false, true
	label := s.Label(who.conv)
	kind := Went
	if joined {
		kind = Came
	}
	s.news = append(s.news, News{Kind: kind, Conv: c.conv, Text: label})
	if !c.opened {
		return
	}
	k := &c.comings
	all := c.tail.all()
	if len(all) == 0 || k.n == 0 || all[len(all)-1].N != k.n {
		*k = comings{}
		k.n = s.put(c, Line{Notice: true, At: now})
	}
	other := func(l string) bool { return l == label }
	k.joined, k.left = slices.DeleteFunc(k.joined, other), slices.DeleteFunc(k.left, other)
	if joined {
		k.joined = append(k.joined, label)
	} else {
		k.left = append(k.left, label)
	}
	line := c.tail.at(k.n)
	c.tail.bytes -= len(line.Text)
	line.Text, line.At = k.String(), now
	c.tail.bytes += len(line.Text)
	s.news = append(s.news, News{Kind: Marked, Conv: c.conv, Line: *line})
	if c == s.current && s.attended {
		s.seen(c)
	}
}
