package app

import (
	"slices"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/discovery"
)

// overhears takes what another process has kept, as the node tells it.
func (d *desk) overhears(from *store.Store) (all []chat.Event) {
	d.t.Helper()
	if err := from.Flush(); err != nil {
		d.t.Fatal(err)
	}
	kept, err := d.store.News()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, k := range kept {
		e := chat.Event{
			Kind: chat.Message, Person: chat.Person{Key: k.To, Name: k.Name}, ID: k.ID, Text: k.Text, Sent: k.Sent, Received: k.At,
			Room: chat.RoomName(k.Room), Clock: k.Clock, Kept: k.N,
		}
		if k.Out {
			e.Kind = chat.Said
		}
		d.Heard(e, d.now)
		all = append(all, e)
	}
	return all
}

// What another process of this person says and hears stands in the conversations, counts and
// rings as what comes here, once.
func TestElsewhere(t *testing.T) {
	d := newDesk(t)
	other, err := store.Open(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d.overhears(other)
	here := Conv{Room: "#here"}
	d.sees(ana, discovery.Up)
	d.answers[ana.Key] = ana
	d.Attend(true)
	d.types("/to ana")
	d.hears(ana, "heard here")
	must(other.Heard(ana, chat.MessageID{7, 1}, "heard there", d.now, d.now))
	must(other.Said(chat.Saying{To: ana.Key, ID: chat.MessageID{7, 2}, Text: "said there", Sent: d.now}))
	must(nil, other.Delivered(ana.Key, chat.MessageID{7, 2}, d.now))
	must(other.Said(chat.Saying{To: ana.Key, ID: chat.MessageID{7, 3}, Text: "on its way", Sent: d.now}))
	must(other.SaidIn(chat.Saying{ID: chat.MessageID{7, 4}, Text: "to all", Sent: d.now, Room: "#here", Clock: tick(20)}, []chat.Person{ana, bob}))
	must(nil, other.Delivered(bob.Key, chat.MessageID{7, 4}, d.now))
	must(other.HeardIn(bob, chat.Saying{ID: chat.MessageID{7, 5}, Text: "what, @me?", Sent: d.now, Room: "#here", Clock: tick(10)}, d.now))
	d.News()
	d.overhears(other)
	var rang []string
	for _, n := range d.News() {
		if n.Notify {
			rang = append(rang, n.Line.Text)
		}
		if n.Kind == Said && n.Line.Out && !n.Line.Elsewhere {
			t.Errorf("%q was said here", n.Line.Text)
		}
	}
	if !slices.Equal(rang, []string{"heard there", "what, @me?"}) {
		t.Errorf("it rang for %q", rang)
	}
	first := d.shows(ana)[0]
	d.want(ana, first, "ana: heard here", "ana: heard there", "> said there (delivered)", "> on its way (sent)")
	d.wantIn(here, "> to all (sent 1/2)", "bob: what, @me?")
	if r := d.roomRow("#here"); r.Unread != 1 || r.Mentions != 1 {
		t.Errorf("%+v", r)
	}
	must(nil, other.Delivered(ana.Key, chat.MessageID{7, 3}, d.now))
	must(nil, other.Flush())
	d.Tick(d.now.Add(2 * time.Second))
	d.work()
	d.want(ana, first, "ana: heard here", "ana: heard there", "> said there (delivered)", "> on its way (delivered)")
	if all := d.Undelivered(); len(all) > 0 {
		t.Errorf("left behind by this process: %v", all)
	}

	// What was read from the store, or counted there, isn't news.
	must(other.Heard(ana, chat.MessageID{7, 6}, "more", d.now, d.now))
	must(other.HeardIn(bob, chat.Saying{ID: chat.MessageID{7, 7}, Text: "more", Sent: d.now, Room: "#here", Clock: tick(30)}, d.now))
	again := d.overhears(other)
	d.start()
	unread := d.roomRow("#here").Unread
	d.types("/to ana")
	lines := d.shows(ana)
	for _, e := range again {
		d.Heard(e, d.now)
	}
	d.want(ana, lines...)
	if r := d.roomRow("#here"); len(again) != 2 || r.Unread != unread {
		t.Errorf("%d are unread, and %d were", r.Unread, unread)
	}
}
