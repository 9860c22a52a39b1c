package app

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/room"
)

// What comes late stands last, marked, and moves no line, however far somebody reads back; a search finds it there.
func TestLateStaysLast(t *testing.T) {
	d := newDesk(t)
	here := Conv{Room: room.Here}
	const many = 3*pageLines + 7
	for n := range many {
		d.hearsIn(room.Here, ana, fmt.Sprint("old ", n), time.Duration(n)*time.Second)
	}
	d.start()
	d.Attend(true)
	d.types("/to #here")
	d.hearsIn(room.Here, bob, "new", time.Hour)
	e := chat.Event{Kind: chat.Message, Person: carol, ID: chat.MessageID{9, 9}, Text: "late", Sent: d.now, Received: d.now, Room: room.Here, Clock: tick(1500), Late: true}
	if _, err := d.store.HeardIn(carol, chat.Saying{ID: e.ID, Text: e.Text, Sent: d.now, Room: room.Here, Clock: e.Clock}, d.now); err != nil {
		t.Fatal(err)
	}
	d.Heard(e, d.now)
	shown := func() (all []string) {
		var last int64
		for i, l := range d.Lines(here) {
			if i > 0 && l.N <= last {
				t.Fatalf("line %d has number %d after %d", i, l.N, last)
			}
			last, all = l.N, append(all, l.Text)
		}
		return all
	}
	numbers := map[string]int64{}
	for _, l := range d.Lines(here) {
		numbers[l.Text] = l.N
	}
	for d.Older(here) {
	}
	all := shown()
	if len(all) != many+2 || all[0] != "old 0" || !slices.Equal(all[many-1:], []string{fmt.Sprint("old ", many-1), "new", "late"}) {
		t.Errorf("%d lines, %q to %q", len(all), all[0], all[many-1:])
	}
	for _, l := range d.Lines(here) {
		if n, before := numbers[l.Text]; before && n != l.N || l.Late != (l.Text == "late") {
			t.Errorf("%q has number %d, before %d; late: %v", l.Text, l.N, n, l.Late)
		}
	}
	// From a place far back to the end.
	d.start()
	d.types("/to #here")
	d.Search(here, "late")
	d.work()
	var late Hit
	for _, n := range d.News() {
		if n.Kind == Found && len(n.Hits) == 1 {
			late = n.Hits[0]
		}
	}
	if !d.Jump(here, late.Line.N) {
		t.Fatal("the late one isn't found")
	}
	for d.Newer(here) {
	}
	for d.Older(here) {
	}
	if all = shown(); len(all) != many+2 || !slices.Equal(all[:4], []string{"old 0", "old 1", "late", "old 2"}) || all[many+1] != "new" {
		t.Errorf("opened anew, %d lines, %q, %q", len(all), all[:4], all[len(all)-2:])
	}
	if r := d.roomRow(room.Here); r.Unread != 0 {
		t.Errorf("%d unread", r.Unread)
	}
}
