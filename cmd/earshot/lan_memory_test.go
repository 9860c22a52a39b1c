//go:build linux

package main_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLANMemory has people meet again: after restarts, under other keys, and after a
// quarrel.
func TestLANMemory(t *testing.T) {
	needLAN(t)
	for _, situation := range []struct {
		name string
		test func(*testing.T)
	}{
		{"outbox over restarts", lanOutboxRestarts},
		{"known and new of one name", lanKnownAndNew},
		{"new key", lanNewKey},
		{"blocked", lanBlocked},
		{"verified", lanVerified},
		{"last lines", lanLastLines},
		{"not queued", lanNotQueued},
	} {
		t.Run(situation.name, func(t *testing.T) {
			t.Parallel()
			situation.test(t)
		})
	}
}

// kill ends the program as a power cut does, as far as it can tell.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// texts returns what the person's log has of somebody, the oldest first.
func (h *host) texts(who string) (all []string) {
	h.t.Helper()
	for line := range strings.Lines(h.run("log", "--json", "-n", "0", who).exits(0).stdout) {
		all = append(all, decode[event](h.t, line).Text)
	}
	return all
}

// hears asserts that these are the next messages.
func (p *process) hears(texts ...string) {
	p.t.Helper()
	for _, want := range texts {
		if m := p.event("message"); m.Text != want {
			p.t.Errorf("%s: heard %q, want %q", p.title, m.Text, want)
		}
	}
}

func lanOutboxRestarts(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	there := listening(bob)["bob"]
	ana.run("send", "bob", "known").exits(0).notes("first contact with bob", "earshot verify bob")
	there.hears("known")
	there.expectNote("first contact with ana .*: remembered")
	there.kill()

	// What is said to somebody absent outlives every process here, and is sent when both
	// run again.
	ana.run("send", "--timeout", "1s", "--wait", "50ms", "bob", "one").exits(5).notes("queued")
	talk := ana.start("listen")
	talk.expectNote("listening")
	talk.kill()
	if out := ana.run("--hidden", "send", "--json", "--timeout", "1s", "--wait", "50ms", "bob", "two").exits(5).stdout; decode[event](t, out).Status != "queued" {
		t.Errorf("two: %s", out)
	}
	ana.run("outbox").exits(0)
	there = listening(bob)["bob"]
	here := ana.start("listen")
	there.hears("one", "two")

	// Everything is killed while they talk. Lines that weren't delivered are, in order.
	chat := ana.start("chat", "bob")
	chat.expectNote("talking with bob")
	chat.say("three")
	there.hears("three")
	there.kill()
	chat.say("four")
	chat.say("five")
	chat.expectNote("bob can't be reached")
	chat.kill()
	here.kill()
	there = listening(bob)["bob"]
	ana.start("listen")
	there.hears("four", "five")
	ana.run("send", "bob", "six").exits(0)
	there.hears("six")
	if got := bob.texts("ana"); strings.Join(got, " ") != "known one two three four five six" {
		t.Errorf("bob has kept %q", got)
	}
	ana.run("outbox").exits(0).notes("everything is delivered")
	there.interrupt()
	there.exits(130)
	if n := strings.Count(there.stdout.String(), `"event":"message"`); n != 3 {
		t.Errorf("bob heard %d messages at last", n)
	}
}

func lanKnownAndNew(t *testing.T) {
	l := newLAN(t)
	ana, other, bob := l.host("ana"), l.host("ana"), l.host("bob")
	there := bob.start("listen")
	there.expectNote("listening")
	known := ana.start("listen")
	known.expectNote("listening")
	ana.run("send", "bob", "hello").exits(0)
	there.expect("^[0-9:]{5} ana: hello$")
	bob.run("send", "ana", "hello to you").exits(0)

	// Another of that name is shown apart, and never picked by it.
	long := "ana·" + other.identity()[:6]
	warned := long + ` \(not the ana you know\)`
	second := other.start("listen")
	second.expectNote("listening")
	if table := bob.run("peers").exits(0).stdout; !regexp.MustCompile(warned).MatchString(table) || !strings.Contains(table, "ana·"+ana.identity()[:6]+" ") {
		t.Errorf("peers:\n%s", table)
	}
	bob.run("send", "ana", "which?").exits(4)
	other.run("send", "bob", "it's me").exits(0)
	there.expectNote("first contact with " + warned)
	there.expect("^[0-9:]{5} " + warned + ": it's me$")
	if log := bob.run("log").exits(0).stdout; !regexp.MustCompile(` ana·[a-z2-7]{6}: hello\n.*\n.* ` + warned + `: it's me\n`).MatchString(log) {
		t.Errorf("log:\n%s", log)
	}
	known.interrupt()
	known.exits(130)
	bob.run("send", "ana", "is it?").exits(6).notes("isn't the one you know", "nothing was sent", long[len("ana·"):])
	bob.run("send", long, "so you are new").exits(0)
	second.expect("bob: so you are new$")
	bob.run("people", "rename", long, "Anna").exits(0)
	bob.run("send", "Anna", "now by my name").exits(0)
	second.expect("bob: now by my name$")
}

