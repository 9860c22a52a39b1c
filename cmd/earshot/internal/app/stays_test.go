package app

import (
	"slices"
	"strings"
	"testing"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/store"
	"earshot/discovery"
)

// Whatever happens to the conversation shown without the person's doing, it stays, and what is
// typed goes to it or nowhere.
func TestConversationStays(t *testing.T) {
	withAna, inDev := Conv{Key: ana.Key}, Conv{Room: "#dev"}
	renamed := chat.Person{Key: ana.Key, Name: "root"}
	for _, tt := range []struct {
		name    string
		conv    Conv
		happens func(d *desk)
		said    string // where a line goes then; empty: nowhere
		reason  string
	}{
		{"renamed in the session", withAna, func(d *desk) { d.event(chat.Met, renamed, chat.MessageID{}) }, "1: ", ""},
		{"renamed on the network", withAna, func(d *desk) { d.sees(renamed, discovery.Up) }, "1: ", ""},
		{"left", withAna, func(d *desk) { d.event(chat.Left, ana, chat.MessageID{}) }, "1: ", ""},
		{"unreachable", withAna, func(d *desk) { d.event(chat.Unreachable, ana, chat.MessageID{}) }, "1: ", ""},
		{"gone", withAna, func(d *desk) { d.sees(ana, discovery.Down); d.event(chat.Left, ana, chat.MessageID{}) }, "1: ", ""},
		{"another of the name", withAna, func(d *desk) { d.sees(eve, discovery.Up); d.hears(eve, "hello") }, "1: ", ""},
		{"others speak", withAna, func(d *desk) { d.hears(bob, "hello"); d.hearsIn("#here", bob, "@me", 0) }, "1: ", ""},
		{"called otherwise by another process", withAna, func(d *desk) {
			d.byAnother(func(s *store.Store) error { return s.SetPetname(ana, "Ann", d.now) })
		}, "1: ", ""},
		{"forgotten by another process", withAna, func(d *desk) {
			d.byAnother(func(s *store.Store) error { return s.Forget(t.Context(), ana.Key) })
		}, "1: ", ""},
		{"blocked by another process", withAna, func(d *desk) {
			d.byAnother(func(s *store.Store) error { return s.SetBlocked(ana, true, d.now) })
			d.refuses = chat.ErrRefused
			d.sees(bob, discovery.Up) // which has everybody labelled anew first
			d.Rows()
		}, "", "you have blocked them"},
		{"a room left by another process", inDev, func(d *desk) { delete(d.members, "#dev") }, "", "you aren't in it"},
		{"another private room of the name", inDev, func(d *desk) { d.keys["#dev"] = room.Key{2} }, "", "another room has its name now"},
		{"the open room of the name", inDev, func(d *desk) { delete(d.keys, "#dev") }, "", "another room has its name now"},
		{"the same room anew", inDev, func(d *desk) {
			delete(d.members, "#dev")
			d.Tick(d.now)
			d.members["#dev"] = nil
		}, "#dev: ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			d.members["#dev"], d.keys["#dev"] = []chat.Person{bob}, room.Key{1}
			for _, p := range []chat.Person{ana, bob} {
				d.answers[p.Key] = p
				d.sees(p, discovery.Up)
				d.hears(p, "hello")
			}
			d.Turn(tt.conv, d.now)
			d.work()
			d.News()
			d.SetDraft(tt.conv, "the li")
			tt.happens(d)
			d.now = d.now.Add(glanceEvery)
			d.Tick(d.now)
			d.work()
			if d.Current() != tt.conv || d.Draft(tt.conv) != "the li" {
				t.Errorf("shown: %v, begun: %q", d.Current(), d.Draft(tt.conv))
			}
			if i := slices.IndexFunc(d.Rows(), func(r Row) bool { return r.Conv == tt.conv }); i < 0 {
				t.Error("it isn't in the list")
			}
			if told := strings.Contains(strings.Join(d.showsIn(tt.conv), "|"), "another process of yours"); told != (tt.said == "" && tt.reason != "you aren't in it") {
				t.Errorf("what another process has done is told: %v", told)
			}
			for _, n := range d.News() {
				if n.Kind == Turned {
					t.Error("turned away")
				}
			}
			d.types("the line")
			if got := strings.Join(d.said, "|"); got != tt.said+"the line" && tt.said != "" || tt.said == "" && got != "" {
				t.Errorf("said %q", got)
			}
			lines := d.Lines(tt.conv)
			if l := lines[len(lines)-1]; l.Text != "the line" || l.Reason != tt.reason {
				t.Errorf("shown as %+v", l)
			}
			if tt.said != "" {
				return
			}
			if d.refuses = nil; tt.conv == inDev { // what was turned to anew is meant
				d.members["#dev"] = nil
				d.types("/to #dev")
				d.types("again")
				if !slices.Equal(d.said, []string{"#dev: again"}) {
					t.Errorf("said %q", d.said)
				}
			}
		})
	}
}

// byAnother has another process of this person's do something.
func (d *desk) byAnother(do func(*store.Store) error) {
	d.t.Helper()
	if err := do(d.store); err != nil {
		d.t.Fatal(err)
	}
	if err := d.book.Read(d.store); err != nil {
		d.t.Fatal(err)
	}
}

