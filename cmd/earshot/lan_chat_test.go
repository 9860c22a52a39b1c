//go:build linux

package main_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func lanLatency(t *testing.T) {
	const runs = 20
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	listen := listening(bob)["bob"]
	var total, bare []time.Duration
	var rtt []float64
	for i := range runs {
		began := time.Now()
		ana.exec("true")
		bare = append(bare, time.Since(began))
		r := ana.run("send", "--json", "bob", "number", strconv.Itoa(i)).exits(0)
		total = append(total, r.took)
		rtt = append(rtt, decode[event](t, r.stdout).RTT)
		listen.event("message", func(e event) bool { return e.Text == fmt.Sprint("number ", i) })
	}
	slices.Sort(total)
	slices.Sort(bare)
	slices.Sort(rtt)
	t.Logf("send between two hosts, start to exit 0, %d runs: median %v, slowest %v (starting `true` there: %v); the message itself: median %v ms",
		runs, total[runs/2], total[runs-1], bare[runs/2], rtt[runs/2])
	if total[runs/2] > 2*time.Second {
		t.Errorf("the median is %v", total[runs/2])
	}
}

func lanChatByPipes(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	listening(carol, dave)
	a, b := ana.start("chat", "bob"), bob.start("chat", "ana")
	a.say("hello bob")
	b.expect(`hello bob`)
	carol.run("send", "ana", "by the way").exits(0) // is no answer of bob's
	a.expectNote(`meanwhile carol said: by the way`)
	b.say("hello ana")
	a.expect(`hello ana`)
	if out := a.stdout.String(); strings.Contains(out, "by the way") {
		t.Errorf("ana talks with bob, and got\n%s", out)
	}
	// End of input flushes: everything said is delivered before the program ends.
	for i := range 50 {
		a.say(fmt.Sprintf("last words %d.", i))
	}
	a.hangUp()
	for i := range 50 {
		b.expect(fmt.Sprintf(`last words %d\.`, i))
	}
	a.exits(0)
	b.interrupt()
	b.exits(130)
}

func lanSend(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	there := listening(bob, carol, dave)
	got := func(want string) {
		t.Helper()
		if m := there["bob"].event("message"); m.Text != want {
			t.Errorf("bob got %d bytes %.60q, want %d bytes %.60q", len(m.Text), m.Text, len(want), want)
		}
	}
	ana.run("send", "bob", "several", "words").exits(0)
	got("several words")
	ana.run("send", "bob", "-v", "is not a flag").exits(0)
	got("-v is not a flag")
	ana.runWith("piped in\n", "send", "bob").exits(0)
	got("piped in")
	ana.runWith("two\nlines\n", "send", "bob", "-").exits(0)
	got("two\nlines")
	ana.run("send", "bob", "ünïcödé 👩‍👩‍👧 שלום").exits(0)
	got("ünïcödé 👩‍👩‍👧 שלום")

	most := strings.Repeat("0123456789abcde\n", 4096)[:64<<10-1] + "!"
	ana.runWith(most, "send", "bob").exits(0)
	got(most)
	if r := ana.runWith(most+"x", "send", "bob").notes("65536"); r.code != 1 && r.code != 2 {
		t.Errorf("a text over the limit: exit code %d", r.code)
	}
	if r := ana.runWith("", "send", "bob"); r.code != 1 && r.code != 2 {
		t.Errorf("an empty text: exit code %d\n%s", r.code, r.stderr)
	}

	sent := decode[event](t, ana.run("send", "--json", "bob", "for the record").exits(0).stdout)
	if sent.Status != "delivered" || sent.To.Name != "bob" || sent.To.ID != bob.identity() || sent.RTT <= 0 || sent.RTT > 2000 {
		t.Errorf("send --json says %+v", sent)
	}
	m := there["bob"].event("message")
	if m.ID != sent.ID || m.ID == "" {
		t.Errorf("sent with id %q, arrived with id %q", sent.ID, m.ID)
	}

	// Everybody at once to one listener.
	together(
		func() { ana.run("send", "bob", "from ana").exits(0) },
		func() { carol.run("send", "bob", "from carol").exits(0) },
		func() { dave.run("send", "bob", "from dave").exits(0) },
	)
	var from []string
	for range 3 {
		from = append(from, there["bob"].event("message").From.Name)
	}
	slices.Sort(from)
	if !slices.Equal(from, []string{"ana", "carol", "dave"}) {
		t.Errorf("bob heard %v", from)
	}
}

func lanListen(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	listening(carol, dave)
	jsonl, plain := bob.start("listen", "--json"), bob.person("bea").start("listen")
	ready := jsonl.event("ready")
	if ready.ID != bob.identity() || ready.Name != "bob" || ready.Port == 0 || len(ready.Addrs) == 0 {
		t.Errorf("ready says %+v", ready)
	}
	checkTime(t, ready.Time)
	plain.expectNote(`earshot: `) // it says that it is there
	for i := range 5 {
		ana.run("send", "bob", fmt.Sprintf("line\n%d", i)).exits(0)
		// Each event is one line, and written at once.
		m := jsonl.event("message")
		if m.Text != fmt.Sprintf("line\n%d", i) || m.From.Name != "ana" || m.From.ID != ana.identity() || m.From.Verified {
			t.Errorf("the message came as %+v", m)
		}
		for _, at := range []string{m.Time, m.Sent, m.Received} {
			checkTime(t, at)
		}
	}
	ana.run("send", "bea", "in plain").exits(0)
	plain.expect(`ana.*in plain`)
}

