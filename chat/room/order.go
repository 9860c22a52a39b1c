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

// Limits of what a message names (SPEC §13.6).
const (
	maxParents = 8
	maxEarlier = 4
	maxHeads   = 1024 // messages that none names, from which the parents of the next are taken
)

// MaxAhead is how far ahead of ours a clock may be that the next message goes beyond.
const MaxAhead = 24 * time.Hour

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
	Clock   uint64 // the sender's; Order makes it the message's time (SPEC §13.10)
	Parents []Ref
	Earlier []Ref // parents that nobody waits for
	Late    bool  // set by Order: one is shown already that it precedes
	Size    int   // bytes it takes
	Body    T
}

// names returns all parents of m.
func (m *Message[T]) names() []Ref { return slices.Concat(m.Parents, m.Earlier) }

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
	known map[Ref]uint64 // times of the messages shown
	ring  []Ref          // the same, in the order shown
	next  int
	heads []head           // shown, and named by none shown
	named map[Ref]struct{} // not shown, and named by one shown
	held  []held[T]
	bytes int // of held

	recent   map[Ref][]Ref // parents of recalled messages that may have been held back
	recalled time.Time     // when the last was

	lapsed map[Author]struct{} // what they have said was waited for in vain

	Began    time.Time // before then we weren't in the room; zero: we were
	Careless bool      // for tests that show that such a fault is noticed: hold nothing back

	Wall func(now time.Time) time.Time // for tests: what the clock shows then; nil: the same
}

// head is a message that none shown names.
type head struct {
	Ref
	time  uint64
	shown time.Time // zero: earlier than late join reaches
}

// held is a message held back.
type held[T any] struct {
	Message[T]
	missing []Ref // parents worth waiting for
	until   time.Time
}

// Next returns the clock of a message to be said now, its parents, and those that nobody waits for.
func (o *Order[T]) Next(now time.Time) (clock uint64, parents, earlier []Ref) {
	for _, h := range slices.Backward(o.heads) {
		if old := h.shown.IsZero() || now.Sub(h.shown) >= Recent; old && len(earlier) < maxEarlier {
			earlier = append(earlier, h.Ref)
		} else if !old && len(parents) < maxParents {
			parents = append(parents, h.Ref)
		}
	}
	slices.Reverse(parents)
	slices.Reverse(earlier)
	return max(o.ms(now), o.clock+1), parents, earlier
}

// ms returns what the clock shows at t, as it is written.
func (o *Order[T]) ms(t time.Time) uint64 {
	if o.Wall != nil {
		t = o.Wall(t)
	}
	return uint64(max(0, t.UnixMilli()))
}

// Said notes a message that was said here. Its names are all parents that it has.
func (o *Order[T]) Said(now time.Time, r Ref, clock uint64, names []Ref) {
	o.shown(now, now, r, clock, names)
}

// shown notes a message that is shown, and reports whether it precedes one shown before (SPEC §13.10).
func (o *Order[T]) shown(now, at time.Time, r Ref, clock uint64, names []Ref) (late bool) {
	if o.known == nil {
		o.known, o.named = map[Ref]uint64{}, map[Ref]struct{}{}
	}
	if _, again := o.known[r]; again {
		return false
	}
	if clock <= o.ms(now.Add(MaxAhead)) {
		o.clock = max(o.clock, clock)
	}
	t := o.time(clock, names)
	if len(o.ring) < maxKnown {
		o.ring = append(o.ring, r)
	} else {
		delete(o.known, o.ring[o.next])
		o.ring[o.next] = r
		o.next = (o.next + 1) % maxKnown
	}
	o.known[r] = t
	o.heads = slices.DeleteFunc(o.heads, func(h head) bool { return slices.Contains(names, h.Ref) })
	for _, p := range names {
		if !o.has(p) && len(o.named) < maxKnown {
			o.named[p] = struct{}{}
		}
	}
	if _, named := o.named[r]; named {
		delete(o.named, r)
		return true
	}
	mine := Rank{Unbound(t), t}
	late = slices.ContainsFunc(o.heads, func(h head) bool { return Compare(mine, Rank{Unbound(h.time), h.time}, r, h.Ref) < 0 })
	if o.heads = append(o.heads, head{r, t, at}); len(o.heads) > maxHeads {
		o.heads = slices.Delete(o.heads, 0, 1)
	}
	return late
}

