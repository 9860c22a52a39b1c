package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"earshot/chat"
)

// What a person hasn't taken stays queued with the reason, keeps nothing else waiting, is nobody's to
// send until its time has come, and survives the process that was told.
func TestDecline(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	saidIn := func(n int, name string) {
		_, err := s.SaidIn(chat.Saying{ID: id(n), Text: fmt.Sprint("said ", n), Sent: now, Room: name, Head: "head", Clock: uint64(n)}, []chat.Person{somebody(2, "bob")})
		check(t, err)
	}
	saidIn(1, "#dev")
	saidIn(2, "#here")
	_, err := s.Said(chat.Saying{To: key(2), ID: id(3), Text: "said 3", Sent: now})
	check(t, err)
	saidIn(4, "#dev")
	for n, reason := range map[int]chat.Reason{1: chat.NotInRoom, 2: chat.NotInRoom, 3: chat.Quota} {
		check(t, s.Decline(chat.Saying{To: key(2), ID: id(n)}, reason, now))
	}
	check(t, s.Delivered(key(2), id(4), now))
	if s.Waits(key(2)) {
		t.Error("what is declined waits for any process")
	}
	if all, err := s.Outbox(key(2)); err != nil || len(all) != 0 {
		t.Errorf("the outbox: %v, %v", all, err)
	}
	if own, err := s.Said(chat.Saying{To: key(2), ID: id(5), Text: "said 5", Sent: now}); err != nil || !own {
		t.Errorf("what is said afterwards waits: %v", err)
	}
	check(t, s.Delivered(key(2), id(5), now))
	check(t, s.Close())

	s = open(t, dir)
	all, err := s.Undelivered()
	check(t, err)
	var reasons []chat.Reason
	for _, m := range all {
		if reasons = append(reasons, m.Declined); !m.Idle {
			t.Errorf("%q is being sent", m.Text)
		}
	}
	if want := []chat.Reason{chat.NotInRoom, chat.NotInRoom, chat.Quota}; !slices.Equal(reasons, want) {
		t.Errorf("reasons: %v, want %v", reasons, want)
	}
	if got, of, missing, err := s.Delivery(id(1)); err != nil || got != 0 || of != 1 || missing[0].Reason != chat.NotInRoom {
		t.Errorf("%d of %d, missing %+v, %v", got, of, missing, err)
	}
	again := func(want string, rooms ...string) {
		t.Helper()
		all, err := s.Redeliver(key(2), rooms)
		check(t, err)
		var texts []string
		for _, m := range all {
			texts = append(texts, m.Room+" "+m.Head+" "+m.Text)
		}
		if got := strings.Join(texts, "; "); got != want {
			t.Errorf("again for %q: %q, want %q", rooms, got, want)
		}
	}
	again("", "#other")
	again("#dev head said 1", "#other", "#dev")
	again("", "#dev")
	again("  said 3")
	again("")
	if s.Waits(key(2)) {
		t.Error("what this process sends again waits for another")
	}
	check(t, s.Decline(chat.Saying{To: key(2), ID: id(1)}, chat.NotInRoom, now))
	again("#dev head said 1", "#dev")
	check(t, s.Delivered(key(2), id(1), now))
	again("", "#dev")
	if got, of, _, err := s.Delivery(id(1)); err != nil || got != 1 || of != 1 {
		t.Errorf("%d of %d, %v", got, of, err)
	}
	// Cancelled and queued again, it is tried without a reason.
	check(t, s.Cancel(id(2), Cancelled))
	check(t, s.Retry(id(2), now))
	if all, err := s.Outbox(key(2)); err != nil || len(all) != 1 || all[0].ID != id(2) {
		t.Errorf("the outbox: %v, %v", all, err)
	}
	check(t, s.Close())
}

// What was declined by a process that was killed is as declined as that, in whichever order its records come
// to the database.
func TestDeclinedIsRecovered(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	leaves(t, dir, 7,
		record{kind: saidIn, id: id(1), sent: 1, text: "said", in: &inRoom{room: "#dev", to: []member{{somebody(2, "bob"), true}}}},
		record{kind: declined, key: key(2), id: id(1), sent: int64(chat.NotInRoom)},
		record{kind: said, own: true, key: key(2), id: id(2), sent: 1, text: "said"},
		record{kind: declined, key: key(2), id: id(2), sent: int64(chat.NotNow)},
		record{kind: delivered, key: key(2), id: id(2)},
		record{kind: declined, key: key(9), id: id(1), sent: int64(chat.NotNow)})
	all := must[[]Message](t)(s.Undelivered())
	if len(all) != 1 || all[0].ID != id(1) || all[0].Declined != chat.NotInRoom || !all[0].Idle {
		t.Errorf("the outbox: %+v", all)
	}
}
