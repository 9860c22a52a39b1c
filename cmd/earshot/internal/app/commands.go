package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/clean"
)

// Command is what a typed line that begins with its name does.
type Command struct {
	Name string // with its slash
	Args string // as help shows them; [those] may be left out
	Help string

	who   bool                    // the first argument is a person, whom Tab completes
	room  bool                    // or a room
	names func(*Session) []string // or one of these, instead of those in the list
	words string                  // that may follow
	here  bool                    // it is about the conversation shown, where it names no other
	run   func(s *Session, c Conv, args string, now time.Time)
}

// Commands returns all, in the order of the help.
func Commands() []Command {
	return []Command{
		{Name: "/to", Args: "NAME", Help: "talk with NAME, of which the beginning will do, at an address, or in a #room", who: true, room: true, run: (*Session).doTo},
		{Name: "/msg", Args: "NAME TEXT", Help: "say TEXT to NAME or in a #room, and stay here", who: true, room: true, run: (*Session).doMsg},
		{Name: "/me", Args: "DOES", Help: "say what you do", here: true, run: (*Session).doMe},
		{Name: "/next", Help: "go to the next unread conversation", run: (*Session).doNext},
		{Name: "/close", Help: "talk with nobody, to see who is here, or to search all that was said", run: (*Session).doClose},
		{Name: "/who", Args: "[#ROOM]", Help: "who is here, or in a room", room: true, run: (*Session).doWho},
		{Name: "/join", Args: "#ROOM [private]", Help: "be in a room; of a private one the passphrase is asked for", names: (*Session).otherRooms, words: "private", run: (*Session).doJoin},
		{Name: "/leave", Args: "[#ROOM]", Help: "be in a room no more", room: true, here: true, run: (*Session).doLeave},
		{Name: "/rooms", Help: "which rooms there are, and how many are in them", run: (*Session).doRooms},
		{Name: "/missing", Help: "who doesn't have what you said last in this room", here: true, run: (*Session).doMissing},
		{Name: "/log", Args: "[NAME] [COUNT]", Help: "what was said last", who: true, room: true, run: (*Session).doLog},
		{Name: "/search", Args: "WORDS", Help: "find what has all the words; * stands for the rest of one", run: (*Session).doSearch},
		{Name: "/retry", Help: "say again what failed", here: true, run: (*Session).doRetry},
		{Name: "/verify", Args: "[NAME] [yes|no]", Help: "compare safety words, and say whether they are the same", who: true, words: "yes no", here: true, run: (*Session).doVerify},
		{Name: "/rename", Args: "NAME [PETNAME]", Help: "give NAME a name of your own, or take it back", names: (*Session).everybody, run: (*Session).doRename},
		{Name: "/mute", Args: "[NAME]", Help: "don't ring for NAME, or a #room; again: do", who: true, room: true, here: true, run: (*Session).doMute},
		{Name: "/keep", Args: "[TIME|forever|default]", Help: "for how long messages here are kept, as 90d: hours (h), days (d), weeks (w) or years (y)", words: "forever default", here: true, run: (*Session).doKeep},
		{Name: "/block", Args: "NAME", Help: "have nothing more to do with NAME", who: true, run: (*Session).doBlock},
		{Name: "/unblock", Args: "NAME", Help: "hear NAME again", names: (*Session).blocked, run: (*Session).doUnblock},
		{Name: "/forget", Args: "NAME yes", Help: "remove NAME, and all that was said with them", names: (*Session).everybody, words: "yes", run: (*Session).doForget},
		{Name: "/people", Help: "whom you know", run: (*Session).doPeople},
		{Name: "/name", Args: "[NAME]", Help: "what you are called, NAME from now on", run: (*Session).doName},
		{Name: "/doctor", Help: "why can't I see anybody", run: (*Session).doDoctor},
		{Name: "/help", Help: "this", run: (*Session).doHelp},
		{Name: "/quit", Help: "leave", run: (*Session).doQuit},
	}
}

// Do does what a typed line says: a command, or something said in c, of which // at the
// beginning stands for one slash. What comes of it comes as News.
func (s *Session) Do(line string, c Conv, now time.Time) {
	s.now = now
	s.acts++
	if text, err := Text(line); err == nil {
		line = text
	} else if errors.Is(err, ErrEmpty) { // of what else is wrong Say says why
		return
	}
	s.remember(line)
	trimmed := strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(trimmed, "//"):
		s.say(c, strings.Replace(line, "/", "", 1), now)
	case !strings.HasPrefix(trimmed, "/"):
		s.say(c, line, now)
	default:
		name, args, _ := strings.Cut(trimmed, " ")
		for _, command := range Commands() {
			if command.Name == name || command.Name == "/quit" && name == "/bye" {
				command.run(s, c, strings.TrimSpace(args), now)
				return
			}
		}
		s.refuse("there is no " + clean.Line(name) + "; /help tells what there is, and // begins a message with a slash")
	}
}

