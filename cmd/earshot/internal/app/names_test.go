package app

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/discovery"
)

// Where many people have a login, the host's name tells them apart, and whatever the two
// are, the name can be typed.
func TestDefaultName(t *testing.T) {
	for _, tt := range []struct{ login, host, want string }{
		{"ana", "lab-3", "ana"},
		{"pi", "lab-3.example.org", "pi-lab-3"},
		{"root", "", "root"},
		{"root", "localhost", "root"},
		{"root", "192.0.2.7", "root"},
		{`LAB\Administrator`, "PC7", "Administrator-PC7"},
		{`LAB\ana`, "PC7", "ana"},
		{"student", "my computer·\x1b[2J", "student-my-computer---2J"},
		{"guest", strings.Repeat("x", 300), "guest-" + strings.Repeat("x", maxHostWord)},
		{"", "lab", "somebody-lab"},
		{"a\nb", "lab", "somebody-lab"},
		{"#here", "lab", "somebody-lab"},
		{strings.Repeat("é", 40), "lab", "somebody-lab"},
		{"ubuntu", "ñandú", "ubuntu-ñandú"},
	} {
		got := defaultName(tt.login, tt.host)
		if got != tt.want {
			t.Errorf("%q at %q is called %q, want %q", tt.login, tt.host, got, tt.want)
		}
		if err := CheckName(got); err != nil {
			t.Errorf("%q can't be a name: %v", got, err)
		}
	}
}

// A name that was given holds for one process once another is kept; a short command is called
// as what runs; a directory from before keeps the name that it is announced under.
func TestCalled(t *testing.T) {
	login := DefaultName(true)
	for _, tt := range []struct {
		what             string
		given            string
		names            store.Names
		brief, announced bool
		want             Naming
	}{
		{"the first", "bob", store.Names{}, true, false, Naming{"bob", false, true}},
		{"another", "root", store.Names{Kept: "bob", Running: "bob"}, true, false, Naming{"root", true, false}},
		{"the same", "bob", store.Names{Kept: "bob"}, false, true, Naming{"bob", false, false}},
		{"none", "", store.Names{Kept: "bob"}, false, true, Naming{"bob", false, false}},
		{"none, another runs", "", store.Names{Kept: "bob", Running: "root"}, true, true, Naming{"root", true, false}},
		{"none, another runs too", "", store.Names{Kept: "bob", Running: "root"}, false, true, Naming{"bob", false, false}},
		{"none, nor is one kept", "", store.Names{}, false, true, Naming{DefaultName(false), false, false}},
		{"none, from before", "", store.Names{Earlier: true}, false, true, Naming{login, false, true}},
		{"none, from before, hidden", "", store.Names{Earlier: true}, false, false, Naming{login, false, false}},
		{"none, from before, brief", "", store.Names{Earlier: true}, true, true, Naming{login, false, false}},
		{"one, from before", "bob", store.Names{Earlier: true}, true, false, Naming{"bob", false, true}},
	} {
		if got := Called(tt.given, tt.names, tt.brief, tt.announced); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.what, got, tt.want)
		}
	}
}

// A running process takes over a name that another has kept, unless it has one of its own.
func TestNameIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	start := func(name string) *App {
		t.Helper()
		a, err := Start(Config{Name: name, Dir: dir, Log: slog.New(slog.DiscardHandler)}, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close(func(chat.Event) {}) })
		a.Deliver(Config{Log: slog.New(slog.DiscardHandler)})
		return a
	}
	first, second, own := start("bob"), start(""), start("alerts")
	if second.Name() != "bob" {
		t.Errorf("the second is called %q", second.Name())
	}
	if err := first.Store.SetName("robert"); err != nil { // as: earshot name robert
		t.Fatal(err)
	}
	for limit := time.Now().Add(5 * time.Second); first.Name() != "robert" || second.Name() != "robert"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("they are called %q and %q", first.Name(), second.Name())
		}
	}
	if own.Name() != "alerts" {
		t.Errorf("the one with its own name is called %q", own.Name())
	}
	if err := own.Rename("bobby"); err != nil { // as: /name bobby
		t.Fatal(err)
	}
	if kept, err := first.Store.Name(); kept != "bobby" || err != nil {
		t.Errorf("%q is kept, %v", kept, err)
	}
}

