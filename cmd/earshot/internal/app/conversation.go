package app

import (
	"slices"
	"sort"
	"strings"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/clean"
)

// Conv names a conversation. The zero Conv is none.
type Conv struct {
	Key  chat.Key // with whom
	Room string   // or in which room, by its name: one is in one room of a name at a time
}

// IsZero reports whether c is no conversation.
func (c Conv) IsZero() bool { return c == Conv{} }

// State is what has become of a line.
type State uint8

// States of a [Line].
const (
	Heard     State = iota // somebody else said it, or it is a notice
	Queued                 // it waits until they are back
	Sent                   // on its way: not yet acknowledged
	Delivered              // the other side has it
	Failed                 // it won't be; Reason says why
)

// String returns the state in one word.
func (s State) String() string {
	return [...]string{"heard", "queued", "sent", "delivered", "failed"}[s]
}

// Line is something said in a conversation, or a notice of what happened in it.
type Line struct {
	N      int64          // grows from line to line; unique in its conversation for as long as it is in memory
	ID     chat.MessageID // zero: a notice, or what couldn't be kept
	From   chat.Key       // who said it
	Name   string         // what they were called then, unsanitised; empty: I said it, or it isn't known
	Out    bool           // I did
	Notice bool
	Action bool   // "/me waves": Text is "waves"
	Text   string // harmless; several lines are parted by \n
	At     time.Time
	State  State
	Reason string // of Failed; harmless

	Elsewhere bool // I said it in another process

	Mention bool // in a room: it calls me
	Got, Of int  // my own in a room: how many of the members have it, of how many

	Late bool // in a room: when it came, one stood here already that it precedes in the log

	raw  string // Failed before it was kept: what to say again
	in   string // the handle of the room in which I said it in this process
	here bool   // I said it in this process
	kept int64  // its number in the store, where it was read from there; 0: it came while this process ran
}

// number is what a view notes of a line that was seen.
func (l *Line) number() int64 {
	if l.kept > 0 {
		return l.kept
	}
	return l.N
}

// liveN is where the numbers of lines begin that came while this process ran. Those
// read from the store have the store's.
const liveN = 1 << 40

// lineID names a line of a conversation: an id is its sender's choice, who may take one that
// another has taken (SPEC §7.5).
type lineID struct {
	from chat.Key // zero: I
	id   chat.MessageID
}

func (l *Line) lineID() lineID {
	if l.Out {
		return lineID{id: l.ID}
	}
	return lineID{l.From, l.ID}
}

// lines is a run of lines in order, without gaps.
type lines struct {
	buf   []Line
	head  int // of buf that is in use
	bytes int
	byID  map[lineID]int64
}

func (l *lines) all() []Line { return l.buf[l.head:] }

func (l *lines) index(line *Line) {
	l.bytes += len(line.Text)
	if line.ID != (chat.MessageID{}) {
		if l.byID == nil {
			l.byID = map[lineID]int64{}
		}
		l.byID[line.lineID()] = line.N
	}
}

func (l *lines) has(id lineID) bool {
	_, ok := l.byID[id]
	return ok
}

func (l *lines) append(line Line) {
	if len(l.buf) == cap(l.buf) && l.head > len(l.buf)/2 {
		n := copy(l.buf, l.buf[l.head:])
		clear(l.buf[n:])
		l.buf, l.head = l.buf[:n], 0
	}
	l.buf = append(l.buf, line)
	l.index(&line)
}

// prepend puts older lines before the others.
func (l *lines) prepend(older []Line) {
	if l.head < len(older) {
		room := len(older) + len(l.all()) // doubled each time
		buf := make([]Line, room+len(l.all()), room+2*len(l.all()))
		copy(buf[room:], l.all())
		l.buf, l.head = buf, room
	}
	l.head -= len(older)
	copy(l.buf[l.head:], older)
	for i := range older {
		l.index(&older[i])
	}
}

// at returns the line of that number, nil when it isn't here.
func (l *lines) at(n int64) *Line {
	all := l.all()
	i := sort.Search(len(all), func(i int) bool { return all[i].N >= n })
	if i == len(all) || all[i].N != n {
		return nil
	}
	return &all[i]
}

// remove takes a line away.
func (l *lines) remove(n int64) {
	all := l.all()
	if i := slices.IndexFunc(all, func(line Line) bool { return line.N == n }); i >= 0 {
		l.bytes -= len(all[i].Text)
		delete(l.byID, all[i].lineID())
		l.buf = slices.Delete(l.buf, l.head+i, l.head+i+1)
	}
}

