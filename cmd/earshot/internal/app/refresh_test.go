package app

import (
	"errors"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/discovery"
)

// beside begins another face of the same person, in a process of its own.
func (d *desk) beside() *desk {
	d.t.Helper()
	if err := d.store.Flush(); err != nil {
		d.t.Fatal(err)
	}
	other := &desk{t: d.t, dir: d.dir, now: d.now, answers: d.answers, members: d.members, keys: d.keys, heads: map[chat.MessageID]*spoken{}}
	other.start()
	d.t.Cleanup(func() { other.store.Close() })
	return other
}

// hearsOf takes what the other has kept.
func (d *desk) hearsOf(other *desk) {
	d.t.Helper()
	d.overhears(other.store)
	if err := d.book.Read(d.store); err != nil {
		d.t.Fatal(err)
	}
	d.Refresh(d.now)
	d.work()
}

func (d *desk) rowOf(c Conv) Row {
	for _, r := range d.Rows() {
		if r.Conv == c {
			return r
		}
	}
	return Row{}
}

// A name that another process has kept, and a block, are told as soon as they are noticed.
func TestRefreshTellsAtOnce(t *testing.T) {
	d := newDesk(t)
	d.answers[ana.Key] = ana
	d.sees(ana, discovery.Up)
	d.hears(ana, "hello")
	d.Turn(Conv{Key: ana.Key}, d.now)
	d.work()
	d.Tick(d.now)
	d.myName = func() string { return "Max" }
	d.News()
	if err := d.store.SetBlocked(ana, true, d.now); err != nil {
		t.Fatal(err)
	}
	if err := d.book.Read(d.store); err != nil {
		t.Fatal(err)
	}
	d.Refresh(d.now)
	said := false
	for _, n := range d.News() {
		said = said || n.Text == "you are Max from now on"
	}
	if !said || d.Me().Name != "Max" || !d.current.barred {
		t.Errorf("I am %q, told so: %v, and of the block: %v", d.Me().Name, said, d.current.barred)
	}
}

