package app

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"unicode"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

// Book is who is known, as last read from the store. It is safe for concurrent use.
type Book struct {
	reading sync.Mutex // so that what was read later stays

	mu      sync.RWMutex
	version uint64         // of what follows
	people  []store.Person // those last there first
	byKey   map[chat.Key]store.Person
	holders map[string]store.Person // who is meant by a name, folded

	visible map[chat.Key]string // what those visible announce as their names: claims
}

// Read reads the book anew.
func (b *Book) Read(s *store.Store) error {
	b.reading.Lock()
	defer b.reading.Unlock()
	people, err := s.People()
	if err != nil {
		return err
	}
	byKey := make(map[chat.Key]store.Person, len(people))
	for _, p := range people {
		byKey[p.Key] = p
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version++
	b.people, b.byKey, b.holders = people, byKey, holders(people)
	return nil
}

// Version returns a number that changes whenever the book is read anew.
func (b *Book) Version() uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.version
}

// People returns everybody known, those last there first.
func (b *Book) People() []store.Person {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.people
}

// Get returns what is known of somebody.
func (b *Book) Get(key chat.Key) (store.Person, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p, ok := b.byKey[key]
	return p, ok
}

// Announce notes the name that somebody visible announces; empty: they aren't visible any more.
func (b *Book) Announce(key chat.Key, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.visible == nil {
		b.visible = map[chat.Key]string{}
	}
	if b.visible[key] = name; name == "" {
		delete(b.visible, key)
	}
}

// Announced returns the name that somebody visible announces, else "".
func (b *Book) Announced(key chat.Key) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.visible[key]
}

// Blocked reports whether to have nothing to do with somebody.
func (b *Book) Blocked(key chat.Key) bool {
	p, _ := b.Get(key)
	return p.Blocked
}

// Verified reports whether somebody's safety words were compared.
func (b *Book) Verified(key chat.Key) bool {
	known, _ := b.Get(key)
	return known.Verified
}

// Holder returns who is meant by a name here: who has it for a petname, or else of those that
// are known by it the one whose words were compared, or else who came by it first.
func (b *Book) Holder(name string) (store.Person, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p, ok := b.holders[clean.Fold(name)]
	return p, ok
}

func holders(people []store.Person) map[string]store.Person {
	all := make(map[string]store.Person, len(people))
	for _, p := range people {
		name := cmp.Or(p.Petname, p.Label)
		if name == "" || p.Blocked && p.Petname == "" {
			continue // or a blocked impostor would keep the name
		}
		fold := clean.Fold(name)
		if first, found := all[fold]; !found || precedes(p, first) {
			all[fold] = p
		}
	}
	return all
}

// precedes reports whether p rather than q is meant by the name that both have here.
func precedes(p, q store.Person) bool {
	switch {
	case (p.Petname != "") != (q.Petname != ""):
		return p.Petname != ""
	case p.Verified != q.Verified:
		return p.Verified
	}
	return p.Named < q.Named
}

// Find is Known for what is said to somebody: of those who have a name it means the holder.
func (b *Book) Find(q Query) (store.Person, error) {
	holder, held := b.Holder(q.Arg)
	return b.find(q, func(p store.Person) bool {
		return !held || p.Key == holder.Key || clean.Fold(b.name(p.Key, p.Name)) != clean.Fold(q.Arg)
	})
}

// Known returns the person known that q means: by petname, name, id or the beginning of
// one. Errors are [*UnknownError] and [*AmbiguousError].
func (b *Book) Known(q Query) (store.Person, error) {
	return b.find(q, func(store.Person) bool { return true })
}

