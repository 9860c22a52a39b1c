package app

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/store"
	"earshot/discovery"
)

// desk is a Session under test: what it asks of others is written down, and nothing
// happens by itself.
type desk struct {
	*Session
	t       testing.TB
	now     time.Time
	dir     string
	store   *store.Store
	book    *Book
	said    []string // "ana: hello"
	watched map[chat.Key]bool
	refuses error
	answers map[chat.Key]chat.Person // who answers
	ids     uint64
	name    string

	members map[string][]chat.Person // of the rooms that I am in, besides me
	keys    map[string]room.Key
	heads   map[chat.MessageID]*spoken
	clock   uint64 // the greatest heard in a room
}

// spoken is something said here in a room.
type spoken struct {
	room string
	got  int
	to   []chat.Person

	declined chat.Reason // by those who lack it
}

var (
	ana = chat.Person{Key: chat.Key{1}, Name: "ana"}
	bob = chat.Person{Key: chat.Key{2}, Name: "bob"}
	eve = chat.Person{Key: chat.Key{5}, Name: "ana"}
	me  = chat.Person{Key: chat.Key{9}, Name: "me"}
)

var now0 = time.Date(2026, 11, 22, 15, 0, 0, 0, time.Local)

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, dir: t.TempDir(), now: now0, answers: map[chat.Key]chat.Person{}}
	d.members, d.keys, d.heads = map[string][]chat.Person{"#here": nil}, map[string]room.Key{}, map[chat.MessageID]*spoken{}
	d.start()
	t.Cleanup(func() { d.store.Close() })
	return d
}

// start begins, or begins again after a restart.
func (d *desk) start() {
	if d.store != nil {
		if err := d.Close(); err != nil {
			d.t.Fatal(err)
		}
		if err := d.store.Close(); err != nil {
			d.t.Fatal(err)
		}
	}
	var err error
	if d.store, err = store.Open(d.dir); err != nil {
		d.t.Fatal(err)
	}
	d.watched, d.book = map[chat.Key]bool{}, &Book{}
	if err := d.book.Read(d.store); err != nil {
		d.t.Fatal(err)
	}
	d.begin(d.store)
}

func (d *desk) begin(s *store.Store) {
	var err error
	d.Session, err = NewSession(SessionConfig{
		Me: me, Node: d, Book: d.book, Store: s, Settings: DefaultSettings(),
		Rename:   func(name string) error { d.name = name; return nil },
		Join:     func(m chat.Membership) error { d.members[m.Name], d.keys[m.Name] = nil, m.Key; return nil },
		Leave:    func(name string) error { delete(d.members, name); return nil },
		Explain:  func(err error) string { return err.Error() },
		Diagnose: func(context.Context) string { return "the firewall drops it" },
	}, d.now)
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) Open(_ context.Context, t chat.Target) (chat.Person, error) {
	if p, ok := d.answers[t.Key]; ok {
		return p, nil
	}
	return chat.Person{}, chat.ErrUnreachable
}

func (d *desk) Typing(key chat.Key) { d.said = append(d.said, fmt.Sprintf("%d: ...", key[0])) }

func (d *desk) Watch(key chat.Key, on bool) { d.watched[key] = on }

func (d *desk) Send(to chat.Key, text string) (id chat.MessageID, err error) {
	if d.refuses != nil {
		return id, d.refuses
	}
	d.said = append(d.said, fmt.Sprintf("%d: %s", to[0], text))
	d.ids++
	binary.BigEndian.PutUint64(id[:], d.ids)
	if d.Session.store != nil {
		_, err = d.store.Said(chat.Saying{To: to, Name: d.answers[to].Name, ID: id, Text: text, Sent: d.now})
	}
	return id, err
}

func (d *desk) Rooms() (all []chat.Room) {
	for _, name := range slices.Sorted(maps.Keys(d.members)) {
		all = append(all, chat.Room{Name: name, Handle: (&chat.Membership{Name: name, Key: d.keys[name]}).Handle(), Joined: true, Members: len(d.members[name]) + 1, Private: !d.keys[name].IsZero()})
	}
	return append(all, chat.Room{Name: "#other", Members: 2})
}

func (d *desk) Members(name string) []chat.Person { return d.members[name] }
func (d *desk) Survey(context.Context)            {}

func (d *desk) SendRoom(name, text string) (id chat.MessageID, to []chat.Person, err error) {
	to, in := d.members[name]
	if !in {
		return id, nil, chat.ErrNotIn
	}
	d.said = append(d.said, name+": "+text)
	d.ids++
	d.clock = max(d.clock+1, uint64(d.now.UnixMilli()))
	binary.BigEndian.PutUint64(id[:], d.ids)
	d.heads[id] = &spoken{room: name, to: to}
	if d.Session.store != nil {
		_, err = d.store.SaidIn(chat.Saying{ID: id, Text: text, Sent: d.now, Room: name, Clock: d.clock}, to)
	}
	return id, to, err
}