// A message that another process has received and shown isn't unread here when the mark comes first.
func TestReadElsewhereFirst(t *testing.T) {
	d := newDesk(t)
	d.answers[ana.Key] = ana
	withAna := Conv{Key: ana.Key}
	d.sees(ana, discovery.Up)
	d.hears(ana, "hello")
	if err := d.store.Flush(); err != nil {
		t.Fatal(err)
	}
	o := d.beside()
	for _, s := range []*store.Store{d.store, o.store} {
		if _, err := s.News(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range byte(3) {
		if _, err := o.store.Heard(ana, chat.MessageID{40 + i}, "more", d.now, d.now); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := errors.Join(o.store.Flush(), o.store.SetSeen(ana.Key, "", number(t, o, 41))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := o.store.Flush(); err != nil {
		t.Fatal(err)
	}
	before := d.rowOf(withAna).Unread
	d.Refresh(d.now)
	d.work()
	d.overhears(o.store)
	if got := d.rowOf(withAna).Unread; got != 1 {
		t.Errorf("%d are unread, %d before", got, before)
	}
}

func number(t *testing.T, d *desk, id byte) int64 {
	t.Helper()
	n, err := d.store.Number(ana.Key, false, chat.MessageID{id})
	if err != nil || n == 0 {
		t.Fatalf("number %d, %v", n, err)
	}
	return n
}

// What one process mutes, reads or begins, another takes in, and doesn't take back.
func TestViewsOfSeveralProcesses(t *testing.T) {
	d := newDesk(t)
	d.answers[ana.Key], d.answers[bob.Key] = ana, bob
	withAna, withBob, here := Conv{Key: ana.Key}, Conv{Key: bob.Key}, Conv{Room: "#here"}
	hear := func(to *desk, from chat.Person, id byte, room, text string) {
		t.Helper()
		var err error
		if m := (chat.Saying{ID: chat.MessageID{id}, Text: text, Sent: d.now, Room: room, Clock: uint64(id)}); room == "" {
			_, err = to.store.Heard(from, m.ID, text, d.now, d.now)
		} else {
			_, err = to.store.HeardIn(from, m, d.now)
		}
		if err != nil {
			t.Fatal(err)
		}
		to.Heard(chat.Event{Kind: chat.Message, Person: from, ID: chat.MessageID{id}, Text: text, Sent: d.now, Received: d.now, Room: room, Clock: uint64(id)}, d.now)
	}
	for _, from := range []chat.Person{ana, bob} {
		d.sees(from, discovery.Up)
		hear(d, from, from.Key[0], "", "hello")
	}
	o := d.beside()
	if _, err := d.store.News(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.store.News(); err != nil {
		t.Fatal(err)
	}
	for i := range byte(3) {
		hear(d, bob, 10+i, "", "more")
		hear(d, bob, 20+i, "#here", "@me, more")
	}
	o.hearsOf(d)
	if r := o.rowOf(withBob); r.Unread != 4 {
		t.Fatalf("at first %d are unread", r.Unread)
	}
	o.types("/mute bob")
	o.work()
	o.Turn(withAna, d.now)
	o.SetDraft(withAna, "of the other")
	d.Attend(true)
	d.Turn(withBob, d.now)
	d.work()
	d.SetDraft(withBob, "half")
	d.Turn(here, d.now)
	d.work()
	d.Tick(d.now.Add(2 * time.Second))
	d.work()
	d.hearsOf(o)
	o.hearsOf(d)
	for what, s := range map[string]*desk{"here": d, "there": o} {
		r := s.rowOf(withBob)
		if !r.Muted || r.Unread != 0 || s.Draft(withBob) != "half" {
			t.Errorf("%s: bob is muted %v, %d are unread, begun is %q", what, r.Muted, r.Unread, s.Draft(withBob))
		}
		if r := s.rowOf(here); r.Unread != 0 || r.Mentions != 0 {
			t.Errorf("%s: in the room %d are unread, %d call me", what, r.Unread, r.Mentions)
		}
	}
	if r := d.rowOf(withAna); r.Unread != 1 {
		t.Errorf("what nobody has kept as read: %d are unread", r.Unread)
	}
	// What comes later is unread in both, and counts from there.
	hear(d, ana, 30, "", "later")
	o.hearsOf(d)
	hear(o, bob, 31, "", "later")
	d.hearsOf(o)
	for what, s := range map[string]*desk{"here": d, "there": o} {
		if r := s.rowOf(withBob); r.Unread != 1 {
			t.Errorf("%s: later %d are unread", what, r.Unread)
		}
	}
	// A draft that is being written here isn't taken away, and is there again where it was.
	o.Tick(d.now.Add(2 * time.Second))
	o.work()
	o.Turn(Conv{}, d.now)
	d.hearsOf(o)
	if got := d.Draft(withAna); got != "of the other" {
		t.Errorf("begun with ana: %q", got)
	}
	d.Turn(withAna, d.now)
	d.SetDraft(withAna, "mine")
	if err := o.store.SetDraft(ana.Key, "", "another"); err != nil {
		t.Fatal(err)
	}
	d.hearsOf(o)
	d.Turn(Conv{}, d.now)
	if got := d.Draft(withAna); got != "mine" {
		t.Errorf("what was being written has become %q", got)
	}
}

// What is decided about somebody elsewhere shows at once.
func TestDecidedElsewhere(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	d.hears(ana, "hello")
	if _, err := d.store.Heard(ana, chat.MessageID{7}, "hello", d.now, d.now); err != nil {
		t.Fatal(err)
	}
	other, err := store.Open(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.SetPetname(ana, "anna", d.now); err != nil {
		t.Fatal(err)
	}
	if err := d.book.Read(d.store); err != nil {
		t.Fatal(err)
	}
	d.Refresh(d.now)
	if r := d.rowOf(Conv{Key: ana.Key}); r.Label != "anna" {
		t.Errorf("she is shown as %q", r.Label)
	}
	if err := other.SetBlocked(ana, true, d.now); err != nil {
		t.Fatal(err)
	}
	if err := d.book.Read(d.store); err != nil {
		t.Fatal(err)
	}
	d.Refresh(d.now)
	if r := d.rowOf(Conv{Key: ana.Key}); r.Label != "" {
		t.Errorf("whoever is blocked is shown as %q", r.Label)
	}
}

// What was changed a moment ago is kept when the process ends before its job has begun.
func TestKeptAtTheEnd(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	d.hears(ana, "hello")
	if _, err := d.store.Heard(ana, chat.MessageID{7}, "hello", d.now, d.now); err != nil {
		t.Fatal(err)
	}
	d.types("/mute ana")
	d.start() // without work
	if r := d.rowOf(Conv{Key: ana.Key}); !r.Muted {
		t.Error("not muted")
	}
}