func lanNewKey(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	there := listening(ana)["ana"]
	bob.run("send", "ana", "hello").exits(0)
	old := ana.identity()
	there.interrupt()
	there.exits(130)
	if err := os.RemoveAll(ana.dir); err != nil {
		t.Fatal(err)
	}
	there = listening(ana)["ana"]
	bob.run("send", "ana", "secret").exits(6).notes("isn't the one you know ("+old[:6], "earshot people forget ana", "ana-"+ana.identity()[:6])
	bob.run("chat", "ana").exits(6)
	bob.run("people", "--yes", "forget", "ana").exits(0)
	bob.run("send", "ana", "hello again").exits(0).notes("first contact with ana")
	there.hears("hello again")
}

// sent is how many datagrams of chat, replies to hellos aside, the host has sent since
// countSent.
func (h *host) sent() int {
	h.t.Helper()
	out := h.exec("nft", "list", "counter", "inet", "earshot", "chat")
	n, err := strconv.Atoi(regexp.MustCompile(`packets (\d+)`).FindStringSubmatch(out)[1])
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *host) countSent() {
	h.t.Helper()
	h.nft("counter chat { }\nchain out { type filter hook output priority 0; udp sport 41027 udp dport != 5353 @th,64,8 != 2 counter name chat; }")
}

func lanBlocked(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol := l.host("ana"), l.host("bob"), l.host("carol")
	there := listening(bob)["bob"]
	here := ana.start("listen")
	here.expectNote("listening")
	chat := ana.start("chat", "bob")
	chat.say("hello")
	there.hears("hello")

	// In the middle of a conversation it ends as if bob's machine had been unplugged.
	bob.countSent()
	bob.run("people", "block", "ana").exits(0)
	time.Sleep(200 * time.Millisecond) // others see within 100 ms what one process has written
	before := bob.sent()
	chat.say("are you there?")
	chat.expectNote("bob can't be reached")
	if strings.Contains(chat.stderr.String(), "has left") {
		t.Error("ana was told that bob left")
	}
	if n := bob.sent() - before; n != 0 {
		t.Errorf("bob sent %d datagrams in the conversation", n)
	}
	// So it is for a new program, by name and by address.
	gone := ana.run("send", "--no-queue", "--timeout", "700ms", l.nobody(), "hello?").exits(5)
	for _, who := range []string{"bob", bob.ip("eth0", "4")} {
		r := ana.run("send", "--no-queue", "--timeout", "700ms", who, "hello?").exits(5)
		if got, want := strings.ReplaceAll(r.stderr, who, "X"), strings.ReplaceAll(gone.stderr, l.nobody(), "X"); got != want {
			t.Errorf("to %s ana is told\n%s\nand where nobody is\n%s", who, got, want)
		}
	}
	carol.run("send", "bob", "from carol").exits(0)
	there.hears("from carol")
	if peers := bob.roster(); len(peers) != 0 {
		t.Errorf("bob sees %v", peers)
	}
	bob.run("send", "ana", "hm").exits(1).notes("blocked", "people unblock")

	// Unblocked, all that waits comes, in order.
	bob.run("people", "unblock", "ana").exits(0)
	there.hears("are you there?")
	ana.run("send", "bob", "thanks").exits(0)
	there.hears("thanks")
	if got := bob.texts("ana"); !slices.Equal(got, []string{"hello", "are you there?", "thanks"}) {
		t.Errorf("bob has kept %q", got)
	}
}