// IsFor reports whether a typed line is for the conversation shown, or for one that it names.
func IsFor(line string) (shown bool) {
	line = strings.TrimSpace(Lines(line))
	if !strings.HasPrefix(line, "/") || strings.HasPrefix(line, "//") {
		return true
	}
	name, _, _ := strings.Cut(line, " ")
	i := slices.IndexFunc(Commands(), func(c Command) bool { return c.Name == name })
	return i >= 0 && Commands()[i].here
}

// say says a line, or where there is no conversation goes to whom it names.
func (s *Session) say(c Conv, line string, now time.Time) {
	if c.IsZero() {
		s.doTo(c, strings.TrimSpace(line), now)
		return
	}
	s.Say(c, line, now)
}

// find returns who is meant among those in the list and those known.
func (s *Session) find(q Query, prefix bool) (Conv, error) {
	peer, err := s.book.Match(q, s.peers(), prefix)
	if _, none := errors.AsType[*NotFoundError](err); none || errors.Is(err, chat.ErrRefused) {
		p, unknown := s.book.Find(q)
		if unknown == nil {
			return Conv{Key: p.Key}, nil
		}
		if _, vague := errors.AsType[*AmbiguousError](unknown); vague {
			err = unknown
		}
	}
	if err != nil {
		return Conv{}, err
	}
	key, err := chat.ParseKey(peer.ID)
	if err != nil {
		return Conv{}, errNoID
	}
	return Conv{Key: key}, nil
}

// errNoID reports that somebody visible announces no identity.
var errNoID = errors.New("they announce no identity; turn to them first: /to")

// person takes a name off args: without one it is that of c. A name of several words
// may stand in quotes; where it doesn't, and more than one person could be meant, nobody is.
func (s *Session) person(c Conv, args string, optional bool) (who *contact, rest string, ok bool) {
	if args == "" && optional && !c.IsZero() && c.Room == "" {
		return s.contact(chat.Person{Key: c.Key}), "", true
	}
	var found []Conv
	var first error
	try := func(name, after string) {
		q, err := ParsePeer(name)
		var conv Conv
		if err == nil {
			conv, err = s.find(q, false)
		}
		switch {
		case err != nil && first == nil:
			first = err
		case err == nil:
			found, rest = append(found, conv), strings.TrimSpace(after)
		}
	}
	if name, after, quoted := cutQuoted(args); quoted {
		try(name, after)
	} else {
		end := 0
		for range maxNameWords {
			word := strings.TrimLeft(args[end:], " ")
			begin := len(args) - len(word)
			if word == "" && end > 0 {
				break
			}
			word, _, _ = strings.Cut(word, " ")
			end = begin + len(word)
			try(args[:end], args[end:])
		}
	}
	for _, other := range found {
		if other != found[0] {
			s.refuse("that could be " + s.Label(found[0]) + " or " + s.Label(other) + "; put the name in quotes")
			return nil, "", false
		}
	}
	if found == nil {
		s.refuse(s.explain(first))
		return nil, "", false
	}
	return s.contact(chat.Person{Key: found[0].Key}), rest, true
}

// maxNameWords is of how many words a name is understood without quotes.
const maxNameWords = 4

// cutQuoted takes a name in quotes off args.
func cutQuoted(args string) (name, rest string, ok bool) {
	if !strings.HasPrefix(args, `"`) {
		return "", args, false
	}
	return strings.Cut(args[1:], `"`)
}

func (s *Session) doTo(_ Conv, args string, now time.Time) {
	if IsRoom(args) {
		c, err := s.inside(args, true)
		if err != nil {
			s.stay(err.Error())
			return
		}
		s.Turn(c.conv, now)
		return
	}
	q, err := ParsePeer(args)
	if err != nil {
		s.stay(s.explain(err))
		return
	}
	target := chat.Target{Addrs: q.Addrs}
	if q.Addrs == nil {
		c, err := s.find(q, true)
		_, none := errors.AsType[*NotFoundError](err)
		switch {
		case err == nil:
			s.Turn(c, now)
			return
		case errors.Is(err, errNoID):
			peer, _ := s.book.Match(q, s.peers(), true)
			target.Addrs = peer.Addrs
		case !none || q.Host == "":
			s.stay(s.explain(err))
			return
		}
	}
	s.Tell("calling " + q.Arg)
	s.calling++
	since := s.acts
	s.job(func(ctx context.Context) func(time.Time) {
		limited, cancel := context.WithTimeout(ctx, openFor)
		defer cancel()
		var person chat.Person
		var err error
		if target.Addrs == nil {
			target, err = LookUp(limited, q)
		}
		if err == nil {
			person, err = s.node.Open(limited, target)
		}
		return func(now time.Time) {
			s.calling--
			switch {
			case errors.Is(err, chat.ErrUnreachable):
				s.stay(q.Arg + " doesn't answer")
			case err != nil:
				s.stay(s.explain(err))
			default:
				s.link(s.contact(person), now)
				s.turnLate(Conv{Key: person.Key}, since, "% answers", now)
			}
		}
	})
}

