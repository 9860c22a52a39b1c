package store

import (
	"fmt"
	"testing"
	"time"

	"earshot/chat"
)

// handClock is a clock for tests, set by hand.
type handClock struct {
	up   time.Duration
	wall time.Time
}

// setClock makes a store go by a clock that shows now.
func setClock(s *Store) *handClock {
	c := &handClock{up: time.Hour, wall: now}
	s.SetClock(func() (time.Duration, time.Time) { return c.up, c.wall })
	return c
}

func (c *handClock) passes(d time.Duration) { c.up, c.wall = c.up+d, c.wall.Add(d) }

const day = 24 * time.Hour

func TestElapsed(t *testing.T) {
	at := func(day int) time.Time { return now.AddDate(0, 0, day) }
	type look struct {
		again bool // a process begins
		up    time.Duration
		wall  time.Time
		want  time.Duration // has passed
	}
	for what, looks := range map[string][]look{
		"a process runs": {{true, 0, at(0), 0}, {false, day, at(1), day}, {false, 9 * day, at(9), 9 * day}},
		"the clock is set while it runs": {
			{true, 0, time.UnixMilli(0), 0},
			{false, time.Minute, at(0), time.Minute},
			{false, 2 * time.Minute, at(-90), 2 * time.Minute},
			{false, 3 * time.Minute, at(9000), 3 * time.Minute},
		},
		"little time between two runs": {{true, 0, at(0), 0}, {true, time.Hour, at(0).Add(time.Hour), time.Hour}},
		"weeks between two runs":       {{true, 0, at(0), 0}, {true, 0, at(21), day}, {true, 0, at(22), 2 * day}},
		"a machine without a battery for its clock": {
			{true, 0, at(0), 0},
			{true, 0, time.UnixMilli(0), 0},
			{false, time.Minute, at(0).Add(time.Minute), time.Minute},
			{true, 0, time.UnixMilli(0), time.Minute},
			{true, 0, at(0).Add(time.Hour), time.Hour},
		},
		"a clock that was ahead": {{true, 0, at(0), 0}, {true, 0, at(400), day}, {true, 0, at(1), day}, {false, day, at(2), 2 * day}},
	} {
		e := Elapsed{Wall: now}
		for i, l := range looks {
			if l.again {
				e = Elapsed{Passed: e.Passed, Wall: e.Wall}
			}
			if got := e.Look(l.up, l.wall); got != l.want {
				t.Errorf("%s, look %d: %v has passed, want %v", what, i, got, l.want)
			}
		}
	}
	e := Elapsed{Passed: day, Wall: now}
	e.Merge(2*day, at(-1))
	if e.Passed != 2*day || !e.Wall.Equal(now) {
		t.Errorf("after a merge: %+v", e)
	}
}

// What waits fails after the time that it was seen to wait, whatever the clock is set to, in one process or
// several.
func TestClockIsSet(t *testing.T) {
	dir := t.TempDir()
	clock := handClock{wall: now}
	begin := func() *Store {
		s := open(t, dir)
		s.SetClock(func() (time.Duration, time.Time) { return clock.up, clock.wall })
		return s
	}
	fails := func(s *Store, what string, want int64) {
		t.Helper()
		if n := must[int64](t)(s.Expire()); n != want {
			t.Errorf("%s: %d have failed, want %d", what, n, want)
		}
	}
	s := begin()
	check(t, s.writing(func() error { // made while the clock showed 1970
		_, err := s.write.exec(`UPDATE elapsed SET passed = 0, wall = 0, began = 0`)
		return err
	}))
	clock.wall = time.UnixMilli(0)
	s.SetClock(func() (time.Duration, time.Time) { return clock.up, clock.wall })
	must[chat.MessageID](t)(s.Queue(ana, "hello", clock.wall))
	clock.passes(time.Minute)
	clock.wall = now
	fails(s, "the clock is set", 0)
	check(t, s.Close())
	for range 3 { // processes that run for a moment
		clock.wall = clock.wall.Add(21 * day)
		s = begin()
		fails(s, "weeks later", 0)
		check(t, s.Close())
	}
	s = begin()
	other := begin()
	clock.passes(Expiry - 4*day)
	fails(s, "4 days less than a week", 0)
	clock.passes(4 * day)
	fails(s, "a week", 1)
	fails(other, "another process looks", 0)
}

// Of what is deleted the ids are known for 8 days that were seen to pass.
func TestDeletedIsKnown(t *testing.T) {
	s := open(t, t.TempDir())
	clock := setClock(s)
	again := func() bool {
		t.Helper()
		must[int64](t)(s.Delete(ctx, Filter{})) // of which the ids are told by then
		fresh := must[bool](t)(s.Heard(ana, id(1), "one", now, now))
		return fresh
	}
	must[bool](t)(s.Heard(ana, id(1), "one", now, now))
	check(t, s.Flush())
	must[int64](t)(s.Delete(ctx, Filter{}))
	clock.wall = clock.wall.Add(400 * day)
	if again() {
		t.Error("after the clock was set it is taken again")
	}
	clock.passes(remembered + time.Hour)
	if !again() {
		t.Error("the id is known for ever")
	}
}

// What was said or heard while the clock was wrong is dated by its delivery, or by the time that has passed since it
// was kept.
func TestWrongClock(t *testing.T) {
	s := open(t, t.TempDir())
	c := setClock(s)
	want := map[string]time.Time{}
	right := now
	passes := func(d time.Duration) {
		c.up += d
		c.wall, right = c.wall.Add(d), right.Add(d)
	}
	for i, wrong := range []time.Time{now.Add(400 * 24 * time.Hour), time.UnixMilli(0), time.Date(11240, 1, 1, 0, 0, 0, 0, time.UTC), now.Add(26 * time.Hour)} {
		c.wall = wrong
		queued, heard := fmt.Sprint("queued ", i), fmt.Sprint("heard ", i)
		must[bool](t)(s.Said(chat.Saying{To: ana.Key, ID: id(10 * i), Text: queued, Sent: c.wall}))
		must[bool](t)(s.Heard(bob, id(10*i+1), heard, c.wall, c.wall))
		check(t, s.Flush())
		want[queued], want[heard] = right, right
		passes(time.Minute)
	}
	c.wall = right
	must[bool](t)(s.Said(chat.Saying{To: ana.Key, ID: id(99), Text: "right", Sent: c.wall}))
	want["right"] = right
	passes(time.Hour)
	check(t, s.Delivered(ana.Key, id(0), c.wall))
	want["queued 0"] = right
	check(t, s.Flush())
	all := must[[]Message](t)(s.Log(Filter{}))
	if len(all) != len(want) {
		t.Errorf("%d messages, want %d", len(all), len(want))
	}
	for _, m := range append(all, must[[]Message](t)(s.Undelivered())...) {
		if got := m.At(); got.Sub(want[m.Text]).Abs() > time.Second {
			t.Errorf("%q is of %v, want %v", m.Text, got, want[m.Text])
		}
	}
}
