package app

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"earshot/chat"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

// Row is a row of the list of people.
type Row struct {
	Conv     Conv      // zero: they are visible, and announce no identity: see Pick
	Label    string    // petname, name or name·id, harmless, with its mark
	Arg      string    // what commands know them by: Label without marks, or an address
	Verified bool      // Label ends in clean.Mark
	Warned   bool      // another is known by that name, which Label says
	Present  bool      // visible, or in a session with us
	Away     bool      // they don't answer, though they were there
	Muted    bool      // nothing from them is to disturb
	Blocked  bool      // by us; listed while the conversation is shown
	Typing   bool      // right now
	Unread   int       // lines not seen yet
	Mentions int       // of them, in a room: those that call me
	Members  int       // of a room: how many are in it, ourselves included
	Private  bool      // it is a room with a passphrase
	Last     time.Time // of the last line; zero: there is none

	sort string
}

// Rows returns the list: first the rooms that we are in, then the people: first those with whom there is a conversation, or
// something unread, then who else is there, then who isn't; each by name. It is good
// until the next call.
func (s *Session) Rows() []Row {
	if !s.stale {
		return s.rows
	}
	s.stale = false
	if s.unnamed {
		s.unnamed = false
		s.name()
	}
	if !s.counted {
		s.count()
		s.stale = false
	}
	s.rows = s.rows[:0]
	for _, c := range s.contacts {
		if c.conv.Room != "" {
			if c.joined || c == s.current {
				s.rows = append(s.rows, c.row())
			}
			continue
		}
		if c.blocked && c != s.current {
			continue
		}
		s.rows = append(s.rows, Row{
			Conv: c.conv, Label: c.label, Arg: c.arg, Warned: c.warned, Verified: c.verified, sort: c.sort,
			Present: c.addrs >= 0 || c.linked, Away: c.away, Muted: c.view.Muted, Blocked: c.blocked, Typing: !c.typingUntil.IsZero(),
			Unread: c.view.Unread, Last: c.last,
		})
	}
	for _, p := range s.unproven {
		r := Row{Label: longLabel(p), Arg: p.Name, Present: true, sort: clean.Fold(longLabel(p))}
		if len(p.Addrs) > 0 {
			r.Arg = p.Addrs[0].String()
		}
		s.rows = append(s.rows, r)
	}
	slices.SortFunc(s.rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.group(), b.group()), strings.Compare(a.sort, b.sort), strings.Compare(a.Arg, b.Arg))
	})
	return s.rows
}

func (r *Row) group() int {
	switch {
	case r.Conv.Room != "":
		return -1
	case r.Present && !r.Last.IsZero(), r.Unread > 0:
		return 0
	case r.Present:
		return 1
	}
	return 2
}

// name says anew how everybody is shown.
func (s *Session) name() {
	count := map[string]int{clean.Fold(s.me.Name): 1}
	for _, c := range s.contacts {
		if c.conv.Room != "" {
			continue
		}
		shown := s.book.name(c.conv.Key, c.person.Name)
		if shown == "" { // never met, and something is begun
			shown = c.conv.Key.Short()
		}
		if shown != c.shown || c.fold == "" {
			c.shown, c.fold = shown, clean.Fold(shown)
		}
		count[c.fold]++
	}
	for _, p := range s.unproven {
		count[clean.Fold(p.Name)]++
	}
	for _, c := range s.contacts {
		if c.conv.Room != "" {
			continue
		}
		was := c.label
		c.label, c.arg = s.book.label(c.conv.Key, c.shown, func() bool { return count[c.fold] > 1 })
		_, c.warned = s.book.stranger(c.conv.Key, c.shown)
		if c.label != was {
			c.sort = clean.Fold(c.label)
		}
		known, _ := s.book.Get(c.conv.Key)
		c.verified, c.blocked = known.Verified, known.Blocked
	}
}

// reread notices what was decided about people, or that they call themselves otherwise.
func (s *Session) reread() {
	v := s.book.Version()
	if v == s.version {
		return
	}
	s.version = v
	for _, c := range s.contacts {
		entry, known := s.book.Get(c.conv.Key)
		if c.conv.Room != "" || !known {
			continue
		}
		c.person.Name = entry.Name
		if was := c.called; was != "" && was != entry.Name {
			if entry.Label == entry.Name { // it has become that now
				entry.Label = was
			}
			s.note(c, Renaming(entry, entry.Name), s.now)
		}
		c.called = entry.Name
	}
	s.rename()
}

// call notes what somebody unknown calls themselves, or known where nothing is kept.
func (s *Session) call(c *contact, e chat.Event) {
	name := e.Person.Name
	if _, known := s.book.Get(c.conv.Key); known && s.store != nil || name == "" || name == c.person.Name || e.Kept != 0 && c.person.Name != "" {
		return
	}
	if c.person.Name != "" && c.opened {
		entry, _ := s.book.Get(c.conv.Key)
		entry.Label = cmp.Or(entry.Label, c.person.Name)
		s.note(c, Renaming(entry, name), s.now)
	}
	c.person.Name = name
	s.rename()
}

// As returns how to say, behind the label of who said it, that they were called otherwise then:
// a name in brackets behind a blank; empty: they weren't.
func (s *Session) As(l Line) string {
	if l.Out || l.Notice {
		return ""
	}
	return s.book.As(l.From, l.Name)
}

// Label returns how somebody is shown, harmless; and me.
func (s *Session) Label(c Conv) string {
	if c.Room != "" {
		return clean.Line(c.Room)
	}
	if c.Key == s.me.Key {
		return clean.Name(s.me.Name)
	}
	if c := s.contacts[c]; c != nil {
		if s.stale {
			s.name()
		}
		return c.label
	}
	known, _ := s.book.Get(c.Key)
	return s.book.Label(chat.Person{Key: c.Key, Name: known.Name}, nil, s.me.Name)
}

// peers are those who can be named: who is visible, and whom the list has besides.
func (s *Session) peers() []discovery.Peer {
	s.Rows()
	var all []discovery.Peer
	for _, r := range s.rows {
		if c := s.contacts[r.Conv]; c != nil && r.Conv.Room == "" {
			all = append(all, discovery.Peer{ID: c.conv.Key.String(), Name: c.shown})
		}
	}
	for _, p := range s.unproven {
		all = append(all, p)
	}
	return all
}