func (s *Session) doMsg(c Conv, args string, now time.Time) {
	who, rest, ok := s.partner(c, args)
	switch {
	case !ok:
	case rest == "":
		s.refuse("say what: /msg NAME TEXT")
	default:
		s.Say(who.conv, rest, now)
	}
}

func (s *Session) doMe(c Conv, args string, now time.Time) {
	switch {
	case blank(args):
		s.refuse("say what you do: /me waves")
	case c.IsZero():
		s.refuse(nobodyHere)
	default:
		s.Say(c, "/me "+args, now)
	}
}

const nobodyHere = "you talk with nobody yet: /to NAME"

func (s *Session) doNext(_ Conv, _ string, now time.Time) {
	if c := s.NextUnread(); !c.IsZero() {
		s.Turn(c, now)
		return
	}
	s.stay("nothing is unread")
}

func (s *Session) doClose(c Conv, _ string, now time.Time) {
	if c.IsZero() {
		s.refuse(nobodyHere)
		return
	}
	s.Turn(Conv{}, now)
}

// NextUnread returns the conversation below the one shown in which something is unread,
// from the top again after the last; zero: there is none.
func (s *Session) NextUnread() Conv {
	rows := s.Rows()
	at := -1
	for i := range rows {
		if s.current != nil && rows[i].Conv == s.current.conv {
			at = i
		}
	}
	for i := range rows {
		if r := &rows[(at+1+i)%len(rows)]; r.Unread > 0 {
			return r.Conv
		}
	}
	return Conv{}
}

func (s *Session) doRetry(c Conv, _ string, now time.Time) {
	if !s.Retry(c, 0, now) {
		s.refuse("nothing has failed here")
	}
}

func (s *Session) doHelp(Conv, string, time.Time) {
	s.news = append(s.news, News{Kind: Helped})
}

func (s *Session) doQuit(Conv, string, time.Time) { s.news = append(s.news, News{Kind: Quit}) }

func (s *Session) doDoctor(Conv, string, time.Time) {
	if s.diagnose == nil {
		return
	}
	s.Tell("looking at this machine and the network")
	s.job(func(ctx context.Context) func(time.Time) {
		found := s.diagnose(ctx)
		return func(time.Time) { s.Tell(found) }
	})
}

func (s *Session) doSearch(c Conv, args string, _ time.Time) {
	switch {
	case s.store == nil:
		s.refuse("nothing is kept, so nothing can be found")
		return
	case args == "":
		s.refuse("search for what? /search WORDS")
		return
	}
	s.search(c, args, true)
}

// Search finds words in a conversation, with the zero Conv in all. News of what was
// Found follows. It finds nothing where nothing is kept.
func (s *Session) Search(c Conv, words string) { s.search(c, words, false) }

func (s *Session) search(c Conv, words string, typed bool) {
	if s.store == nil {
		return
	}
	s.job(func(context.Context) func(time.Time) {
		err := s.store.Flush()
		var all []store.Message
		if err == nil {
			all, err = s.store.Log(store.Filter{Peer: c.Key, Room: c.Room, Search: words, Limit: pageLines})
		}
		return func(time.Time) {
			if err != nil {
				s.refuse(s.explain(err))
				return
			}
			found := News{Kind: Found, Conv: c, Text: clean.Line(words), Typed: typed}
			for _, m := range all {
				if m.Room != "" {
					who := s.room(chat.RoomName(m.Room))
					found.Hits = append(found.Hits, Hit{who.conv, s.line(who, m)})
					continue
				}
				if m.Peer.IsZero() {
					continue // waits for a name
				}
				who := s.contact(chat.Person{Key: m.Peer, Name: m.Name})
				found.Hits = append(found.Hits, Hit{who.conv, s.line(who, m)})
			}
			s.news = append(s.news, found)
		}
	})
}