// What somebody calls themselves later becomes what they are known by only if it can be taken for
// nothing else; it picks them all the same, while it is theirs alone.
func TestLabels(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.UnixMilli(1_700_000_000_000)
	b := &Book{}
	read := func(errs ...error) {
		t.Helper()
		if err := errors.Join(append(errs, b.Read(s))...); err != nil {
			t.Fatal(err)
		}
	}
	know := func(prefix, name string) chat.Person {
		t.Helper()
		id, err := chat.ParseKey(key(t, prefix))
		p := chat.Person{Key: id, Name: name}
		read(err, s.SetBlocked(p, false, at))
		return p
	}
	bob, ana, carol := know("bbbbbb", "bob"), know("aaaaaa", "ana"), know("cccccc", "carol")
	read(s.SetPetname(carol, "Karo from work", at))
	eve := know("eeeeee", "eve")
	read(s.SetBlocked(eve, true, at))
	for name, may := range map[string]bool{
		"robert": true, "Bob": true, "eve": true, "anna-lena": true, "host.example": true,
		"ana": false, "ANA": false, "ana ": false, "a\u200dna": false, "carol": false, "karo  from work": false, "me": false,
		"#here": false, "127.0.0.1": false, "[::1]:7": false, "localhost": false, "ana·aaaaaa": false, "ana-aaaaaa": false, "aaaaaa": false,
		ana.Key.String(): false, "": false, "\u0301\u0301": false, "\u200b": false, strings.Repeat("\u0301", 31): false,
	} {
		if got := b.mayLabel(chat.Person{Key: bob.Key, Name: name}, "me"); got != may {
			t.Errorf("%q may become the label: %v", name, got)
		}
	}

	// Verified, bob stays bob; whoever else is called so is a stranger.
	read(s.SetVerified(bob, true, at), s.Renamed(chat.Person{Key: bob.Key, Name: "root"}, true))
	if label := b.Label(chat.Person{Key: bob.Key, Name: "root"}, nil, "me"); label != "bob✔" {
		t.Errorf("bob is shown as %q", label)
	}
	if b.mayLabel(chat.Person{Key: ana.Key, Name: "Root"}, "me") {
		t.Error("ana may take the name that bob announces")
	}
	peers := b.Peers([]discovery.Peer{{ID: bob.Key.String(), Name: "root"}, {ID: key(t, "dddddd"), Name: "bob"}})
	if got, want := b.Labels(peers, "me"), []string{"bob·bbbbbb✔", "bob·dddddd (not the bob you know)"}; !slices.Equal(got, want) {
		t.Errorf("visible are %q, want %q", got, want)
	}
	pick := func(arg string, peers ...discovery.Peer) string {
		q, err := ParsePeer(arg)
		if err != nil {
			t.Fatal(err)
		}
		peer, err := b.Match(q, b.Peers(append([]discovery.Peer{{ID: bob.Key.String(), Name: "root"}}, peers...)), false)
		if vague := (*AmbiguousError)(nil); errors.As(err, &vague) {
			return "any of " + strings.Join(vague.Candidates, " ")
		}
		if err != nil {
			return err.Error()
		}
		return peer.ID[:6]
	}
	if got := pick("bob") + pick("root") + pick("ROOT"); got != "bbbbbbbbbbbbbbbbbb" {
		t.Errorf("bob and root are %q", got)
	}
	if got := pick("root", discovery.Peer{ID: key(t, "dddddd"), Name: "root"}); got != "any of root·dddddd bob·bbbbbb" {
		t.Errorf("with another root about, root is %q", got)
	}
	read(s.Renamed(chat.Person{Key: ana.Key, Name: "root"}, false))
	if got := pick("root"); got != "any of bob·bbbbbb ana·aaaaaa" && got != "any of ana·aaaaaa bob·bbbbbb" {
		t.Errorf("with two contacts who announce it, root is %q", got)
	}
	know("ffffff", "root") // known by that name, who is meant
	if got := pick("root", discovery.Peer{ID: key(t, "ffffff"), Name: "root"}); got != "ffffff" {
		t.Errorf("with somebody known as root, root is %q", got)
	}

	// What a visible contact announces resolves before it is proven, with the same care.
	b.Announce(bob.Key, "Gonzo")
	if got := pick("gonzo"); got != "bbbbbb" {
		t.Errorf("announced, gonzo is %q", got)
	}
	if q := (Query{Arg: "gonzo"}); b.means(q, discovery.Peer{ID: bob.Key.String()}) || !b.means(Query{Arg: "bob"}, discovery.Peer{ID: bob.Key.String()}) {
		t.Error("others aren't waited for where a name is only announced, or are where it is proven")
	}
	if got := pick("gonzo", discovery.Peer{ID: key(t, "dddddd"), Name: "gonzo"}); got != "any of gonzo·dddddd bob·bbbbbb" {
		t.Errorf("with another gonzo about, gonzo is %q", got)
	}
	b.Announce(eve.Key, "gonzo") // who is blocked
	if got := pick("gonzo"); got != "bbbbbb" {
		t.Errorf("announced by one blocked too, gonzo is %q", got)
	}
	b.Announce(ana.Key, "gonzo")
	if got := pick("gonzo"); !strings.HasPrefix(got, "any of ") {
		t.Errorf("announced by two contacts, gonzo is %q", got)
	}
	b.Announce(ana.Key, "root") // the label of ffffff, who isn't visible
	if got := pick("root"); got != "nobody called root is visible" {
		t.Errorf("announced by a contact, the label of another is %q", got)
	}
	b.Announce(ana.Key, "")
	if b.Announce(bob.Key, ""); pick("gonzo") != "nobody called gonzo is visible" {
		t.Errorf("once bob has left, gonzo is %q", pick("gonzo"))
	}

	// What becomes of a label when another comes by it, or its owner is forgotten.
	read(s.Renamed(chat.Person{Key: ana.Key, Name: "bob"}, b.mayLabel(chat.Person{Key: ana.Key, Name: "bob"}, "me")))
	if label := b.Label(ana, nil, "me"); label != "ana" {
		t.Errorf("ana, who calls herself bob, is shown as %q", label)
	}
	read(s.Forget(t.Context(), bob.Key))
	if holder, held := b.Holder("bob"); held {
		t.Errorf("bob is %s once he is forgotten", holder.Key.Short())
	}
	know("bbbbbb", "root")
	if p, _ := b.Get(bob.Key); p.Verified || p.Label != "root" {
		t.Errorf("at first contact again: %+v", p)
	}
}

