package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/room"
)

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	clock := setClock(s)
	next := 0
	hears := func(who chat.Person, in, text string) chat.MessageID {
		t.Helper()
		next++
		sent := now.AddDate(next-3, 0, 0) // by clocks of theirs
		if in == "" {
			must[bool](t)(s.Heard(who, id(next), text, sent, clock.wall))
		} else {
			must[bool](t)(s.HeardIn(who, chat.Saying{ID: id(next), Text: text, Sent: sent, Room: in}, clock.wall))
		}
		check(t, s.Flush())
		return id(next)
	}
	prunes := func(byDefault time.Duration, want ...string) {
		t.Helper()
		must[int64](t)(s.Prune(ctx, byDefault))
		left := texts(must[[]Message](t)(s.Log(Filter{})))
		slices.Sort(left)
		if slices.Sort(want); !slices.Equal(left, want) {
			t.Errorf("left are %q, want %q", left, want)
		}
	}
	first := hears(ana, "", "from ana")
	hears(bob, "", "from bob")
	inHere := hears(bob, room.Here, "in here")
	hears(bob, "#dev·0123456789abcdef", "in dev")
	must[chat.MessageID](t)(s.Queue(bob, "waits", clock.wall))
	must[[]bool](t)(s.SaidIn(chat.Saying{ID: id(90), Text: "waits in here", Sent: clock.wall, Room: room.Here}, []chat.Person{ana, bob}))
	must[[]bool](t)(s.SaidIn(chat.Saying{ID: id(91), Text: "said in here", Sent: clock.wall, Room: room.Here}, []chat.Person{bob}))
	check(t, s.Delivered(ana.Key, id(90), clock.wall))
	check(t, s.Delivered(bob.Key, id(91), clock.wall))
	check(t, s.Flush())
	check(t, s.SetKeep(bob.Key, "", 0))
	check(t, s.SetKeep(chat.Key{}, "#dev", 30*day))

	clock.passes(24 * time.Hour)
	all := []string{"from ana", "from bob", "in here", "in dev", "waits", "waits in here", "said in here"}
	prunes(0, all...)
	prunes(2*day, all...)
	clock.wall = clock.wall.AddDate(30, 0, 0) // has been set
	prunes(2*day, all...)
	clock.passes(12 * time.Hour)
	hears(ana, "", "later")
	clock.passes(13 * time.Hour)
	prunes(2*day, "from bob", "in dev", "waits", "waits in here", "later")
	// It doesn't come again, by a resend or because somebody joins late.
	if must[bool](t)(s.Heard(ana, first, "from ana", now, clock.wall)) {
		t.Error("taken again")
	}
	if must[bool](t)(s.HeardIn(bob, chat.Saying{ID: inHere, Text: "in here", Sent: now, Room: room.Here}, clock.wall)) {
		t.Error("taken again in a room")
	}
	if left := holding(t, dir, "from ana"); left != nil {
		t.Errorf("left in %v", left)
	}
	clock.passes(10 * day)
	prunes(2*day, "from bob", "in dev", "waits", "waits in here")
	check(t, s.SetKeep(bob.Key, "", KeepDefault))
	clock.passes(20 * day)
	prunes(2*day, "waits", "waits in here")
}

// What was kept before time was counted goes by the clock, but not by one that was ahead then.
func TestPruneWhatIsOlder(t *testing.T) {
	s := open(t, t.TempDir())
	clock := setClock(s)
	for n, at := range []time.Time{now.AddDate(0, 0, -3), now, now.AddDate(9, 0, 0)} {
		must[bool](t)(s.Heard(ana, id(n), at.UTC().Format("2006"), at, at))
	}
	check(t, s.writing(func() error {
		_, err := s.write.exec(`UPDATE messages SET passed = 0`)
		if err == nil {
			_, err = s.write.exec(`UPDATE elapsed SET passed = ?1, began = ?1, wall = ?1`, now.UnixMilli())
		}
		return err
	}))
	s.SetClock(func() (time.Duration, time.Time) { return clock.up, clock.wall })
	for _, step := range []struct {
		after time.Duration
		want  int64
	}{{0, 1}, {day, 0}, {day + time.Hour, 2}} {
		clock.passes(step.after)
		if n := must[int64](t)(s.Prune(ctx, 2*day)); n != step.want {
			t.Errorf("after %v more %d are deleted, want %d", step.after, n, step.want)
		}
	}
}

// Pruning goes on from where it was interrupted, and is kept to by a process that begins.
func TestPruneIsInterrupted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	clock := setClock(s)
	for n := range 1000 {
		must[bool](t)(s.Heard(ana, id(n), "hello", now, now))
	}
	check(t, s.Flush())
	check(t, s.SetKeep(ana.Key, "", day))
	clock.passes(2 * day)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if n, err := s.Prune(ended, 0); n != 0 || err == nil {
		t.Errorf("%d deleted, %v", n, err)
	}
	check(t, s.Close())
	s = open(t, dir)
	if d := must[time.Duration](t)(s.Keep(ana.Key, "")); d != day {
		t.Errorf("kept for %v", d)
	}
	if n := must[int64](t)(s.Prune(ctx, 0)); n != 1000 {
		t.Errorf("%d deleted", n)
	}
}
