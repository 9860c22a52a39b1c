package app

import (
	"slices"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
)

// What is there at first is no news; what comes to wait, fails, or is queued again is told
// once; what a process sends isn't waiting, and what is taken back nobody asks after.
func TestOutboxTells(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	now, up := time.Now(), time.Duration(0)
	s.SetClock(func() (time.Duration, time.Time) { return up, now })
	queue := func(name string) chat.MessageID {
		id, err := s.Queue(chat.Person{Name: name}, "hello", now)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	var told []string
	o := &outbox{tell: func(m store.Message) bool { told = append(told, m.Name+" "+m.Status.String()); return true }}
	expect := func(want ...string) {
		t.Helper()
		told = nil
		o.look(s)
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	}

	queue("ana")
	expect()
	bob := queue("bob")
	expect("bob queued")
	expect()
	if err := s.Cancel(bob, store.Cancelled); err != nil {
		t.Fatal(err)
	}
	expect()
	up = time.Hour
	if err := s.Retry(bob, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	expect("bob queued")
	up = store.Expiry + time.Minute
	if n, err := s.Expire(); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	expect("ana failed")

	// Somebody known is being spoken to by this very process.
	carol := chat.Person{Key: chat.Key{1}, Name: "carol"}
	own, err := s.Said(chat.Saying{To: carol.Key, Name: carol.Name, ID: chat.MessageID{1}, Text: "hello", Sent: now})
	if !own || err != nil {
		t.Fatal(own, err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	expect()
	if !s.Release(carol.Key) {
		t.Fatal("kept")
	}
	expect("carol queued")
}

// What has waited too long isn't sent any more, not even when they are met before anybody looked.
func TestNothingStaleIsSent(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ana := chat.Person{Key: chat.Key{1}, Name: "ana"}
	up := time.Duration(0)
	s.SetClock(func() (time.Duration, time.Time) { return up, time.Now() })
	for _, text := range []string{"old", "new"} {
		if _, err := s.Queue(ana, text, time.Now()); err != nil {
			t.Fatal(err)
		}
		up += 5 * 24 * time.Hour
	}
	all, err := keeper{s, new(Book)}.Outbox(ana.Key)
	if err != nil || len(all) != 1 || all[0].Text != "new" {
		t.Errorf("sends %v, %v", all, err)
	}
	left, err := s.Undelivered()
	if err != nil || len(left) != 2 || left[0].Status+left[1].Status != store.Failed+store.Queued {
		t.Errorf("left: %v, %v", left, err)
	}
}

// The outbox names whoever is visible when something is said to them, though they never told
// their name.
func TestKeptUnderTheAnnouncedName(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	k := keeper{s, new(Book)}
	ana, bob, carol := chat.Key{1}, chat.Key{2}, chat.Person{Key: chat.Key{3}, Name: "carol"}
	k.book.Announce(ana, "ana")
	k.book.Announce(bob, "bob")
	k.book.Announce(carol.Key, "eve")
	if _, err := k.SaidIn(chat.Saying{ID: chat.MessageID{1}, Text: "hello", Room: "#here"}, []chat.Person{{Key: ana}, carol}); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Said(chat.Saying{To: bob, ID: chat.MessageID{2}, Text: "hello"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	var names []string
	all, err := s.Undelivered()
	for _, m := range all {
		names = append(names, m.Name)
	}
	if err != nil || !slices.Equal(names, []string{"ana", "carol", "bob"}) {
		t.Errorf("kept for %q, %v", names, err)
	}
}
