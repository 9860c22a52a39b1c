package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
	"earshot/discovery"
)

var carol = chat.Person{Key: chat.Key{3}, Name: "carol"}

// tick is a clock some ms after a time that can be right.
func tick(ms uint64) uint64 { return uint64(now0.UnixMilli()) + ms }

func (d *desk) roomRow(name string) Row {
	d.t.Helper()
	rows := d.Rows()
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Conv.Room == name })
	if i < 0 {
		d.t.Fatalf("%s has no row", name)
	}
	return rows[i]
}

func TestRoom(t *testing.T) {
	d := newDesk(t)
	here := Conv{Room: "#here"}
	for _, p := range []chat.Person{ana, bob} {
		d.sees(p, discovery.Up)
	}
	d.members["#here"] = []chat.Person{ana, bob}
	d.hearsIn("#here", ana, "who has the cable?", 10*time.Second)
	d.hearsIn("#here", bob, "@me do you?", 20*time.Second)
	var rang []string
	for _, n := range d.News() {
		if n.Notify {
			rang = append(rang, n.Line.Text)
		}
	}
	if !slices.Equal(rang, []string{"@me do you?"}) {
		t.Errorf("it rang for %q", rang)
	}
	if r := d.roomRow("#here"); r.Unread != 2 || r.Mentions != 1 || d.Rows()[0].Conv != here {
		t.Errorf("%+v", r)
	}
	if d.row(ana).Unread != 0 || len(d.shows(ana)) != 0 {
		t.Error("what is said in a room stands in a conversation")
	}
	d.start() // the counts outlive it, and what was said is read from the store
	if r := d.roomRow("#here"); r.Unread != 2 || r.Mentions != 1 {
		t.Errorf("after a restart: %+v", r)
	}
	d.Attend(true)
	d.types("/to #he")
	d.sees(ana, discovery.Up)
	d.types("I have it")
	id := d.Lines(here)[len(d.Lines(here))-1].ID
	d.wantIn(here, "ana: who has the cable?", "bob: @me do you?", "* ana joined", "> I have it (sent 0/2)")
	d.acknowledges(id)
	d.types("/missing")
	if told := d.told(); !strings.Contains(told, "1 of 2 have it; missing: bob") {
		t.Error(told)
	}
	d.heads[id].declined = chat.NotInRoom
	d.types("/missing")
	if told := d.told(); !strings.Contains(told, "1 of 2 have it; missing: bob (not in the room)") {
		t.Error(told)
	}
	d.acknowledges(id)
	// What comes late is shown where it comes; where it is opened anew it stands where the log has it.
	d.hearsIn("#here", carol, "I don't", 15*time.Second)
	for _, e := range []struct {
		kind chat.Kind
		who  chat.Person
	}{{chat.Joined, ana}, {chat.Joined, bob}, {chat.Joined, carol}, {chat.Parted, carol}} {
		d.Heard(chat.Event{Kind: e.kind, Person: e.who, Room: "#here"}, d.now)
	}
	want := []string{
		"ana: who has the cable?", "bob: @me do you?", "* ana joined", "> I have it (delivered 2/2)", "carol: I don't",
		"* ana, bob joined; carol left",
	}
	d.wantIn(here, want...)
	for i, l := range d.Lines(here)[1:] {
		if l.N <= d.Lines(here)[i].N {
			t.Errorf("the numbers don't grow: %v", d.Lines(here))
		}
	}
	d.SetDraft(here, "half")
	d.types("/mute")
	d.hearsIn("#here", bob, "@me thanks", time.Hour)
	if news := d.News(); news[len(news)-1].Notify {
		t.Error("it rings for a muted room")
	}
	if r := d.roomRow("#here"); r.Unread != 0 || !r.Muted {
		t.Errorf("%+v", r)
	}
	d.start()
	if r := d.roomRow("#here"); r.Unread != 0 || !r.Muted || d.Draft(here) != "half" {
		t.Errorf("after a restart: %+v, draft %q", r, d.Draft(here))
	}
	d.Turn(here, d.now)
	d.wantIn(here, want[0], want[4], want[1], want[3], "bob: @me thanks")
	d.Search(Conv{}, "cable")
	d.work()
	for _, n := range d.News() {
		if n.Kind == Found && (len(n.Hits) != 1 || n.Hits[0].Conv != here || !d.Jump(here, n.Hits[0].Line.N)) {
			t.Errorf("found %+v", n.Hits)
		}
	}
}

