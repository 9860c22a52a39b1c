package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"earshot/chat"
	"earshot/chat/safety"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/clean"
)

func (s *Session) doWho(c Conv, args string, _ time.Time) {
	if IsRoom(args) || c.Room != "" {
		s.whoIn(c, args)
		return
	}
	rows := s.Rows()
	if empty := s.Empty(); empty != "" {
		s.Tell(empty)
		return
	}
	var people, rooms strings.Builder
	for i := range rows {
		b := &people
		if rows[i].Conv.Room != "" {
			b = &rooms
		}
		fmt.Fprintf(b, "\n%s: %s", rows[i].Label, rows[i].Words())
	}
	s.Tell((people.String() + rooms.String())[1:])
}

// Words says how it stands with somebody, for who hears it read.
func (r *Row) Words() string {
	words := []string{"not here"}
	switch {
	case r.Conv.Room != "" && r.Members == 1:
		words[0] = "you alone are in it"
	case r.Conv.Room != "":
		words[0] = fmt.Sprintf("%d are in it", r.Members)
	case r.Away && r.Present:
		words[0] = "doesn't answer"
	case r.Present:
		words[0] = "here"
	}
	if r.Typing {
		words = append(words, "is typing")
	}
	if r.Unread > 0 {
		words = append(words, fmt.Sprintf("%d unread", r.Unread))
	}
	if r.Mentions > 0 {
		words = append(words, fmt.Sprintf("%d call you", r.Mentions))
	}
	if r.Private {
		words = append(words, "private")
	}
	if r.Verified {
		words = append(words, "verified")
	}
	if r.Muted {
		words = append(words, "muted")
	}
	if r.Blocked {
		words = append(words, "blocked")
	}
	return strings.Join(words, ", ")
}

func (s *Session) doPeople(Conv, string, time.Time) {
	var b strings.Builder
	for _, p := range s.book.People() {
		fmt.Fprintf(&b, "\n%s: %s, last seen %s", s.Label(Conv{Key: p.Key}), p.Key.Short(), p.Last.Local().Format("2006-01-02 15:04"))
		if p.Verified {
			b.WriteString(", verified")
		}
		if p.Blocked {
			b.WriteString(", blocked")
		}
	}
	if b.Len() == 0 {
		s.Tell("you know nobody yet; whoever you talk with is known from then on")
		return
	}
	s.Tell(b.String()[1:])
}

// decide changes what is kept about somebody, and once that is done says so.
func (s *Session) decide(who *contact, said string, change func(chat.Person) error) {
	s.decideThen(who, said, change, func(time.Time) {})
}

// decideThen is decide with something to follow.
func (s *Session) decideThen(who *contact, said string, change func(chat.Person) error, then func(now time.Time)) {
	if s.store == nil {
		s.refuse("nothing is kept of this session; start earshot without --no-history")
		return
	}
	person := who.person
	s.job(func(context.Context) func(time.Time) {
		err := change(person)
		if err == nil {
			err = s.book.Read(s.store)
		}
		return func(now time.Time) {
			if err != nil {
				s.refuse(s.explain(err))
				return
			}
			s.rename()
			s.Tell(said)
			then(now)
		}
	})
}

func (s *Session) doRename(c Conv, args string, now time.Time) {
	who, petname, ok := s.person(c, args, false)
	if !ok {
		return
	}
	if petname != "" {
		holder, held := s.book.Holder(petname)
		switch {
		case CheckName(petname) != nil:
			s.refuse("that can't be a name: " + clean.Line(petname))
			return
		case held && holder.Key != who.conv.Key && holder.Petname != "":
			s.refuse("you call somebody else so; see /people")
			return
		}
	}
	was := s.Label(who.conv)
	said := was + " is called " + clean.Name(petname) + " here from now on"
	if petname == "" {
		said = was + " is called as they call themselves from now on"
	}
	s.decide(who, said, func(p chat.Person) error { return s.store.SetPetname(p, petname, now) })
}

func (s *Session) doBlock(c Conv, args string, now time.Time) {
	who, _, ok := s.person(c, args, false)
	if !ok {
		return
	}
	label := s.Label(who.conv)
	if s.store != nil {
		s.end(who, now)
	}
	s.decide(who, label+" is blocked: nothing of theirs reaches you, and they can't tell; to undo it: /unblock "+who.arg,
		func(p chat.Person) error { return s.store.SetBlocked(p, true, now) })
}

// end shows nobody where that conversation is shown. It is done with what the person asks for,
// not when that has come about: by then they may be typing.
func (s *Session) end(c *contact, now time.Time) {
	if s.current == c {
		s.Turn(Conv{}, now)
	}
}