// What the person does ends a conversation when they do it, not when it has come about: what
// they type meanwhile is for what they see.
func TestEndsAtOnce(t *testing.T) {
	for _, line := range []string{"/block ana", "/forget ana yes", "/close", "/leave #dev"} {
		d := newDesk(t)
		d.members["#dev"] = []chat.Person{bob}
		d.sees(ana, discovery.Up)
		d.sees(bob, discovery.Up)
		conv := Conv{Key: ana.Key}
		if strings.HasSuffix(line, "#dev") {
			conv = Conv{Room: "#dev"}
		}
		d.Turn(conv, d.now)
		d.work()
		d.Do(line, conv, d.now)
		if !d.Current().IsZero() {
			t.Errorf("after %s it is shown still", line)
		}
		d.Turn(Conv{Key: bob.Key}, d.now) // before that has come about
		d.SetDraft(Conv{Key: bob.Key}, "half")
		d.work()
		if d.Current().Key != bob.Key || d.Draft(d.Current()) != "half" {
			t.Errorf("%s then takes what is shown: %v", line, d.Current())
		}
		d = newDesk(t) // and where they are elsewhere, when it comes about
		d.members["#dev"] = []chat.Person{bob}
		d.sees(ana, discovery.Up)
		d.Do(line, Conv{}, d.now)
		d.Turn(conv, d.now)
		if d.work(); d.Current() != conv {
			t.Errorf("%s takes what was turned to since: %v", line, d.Current())
		}
	}
}

// Where another conversation is asked for and isn't shown, that is told from other failures.
func TestStays(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	for line, want := range map[string]bool{
		"nobody": true, "/to nobody": true, "/to #nowhere": true, "/to ": true, "/join nowhere": true, "/join #a b": true, "/next": true, "/to 198.18.0.9": true,
		"/msg nobody hi": false, "/mute nobody": false, "/nonsense": false, "ana": false, "/to #here": false, "/join #dev": false,
	} {
		d.types(line)
		stays := false
		for _, n := range d.News() {
			stays = stays || n.Stays
		}
		if stays != want {
			t.Errorf("%s: %v, want %v", line, stays, want)
		}
		d.Turn(Conv{}, d.now)
		d.News()
	}
	for line, want := range map[string]bool{
		"hello": true, "//to": true, " \ufeffhello": true, "/me waves": true, "/leave": true, "/verify yes": true, "/retry": true, "/mute": true,
		"/to ana": false, "/msg ana hi": false, "/join #dev": false, "/quit": false, "/who": false, "/nonsense": false, "\ufeff/to ana": false,
	} {
		if IsFor(line) != want {
			t.Errorf("%q is for the conversation shown: %v", line, !want)
		}
	}
}

// What failed in a room isn't said in another of its name.
func TestFailedStaysInRoom(t *testing.T) {
	d := newDesk(t)
	inDev, private := Conv{Room: "#dev"}, room.Key{1}
	turn := func(key room.Key) {
		d.members["#dev"], d.keys["#dev"] = []chat.Person{bob}, key
		d.now = d.now.Add(glanceEvery)
		d.Tick(d.now)
		d.Turn(Conv{}, d.now)
		d.Turn(inDev, d.now)
		d.work()
		d.News()
	}
	retry := func(want ...string) {
		t.Helper()
		d.said = nil
		if d.types("/retry"); !slices.Equal(d.said, want) {
			t.Errorf("said %q, want %q", d.said, want)
		}
	}
	turn(private)
	delete(d.members, "#dev")
	d.types("SECRET")
	turn(room.Key{})
	retry()
	if told := d.told(); !strings.Contains(told, "another room") {
		t.Errorf("told %q", told)
	}
	delete(d.members, "#dev")
	d.types("open")
	turn(room.Key{})
	retry("#dev: open")
	retry()
	turn(room.Key{2})
	retry()
	lines := d.Lines(inDev)
	if i := slices.IndexFunc(lines, func(l Line) bool { return l.Text == "SECRET" }); i < 0 || lines[i].State != Failed || !d.Retry(inDev, lines[i].N, d.now) || d.said != nil {
		t.Errorf("by its number: said %q, %+v", d.said, lines)
	}
	turn(private)
	retry("#dev: SECRET")
}

// A line begun where a room's key isn't known belongs to none that is joined then.
func TestBegunInUnknownRoom(t *testing.T) {
	d := newDesk(t)
	inDev := Conv{Room: "#dev"}
	d.Turn(inDev, d.now) // as by a hit in the log
	d.SetDraft(inDev, "SECRET")
	d.members["#dev"] = []chat.Person{bob}
	d.now = d.now.Add(2 * glanceEvery)
	d.Tick(d.now)
	d.work()
	d.types("SECRET")
	if d.said != nil {
		t.Errorf("said %q", d.said)
	}
	if d.Turn(inDev, d.now); d.Draft(inDev) != "" {
		t.Errorf("in the one joined %q is begun", d.Draft(inDev))
	}
}