// trim forgets the oldest lines beyond a number and a size.
func (l *lines) trim(count, bytes int) {
	for len(l.all()) > 1 && (len(l.all()) > count || l.bytes > bytes) {
		line := &l.buf[l.head]
		l.bytes -= len(line.Text)
		delete(l.byID, line.lineID())
		*line = Line{}
		l.head++
	}
}

const (
	pageLines = 200 // read from the store at once

	// In memory of a conversation: where there is a store, the rest comes from there.
	mostLines, mostBytes             = 20000, 16 << 20 // of one that was opened
	mostUnopenedLines, mostWaitBytes = 100, 256 << 10
)

// contact is somebody in the list of people, and the conversation with them.
type contact struct {
	conv   Conv
	person chat.Person
	known  bool   // something was said before
	called string // what the book says that they call themselves
	addrs  int    // how many the roster knows; -1: they aren't visible

	shown, fold string // what they are called here
	label, arg  string // with marks, and without
	sort        string // label, folded
	warned      bool
	verified    bool
	blocked     bool
	barred      bool // it was when the conversation was turned to, or was told to be since

	linked, away bool // there is a session; there was one, and they don't answer
	reaching     bool // it is being found out whether they answer

	opened bool  // the conversation was before somebody's eyes
	tail   lines // up to the newest
	past   lines // where somebody has jumped to, instead; empty: nowhere
	whole  bool  // nothing is older than tail
	top    int64 // the greatest number in the store of what was read
	undone []int64

	view   store.View
	stored store.View        // as it was last read from the store or written there
	drafts map[string]*draft // by the handle of the room in which they are written; with a person by none
	readTo int64             // the number in the store up to which another process has shown the conversation
	rule   int64
	last   time.Time

	typingUntil time.Time

	parlour // of a room
}

// line makes one of a message kept.
func (s *Session) line(c *contact, m store.Message) Line {
	l := Line{N: m.N, kept: m.N, ID: m.ID, From: m.Peer, Name: m.As, Out: m.Out, At: m.Received}
	l.Text, l.Action = text(m.Text)
	if m.Room != "" {
		s.inRoom(&l, m)
		return l
	}
	if m.Out {
		l.From, l.At = s.me.Key, m.At()
		switch l.State = c.sending(); m.Status {
		case store.Done:
			l.State = Delivered
		case store.Failed:
			l.State, l.Reason = Failed, Why(m.Failure)
		case store.Cancelled:
			l.State, l.Reason = Failed, takenBack
		case store.Queued:
		}
	}
	return l
}

// has reports whether an event's message has been read from the store.
func (c *contact) has(e chat.Event) bool {
	known := Line{ID: e.ID, From: e.Person.Key, Out: e.Kind == chat.Said}
	return e.Kept != 0 && e.Kept <= c.view.Newest || c.tail.has(known.lineID())
}

// overheard takes what I have said in another process.
func (s *Session) overheard(e chat.Event) {
	c := s.about(Conv{Key: e.Person.Key, Room: e.Room})
	if c.has(e) {
		return
	}
	kept, err := s.store.Log(store.Filter{After: e.Kept - 1, Before: e.Kept + 1})
	if err != nil || len(kept) == 0 { // deleted meanwhile
		return
	}
	line := s.line(c, kept[0])
	line.Elsewhere, line.Late, line.kept = true, e.Late, 0
	if n := s.add(c, line); line.State == Queued || line.State == Sent {
		c.undone = append(c.undone, n)
	}
	if c == s.current && s.attended {
		s.seen(c)
	}
}

// sending is the state of what isn't delivered.
func (c *contact) sending() State {
	if c.linked {
		return Sent
	}
	return Queued
}

// text makes what was said harmless, and knows what somebody does from what they say.
func text(raw string) (said string, action bool) {
	if rest, ok := cutMe(raw); ok {
		return clean.Text(rest), true
	}
	return clean.Text(raw), false
}

// cutMe returns what somebody does who says "/me does".
func cutMe(raw string) (string, bool) {
	rest, ok := strings.CutPrefix(raw, "/me ")
	return rest, ok && strings.TrimSpace(rest) != ""
}

// shownLines are those before somebody's eyes.
func (c *contact) shownLines() *lines {
	if len(c.past.all()) > 0 {
		return &c.past
	}
	return &c.tail
}

