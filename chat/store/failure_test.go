package store

import (
	"testing"
	"time"

	"earshot/chat"
)

// A message given up for one person has failed, for the reason said, and keeps nothing else from being sent.
// Tried again, it waits as any other.
func TestFail(t *testing.T) {
	s := open(t, t.TempDir())
	ana, bob := chat.Person{Key: key(1), Name: "ana"}, chat.Person{Key: key(2), Name: "bob"}
	now := time.Now()
	must[bool](t)(s.Said(chat.Saying{To: ana.Key, Name: "ana", ID: id(1), Text: "long", Sent: now}))
	must[bool](t)(s.Said(chat.Saying{To: ana.Key, Name: "ana", ID: id(2), Text: "short", Sent: now}))
	must[[]bool](t)(s.SaidIn(chat.Saying{ID: id(3), Text: "in a room", Sent: now, Room: "#dev", Clock: 1}, []chat.Person{ana, bob}))
	check(t, s.Fail(ana.Key, id(1), chat.TooBigForPath))
	check(t, s.Fail(ana.Key, id(3), chat.TooBigForPath))
	for _, m := range must[[]Message](t)(s.Undelivered()) {
		failed := m.Peer == ana.Key && m.ID != id(2)
		if failed != (m.Status == Failed) || failed != (m.Failure == chat.TooBigForPath) {
			t.Errorf("%q to %s: %v, %d", m.Text, m.Name, m.Status, m.Failure)
		}
	}
	if why, failed := s.Failure(ana.Key, id(1)); !failed || why != chat.TooBigForPath {
		t.Errorf("failed %v for %d", failed, why)
	}
	check(t, s.Delivered(ana.Key, id(2), now))
	check(t, s.Flush())
	check(t, s.Fail(ana.Key, id(2), chat.TooBigForPath))
	if status := must[Status](t)(s.Fate(ana.Key, id(2))); status != Done {
		t.Errorf("what is delivered is %v", status)
	}
	check(t, s.Retry(id(1), now))
	if _, failed := s.Failure(ana.Key, id(1)); failed || !s.Release(ana.Key) {
		t.Error("it has failed although it waits again")
	}
}
