package app

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
	"earshot/discovery"
)

// past has ana say count texts before the Session begins.
func (d *desk) past(count int) {
	d.t.Helper()
	for n := range count {
		var id chat.MessageID
		binary.BigEndian.PutUint64(id[8:], uint64(n+1))
		at := d.now.Add(time.Duration(n-count) * time.Minute)
		if _, err := d.store.Heard(ana, id, fmt.Sprint("text ", n), at, at); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := d.store.Flush(); err != nil {
		d.t.Fatal(err)
	}
	d.start()
}

// inOrder checks that the lines are text from..to, with no gap and growing numbers.
func (d *desk) inOrder(from, to int) {
	d.t.Helper()
	var last int64
	at := from
	for _, l := range d.Lines(d.Current()) {
		if l.N <= last {
			d.t.Fatalf("line %d after %d", l.N, last)
		}
		if last = l.N; l.Notice {
			continue
		}
		if want := fmt.Sprint("text ", at); l.Text != want {
			d.t.Fatalf("%q, want %q", l.Text, want)
		}
		at++
	}
	if at != to+1 {
		d.t.Fatalf("the lines end before text %d, want text %d", at, to)
	}
}

func TestHistoryComesByPages(t *testing.T) {
	d := newDesk(t)
	d.past(1000)
	if err := d.store.SetSeen(ana.Key, "", 1000); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.Turn(Conv{Key: ana.Key}, d.now)
	d.inOrder(1000-pageLines, 999)
	d.hears(ana, "text 1000") // isn't read twice
	for d.Older(d.Current()) {
	}
	d.inOrder(0, 1000)
	if d.Older(d.Current()) {
		t.Error("there is something before the beginning")
	}
}

// The unread rule stands where it should, however far up that is.
func TestRuleFarUp(t *testing.T) {
	d := newDesk(t)
	d.past(600)
	d.Turn(Conv{Key: ana.Key}, d.now)
	lines := d.Lines(d.Current())
	if rule := d.Rule(d.Current()); len(lines) != 600 || rule != lines[0].N {
		t.Errorf("of %d lines the rule is at %d", len(lines), rule)
	}
}

func TestJump(t *testing.T) {
	d := newDesk(t)
	d.past(2000)
	d.Turn(Conv{Key: ana.Key}, d.now)
	d.hears(ana, "text 2000")
	d.News()
	d.Search(d.Current(), "77")
	d.work()
	var hit Hit
	for _, n := range d.News() {
		if n.Kind == Found && len(n.Hits) == 1 {
			hit = n.Hits[0]
		}
	}
	if hit.Line.Text != "text 77" {
		t.Fatalf("found %q", hit.Line.Text)
	}
	if !d.Jump(hit.Conv, hit.Line.N) {
		t.Fatal("it isn't there")
	}
	d.inOrder(0, 77+pageLines)
	d.hears(ana, "text 2001") // comes at the end, which isn't shown
	d.inOrder(0, 77+pageLines)
	for d.Newer(d.Current()) {
	}
	d.inOrder(0, 2001) // the way led to the end
	d.Jump(hit.Conv, hit.Line.N)
	if d.Jump(hit.Conv, 1<<30) {
		t.Error("jumped to nowhere")
	}
	d.Jump(hit.Conv, 1500)
	d.End(hit.Conv)
	d.inOrder(0, 2001)
}

// What is trimmed from memory comes back from the store, in order.
func TestMemoryIsBounded(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	for n := range 3 * mostUnopenedLines {
		d.hears(ana, fmt.Sprint("text ", n))
	}
	if n := len(d.Lines(Conv{Key: ana.Key})); n > mostUnopenedLines+1 {
		t.Errorf("%d lines of a conversation that nobody reads are in memory", n)
	}
	d.types("/to ana")
	for d.Older(d.Current()) {
	}
	lines := d.Lines(d.Current())
	var texts []string
	for _, l := range lines {
		if !l.Notice {
			texts = append(texts, l.Text)
		}
	}
	if len(texts) != 3*mostUnopenedLines || texts[0] != "text 0" || texts[len(texts)-1] != fmt.Sprint("text ", 3*mostUnopenedLines-1) {
		t.Errorf("%d texts, from %q to %q", len(texts), texts[0], texts[len(texts)-1])
	}
	if rule := d.Rule(d.Current()); rule == 0 {
		t.Error("no unread rule")
	}
}

func TestFailureAndRetry(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	d.answers[ana.Key] = ana
	d.types("/to ana")
	d.refuses = chat.ErrBacklog
	d.types("one")
	d.want(ana, "> one (failed: too much waits for them already)")
	d.refuses = chat.ErrNoAddress // they have gone: it waits in the outbox
	d.types("two")
	d.refuses = nil
	d.types("/retry")
	d.want(ana, "> two (queued)", "> one (sent)")
	line := d.Lines(d.Current())[0]
	if err := d.store.Cancel(line.ID, 2); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(2 * time.Second)
	d.Tick(d.now)
	d.work()
	d.want(ana, "> two (failed: they weren't seen for 7 days)", "> one (sent)")
	d.types("/retry")
	if s := d.Lines(d.Current())[0].State; s != Sent {
		t.Errorf("after a retry it is %v", s)
	}
	if got := len(d.Undelivered()); got != 2 {
		t.Errorf("%d are undelivered", got)
	}
	d.types("//" + strings.Repeat("x", chat.MaxText))
	if got := d.told(); !strings.Contains(got, "65536 bytes") {
		t.Errorf("told %q", got)
	}
}

// Without a store everything is the same, as long as the process lives.
func TestNothingKept(t *testing.T) {
	d := newDesk(t)
	d.begin(nil)
	d.sees(ana, discovery.Up)
	d.refuses = chat.ErrNoAddress
	d.types("/to ana")
	d.types("one")
	d.types("another")
	d.refuses = nil
	d.types("/retry") // the newest that has failed, then the one before
	d.types("/retry")
	d.told()
	if d.types("/retry"); d.told() != "nothing has failed here\n" {
		t.Error("something has failed still")
	}
	d.hears(ana, "two")
	for _, i := range []int{1, 2} {
		d.event(chat.Delivered, ana, d.Lines(d.Current())[i].ID)
	}
	d.types("/search one")
	d.types("/rename ana anna")
	d.SetDraft(d.Current(), "half")
	d.want(ana, "* ana doesn't answer", "> another (delivered)", "> one (delivered)", "* ana is back", "* first contact with ana (aeaaaa)", "ana: two")
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if files, _ := filepath.Glob(filepath.Join(d.dir, "earshot.db*")); len(files) > 0 {
		if b, _ := os.ReadFile(files[0]); strings.Contains(string(b), "half") {
			t.Error("the draft is on the disk")
		}
	}
}

func TestDraftsAndTypedLinesSurvive(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	d.types("/to ana")
	d.types("hello")
	d.types("hello")
	d.SetDraft(d.Current(), "what I was ab")
	d.now = d.now.Add(time.Second)
	d.Tick(d.now)
	d.work()
	d.start()
	if got := d.Draft(Conv{Key: ana.Key}); got != "what I was ab" {
		t.Errorf("the draft is %q", got)
	}
	if got := strings.Join(d.Typed(), "|"); got != "/to ana|hello" {
		t.Errorf("typed %q", got)
	}
}

func TestHostileText(t *testing.T) {
	d := newDesk(t)
	bad := chat.Person{Key: chat.Key{7}, Name: "e\x1b[2J\u202eve"}
	d.sees(bad, discovery.Up)
	d.hears(bad, "a\x1b]0;x\a\u202eb\r\n\u2066c\xff")
	d.types("/to " + bad.Key.String())
	d.types("/who")
	for _, r := range d.Rows() {
		if strings.ContainsAny(r.Label+r.Arg, "\x1b\u202e") {
			t.Errorf("the label is %q", r.Label)
		}
	}
	for _, l := range d.Lines(d.Current()) {
		if strings.ContainsAny(l.Text, "\x1b\a\r\u202e\u2066") {
			t.Errorf("the line is %q", l.Text)
		}
	}
	for _, n := range d.News() {
		if strings.ContainsAny(n.Text+n.Line.Text, "\x1b\a\u202e") {
			t.Errorf("told %q", n.Text+n.Line.Text)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	d := newDesk(t)
	if got := d.Empty(); !strings.HasPrefix(got, "nobody else is here yet") {
		t.Errorf("at first: %q", got)
	}
	d.now = d.now.Add(4 * time.Second)
	d.Tick(d.now)
	d.work()
	d.now = d.now.Add(time.Second)
	d.Tick(d.now)
	d.work()
	if got := d.Empty(); got != "the firewall drops it" {
		t.Errorf("after 5 s: %q", got)
	}
	d.sees(ana, discovery.Up)
	if got := d.Empty(); got != "" {
		t.Errorf("with ana there: %q", got)
	}
	d.sees(ana, discovery.Down)
	if rows := d.Rows(); len(rows) != 1 || rows[0].Conv.Room != "#here" {
		t.Error("somebody who has left, and said nothing, is listed")
	}
}

func TestTypingIsMeasured(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	d.types("/to ana")
	d.Session.Typing(d.Current())
	if d.said != nil {
		t.Error("told somebody who doesn't answer")
	}
	d.event(chat.Met, ana, chat.MessageID{})
	d.Session.Typing(d.Current())
	d.types("first")
	d.Session.Typing(d.Current())
	d.Session.Typing(d.Current())
	if want := []string{"1: ...", "1: first", "1: ...", "1: ..."}; !slices.Equal(d.said, want) {
		t.Errorf("the node, which keeps the measure, was told %q", d.said)
	}
	d.Session.settings.Typing = false
	d.now = d.now.Add(time.Minute)
	d.Session.Typing(d.Current())
	if len(d.said) != 4 {
		t.Error("told though that is turned off")
	}
	d.event(chat.Typing, ana, chat.MessageID{})
	if !d.row(ana).Typing {
		t.Error("ana isn't seen to write")
	}
	next := d.Tick(d.now)
	for range 20 {
		d.now = next
		next = d.Tick(d.now)
	}
	if d.row(ana).Typing {
		t.Error("ana is writing forever")
	}
	d.event(chat.Typing, ana, chat.MessageID{})
	d.hears(ana, "there")
	if d.row(ana).Typing {
		t.Error("ana is writing what has come")
	}
}

func TestCallByAddress(t *testing.T) {
	d := newDesk(t)
	d.answers[chat.Key{}] = bob
	d.Do("/to 198.18.0.9", d.Current(), d.now)
	if !d.Calling() {
		t.Error("nobody is called")
	}
	d.work()
	if d.Calling() || d.Current().Key != bob.Key {
		t.Error("bob isn't turned to")
	}
	delete(d.answers, chat.Key{})
	d.told()
	d.types("/to 198.18.0.10")
	if got := d.told(); !strings.Contains(got, "198.18.0.10 doesn't answer") {
		t.Errorf("told %q", got)
	}
	if d.Current().Key != bob.Key {
		t.Error("the conversation is lost")
	}
}

// What was said long ago is reached by lines, too.
func TestLongLog(t *testing.T) {
	d := newDesk(t)
	for i := range 3 * pageLines {
		d.hears(ana, fmt.Sprint("text ", i))
	}
	d.start()
	d.types("/log ana 1000")
	if got := d.told(); got != fmt.Sprintf("found %d\n", 3*pageLines) {
		t.Error(got)
	}
}

// What waits for somebody who may answer at any moment is on its way.
func TestSending(t *testing.T) {
	d := newDesk(t)
	want := func(when string, want bool) {
		t.Helper()
		if d.Sending() != want {
			t.Errorf("%s: on its way is %v", when, !want)
		}
	}
	withAna := Conv{Key: ana.Key}
	d.Turn(withAna, d.now)
	want("nothing said", false)
	d.Say(withAna, "hello", d.now)
	if s := d.Lines(withAna)[0].State; s != Queued {
		t.Fatalf("it is %v", s)
	}
	want("called", true)
	d.work()
	want("unanswered", false)
	d.sees(ana, discovery.Up)
	want("visible", true)
	d.event(chat.Met, ana, chat.MessageID{})
	want("met", true)
	d.event(chat.Unreachable, ana, chat.MessageID{})
	want("unreachable", false)
	d.event(chat.Reachable, ana, chat.MessageID{})
	d.event(chat.Delivered, ana, d.Lines(withAna)[0].ID)
	want("delivered", false)
}