// older reads a page of what came before from the store.
func (s *Session) older(c *contact) bool {
	l := c.shownLines()
	if s.store == nil || l == &c.tail && c.whole {
		return false
	}
	f := store.Filter{Peer: c.conv.Key, Room: c.conv.Room, Limit: pageLines}
	next := int64(liveN / 2)
	if all := l.all(); len(all) > 0 {
		next = min(next, all[0].N)
	}
	if i := slices.IndexFunc(l.all(), func(l Line) bool { return l.ID != (chat.MessageID{}) }); i >= 0 {
		first := l.all()[i]
		if f.Above = first.kept; f.Above == 0 {
			_ = s.store.Flush() // what isn't there isn't older
			f.Above, _ = s.store.Number(c.author(&first), first.Out, first.ID)
		}
	}
	page := s.page(c, f, l)
	if len(page) == 0 {
		c.whole = c.whole || l == &c.tail
		return false
	}
	c.number(page, next-int64(len(page)))
	l.prepend(page)
	s.track(c, page)
	return true
}

// page reads lines that l doesn't have.
func (s *Session) page(c *contact, f store.Filter, l *lines) (page []Line) {
	all, err := s.store.Log(f)
	if err != nil {
		s.Tell(s.explain(err))
	}
	for _, m := range all {
		known := Line{ID: m.ID, From: m.Peer, Out: m.Out}
		c.top = max(c.top, m.N)
		if !l.has(known.lineID()) {
			page = append(page, s.line(c, m))
		}
	}
	return page
}

// number gives lines of a room, which don't stand in the order of the numbers that the store gave them, numbers from
// first on.
func (c *contact) number(page []Line, first int64) {
	for i := range page {
		if c.conv.Room != "" {
			page[i].N = first + int64(i)
		}
	}
}

// newer reads a page of what came after the place that somebody has jumped to. When it
// meets the end of the conversation, both are one.
func (s *Session) newer(c *contact) bool {
	past := c.past.all()
	if len(past) == 0 {
		return false
	}
	last := past[len(past)-1]
	page := s.page(c, store.Filter{Peer: c.conv.Key, Room: c.conv.Room, Below: last.kept, Limit: pageLines, First: true}, &c.past)
	page, met := c.untilTail(page, len(page) < pageLines)
	c.number(page, last.N+1)
	for i := range page {
		c.past.append(page[i])
	}
	if met {
		c.tail.prepend(c.past.all())
		c.past, c.whole = lines{}, false
	}
	return true
}

// untilTail returns the lines of a page before those that the end of the conversation has, and whether there are any
// of these. What came late stands at the end only.
func (c *contact) untilTail(page []Line, met bool) ([]Line, bool) {
	page = slices.DeleteFunc(page, func(l Line) bool { return c.tail.byID[l.lineID()] >= liveN })
	if i := slices.IndexFunc(page, func(l Line) bool { return c.tail.has(l.lineID()) }); i >= 0 {
		return page[:i], true
	}
	return page, met
}

// pastN is how far below the numbers of the end of a room those begin of what somebody has jumped to.
const pastN = 1 << 30

// jump shows the surroundings of a message, by the number that the store gave it.
func (s *Session) jump(c *contact, n int64) bool {
	c.past = lines{}
	if slices.ContainsFunc(c.tail.all(), func(l Line) bool { return l.number() == n }) {
		return true
	}
	if s.store == nil {
		return false
	}
	var around lines
	hit := s.page(c, store.Filter{Peer: c.conv.Key, Room: c.conv.Room, After: n - 1, Before: n + 1}, &around)
	if len(hit) == 0 {
		return false
	}
	if c.tail.has(hit[0].lineID()) { // under another number
		return true
	}
	above := s.page(c, store.Filter{Peer: c.conv.Key, Room: c.conv.Room, Above: n, Limit: pageLines / 2}, &around)
	page, met := c.untilTail(append(above, hit...), false)
	first := int64(liveN / 2)
	if all := c.tail.all(); len(all) > 0 {
		first = min(first, all[0].N)
	}
	if met {
		c.number(page, first-int64(len(page)))
		c.tail.prepend(page)
		return true
	}
	c.number(page, first-pastN)
	around.prepend(page)
	c.past = around
	s.newer(c) // so that it doesn't stand at the edge
	return true
}

// track notes which lines of a page aren't delivered.
func (s *Session) track(c *contact, page []Line) {
	var undone []int64
	for i := range page {
		if page[i].State == Queued || page[i].State == Sent {
			undone = append(undone, page[i].N)
		}
	}
	c.undone = append(undone, c.undone...)
}
