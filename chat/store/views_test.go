package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"earshot/chat"
)

func view(t *testing.T, s *Store, key chat.Key) View {
	t.Helper()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	all, err := s.Views()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.Peer == key {
			return v
		}
	}
	t.Fatal("no view")
	return View{}
}

// setView keeps all of a view.
func setView(s *Store, v View) error {
	return errors.Join(s.SetDraft(v.Peer, v.Room, v.Draft), s.SetSeen(v.Peer, v.Room, v.Seen), s.SetMuted(v.Peer, v.Room, v.Muted))
}

func TestViews(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ana := chat.Person{Key: chat.Key{1}, Name: "ana"}
	at := time.UnixMilli(1_700_000_000_000)
	for n := range byte(5) {
		at = at.Add(time.Second)
		if _, err := s.Heard(ana, chat.MessageID{n + 1}, "hello", at, at); err != nil {
			t.Fatal(err)
		}
	}
	v := view(t, s, ana.Key)
	if v.Unread != 5 || !v.Last.Equal(at) {
		t.Errorf("at first: %+v", v)
	}
	if v.Seen, err = s.Number(ana.Key, false, chat.MessageID{3}); err != nil || v.Seen == 0 {
		t.Fatal(v.Seen, err)
	}
	v.Draft, v.Muted = "half", true
	if err := setView(s, v); err != nil {
		t.Fatal(err)
	}
	if got := view(t, s, ana.Key); got.Unread != 2 || got.Draft != "half" || !got.Muted || got.Seen != v.Seen {
		t.Errorf("kept: %+v", got)
	}
	v.Seen = 0 // isn't known, as of what isn't written yet
	if err := setView(s, v); err != nil || view(t, s, ana.Key).Unread != 2 {
		t.Errorf("what was read is unread: %v", err)
	}
	if n, err := s.Number(ana.Key, false, chat.MessageID{9}); n != 0 || err != nil {
		t.Errorf("a message that isn't there has number %d, %v", n, err)
	}
	// Numbers that are given again count as unread.
	if _, err := s.Delete(ctx, Filter{Peer: ana.Key}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Heard(ana, chat.MessageID{20}, "new", at, at); err != nil {
		t.Fatal(err)
	}
	if got := view(t, s, ana.Key).Unread; got != 1 {
		t.Errorf("after everything was deleted, %d are unread", got)
	}
	if err := s.Forget(ctx, ana.Key); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Views(); err != nil || len(all) != 0 {
		t.Errorf("of somebody forgotten there is %v, %v", all, err)
	}
}

// What is there when views begin to be kept counts as read.
func TestViewsOfAnOlderDatabase(t *testing.T) {
	dir := t.TempDir()
	older(t, dir, "CREATE TABLE views", knowAna, `INSERT INTO messages (peer, id, out, name, text, sent, received, status, owner)
		VALUES (1, x'01', 0, '', 'long ago', 1, 1, 1, 0)`)
	s := open(t, dir)
	if v := view(t, s, ana.Key); v.Unread != 0 {
		t.Errorf("%d are unread", v.Unread)
	}
}

// Each field of a view is kept by itself: who writes one doesn't take back what another process has
// written, and sees what that is.
func TestViewsByField(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	must[bool](t)(a.Heard(ana, id(1), "hello", now, now))
	check(t, a.Flush())
	n := must[int64](t)(b.Number(ana.Key, false, id(1)))
	last := int64(0)
	changes := func() (all []View) {
		t.Helper()
		var err error
		all, last, err = b.ViewChanges(last)
		check(t, err)
		return all
	}
	changes()
	check(t, a.SetMuted(ana.Key, "", true))
	if all := changes(); len(all) != 1 || all[0] != (View{Peer: ana.Key, Muted: true}) {
		t.Errorf("changed: %+v", all)
	}
	check(t, b.SetSeen(ana.Key, "", n))
	check(t, a.SetDraft(ana.Key, "", "half"))
	check(t, a.SetDraft(chat.Key{}, "#dev", "of a room"))
	check(t, a.SetSeen(ana.Key, "", 0)) // what doesn't go back is no change
	want := []View{{Peer: ana.Key, Draft: "half", Seen: n, Muted: true}, {Room: "#dev", Handle: "#dev", Draft: "of a room"}}
	if all := changes(); !slices.Equal(all, want) {
		t.Errorf("changed: %+v", all)
	}
	if all := changes(); all != nil {
		t.Errorf("changed again: %+v", all)
	}
	if v := view(t, a, ana.Key); v.Draft != "half" || !v.Muted || v.Unread != 0 {
		t.Errorf("kept: %+v", v)
	}
}

func TestTyped(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var lines []string
	for n := range maxTyped + 10 {
		lines = append(lines, fmt.Sprint(n))
	}
	if err := s.AddTyped(lines); err != nil {
		t.Fatal(err)
	}
	got, err := s.Typed()
	if err != nil || !slices.Equal(got, lines[10:]) {
		t.Errorf("%d lines from %v, %v", len(got), got[0], err)
	}
}

func TestPages(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ana, bob := chat.Person{Key: chat.Key{1}, Name: "ana"}, chat.Person{Key: chat.Key{2}, Name: "bob"}
	at := time.UnixMilli(1_700_000_000_000)
	for n := range byte(10) {
		for _, p := range []chat.Person{ana, bob} {
			if _, err := s.Heard(p, chat.MessageID{n + 1, p.Key[0]}, fmt.Sprint(p.Name, n), at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	page := func(f Filter) (texts []string, last int64) {
		t.Helper()
		f.Peer, f.Limit = ana.Key, 3
		all, err := s.Log(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			texts, last = append(texts, m.Text), m.N
		}
		return texts, last
	}
	fourth, err := s.Number(ana.Key, false, chat.MessageID{5, 1})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := page(Filter{Before: fourth}); !slices.Equal(got, []string{"ana1", "ana2", "ana3"}) {
		t.Errorf("before the fourth: %v", got)
	}
	if got, _ := page(Filter{After: fourth, First: true}); !slices.Equal(got, []string{"ana5", "ana6", "ana7"}) {
		t.Errorf("behind the fourth: %v", got)
	}
	if got, _ := page(Filter{}); !slices.Equal(got, []string{"ana7", "ana8", "ana9"}) {
		t.Errorf("the last: %v", got)
	}
}

// What is said in rooms counts for the room, not for who said it.
func TestRoomView(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ana := chat.Person{Key: chat.Key{1}, Name: "ana"}
	at := time.UnixMilli(1_700_000_000_000)
	for n := range byte(4) {
		room := []string{"#dev", "#dev·abcdef", "#devs", ""}[n]
		if room == "" {
			_, err = s.Heard(ana, chat.MessageID{n + 1}, "hello", at, at)
		} else {
			_, err = s.HeardIn(ana, chat.Saying{ID: chat.MessageID{n + 1}, Text: "hello", Sent: at, Room: room, Clock: 1}, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	own := chat.Saying{ID: chat.MessageID{9}, Text: "mine", Sent: at.Add(time.Second), Room: "#dev", Clock: 2}
	if _, err := s.SaidIn(own, []chat.Person{ana}); err != nil {
		t.Fatal(err)
	}
	if v := view(t, s, ana.Key); v.Unread != 1 || !v.Last.Equal(at) {
		t.Errorf("of ana: %+v", v)
	}
	v, err := s.RoomView("#dev")
	if err != nil || v.Unread != 2 || !v.Last.Equal(own.Sent) {
		t.Errorf("of the room: %+v, %v", v, err)
	}
	if v.Seen, err = s.Number(chat.Key{}, true, own.ID); err != nil || v.Seen == 0 {
		t.Fatalf("my own is number %d, %v", v.Seen, err)
	}
	v.Draft, v.Muted = "half", true
	if err := setView(s, v); err != nil {
		t.Fatal(err)
	}
	if got, err := s.RoomView("#dev"); err != nil || got.Unread != 0 || !got.Muted || must[string](t)(s.RoomDraft("#dev")) != "half" {
		t.Errorf("kept: %+v, %v", got, err)
	}
	if v := view(t, s, ana.Key); v.Unread != 1 || v.Muted {
		t.Errorf("of ana: %+v", v)
	}
}

// What is begun in the conversation with somebody never met is there again.
func TestViewOfNeverMet(t *testing.T) {
	s := open(t, t.TempDir())
	if err := setView(s, View{Peer: ana.Key, Draft: "half", Muted: true}); err != nil {
		t.Fatal(err)
	}
	for _, v := range []View{{Peer: chat.Key{2}}, {Room: "#dev", Draft: "roomhalf"}} {
		if err := setView(s, v); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Views()
	if err != nil || len(all) != 1 || all[0].Peer != ana.Key || all[0].Draft != "half" || !all[0].Muted {
		t.Errorf("%+v, %v", all, err)
	}
}
