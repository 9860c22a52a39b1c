package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"earshot/chat"
	"earshot/discovery"
)

func TestCommands(t *testing.T) {
	d := newDesk(t)
	d.answers[ana.Key], d.answers[bob.Key] = ana, bob
	for _, p := range []chat.Person{ana, bob} {
		d.sees(p, discovery.Up)
		d.event(chat.Met, p, chat.MessageID{})
	}
	for _, step := range []struct{ typed, told string }{
		{"/me waves", "you talk with nobody yet: /to NAME"},
		{"/keep", "go to a person or a room first"},
		{"/who", "ana: here\nbob: here"},
		{"/nonsense", "there is no /nonsense; /help tells"},
		{"/msg", "the peer's name is empty"},
		{"/msg ana", "say what: /msg NAME TEXT"},
		{"/msg an hello", "nobody called an is visible"}, // not by the beginning of a name
		{"/msg ana  hello  there", ""},
		{"/to an", ""},
		{"/keep", "messages here are kept for ever, as all are"},
		{"/keep 3m", "a time to keep messages is written like"},
		{"/keep 14d", "messages here are kept for 2 weeks from now on; older ones are deleted within the hour"},
		{"/keep", "messages here are kept for 2 weeks; older"},
		{"/keep forever", "messages here are kept for ever from now on"},
		{"/keep default", "messages here are kept for ever from now on, as all are"},
		{"/msg bob meanwhile", ""},
		{"/next", "nothing is unread"},
		{"/mute bob", "bob is muted"},
		{"/who", "bob: here, muted"},
		{"/mute bob", "bob isn't muted any more"},
		{"/rename bob Bob from work", "bob is called Bob from work here"},
		{"/msg Bob from work hi", ""},
		{`/msg "Bob from work" again`, ""},
		{"/rename ana Bob", "ana is called Bob here"},
		{"/msg Bob from work", "that could be Bob or Bob from work; put the name in quotes"},
		{"/rename Bob Bob from work", "you call somebody else so; see /people"},
		{`/rename "Bob"`, "Bob is called as they call themselves"},
		{`/rename ana "x` + "\x1b", "that can't be a name"},
		{"/verify maybe", "nobody called maybe is visible"},
		{"/verify ana", "does ana see the same six words?"},
		{"/verify yes", "ana is verified"},
		{"/who", "ana✔: here, verified"},
		{"/verify ana no", "ana isn't verified any more"},
		{"/search again", "found 0"}, // of the conversation shown
		{"/search there", "found 1"},
		{"/log 1", "found 1"},
		{`/log "Bob from work"`, "found 3"},
		{"/people", "Bob from work: aiaaaa, last seen"},
		{"/name", "you are me"},
		{"/name #dev", "would be a room"},
		{"/name " + strings.Repeat("x", 64), "your name takes 64 bytes, more than 63"},
		{"/name Max", "you are Max from now on"},
		{`/block "Bob from work"`, "Bob from work is blocked"},
		{"/people", "blocked"},
		{`/unblock "Bob from work"`, "Bob from work is heard again"},
		{"/close", ""},
		{"/close", "you talk with nobody yet"},
		{"/search hello", "found 1"}, // in all
		{"/forget ana", "to remove ana and all that was said with them: /forget ana yes"},
		{"/forget ana yes", "ana is forgotten"},
		{"/doctor", "looking at this machine and the network\nthe firewall drops it"},
		{"/help", "help"},
		{"/bye", "quit"},
		{"/quit", "quit"},
	} {
		d.types(step.typed)
		if got := d.told(); !strings.Contains(got, step.told) || step.told == "" && got != "" {
			t.Errorf("%s: told %q, want %q", step.typed, got, step.told)
		}
	}
	if want := []string{"1: hello  there", "2: meanwhile", "2: hi", "2: again"}; !slices.Equal(d.said, want) {
		t.Errorf("said %q, want %q", d.said, want)
	}
	if d.name != "Max" || d.Me().Name != "Max" {
		t.Errorf("renamed to %q", d.name)
	}
	if !d.Current().IsZero() {
		t.Error("the conversation with somebody forgotten is still shown")
	}
}