func (d *desk) Delivery(id chat.MessageID) (delivered, total int, missing []chat.Missing) {
	s := d.heads[id]
	if s == nil {
		return 0, 0, nil
	}
	for _, p := range s.to[s.got:] {
		missing = append(missing, chat.Missing{Person: p, Reason: s.declined})
	}
	return s.got, len(s.to), missing
}

// hearsIn has somebody say something in a room, so long after a moment by the room's clock.
func (d *desk) hearsIn(name string, p chat.Person, text string, clock time.Duration) chat.MessageID {
	d.t.Helper()
	var id chat.MessageID
	d.ids++
	binary.BigEndian.PutUint64(id[:], d.ids)
	e := chat.Event{
		Kind: chat.Message, Person: p, ID: id, Text: text, Sent: d.now, Received: d.now, Room: name,
		Clock: uint64(now0.Add(clock).UnixMilli()),
	}
	d.clock = max(d.clock, e.Clock)
	if d.Session.store != nil {
		s := chat.Saying{ID: id, Text: text, Sent: d.now, Room: name, Clock: e.Clock}
		if _, err := d.store.HeardIn(p, s, d.now); err != nil {
			d.t.Fatal(err)
		}
	}
	d.Heard(e, d.now)
	return id
}

// acknowledges has the next member of those whom a message in a room was for have it.
func (d *desk) acknowledges(id chat.MessageID) {
	s := d.heads[id]
	p := s.to[s.got]
	s.got++
	if err := d.store.Delivered(p.Key, id, d.now); err != nil {
		d.t.Fatal(err)
	}
	d.Heard(chat.Event{Kind: chat.Delivered, Person: p, ID: id, Room: s.room}, d.now)
}

// hears has somebody say something, as the node tells it.
func (d *desk) hears(p chat.Person, text string) chat.MessageID {
	d.t.Helper()
	var id chat.MessageID
	d.ids++
	binary.BigEndian.PutUint64(id[:], d.ids)
	d.now = d.now.Add(time.Second)
	if d.Session.store != nil {
		if _, err := d.store.Heard(p, id, text, d.now, d.now); err != nil {
			d.t.Fatal(err)
		}
	}
	d.Heard(chat.Event{Kind: chat.Message, Person: p, ID: id, Text: text, Sent: d.now, Received: d.now}, d.now)
	return id
}

func (d *desk) event(kind chat.Kind, p chat.Person, id chat.MessageID) {
	d.Heard(chat.Event{Kind: kind, Person: p, ID: id}, d.now)
}

func (d *desk) sees(p chat.Person, change discovery.Change) {
	peer := discovery.Peer{ID: p.Key.String(), Name: p.Name, Addrs: []netip.AddrPort{netip.MustParseAddrPort("198.18.0.2:41027")}}
	d.Saw(discovery.Event{Change: change, Peer: peer}, d.now)
}

// types types a line where one is, and runs what it sets going.
func (d *desk) types(line string) {
	d.t.Helper()
	d.Do(line, d.Current(), d.now)
	d.work()
}

// work runs the jobs, and those that come of them.
func (d *desk) work() {
	d.t.Helper()
	for jobs := d.Jobs(); jobs != nil; jobs = d.Jobs() {
		for _, j := range jobs {
			j(d.t.Context())(d.now)
		}
	}
}

// told returns what the Session had to tell since the last call, a line for each.
func (d *desk) told() string {
	var b strings.Builder
	for _, n := range d.News() {
		switch n.Kind {
		case Told:
			b.WriteString(n.Text + "\n")
		case Found:
			fmt.Fprintf(&b, "found %d\n", len(n.Hits))
		case Quit:
			b.WriteString("quit\n")
		case Helped:
			b.WriteString("help\n")
		}
	}
	return b.String()
}

// shows returns the lines of a conversation.
func (d *desk) shows(p chat.Person) []string { return d.showsIn(Conv{Key: p.Key}) }

func (d *desk) showsIn(c Conv) (all []string) {
	for _, l := range d.Lines(c) {
		switch {
		case l.Out && c.Room != "" && l.Reason == "":
			all = append(all, fmt.Sprintf("> %s (%v %d/%d)", l.Text, l.State, l.Got, l.Of))
		case l.Notice:
			all = append(all, "* "+l.Text)
		case l.Out && l.Reason != "":
			all = append(all, "> "+l.Text+" ("+l.State.String()+": "+l.Reason+")")
		case l.Out:
			all = append(all, "> "+l.Text+" ("+l.State.String()+")")
		default:
			all = append(all, d.Label(Conv{Key: l.From})+": "+l.Text)
		}
	}
	return all
}

func (d *desk) want(p chat.Person, lines ...string) {
	d.t.Helper()
	d.wantIn(Conv{Key: p.Key}, lines...)
}