// find is Known among those that may be meant.
func (b *Book) find(q Query, may func(store.Person) bool) (store.Person, error) {
	if p, ok := b.Holder(q.Arg); ok && p.Petname != "" {
		return p, nil
	}
	var peers []discovery.Peer
	for _, p := range b.People() {
		if !may(p) {
			continue
		}
		peers = append(peers, discovery.Peer{ID: p.Key.String(), Name: b.name(p.Key, p.Name)})
	}
	found, err := Match(q, peers, false)
	if err != nil {
		if none, ok := errors.AsType[*NotFoundError](err); ok {
			switch all := b.announced(q.Arg); len(all) {
			case 0:
				return store.Person{}, &UnknownError{q.Arg, none.Near}
			case 1:
				return all[0], nil
			default:
				return store.Person{}, anyOf(q.Arg, all)
			}
		}
		return store.Person{}, err
	}
	key, err := chat.ParseKey(found.ID)
	if err != nil {
		return store.Person{}, err
	}
	p, _ := b.Get(key)
	return p, nil
}

// announced returns the contacts known otherwise who call themselves so, in a session or where
// they are visible, or were known so before they had a petname.
func (b *Book) announced(name string) (all []store.Person) {
	fold := clean.Fold(name)
	for _, p := range b.People() {
		shown := cmp.Or(p.Petname, p.Label)
		if clean.Fold(shown) != fold && (clean.Fold(p.Name) == fold || clean.Fold(p.Label) == fold || b.claims(p, fold)) {
			all = append(all, p)
		}
	}
	return all
}

// claims reports whether a contact announces a name, which is given folded. Anybody can announce it
// for them; and those blocked can't take it from others.
func (b *Book) claims(p store.Person, fold string) bool {
	return !p.Blocked && fold != "" && clean.Fold(b.Announced(p.Key)) == fold
}

// anyOf reports that arg may mean any of these contacts.
func anyOf(arg string, all []store.Person) *AmbiguousError {
	err := &AmbiguousError{Arg: arg}
	for _, p := range all {
		err.Candidates = append(err.Candidates, longLabel(discovery.Peer{ID: p.Key.String(), Name: cmp.Or(p.Petname, p.Label)}))
	}
	return err
}

// UnknownError reports that nobody known is called Arg.
type UnknownError struct {
	Arg  string
	Near []string // labels of those with the nearest names, nearest first
}

func (e *UnknownError) Error() string { return "nobody called " + e.Arg + " is known" }

// name returns what somebody is called here.
func (b *Book) name(key chat.Key, own string) string {
	p, _ := b.Get(key)
	return cmp.Or(p.Petname, p.Label, own)
}

// LabelOf returns what somebody is known by here, where that isn't their name; else "".
func (b *Book) LabelOf(key chat.Key, name string) string {
	if label := b.name(key, name); label != name {
		return label
	}
	return ""
}

// As returns how to say that somebody was called otherwise when they said something, in brackets
// behind a blank; empty: they weren't.
func (b *Book) As(key chat.Key, name string) string {
	p, _ := b.Get(key)
	if name == "" || p.Label == "" || clean.Fold(name) == clean.Fold(p.Label) || clean.Fold(name) == clean.Fold(p.Petname) {
		return ""
	}
	return " (" + clean.Name(name) + ")"
}

// mayLabel reports whether the name that somebody known calls themselves now can become their
// label: it can be taken neither for another's or my own, nor for anything but a name.
func (b *Book) mayLabel(p chat.Person, me string) bool {
	fold := clean.Fold(p.Name)
	if clean.Nameless(p.Name) || ambiguous(p.Name) || fold == clean.Fold(me) {
		return false
	}
	return !slices.ContainsFunc(b.People(), func(o store.Person) bool {
		if o.Key == p.Key || o.Blocked && o.Petname == "" {
			return false
		}
		id := o.Key.String()
		return fold == clean.Fold(o.Petname) && o.Petname != "" || fold == clean.Fold(o.Label) || fold == clean.Fold(o.Name) || len(fold) >= minPrefix && strings.HasPrefix(id, fold) ||
			labelled(discovery.Peer{ID: id, Name: o.Label}, fold) || o.Petname != "" && labelled(discovery.Peer{ID: id, Name: o.Petname}, fold)
	})
}