// A stranger under a known name is never meant by it.
func TestStrangerUnderAKnownName(t *testing.T) {
	d := newDesk(t)
	d.hears(ana, "it's me")
	if err := d.store.Flush(); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.sees(eve, discovery.Up)
	r := d.row(eve)
	if !r.Warned || !strings.HasSuffix(r.Label, "(not the ana you know)") || r.Arg != "ana·auaaaa" {
		t.Errorf("shown as %+v", r)
	}
	d.types("/msg ana a secret")
	if d.said != nil {
		t.Errorf("said %q", d.said)
	}
	d.types("/msg ana·auaaaa who are you?")
	if len(d.said) != 1 {
		t.Errorf("said %q", d.said)
	}
}

func TestComplete(t *testing.T) {
	d := newDesk(t)
	for i, name := range []string{"ana", "anabel", "Bob from work"} {
		d.sees(chat.Person{Key: chat.Key{byte(i + 1)}, Name: name}, discovery.Up)
	}
	for _, tt := range []struct {
		to, line string
		from     int
		want     string
	}{
		{"", "an", 0, "ana|anabel"},
		{"", "bob fr", 0, "Bob from work"},
		{"", "/wh", 0, "/who "},
		{"", "/m", 0, "/msg |/me |/missing |/mute "},
		{"", "/to an", 4, "ana |anabel "},
		{"", "/msg bob", 5, `"Bob from work" `},
		{"", `/msg "bob from`, 5, `"Bob from work" `},
		{"", "/search an", 8, ""},
		{"ana", "an", 0, "ana: |anabel: "},
		{"ana", "ask an", 4, "ana |anabel "},
		{"ana", "ask ", 4, ""},
		{"ana", "well :smile:", 5, "😄"},
		{"ana", "well :tad", 5, "🎉"},
		{"ana", "well :xyzzy", 5, ""},
		{"ana", "//wh", 0, ""},
	} {
		d.Turn(Conv{}, d.now)
		if tt.to != "" {
			d.types("/to " + tt.to)
		}
		from, all := d.Complete(tt.line+" behind", len(tt.line))
		var got []string
		for _, c := range all {
			got = append(got, c.Text)
		}
		if strings.Join(got, "|") != tt.want || tt.want != "" && from != tt.from {
			t.Errorf("%q becomes %q from %d, want %q from %d", tt.line, got, from, tt.want, tt.from)
		}
	}
	d.Turn(Conv{}, d.now)
	d.hears(eve, "hello") // "ana" too; she is blocked, and gone from the list
	d.hears(bob, "hello")
	if err := d.store.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := d.book.Read(d.store); err != nil {
		t.Fatal(err)
	}
	d.types("/block bob")
	for line, want := range map[string]string{
		"/unblock ": "bob ", "/unblock a": "", "/block bo": `"Bob from work" `, "/rename bob": `"Bob from work" |bob `, "/forget bob y": "yes", "/join #": "#other ",
		"/join ": "#other ", "/join #den p": "private", `/verify "Bob from work" `: "yes|no", "/verify y": "",
	} {
		_, all := d.Complete(line, len(line))
		var got []string
		for _, c := range all {
			got = append(got, c.Text)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
	d.types("/to Bob")
	if _, all := d.Complete("/verify y", 9); len(all) != 1 || all[0].Text != "yes" {
		t.Errorf("/verify y becomes %v", all)
	}
	if _, all := d.Complete(":sm", 3); len(all) < 5 || !strings.HasPrefix(all[0].Name, ":sm") {
		t.Errorf("emoji are offered as %v", all)
	}
}

// None of what a frame needs takes longer the longer a conversation is: the figure is the
// same with 100 and with 100,000 messages.
func BenchmarkFrame(b *testing.B) {
	for _, count := range []int{100, 100_000} {
		b.Run(fmt.Sprint(count, " messages"), func(b *testing.B) {
			d := &desk{t: b, now: now0, answers: map[chat.Key]chat.Person{}, book: &Book{}, watched: map[chat.Key]bool{}}
			d.begin(nil)
			for i := range 500 {
				d.sees(chat.Person{Key: chat.Key{byte(i), byte(i >> 8), 1}, Name: fmt.Sprint("peer", i)}, discovery.Up)
			}
			d.sees(ana, discovery.Up)
			d.Turn(Conv{Key: ana.Key}, d.now)
			for range count {
				d.hears(ana, "hello")
			}
			for b.Loop() {
				d.hears(ana, "hello")
				_ = d.Rows()
				_ = d.Lines(d.Current())
				_ = d.News()
			}
		})
	}
}