func (d *desk) wantIn(c Conv, lines ...string) {
	d.t.Helper()
	if got := d.showsIn(c); !slices.Equal(got, lines) {
		d.t.Errorf("shown:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func (d *desk) row(p chat.Person) Row {
	d.t.Helper()
	for _, r := range d.Rows() {
		if r.Conv.Key == p.Key {
			return r
		}
	}
	d.t.Fatalf("%s has no row", p.Name)
	return Row{}
}

func TestConversation(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	d.Attend(true)
	d.types("ana") // nobody is turned to yet: a name
	if !d.watched[ana.Key] || d.Current().Key != ana.Key {
		t.Fatal("ana wasn't turned to")
	}
	d.want(ana, "* ana doesn't answer; what you write is delivered when they are back")
	d.types("hello")
	d.want(ana, "* ana doesn't answer; what you write is delivered when they are back", "> hello (queued)")
	d.event(chat.Met, ana, chat.MessageID{})
	line := d.Lines(d.Current())[1]
	if line.State != Sent {
		t.Errorf("once ana is there: %v", line.State)
	}
	d.event(chat.Delivered, ana, line.ID)
	d.hears(ana, "hi\x1b[2J")
	d.event(chat.Left, ana, chat.MessageID{})
	d.types("//who ever")
	d.types("/me sighs")
	d.want(ana,
		"* ana doesn't answer; what you write is delivered when they are back",
		"> hello (delivered)",
		"* ana is back",
		"* first contact with ana (aeaaaa): remembered; compare words with: /verify ana",
		"ana: hi␛[2J",
		"* ana has left; what you write is delivered when they are back",
		"> /who ever (queued)",
		"> sighs (queued)",
	)
	if want := []string{"1: hello", "1: /who ever", "1: /me sighs"}; !slices.Equal(d.said, want) {
		t.Errorf("said %q", d.said)
	}
}

func TestUnread(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	d.sees(bob, discovery.Up)
	d.answers[ana.Key], d.answers[bob.Key] = ana, bob
	d.Attend(true)
	d.types("/to ana")
	d.hears(ana, "one")
	d.hears(bob, "two")
	d.hears(bob, "three")
	if a, b := d.row(ana).Unread, d.row(bob).Unread; a != 0 || b != 2 {
		t.Fatalf("unread: ana %d, bob %d", a, b)
	}
	for _, n := range d.News() {
		if n.Kind == Said && !n.Line.Notice && !n.Notify {
			t.Errorf("no sign for %q", n.Line.Text)
		}
	}
	now := d.now.Add(2 * time.Second)
	d.Tick(now)
	d.work()
	d.start() // restarted before bob's were read
	if a, b := d.row(ana).Unread, d.row(bob).Unread; a != 0 || b != 2 {
		t.Fatalf("after a restart, unread: ana %d, bob %d", a, b)
	}
	d.Attend(true)
	d.types("/next")
	d.want(bob, "bob: two", "bob: three")
	if rule := d.Rule(d.Current()); rule == 0 || rule != d.Lines(d.Current())[0].N {
		t.Errorf("the rule is at %d", rule)
	}
	if d.row(bob).Unread != 0 {
		t.Error("bob's are unread still")
	}
	d.Attend(false)
	d.hears(bob, "four")
	if rule := d.Rule(d.Current()); rule != d.Lines(d.Current())[len(d.Lines(d.Current()))-1].N {
		t.Errorf("the rule is at %d, before what was read", rule)
	}
	d.start()
	if n := d.row(bob).Unread; n != 1 {
		t.Errorf("after a restart %d of bob's are unread", n)
	}
}

// Whoever left and is seen again is there again, whether the conversation is open or not.
func TestSeenAgain(t *testing.T) {
	d := newDesk(t)
	d.hears(bob, "hello") // never opened
	for _, p := range []chat.Person{ana, bob} {
		d.sees(p, discovery.Up)
	}
	d.types("/to ana")
	d.event(chat.Met, ana, chat.MessageID{})
	for _, p := range []chat.Person{ana, bob} {
		d.event(chat.Left, p, chat.MessageID{})
		d.sees(p, discovery.Down)
		if r := d.row(p); !r.Away || r.Present {
			t.Errorf("gone: %+v", r)
		}
		d.sees(p, discovery.Up)
		if r := d.row(p); r.Away || !r.Present {
			t.Errorf("back: %+v", r)
		}
	}
	d.want(ana, "* ana doesn't answer; what you write is delivered when they are back", "* ana is back",
		"* ana has left; what you write is delivered when they are back", "* ana is back")
}

func TestRenamed(t *testing.T) {
	d := newDesk(t)
	d.sees(bob, discovery.Up)
	d.types("/to bob")
	d.event(chat.Met, chat.Person{Key: bob.Key, Name: "robert"}, chat.MessageID{})
	if got := d.shows(bob); !slices.Contains(got, "* bob is now called robert") {
		t.Errorf("shown: %q", got)
	}
}
