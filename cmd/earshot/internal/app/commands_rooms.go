package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/cmd/earshot/internal/clean"
)

// surveyFor is how long to wait until everybody visible has told which rooms they are in.
const surveyFor = 3 * time.Second

// inside returns the room that is meant among those that we are in; with prefix the beginning
// of its name will do.
func (s *Session) inside(arg string, prefix bool) (*contact, error) {
	name, err := room.ParseName(arg)
	if err != nil {
		return nil, err
	}
	if !s.counted {
		s.count()
	}
	var found []*contact
	for conv, c := range s.contacts {
		switch {
		case !c.joined:
		case conv.Room == name:
			return c, nil
		case prefix && strings.HasPrefix(conv.Room, name):
			found = append(found, c)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return nil, fmt.Errorf("you aren't in %s; to be in it: /join %s", clean.Line(name), clean.Line(name))
}

// partner takes a room or a person off args; without one it is that of c.
func (s *Session) partner(c Conv, args string) (who *contact, rest string, ok bool) {
	if !IsRoom(args) {
		if args == "" && c.Room != "" {
			return s.room(c.Room), "", true
		}
		return s.person(c, args, true)
	}
	name, rest, _ := strings.Cut(args, " ")
	who, err := s.inside(name, false)
	if err != nil {
		s.refuse(err.Error())
	}
	return who, strings.TrimSpace(rest), err == nil
}

// whoIn tells who is in a room.
func (s *Session) whoIn(c Conv, args string) {
	name := c.Room
	if args != "" {
		var err error
		if name, err = room.ParseName(args); err != nil {
			s.refuse(err.Error())
			return
		}
	}
	members := s.labels(s.node.Members(name))
	if !s.counted {
		s.count()
	}
	label := s.Label(Conv{Room: name})
	if in := s.contacts[Conv{Room: name}]; in != nil && in.joined {
		members = append(members, "you")
	}
	if len(members) == 0 {
		s.Tell("nobody is in " + label + ", as far as is known")
		return
	}
	s.Tell(fmt.Sprintf("%d in %s: %s", len(members), label, strings.Join(members, ", ")))
}

// missing returns how people are shown who don't have a message, in order, and why.
func (s *Session) missing(people []chat.Missing) (all []string) {
	for _, p := range people {
		all = append(all, s.labels([]chat.Person{p.Person})[0]+Because(p.Reason))
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(clean.Fold(a), clean.Fold(b)) })
	return all
}

// Because returns what to write behind the name of a person who declined a message; empty: nothing.
func Because(r chat.Reason) string {
	if r == 0 {
		return ""
	}
	return " (" + r.String() + ")"
}

// labels returns how people are shown, in order.
func (s *Session) labels(people []chat.Person) (all []string) {
	for _, p := range people {
		if s.contacts[Conv{Key: p.Key}] == nil {
			all = append(all, s.book.Label(p, nil, s.me.Name))
		} else {
			all = append(all, s.Label(Conv{Key: p.Key}))
		}
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(clean.Fold(a), clean.Fold(b)) })
	return all
}

func (s *Session) doJoin(_ Conv, args string, _ time.Time) {
	word, rest, _ := strings.Cut(args, " ")
	name, err := room.ParseName(word)
	rest = strings.TrimSpace(rest)
	switch {
	case err != nil:
		s.stay(err.Error())
	case rest == "" || name == room.Here:
		s.calling++
		s.enter(chat.Membership{Name: name}, s.acts)
	case rest == "private":
		s.passFor = name
		s.news = append(s.news, News{Kind: Asked, Text: "passphrase of " + s.Label(Conv{Room: name})})
	default:
		s.stay("a room's name is one word; a passphrase is asked for: /join " + clean.Line(name) + " private")
	}
}

// Answer takes the secret that was [Asked] for; empty: it isn't told.
func (s *Session) Answer(secret string) {
	name := s.passFor
	s.passFor = ""
	switch {
	case name == "":
		return
	case secret == "":
		s.stay("without a passphrase you aren't in " + s.Label(Conv{Room: name}))
		return
	}
	s.calling++
	since := s.acts
	s.job(func(context.Context) func(time.Time) {
		key := room.DeriveKey(name, secret)
		return func(time.Time) { s.enter(chat.Membership{Name: name, Key: key}, since) }
	})
}

// enter joins a room, and shows it. The call is counted already.
func (s *Session) enter(m chat.Membership, since int) {
	s.job(func(context.Context) func(time.Time) {
		err := s.join(m)
		return func(now time.Time) {
			s.calling--
			if s.counted = false; err != nil {
				s.stay(s.explain(err))
				return
			}
			s.count()
			s.turnLate(Conv{Room: m.Name}, since, "you are in %", now)
			s.survey(func() {})
		}
	})
}

// survey finds out which rooms those visible are in, and then does something.
func (s *Session) survey(then func()) {
	s.job(func(ctx context.Context) func(time.Time) {
		limited, cancel := context.WithTimeout(ctx, surveyFor)
		defer cancel()
		s.node.Survey(limited)
		return func(time.Time) {
			s.count()
			then()
		}
	})
}

func (s *Session) doLeave(c Conv, args string, now time.Time) {
	if args == "" && c.Room == "" {
		s.refuse("leave which room? /leave #ROOM")
		return
	}
	if args == "" {
		args = c.Room
	}
	in, err := s.inside(args, false)
	if err != nil {
		s.refuse(err.Error())
		return
	}
	s.end(in, now)
	s.job(func(context.Context) func(time.Time) {
		err := s.leave(in.conv.Room)
		return func(time.Time) {
			if err != nil {
				s.refuse(s.explain(err))
				return
			}
			s.count()
			s.stale = true
			s.Tell("you have left " + in.label)
		}
	})
}

func (s *Session) doRooms(Conv, string, time.Time) {
	s.survey(func() {
		var b strings.Builder
		for _, r := range s.node.Rooms() {
			if r.Members == 0 && !r.Joined {
				continue
			}
			fmt.Fprintf(&b, "\n%s: %d in it", clean.Line(r.Name), r.Members)
			if r.Private {
				b.WriteString(", private")
			}
			if r.Joined {
				b.WriteString(", you too")
			}
		}
		if b.Len() == 0 {
			s.Tell("nobody is in any room")
			return
		}
		s.Tell(b.String()[1:])
	})
}

// doMissing tells who doesn't have what was said last.
func (s *Session) doMissing(c Conv, _ string, _ time.Time) {
	if c.Room == "" {
		s.refuse("that is told of what you have said in a room")
		return
	}
	all := s.room(c.Room).tail.all()
	i := len(all) - 1
	for i >= 0 && (!all[i].Out || all[i].ID == chat.MessageID{}) {
		i--
	}
	if i < 0 {
		s.refuse("you have said nothing here")
		return
	}
	line := all[i]
	got, of, missing := s.node.Delivery(line.ID)
	if of == 0 && s.store != nil {
		var err error
		if got, of, missing, err = s.store.Delivery(line.ID); err != nil {
			s.refuse(s.explain(err))
			return
		}
	}
	switch {
	case of == 0:
		s.Tell("nobody else was here")
	case len(missing) == 0:
		s.Tell(fmt.Sprintf("everybody has it (%d of %d): %s", got, of, line.Text))
	default:
		s.Tell(fmt.Sprintf("%d of %d have it; missing: %s", got, of, strings.Join(s.missing(missing), ", ")))
	}
}