// time returns the time of a message, as far as what it names is known.
func (o *Order[T]) time(clock uint64, names []Ref) uint64 {
	var after uint64
	for _, p := range names {
		if t, ok := o.known[p]; ok {
			after = max(after, t+1)
		}
	}
	return Time(clock, after)
}

// Recall notes a message that was kept before this Order began, after those before it. It
// may have been held back then: what answers it waits for its parents too. Old says that it is from
// before what late join gives.
func (o *Order[T]) Recall(now time.Time, r Ref, clock uint64, parents, earlier []Ref, old bool) {
	at := now
	if old {
		at = time.Time{}
	}
	o.shown(now, at, r, clock, slices.Concat(parents, earlier))
	if len(parents) == 0 || o.saidAt(now, clock) < o.ms(now.Add(-holdFor)) {
		return
	}
	if o.recent == nil {
		o.recent = map[Ref][]Ref{}
	}
	o.recent[r], o.recalled = slices.Clone(parents), now
}

// awaited returns what a message with these parents may have to wait for: them, and for as long as recalled ones may
// still wait, the parents of these, and theirs in turn.
func (o *Order[T]) awaited(now time.Time, parents []Ref) []Ref {
	if now.Sub(o.recalled) >= holdFor {
		o.recent = nil
	}
	if len(o.recent) == 0 {
		return parents
	}
	var all []Ref
	seen := map[Ref]struct{}{}
	for more := slices.Clone(parents); len(more) > 0; more = more[1:] {
		if _, again := seen[more[0]]; !again {
			seen[more[0]] = struct{}{}
			all, more = append(all, more[0]), append(more, o.recent[more[0]]...)
		}
	}
	return all
}

// saidAt returns when a message with that clock was said, as far as is known: how long to wait for its parents
// depends on it. What is older than late join gives comes from a clock that is wrong, or has waited.
func (o *Order[T]) saidAt(now time.Time, clock uint64) uint64 {
	if clock < firstClock || clock > o.ms(now.Add(skew)) || clock < o.ms(now.Add(-Recent)) {
		return o.ms(now)
	}
	return clock
}

// Add takes a message that isn't known and returns what is to be shown now, in order. Patience
// says what is to be expected of an author.
func (o *Order[T]) Add(now time.Time, m Message[T], patience func(Author) Patience) []Message[T] {
	m.Clock = o.time(m.Clock, m.names())
	said := o.saidAt(now, m.Clock)
	delete(o.lapsed, m.Author)
	h := held[T]{Message: m}
	before := said < o.ms(o.Began)
	old := before || said < o.ms(now.Add(-holdFor))
	var wait time.Duration
	for _, p := range o.awaited(now, m.Parents) {
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
		return o.show(now, nil, m)
	}
	h.until = now.Add(wait)
	o.held = append(o.held, h)
	o.bytes += m.Size
	var out []Message[T]
	for len(o.held) > MaxHeld || o.bytes > MaxBytes {
		out = o.force(now, out, 0)
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
func (o *Order[T]) show(now time.Time, out []Message[T], m Message[T]) []Message[T] {
	for {
		m.Late = o.shown(now, now, m.Ref, m.Clock, m.names())
		m.Clock = o.known[m.Ref]
		out = append(out, m)
		free := o.first(func(h *held[T]) bool { return !slices.ContainsFunc(h.missing, func(p Ref) bool { return !o.has(p) }) })
		if free < 0 {
			return out
		}
		m = o.take(free).Message
	}
}

// force shows what is held at i though a parent is missing, after those parents that are held too.
func (o *Order[T]) force(now time.Time, out []Message[T], i int) []Message[T] {
	h := o.take(i)
	for _, p := range h.missing {
		if at := slices.IndexFunc(o.held, func(o held[T]) bool { return o.Ref == p }); at >= 0 {
			out = o.force(now, out, at)
		}
	}
	return o.show(now, out, h.Message)
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
		out = o.force(now, out, due)
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