func TestRoomCommands(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	for _, step := range []struct{ typed, told string }{
		{"/rooms", "#here: 1 in it, you too\n#other: 2 in it"},
		{"/to #dev", "you aren't in #dev; to be in it: /join #dev"},
		{"/msg #dev hello", "you aren't in #dev"},
		{"/join dev", "a room's name is #"},
		{"/join #dev open sesame", "a passphrase is asked for: /join #dev private"},
		{"/join #Dev", ""},
		{"anybody?", "nobody else is in #dev yet"},
		{"/who", "1 in #dev: you"},
		{"/msg #here hello there", "nobody else is in #here yet"},
		{"/who #other", "nobody is in #other"},
		{"/missing", "nobody else was here"},
		{"/log", "found 1"},
		{"/search anybody", "found 1"},
		{"/verify yes", "you talk with nobody yet"},
		{"/mute #here", "#here is muted"},
		{"/mute", "#dev is muted"},
		{"/keep 1h", "messages here are kept for 1 hour from now on"},
		{"/leave", "you have left #dev"},
		{"/leave", "leave which room?"},
		{"/leave #here", "you have left #here"},
		{"/join #secret private", ""},
	} {
		d.types(step.typed)
		if got := d.told(); !strings.Contains(got, step.told) || step.told == "" && got != "" {
			t.Errorf("%s: told %q, want %q", step.typed, got, step.told)
		}
	}
	d.Answer("open sesame")
	d.work()
	if d.Current().Room != "#secret" || d.keys["#secret"].IsZero() || !d.roomRow("#secret").Private || len(d.members) != 1 {
		t.Errorf("in %v, with %v", d.members, d.Current())
	}
	if slices.ContainsFunc(d.Typed(), func(l string) bool { return strings.Contains(l, "sesame") && !strings.HasPrefix(l, "/join #dev") }) {
		t.Error("the passphrase is remembered as typed")
	}
	if want := []string{"#dev: anybody?", "#here: hello there"}; !slices.Equal(d.said, want) {
		t.Errorf("said %q", d.said)
	}
	for _, tt := range []struct{ line, want string }{
		{"/leave #s", "#secret "}, {"/to #", "#secret "}, {"/verify #", ""}, {"ask @an", "ana "}, {"see #se", "#secret "}, {"/leave ", "#secret "},
	} {
		_, all := d.Complete(tt.line, len(tt.line))
		if len(all) > 1 || len(all) == 0 && tt.want != "" || len(all) == 1 && all[0].Text != tt.want {
			t.Errorf("%q becomes %v", tt.line, all)
		}
	}
}

// What is typed after /join is for the room: it waits until that is joined. Who has said
// something else meanwhile isn't taken there.
func TestJoiningIsWaitedFor(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	d.types("/to ana")
	d.Do("/join #den private", d.Current(), d.now)
	d.Answer("secret")
	if !d.Calling() {
		t.Error("the next line would be for ana")
	}
	d.work()
	if d.Calling() || d.Current().Room != "#den" {
		t.Errorf("calling: %v, shown: %v", d.Calling(), d.Current())
	}
	d.types("/to ana")
	d.told()
	d.Do("/join #dev", d.Current(), d.now)
	d.Say(d.Current(), "hello", d.now)
	if d.work(); d.Current().Key != ana.Key || d.told() != "you are in #dev: /to #dev\n" {
		t.Errorf("shown: %v", d.Current())
	}
}
