package app

import (
	"slices"
	"testing"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/discovery"
)

// Who says something chooses its id (SPEC §7.5): what comes under the id of another's message, or
// of mine, stands beside it, live and as read from the store.
func TestLinesOfEqualIDs(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	d.answers[ana.Key] = ana
	d.types("/to ana")
	d.types("hello")
	lines := d.Lines(d.Current())
	mine := lines[len(lines)-1]
	if _, err := d.store.Said(chat.Saying{To: ana.Key, ID: mine.ID, Text: "hello", Sent: d.now}); err != nil {
		t.Fatal(err)
	}
	hear := func(from chat.Person, name, text string, clock uint64) {
		t.Helper()
		e := chat.Event{Kind: chat.Message, Person: from, ID: mine.ID, Text: text, Sent: d.now, Received: d.now, Room: name, Clock: clock}
		var fresh bool
		var err error
		if name == "" {
			fresh, err = d.store.Heard(from, e.ID, text, d.now, d.now)
		} else {
			fresh, err = d.store.HeardIn(from, chat.Saying{ID: e.ID, Text: text, Sent: d.now, Room: name, Clock: clock}, d.now)
		}
		if err != nil || !fresh {
			t.Fatal(text, fresh, err)
		}
		d.Heard(e, d.now)
	}
	shown := func(c Conv) (all []string) {
		for _, l := range d.Lines(c) {
			if !l.Notice {
				all = append(all, l.Text)
			}
		}
		return all
	}
	here := Conv{Room: room.Here}
	hear(ana, "", "echo", 0)
	hear(eve, room.Here, "one", tick(1))
	hear(bob, room.Here, "other", tick(2))
	for _, when := range []string{"live", "from the store"} {
		if got := shown(Conv{Key: ana.Key}); !slices.Equal(got, []string{"hello", "echo"}) {
			t.Errorf("%s, with ana: %q", when, got)
		}
		if got := shown(here); !slices.Equal(got, []string{"one", "other"}) {
			t.Errorf("%s, in the room: %q", when, got)
		}
		d.start()
		d.types("/to ana")
		d.types("/to #here")
	}
}
