package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/room"
)

// An id is its sender's choice (SPEC §7.5): what comes under one that was used already, by me, by
// somebody else, in a room or between two, is kept and counts as any other message.
func TestIDsAreUniquePerSender(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	bob := chat.Person{Key: key(2), Name: "bob"}
	must[[]chat.Kept](t)(b.News())
	one := chat.Saying{To: ana.Key, ID: id(1), Text: "said to ana", Sent: now}
	must[bool](t)(a.Said(one))
	all := []chat.Saying{one}
	hear := func(from chat.Person, name, text string) {
		t.Helper()
		m := chat.Saying{To: from.Key, ID: id(1), Text: text, Sent: now, Room: name, Clock: 1}
		var fresh bool
		var err error
		for _, want := range []bool{true, false} { // and once only
			if name == "" {
				fresh, err = a.Heard(from, id(1), text, now, now)
			} else {
				fresh, err = a.HeardIn(from, m, now)
			}
			if err != nil || fresh != want {
				t.Errorf("%q is new: %v, want %v (%v)", text, fresh, want, err)
			}
		}
		all = append(all, m)
	}
	hear(ana, "", "echoed by ana")
	check(t, a.Flush()) // what was written doesn't take what follows with it
	check(t, a.Delivered(ana.Key, id(1), now))
	hear(bob, room.Here, "by bob in the room")
	carol := chat.Person{Key: key(3), Name: "carol"}
	hear(carol, "", "by carol")
	check(t, a.Flush())
	if got := len(must[[]Message](t)(a.Log(Filter{}))); got != len(all) {
		t.Errorf("%d messages of %d are kept", got, len(all))
	}
	if n := must[Status](t)(a.Fate(ana.Key, id(1))); n != Done {
		t.Errorf("what was said is %v", n)
	}
	seen := map[int64]bool{}
	for _, m := range must[[]Message](t)(a.Log(Filter{})) {
		n := must[int64](t)(a.Number(m.Peer, m.Out, id(1)))
		if n != m.N || seen[n] {
			t.Errorf("%q is %d, not %d", m.Text, n, m.N)
		}
		seen[n] = true
	}
	var news []string
	for {
		more := must[[]chat.Kept](t)(b.News())
		if len(more) == 0 {
			break
		}
		for _, k := range more {
			news = append(news, k.Text)
		}
	}
	if len(news) != len(all) {
		t.Errorf("another process has heard of %q", news)
	}
}

// What this process has said doesn't hide, from itself, an echo that another of ours has heard.
func TestNewsOfAnEcho(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	must[[]chat.Kept](t)(a.News())
	must[bool](t)(a.Said(chat.Saying{To: ana.Key, ID: id(1), Text: "said", Sent: now}))
	check(t, a.Flush())
	must[bool](t)(b.Heard(ana, id(1), "echo", now, now))
	check(t, b.Flush())
	if news := must[[]chat.Kept](t)(a.News()); len(news) != 1 || news[0].Text != "echo" {
		t.Errorf("news: %v", news)
	}
}

// What is deleted isn't taken again from whom it came, and only from them.
func TestDeletedIDs(t *testing.T) {
	s := open(t, t.TempDir())
	clock := setClock(s)
	must[bool](t)(s.Heard(ana, id(1), "hello", now, now))
	if n := must[int64](t)(s.Delete(ctx, Filter{})); n != 1 {
		t.Errorf("%d deleted", n)
	}
	if must[bool](t)(s.Heard(ana, id(1), "hello", now, now)) {
		t.Error("taken again after it was deleted")
	}
	if !must[bool](t)(s.Heard(chat.Person{Key: key(2)}, id(1), "hello", now, now)) {
		t.Error("not taken, since another's message of that id was deleted")
	}
	must[bool](t)(s.Heard(ana, id(2), "hello", now, now))
	check(t, s.Forget(ctx, ana.Key))
	if must[bool](t)(s.Heard(ana, id(2), "hello", now, now)) {
		t.Error("taken again of who was forgotten")
	}
	clock.passes(2 * remembered)
	if must[int64](t)(s.Delete(ctx, Filter{})); must[bool](t)(s.Heard(ana, id(1), "hello", now, now)) == false {
		t.Error("remembered for ever")
	}
}

// A member who has used the id of what was said in the room, and wasn't there then, is given it.
func TestShareUnderAnEchoedID(t *testing.T) {
	s := open(t, t.TempDir())
	must[[]bool](t)(s.SaidIn(chat.Saying{ID: id(1), Text: "to all", Sent: now, Room: room.Here, Clock: 1}, nil))
	must[bool](t)(s.Heard(ana, id(1), "echo", now, now))
	if all := must[[]chat.Saying](t)(s.Share(room.Here, ana, now.Add(-time.Hour))); len(all) != 1 {
		t.Errorf("shared: %v", all)
	}
}

// A database from before ids were unique for each sender is taken over: what was removed stays so.
func TestIDsMigrate(t *testing.T) {
	dir := t.TempDir()
	older(t, dir, "CREATE TABLE removed", knowAna,
		`INSERT INTO messages (peer, id, out, name, text, sent, received, status, owner) VALUES (1, x'`+strings.Repeat("02", 16)+`', 1, '', 'hello', 1, 1, 1, 0)`,
		`INSERT INTO deleted VALUES (x'`+strings.Repeat("03", 16)+`', 1)`)
	s := open(t, dir)
	if must[bool](t)(s.Heard(ana, chat.MessageID(slices.Repeat([]byte{3}, 16)), "again", now, now)) {
		t.Error("what was deleted is taken again")
	}
	if !must[bool](t)(s.Heard(ana, chat.MessageID(slices.Repeat([]byte{2}, 16)), "echo", now, now)) {
		t.Error("an echo isn't taken")
	}
	check(t, s.Flush())
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, []string{"hello", "echo"}) {
		t.Errorf("kept %q", got)
	}
}