// nobody is an address of the segment that no host has.
func (l *lan) nobody() string { return fmt.Sprintf("198.18.%d.250", l.subnet) }

func lanVerified(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	there := listening(ana)["ana"]
	ears := bob.start("listen")
	ears.expectNote("listening")
	bob.run("send", "ana", "hello").exits(0)
	there.hears("hello")
	words := bob.run("verify", "ana").exits(0).stdout
	if got := ana.run("verify", "bob").exits(0).stdout; got != words || len(strings.Fields(words)) != 6 {
		t.Errorf("%q and %q", words, got)
	}
	watch := bob.start("peers", "--watch")
	watch.expect(`\+ ana  `)
	bob.run("verify", "--yes", "ana").exits(0)
	const mark = "ana✔ "
	if peers := bob.run("peers").exits(0).stdout; !strings.Contains(peers, mark) {
		t.Errorf("peers:\n%s", peers)
	}
	if !bob.roster()["ana"].Verified {
		t.Error("not verified in JSON")
	}
	ana.run("send", "bob", "marked").exits(0)
	ears.expect(" ana✔: marked$")
	if log := bob.run("log").exits(0).stdout; !strings.Contains(log, " ana✔: marked\n") || !strings.Contains(log, "> ana✔: hello\n") {
		t.Errorf("log:\n%s", log)
	}
	// In the lobby's list, and when somebody comes.
	lobby := bob.start()
	lobby.expectNote("ana✔  +" + ana.identity()[:6])
	lobby.hangUp()
	lobby.exits(0)
	there.interrupt()
	there.exits(130)
	watch.expect(`- ana✔  `)
	listening(ana)
	watch.expect(`\+ ana✔  `)

	// The mark stays, whatever the name is: of one process, or from now on.
	renamed := *ana
	renamed.name = "anna"
	renamed.run("send", "bob", "renamed").exits(0)
	ears.expect(` ana✔ \(anna\): renamed$`)
	renamed.run("name", "anna").exits(0)
	renamed.run("send", "bob", "again").exits(0)
	ears.expectNote("ana✔ is now called anna")
	if people := bob.run("people").exits(0).stdout; !regexp.MustCompile(`(?m)^ana✔ .* anna +verified$`).MatchString(people) {
		t.Errorf("people:\n%s", people)
	}
}

// Whoever opens a conversation sees how it ended.
func lanLastLines(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	there := listening(bob)["bob"]
	for n := range 12 {
		ana.run("send", "bob", fmt.Sprint("line ", n, " of twelve")).exits(0)
	}
	bob.run("send", "ana", "unanswered").exits(5)
	there.hears("line 0 of twelve")
	s := ana.screen()
	s.enter("earshot chat bob")
	s.await(`line 3 of twelve`)
	s.await(`line 11 of twelve`)
	s.await(`unanswered`) // queued until now
}

// With --no-queue a message that isn't acknowledged when send gives up, or is
// interrupted, has failed, and isn't sent later.
func lanNotQueued(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	there := listening(bob)["bob"]
	ana.run("send", "bob", "hello").exits(0)
	there.hears("hello")
	// Handshakes get through, and what confirms them; what is said doesn't.
	bob.nft("chain in { type filter hook input priority 0; udp dport 41027 @th,64,8 4 drop; }")
	ana.run("send", "--no-queue", "--timeout", "400ms", "bob", "late").exits(5).notes("nothing is kept for later")
	send := ana.start("send", "--no-queue", "--timeout", "60s", "bob", "interrupted")
	for !strings.Contains(ana.run("outbox").exits(0).stdout, "interrupted") {
		time.Sleep(20 * time.Millisecond)
	}
	send.interrupt()
	send.exits(130)
	if out := ana.run("outbox").exits(0).stdout; !regexp.MustCompile(`failed +late\n.* failed +interrupted\n$`).MatchString(out) {
		t.Errorf("outbox:\n%s", out)
	}
	bob.exec("nft", "flush", "ruleset")
	here := ana.start("listen")
	here.expectNote("listening")
	ana.run("send", "bob", "and now").exits(0)
	there.hears("and now")
	// Retried, it is delivered.
	id := regexp.MustCompile(`(?m)^([0-9a-f]{8}) .* late$`).FindStringSubmatch(ana.run("outbox").exits(0).stdout)[1]
	ana.run("outbox", "retry", id).exits(0)
	there.hears("late")
}
