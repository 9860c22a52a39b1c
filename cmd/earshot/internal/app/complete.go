package app

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kyokomi/emoji/v2"

	"earshot/chat/store"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

// Candidate is what typed letters could become.
type Candidate struct {
	Text string // what to put in their place
	Name string // how to offer it: for an emoji with what it is called
}

const (
	leastEmoji = 2  // letters behind the colon, before emoji are offered
	mostEmoji  = 20 // offered at once
)

// Complete returns what the letters of line between byte from and the cursor, at byte at,
// could become: a command, somebody's name, or an :emoji. With the zero Conv shown a line
// begins with a name.
func (s *Session) Complete(line string, at int) (from int, all []Candidate) {
	head := line[:at]
	from = strings.LastIndexAny(head, " \n") + 1
	word := head[from:]
	command, args, behind := strings.Cut(head, " ")
	isCommand := strings.HasPrefix(head, "/") && !strings.HasPrefix(head, "//")
	switch {
	case isCommand && !behind:
		for _, c := range Commands() {
			if strings.HasPrefix(c.Name, head) {
				all = append(all, Candidate{c.Name + " ", c.Name})
			}
		}
		return 0, all
	case len(word) > leastEmoji && word[0] == ':':
		return from, emojis(word[1:])
	case isCommand:
		i := slices.IndexFunc(Commands(), func(c Command) bool { return c.Name == command })
		if i < 0 {
			return from, nil
		}
		of, first := Commands()[i], len(command)+1
		if quoted := strings.TrimPrefix(args, `"`); !strings.Contains(quoted, `"`) && quoted != "" || args == "" {
			if all = s.named(quoted, " ", command != "/to", of); all != nil && from > first {
				return first, all
			}
		}
		if from > first || command == "/verify" && s.current != nil {
			for option := range strings.FieldsSeq(of.words) {
				if strings.HasPrefix(option, word) {
					all = append(all, Candidate{option, option})
				}
			}
		}
		return from, all
	case s.current == nil && from == 0 || s.current == nil && !strings.Contains(head, "\n"):
		return 0, s.named(head, "", false, Command{who: true, room: true})
	case word == "":
		return from, nil
	case word[0] == '@':
		return from + 1, s.named(word[1:], " ", false, Command{who: true})
	case from == 0 && !IsRoom(word):
		return from, s.named(word, ": ", false, Command{who: true})
	}
	return from, s.named(word, " ", false, Command{who: true, room: true})
}

// named returns those whose name begins so, and who can be of's argument, each with what
// comes behind it, in quotes where a command needs them. Rooms come once # is typed, or where
// there is nothing else.
func (s *Session) named(begin, behind string, quotes bool, of Command) (all []Candidate) {
	names := of.names
	if names == nil {
		names = func(s *Session) (all []string) {
			for _, r := range s.Rows() {
				if isRoom := r.Conv.Room != ""; isRoom && of.room && (begin != "" || !of.who) || !isRoom && of.who {
					all = append(all, r.Arg)
				}
			}
			return all
		}
	}
	fold := strings.ToLower(begin)
	for _, name := range names(s) {
		if !strings.HasPrefix(strings.ToLower(name), fold) {
			continue
		}
		text := name + behind
		if quotes && strings.Contains(name, " ") {
			text = `"` + name + `"` + behind
		}
		all = append(all, Candidate{text, name})
	}
	return all
}

// everybody are the names of those in the list, and of whom else we know.
func (s *Session) everybody() (all []string) {
	for _, r := range s.Rows() {
		if r.Conv.Room == "" {
			all = append(all, r.Arg)
		}
	}
	for _, name := range s.known(func(store.Person) bool { return true }) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

func (s *Session) blocked() []string {
	return s.known(func(p store.Person) bool { return p.Blocked })
}

// known are names by which commands know some people.
func (s *Session) known(which func(store.Person) bool) (all []string) {
	for _, p := range s.book.People() {
		if !which(p) {
			continue
		}
		name := clean.Name(s.book.name(p.Key, p.Name))
		if found, err := s.book.Find(Query{Arg: name}); err != nil || found.Key != p.Key {
			name = longLabel(discovery.Peer{ID: p.Key.String(), Name: name})
		}
		all = append(all, name)
	}
	return all
}

// otherRooms are those that we aren't in.
func (s *Session) otherRooms() (all []string) {
	for _, r := range s.node.Rooms() {
		if !r.Joined {
			all = append(all, r.Name)
		}
	}
	return all
}

// emojiNames are the names of all emoji, in order.
var emojiNames = sync.OnceValue(func() []string {
	return slices.SortedFunc(maps.Keys(emoji.CodeMap()), func(a, b string) int {
		return strings.Compare(strings.Trim(a, ":"), strings.Trim(b, ":"))
	})
})

// emojis returns those whose name begins so.
func emojis(begin string) (all []Candidate) {
	begin, whole := strings.CutSuffix(strings.ToLower(begin), ":")
	for _, name := range emojiNames() {
		if bare := strings.Trim(name, ":"); !strings.HasPrefix(bare, begin) || whole && bare != begin {
			continue
		}
		char := clean.Line(emoji.CodeMap()[name])
		if c := (Candidate{char, name + " " + char}); strings.Trim(name, ":") == begin {
			all = slices.Insert(all, 0, c)
		} else {
			all = append(all, c)
		}
	}
	return all[:min(len(all), mostEmoji)]
}