// A change of name ends no conversation and moves nothing: it is told there, once, and what was
// said before shows the name of that time. What another process has learnt is told too.
func TestRenamedWhileTalking(t *testing.T) {
	d := newDesk(t)
	d.sees(bob, discovery.Up)
	d.hears(bob, "one")
	d.types("/to bob")
	d.Attend(true)
	d.SetDraft(d.Current(), "half a li")
	if err := errors.Join(d.store.SetVerified(bob, true, d.now), d.book.Read(d.store)); err != nil {
		t.Fatal(err)
	}
	d.Heard(chat.Event{Kind: chat.Reachable, Person: bob}, d.now)
	for _, name := range []string{"root", "ro\x1b[2Jot", "#here"} {
		renamed := chat.Person{Key: bob.Key, Name: name}
		if err := errors.Join(d.store.Renamed(renamed, d.book.mayLabel(renamed, "me")), d.book.Read(d.store)); err != nil {
			t.Fatal(err)
		}
		if name == "root" { // here it is heard, else by a process beside this one
			d.Heard(chat.Event{Kind: chat.Named, Person: renamed}, d.now)
		} else {
			d.Tick(d.now.Add(2 * time.Second))
		}
		d.Heard(chat.Event{Kind: chat.Reachable, Person: renamed}, d.now)
	}
	if d.Current() != (Conv{Key: bob.Key}) || d.Draft(d.Current()) != "half a li" || d.Label(d.Current()) != "bob✔" {
		t.Errorf("shown is %v with %q, called %q", d.Current(), d.Draft(d.Current()), d.Label(d.Current()))
	}
	told := slices.DeleteFunc(d.shows(bob), func(l string) bool { return !strings.Contains(l, "is now called") })
	if want := []string{"* bob✔ is now called root", "* bob✔ is now called ro␛[2Jot", "* bob✔ is now called #here"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	d.types("two")
	if want := []string{"2: two"}; !slices.Equal(d.said, want) {
		t.Errorf("said %q", d.said)
	}
	e := chat.Event{Kind: chat.Message, Person: chat.Person{Key: bob.Key, Name: "root"}, As: "alerts", ID: chat.MessageID{77}, Text: "three", Received: d.now}
	d.Heard(e, d.now)
	lines := d.Lines(d.Current())
	if l := lines[len(lines)-1]; d.Label(Conv{Key: l.From})+d.As(l)+": "+l.Text != "bob✔ (alerts): three" {
		t.Errorf("shown as %q%q", d.Label(Conv{Key: l.From}), d.As(l))
	}
}

// A contact who is announced under another name proves it, without a word having passed, and is
// asked no more often than is useful.
func TestAnnouncedNameIsProven(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	told := make(chan string, 10)
	start := func(name string, renamed func(*App, store.Person, string)) *App {
		t.Helper()
		a, err := Start(Config{Name: name, Dir: t.TempDir(), Log: log, Renamed: renamed}, false)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for range a.Chat {
			}
		}()
		t.Cleanup(func() { a.Close(func(chat.Event) {}) })
		return a
	}
	gus := start("gonzo", nil)
	ana := start("ana", func(_ *App, was store.Person, name string) { told <- Renaming(was, name) })
	if err := errors.Join(ana.Store.SetBlocked(chat.Person{Key: gus.Me.Key, Name: "gus"}, false, time.Now()), ana.Book.Read(ana.Store)); err != nil {
		t.Fatal(err)
	}
	ana.Deliver(Config{Log: log})
	ana.Node.Hint(gus.Me.Key, []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), gus.Port)})
	ana.claim(gus.Me.Key, "gus") // as known
	ana.claim(chat.Key{9}, "eve")
	if len(ana.claimed) != 0 {
		t.Error("names of strangers, or that are known, are to be proven")
	}
	ana.claim(gus.Me.Key, "mallory") // a forged record
	select {
	case got := <-told:
		if got != "gus is now called gonzo" {
			t.Errorf("told: %s", got)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it wasn't told")
	}
}
