package room

import (
	"cmp"
	"slices"
	"time"
)

// maxKnown is how many of a room's messages are remembered by id.
const maxKnown = 4096

// maxLapsed is how many authors are remembered whose messages don't come.
const maxLapsed = 1024

// maxParents is how many parents a message names (SPEC §13.6).
const maxParents = 8

// Author is the beginning of a person's id.
type Author [8]byte

// Ref names a message. Ids are unique for each author only (SPEC §7.5).
type Ref struct {
	ID     [16]byte
	Author Author
}

// Message is what was said in a room, as far as its order goes.
type Message[T any] struct {
	Ref
	Clock   uint64 // the sender's; Order makes it the message's place
	Parents []Ref
	Size    int // bytes it takes
	Body    T
}

// Patience is how long to wait for a message that its author may still bring.
type Patience int

// Kinds of Patience.
const (
	Refused Patience = iota // what they say isn't taken
	Absent
	Present // a member, or visible
)

// Order puts the messages of one room in an order in which none precedes its parents (SPEC
// §13.6). A message that was taken comes out once, from Add or from Due.
type Order[T any] struct {
	clock uint64
	known map[Ref]uint64 // places of the messages shown
	ring  []Ref          // the same, in the order shown
	next  int
	heads []Ref // shown, and parents of none shown
	held  []held[T]
	bytes int // of held

	lacks  map[Ref][]Ref       // parents that recalled messages had waited for, perhaps
	lapsed map[Author]struct{} // what they have said was waited for in vain

	Began    time.Time // before then we weren't in the room; zero: we were
	Careless bool      // for tests that show that such a fault is noticed: hold nothing back
}

// held is a message held back.
type held[T any] struct {
	Message[T]
	missing []Ref // parents worth waiting for
	until   time.Time
}

// Next returns the clock and parents of a message to be said now.
func (o *Order[T]) Next(now time.Time) (clock uint64, parents []Ref) {
	return max(uint64(now.UnixMilli()), o.clock+1), slices.Clone(o.heads)
}

// Shown notes a message that was said here.
func (o *Order[T]) Shown(r Ref, clock uint64, parents []Ref) {
	if o.known == nil {
		o.known = map[Ref]uint64{}
	}
	if _, again := o.known[r]; again {
		return
	}
	o.clock = max(o.clock, clock)
	if len(o.ring) < maxKnown {
		o.ring = append(o.ring, r)
	} else {
		delete(o.known, o.ring[o.next])
		o.ring[o.next] = r
		o.next = (o.next + 1) % maxKnown
	}
	o.known[r] = clock
	o.heads = slices.DeleteFunc(o.heads, func(h Ref) bool { return slices.Contains(parents, h) })
	if o.heads = append(o.heads, r); len(o.heads) > maxParents {
		o.heads = slices.Delete(o.heads, 0, 1)
	}
}

// Recall notes a message that was kept before this Order began, after those before it. It
// may have been held back then: what answers it waits for its parents too.
func (o *Order[T]) Recall(now time.Time, r Ref, clock uint64, parents []Ref) {
	o.Shown(r, clock, parents)
	missing := slices.DeleteFunc(slices.Clone(parents), o.has)
	if len(missing) == 0 || clock < uint64(now.Add(-holdFor).UnixMilli()) {
		return
	}
	if o.lacks == nil {
		o.lacks = map[Ref][]Ref{}
	}
	o.lacks[r] = missing
}

// Place returns the clock that m counts for at now, which Add then gives it: its sender's,
// as far as that can be.
func (o *Order[T]) Place(now time.Time, m *Message[T]) uint64 {
	place := m.Clock
	if place > uint64(now.Add(skew).UnixMilli()) {
		place = uint64(now.UnixMilli())
	}
	for _, p := range m.Parents {
		place = max(place, o.known[p]+1)
	}
	return place
}

