package app

import (
	"time"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

// Saw takes an event of discovery.
func (s *Session) Saw(e discovery.Event, now time.Time) {
	s.now = now
	s.rename()
	defer s.rename()
	s.lonely = false
	key, err := chat.ParseKey(e.Peer.ID)
	if err != nil {
		row := "?" + e.Peer.Name
		_, was := s.unproven[row]
		if e.Change == discovery.Down {
			delete(s.unproven, row)
		} else {
			s.unproven[row] = e.Peer
		}
		if was == (e.Change == discovery.Down) {
			s.passes(e.Change, Conv{}, clean.Name(e.Peer.Name))
		}
		return
	}
	if key == s.me.Key {
		return
	}
	c := s.contact(chat.Person{Key: key})
	if (c.person.Name == "" || !c.known && !c.linked) && e.Peer.Name != "" {
		c.person.Name = e.Peer.Name
	}
	was := c.addrs >= 0
	if c.addrs = len(e.Peer.Addrs); e.Change == discovery.Down {
		c.addrs = -1
	}
	if was != (c.addrs >= 0) {
		s.passes(e.Change, c.conv, s.Label(c.conv))
		if !was {
			s.back(c, now)
		}
	}
	if c.addrs < 0 {
		s.prune(c)
	}
}

func (s *Session) passes(change discovery.Change, conv Conv, label string) {
	kind := Came
	if change == discovery.Down {
		kind = Went
	}
	s.news = append(s.news, News{Kind: kind, Conv: conv, Text: label})
	s.counted = false
	if here := s.contacts[Conv{Room: room.Here}]; here != nil && here.joined && !conv.IsZero() {
		s.fold(here, s.contacts[conv], change != discovery.Down, s.now)
	}
}

// prune forgets somebody of whom nothing is to be shown any more.
func (s *Session) prune(c *contact) {
	if c.addrs < 0 && !c.linked && !c.opened && c.last.IsZero() && s.draft(c).text == "" {
		delete(s.contacts, c.conv)
		s.rename()
	}
}