func (s *Session) doUnblock(c Conv, args string, now time.Time) {
	if who, _, ok := s.person(c, args, false); ok {
		s.decide(who, s.Label(who.conv)+" is heard again", func(p chat.Person) error { return s.store.SetBlocked(p, false, now) })
	}
}

func (s *Session) doForget(c Conv, args string, now time.Time) {
	who, sure, ok := s.person(c, args, false)
	switch {
	case !ok:
		return
	case sure != "yes":
		s.refuse("to remove " + s.Label(who.conv) + " and all that was said with them: /forget " + args + " yes")
		return
	}
	if s.store != nil {
		s.end(who, now)
	}
	var residue error // forgotten all the same
	s.decideThen(who, s.Label(who.conv)+" is forgotten",
		func(p chat.Person) error {
			err := s.store.Forget(context.Background(), p.Key)
			if errors.Is(err, store.ErrResidue) {
				residue, err = err, nil
			}
			return err
		},
		func(time.Time) {
			if residue != nil {
				s.refuse(s.explain(residue))
			}
			who.tail, who.past, who.undone, who.drafts, who.opened, who.known = lines{}, lines{}, nil, nil, who == s.current, false
			who.view, who.last = store.View{Peer: who.conv.Key}, time.Time{}
			who.stored = who.view
			delete(s.unkept, who.conv)
			s.prune(who)
		})
}

func (s *Session) doMute(c Conv, args string, _ time.Time) {
	who, _, ok := s.partner(c, args)
	if !ok {
		return
	}
	who.view.Muted = !who.view.Muted
	s.stale = true
	s.touch(who)
	s.keepSoon()
	if who.view.Muted {
		s.Tell(s.Label(who.conv) + " is muted")
	} else {
		s.Tell(s.Label(who.conv) + " isn't muted any more")
	}
}

func (s *Session) doVerify(c Conv, args string, now time.Time) {
	if args == "yes" || args == "no" {
		if c.IsZero() || c.Room != "" {
			s.refuse(nobodyHere)
			return
		}
		args = c.Key.String() + " " + args
	}
	who, answer, ok := s.person(c, args, true)
	if !ok {
		return
	}
	label := s.Label(who.conv)
	switch answer {
	case "yes":
		s.decide(who, who.arg+" is verified", func(p chat.Person) error { return s.store.SetVerified(p, true, now) })
	case "no":
		s.decide(who, who.arg+" isn't verified any more", func(p chat.Person) error { return s.store.SetVerified(p, false, now) })
	case "":
		s.job(func(context.Context) func(time.Time) {
			words := strings.Join(safety.Words(s.me.Key, who.conv.Key), " ")
			return func(time.Time) {
				s.Tell(words + "\ndoes " + label + " see the same six words? compare them aloud; then: /verify " + label + " yes")
			}
		})
	default:
		s.refuse("/verify takes yes or no")
	}
}

func (s *Session) doLog(c Conv, args string, now time.Time) {
	count := 20
	words := strings.Fields(args)
	if n := len(words); n > 0 {
		if number, err := strconv.Atoi(words[n-1]); err == nil && number > 0 {
			count, words = min(number, mostLines), words[:n-1]
		}
	}
	who, _, ok := s.partner(c, strings.Join(words, " "))
	if !ok {
		return
	}
	for len(who.tail.all()) < count && s.older(who) {
	}
	all := who.tail.all()
	found := News{Kind: Found, Conv: who.conv}
	for _, l := range all[max(0, len(all)-count):] {
		found.Hits = append(found.Hits, Hit{who.conv, l})
	}
	s.news = append(s.news, found)
}

func (s *Session) doName(_ Conv, args string, _ time.Time) {
	if args == "" {
		s.Tell("you are " + clean.Name(s.me.Name))
		return
	}
	if err := CheckName(args); err != nil {
		s.refuse(err.Error())
		return
	}
	if err := s.announce(args); err != nil {
		s.refuse(s.explain(err))
		return
	}
	s.me.Name = args
	s.rename()
	said := "you are " + clean.Name(args) + " from now on"
	if s.store == nil {
		said += ", until you leave"
	}
	s.Tell(said)
}

// CheckName says why somebody can't be called name.
func CheckName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("your name is empty")
	case len(name) > chat.MaxName:
		return fmt.Errorf("your name takes %d bytes, more than %d", len(name), chat.MaxName)
	case IsRoom(name):
		return fmt.Errorf("%s would be a room", clean.Line(name))
	case clean.Nameless(name):
		return errors.New("nothing can be seen of your name")
	case !clean.Safe(name):
		return fmt.Errorf("your name has characters that can't be shown: %s", clean.Line(name))
	}
	return nil
}