// ambiguous reports whether a name looks like something else by which one can be picked: a
// room, an address, an id, or a name with one.
func ambiguous(name string) bool {
	name = clean.Name(name)
	if _, err := chat.ParseKey(strings.ToLower(name)); err == nil || IsRoom(name) || strings.ContainsAny(name, "·") {
		return true
	}
	q, err := ParsePeer(name)
	return err != nil || q.Addrs != nil
}

// Peers returns peers as they are called here, without those blocked. It keeps peers.
func (b *Book) Peers(peers []discovery.Peer) []discovery.Peer {
	return b.Named(slices.DeleteFunc(peers, func(p discovery.Peer) bool {
		key, err := chat.ParseKey(p.ID)
		return err == nil && b.Blocked(key)
	}))
}

// Named returns peers as they are called here. It keeps peers.
func (b *Book) Named(peers []discovery.Peer) []discovery.Peer {
	for i, p := range peers {
		if key, err := chat.ParseKey(p.ID); err == nil {
			peers[i].Name = b.name(key, p.Name)
		}
	}
	return peers
}

// Label returns how somebody proven is shown among those visible: with a mark when
// verified, and with a warning when another was known by that name before.
func (b *Book) Label(p chat.Person, peers []discovery.Peer, me string) string {
	shown := b.name(p.Key, p.Name)
	label, _ := b.label(p.Key, shown, func() bool {
		id := p.Key.String()
		return clean.Fold(me) == clean.Fold(shown) || slices.ContainsFunc(peers, func(o discovery.Peer) bool {
			return o.ID != id && clean.Fold(o.Name) == clean.Fold(shown)
		})
	})
	return label
}

// Labels returns how each of those visible is shown, who are called as Peers says: the
// id that they announce decides on mark and warning.
func (b *Book) Labels(peers []discovery.Peer, me string) []string {
	labels := Labels(peers, me)
	for i, p := range peers {
		key, err := chat.ParseKey(p.ID)
		if err != nil {
			continue
		}
		labels[i], _ = b.label(key, p.Name, func() bool { return labels[i] != clean.Name(p.Name) })
	}
	return labels
}

// Pick returns a word that means somebody known, where a PEER is asked for in a shell.
func (b *Book) Pick(p chat.Person) string {
	name := b.name(p.Key, p.Name)
	plain := !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	if found, err := b.Known(Query{Arg: name}); plain && err == nil && found.Key == p.Key {
		return name
	}
	return p.Key.Short()
}

// label is Label for somebody shown under a name, which others may share, and what
// names them without its marks.
func (b *Book) label(key chat.Key, shown string, shared func() bool) (label, arg string) {
	long := longLabel(discovery.Peer{ID: key.String(), Name: shown})
	if warning, is := b.stranger(key, shown); is {
		return long + warning, long
	}
	holder, held := b.Holder(shown)
	if arg = clean.Name(shown); ambiguous(arg) || held && holder.Key != key || shared() {
		arg = long
	}
	if b.Verified(key) {
		return arg + clean.Mark, arg
	}
	return arg, arg
}

// stranger reports whether somebody is shown under a name by which another is known.
func (b *Book) stranger(key chat.Key, shown string) (warning string, is bool) {
	known, _ := b.Get(key)
	holder, held := b.Holder(shown)
	if !held || holder.Key == key || known.Verified || known.Petname != "" {
		return "", false
	}
	return " (not the " + clean.Name(shown) + " you know)", true
}

// Changed reports that somebody visible under a known name isn't the one known by it.
type Changed struct {
	Arg  string
	Want store.Person
	Got  chat.Key
}

func (e *Changed) Error() string {
	return "this " + e.Arg + " (" + e.Got.Short() + ") isn't the one you know (" + e.Want.Key.Short() + "): nothing was sent"
}

// guard refuses a peer that was picked by a name under which another is known.
func (b *Book) guard(q Query, key chat.Key) error {
	holder, held := b.Holder(q.Arg)
	if held && holder.Key != key {
		return &Changed{Arg: q.Arg, Want: holder, Got: key}
	}
	return nil
}