// Add takes a message that isn't known and returns what is to be shown now, in order. Patience
// says what is to be expected of an author.
func (o *Order[T]) Add(now time.Time, m Message[T], patience func(Author) Patience) []Message[T] {
	m.Clock = o.Place(now, &m)
	delete(o.lapsed, m.Author)
	h := held[T]{Message: m}
	before := m.Clock < uint64(max(0, o.Began.UnixMilli()))
	old := before || m.Clock < uint64(now.Add(-holdFor).UnixMilli())
	var wait time.Duration
	awaited := slices.Clone(m.Parents)
	for _, p := range m.Parents {
		awaited = append(awaited, o.lacks[p]...)
	}
	for _, p := range awaited {
		if o.has(p) || o.Careless {
			continue
		}
		expected := patience(p.Author)
		if expected == Refused {
			continue
		}
		_, lapsed := o.lapsed[p.Author]
		switch {
		case lapsed || old && expected == Absent:
			wait = max(wait, holdBriefly)
		case before:
			wait = max(wait, holdHistory)
		default:
			wait = holdFor
		}
		h.missing = append(h.missing, p)
	}
	if len(h.missing) == 0 {
		return o.show(nil, m)
	}
	h.until = now.Add(wait)
	o.held = append(o.held, h)
	o.bytes += m.Size
	var out []Message[T]
	for len(o.held) > MaxHeld || o.bytes > MaxBytes {
		out = o.force(out, 0)
	}
	return out
}

// Knows reports whether a message was shown or is held.
func (o *Order[T]) Knows(r Ref) bool {
	return o.has(r) || slices.ContainsFunc(o.held, func(h held[T]) bool { return h.Ref == r })
}

// has reports whether a message was shown.
func (o *Order[T]) has(r Ref) bool {
	_, ok := o.known[r]
	return ok
}

// take takes a message out of those held.
func (o *Order[T]) take(i int) held[T] {
	h := o.held[i]
	o.held = slices.Delete(o.held, i, i+1)
	o.bytes -= h.Size
	return h
}

// show shows m and whatever waited for no more than that, the earliest first.
func (o *Order[T]) show(out []Message[T], m Message[T]) []Message[T] {
	for {
		o.Shown(m.Ref, m.Clock, m.Parents)
		out = append(out, m)
		free := o.first(func(h *held[T]) bool { return !slices.ContainsFunc(h.missing, func(p Ref) bool { return !o.has(p) }) })
		if free < 0 {
			return out
		}
		m = o.take(free).Message
	}
}

// force shows what is held at i though a parent is missing, after those parents that are held too.
func (o *Order[T]) force(out []Message[T], i int) []Message[T] {
	h := o.take(i)
	for _, p := range h.missing {
		if at := slices.IndexFunc(o.held, func(o held[T]) bool { return o.Ref == p }); at >= 0 {
			out = o.force(out, at)
		}
	}
	return o.show(out, h.Message)
}

// first is the index of the earliest message held for which ok holds; -1: there is none.
func (o *Order[T]) first(ok func(*held[T]) bool) int {
	first := -1
	for i := range o.held {
		if h := &o.held[i]; ok(h) && (first < 0 || compare(&h.Message, &o.held[first].Message) < 0) {
			first = i
		}
	}
	return first
}

// compare is the order of messages by their clocks, then ids, then authors.
func compare[T any](a, b *Message[T]) int {
	return cmp.Or(cmp.Compare(a.Clock, b.Clock), slices.Compare(a.ID[:], b.ID[:]), slices.Compare(a.Author[:], b.Author[:]))
}

// lapse notes whose messages h has waited for in vain: the next wait for them is brief.
func (o *Order[T]) lapse(h *held[T]) {
	for _, p := range h.missing {
		if !o.has(p) && len(o.lapsed) < maxLapsed {
			if o.lapsed == nil {
				o.lapsed = map[Author]struct{}{}
			}
			o.lapsed[p.Author] = struct{}{}
		}
	}
}

// Due returns what has been held long enough, in order.
func (o *Order[T]) Due(now time.Time) (out []Message[T]) {
	for {
		due := o.first(func(h *held[T]) bool { return !now.Before(h.until) })
		if due < 0 {
			return out
		}
		o.lapse(&o.held[due])
		out = o.force(out, due)
	}
}

// Wake is when to call Due; zero: never.
func (o *Order[T]) Wake() (at time.Time) {
	for i := range o.held {
		if u := o.held[i].until; at.IsZero() || u.Before(at) {
			at = u
		}
	}
	return at
}