func lanInterrupt(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	listening(dave)
	watch := dave.start("peers", "--watch", "--json")
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		for _, p := range []struct {
			h    *host
			args []string
		}{
			{ana, []string{"listen"}},
			{bob, []string{"chat", "dave"}},
			{carol, nil},
		} {
			running := p.h.start(p.args...)
			watch.event("peer-up", of(p.h.name))
			_ = running.cmd.Process.Signal(signal)
			watch.event("peer-down", of(p.h.name)) // the goodbye
			if code := running.wait(); code != 130 && signal == syscall.SIGINT {
				t.Errorf("%s, interrupted: exit code %d", running.title, code)
			}
		}
	}
	// At any moment, the first ones included.
	for wait := range 8 {
		p := ana.start("listen", "--json")
		time.Sleep(time.Duration(wait*wait) * time.Millisecond)
		p.interrupt()
		if code := p.wait(); code != 130 && code != -1 { // -1: before the program could catch it
			t.Errorf("interrupted after %d ms: exit code %d", wait*wait, code)
		}
	}
}

func lanLoss(t *testing.T) {
	const messages = 300
	l := newLAN(t)
	l.lose(20, "meta l4proto udp")
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	listening(carol, dave)
	a, b := ana.start("chat", "bob"), bob.start("chat", "ana")
	began := time.Now()
	together(
		func() { speak(a, "ana", messages) },
		func() { speak(b, "bob", messages) },
	)
	a.expect(fmt.Sprintf(`bob says %d\.`, messages-1))
	b.expect(fmt.Sprintf(`ana says %d\.`, messages-1))
	t.Logf("%d messages each way at 20%% loss: %v", messages, time.Since(began))
	a.hangUp()
	b.hangUp()
	a.exits(0)
	b.exits(0)
	heardInOrder(t, b.stdout.String(), "ana", messages)
	heardInOrder(t, a.stdout.String(), "bob", messages)
}

func lanCablePulled(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	listening(carol, dave)
	a, b := ana.start("chat", "bob"), bob.start("chat", "ana")
	a.say("before")
	b.expect(`before`)
	bob.cable("eth0", "down")
	began := time.Now()
	a.say("while you were away")
	a.expectNote(`bob can't be reached`)
	if took := time.Since(began); took > slack*12*time.Second {
		t.Errorf("that bob can't be reached was said after %v", took)
	}
	bob.cable("eth0", "up")
	b.expect(`while you were away`)
	a.expectNote(`bob is back`)
	b.say("there you are")
	a.expect(`there you are`)
	a.hangUp()
	a.exits(0)
}

// A host gets another address in the middle of a conversation, as after a new lease.
func lanReaddressed(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.hostWith("ana", noIPv6), l.hostWith("bob", noIPv6)
	a, b := ana.start("chat", "bob"), bob.start("chat", "ana")
	a.say("before")
	b.expect(`before`)
	old := bob.ip("eth0", "4")
	bob.exec("ip", "addr", "del", old+"/24", "dev", "eth0")
	bob.exec("ip", "addr", "add", fmt.Sprintf("198.18.%d.201/24", l.subnet), "dev", "eth0")
	a.say("to where you were")
	b.expect(`to where you were`)
	b.say("from where I am")
	a.expect(`from where I am`)
	a.hangUp()
	a.exits(0)
}

func lanRestart(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	first := listening(bob, carol, dave)["bob"]
	chat := ana.start("chat", "bob")
	chat.say("to the first")
	first.event("message", func(e event) bool { return e.Text == "to the first" })
	_ = first.cmd.Process.Kill()
	first.wait()
	for i := range 10 {
		chat.say(fmt.Sprintf("meanwhile %d", i))
	}
	second := listening(bob)["bob"]
	for i := range 10 {
		if m := second.event("message"); m.Text != fmt.Sprintf("meanwhile %d", i) {
			t.Errorf("message %d came as %q", i, m.Text)
		}
	}
	chat.hangUp()
	chat.exits(0)
}

func speak(p *process, name string, messages int) {
	for i := range messages {
		p.say(fmt.Sprintf("%s says %d.", name, i))
	}
}

// heardInOrder asserts that what speak said stands in the text exactly once and in order.
func heardInOrder(t *testing.T, text, name string, messages int) {
	t.Helper()
	heard := regexp.MustCompile(name+` says (\d+)\.`).FindAllStringSubmatch(text, -1)
	if len(heard) != messages {
		t.Errorf("%d of %s's %d messages were heard", len(heard), name, messages)
	}
	for i, m := range heard {
		if m[1] != strconv.Itoa(i) {
			t.Fatalf("%s's message %s was heard in place %d", name, m[1], i)
		}
	}
}
