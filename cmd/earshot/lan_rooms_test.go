//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"testing"
)

// in runs earshot on the host with the passphrase of a private room in its environment.
func (h *host) in(passphrase string) *host {
	o := *h
	o.env = []string{"EARSHOT_ROOM_PASSPHRASE=" + passphrase}
	return &o
}

// rooms runs `earshot rooms --json` and returns the rows by name.
func (h *host) rooms() map[string]event {
	h.t.Helper()
	rows := map[string]event{}
	for line := range strings.Lines(h.run("rooms", "--json").exits(0).stdout) {
		r := decode[event](h.t, line)
		rows[r.Room] = r
	}
	return rows
}

func said(text string) func(event) bool {
	return func(e event) bool { return e.Text == text }
}

// Twelve hosts talk in the lobby, in an open room and in a private one.
func lanRooms(t *testing.T) {
	l := newLAN(t)
	var there []*host
	for i := range 7 {
		there = append(there, l.host(fmt.Sprint("h", i)))
	}
	ana, bob, carol, dave, late := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave"), l.host("late")
	procs := listening(append(there, ana)...)
	procs["bob"] = bob.start("listen", "--json", "--room", "#dev")
	procs["carol"] = carol.in("open sesame").start("listen", "--json", "--room", "#secret")
	procs["dave"] = dave.in("open sesame").start("listen", "--json", "--room", "#secret")
	for _, p := range []string{"bob", "carol", "dave"} {
		procs[p].event("ready")
	}

	// The lobby: everybody, once, and exit code 0 only then.
	sent := decode[event](t, ana.run("send", "--json", "#here", "hello @BOB").exits(0).stdout)
	if sent.Room != "#here" || sent.Status != "delivered" || sent.Delivered != 10 || sent.Total != 10 || len(sent.Missing) > 0 || sent.RTT <= 0 {
		t.Errorf("send --json says %+v", sent)
	}
	for name, p := range procs {
		if name == "ana" {
			continue
		}
		m := p.event("message")
		if m.ID != sent.ID || m.Room != "#here" || m.From.ID != ana.identity() || m.Text != "hello @BOB" || m.Mention != (name == "bob") {
			t.Errorf("%s heard %+v", name, m)
		}
	}

	// Who comes later is given it by ana's other process.
	procs["late"] = listening(late)["late"]
	if m := procs["late"].event("message"); m.ID != sent.ID || m.Room != "#here" || m.From.ID != ana.identity() {
		t.Errorf("who came late was given %+v", m)
	}

	// So is one whom the process that says something doesn't see.
	ana.nft(fmt.Sprintf("chain blind { type filter hook input priority 0; udp sport 5353 ip saddr %s drop; udp sport 5353 ip6 saddr %s drop; }",
		there[4].ip("eth0", "4"), there[4].ip("eth0", "6")))
	sent = decode[event](t, ana.run("send", "--json", "#here", "to whom I see").exits(0).stdout)
	if m := procs["h4"].event("message", said("to whom I see")); m.ID != sent.ID || sent.Total != 10 {
		t.Errorf("who wasn't seen was given %+v of %+v", m, sent)
	}
	ana.exec("nft", "delete", "table", "inet", "earshot")

	// Rooms are listed with how many are in; private ones only to who is in.
	rows := late.rooms()
	if len(rows) != 2 || rows["#here"].Members != 12 || !rows["#here"].Joined || rows["#dev"].Members != 1 || rows["#dev"].Joined {
		t.Errorf("the rooms are %+v", rows)
	}
	ana.run("send", "#dev", "only bob").exits(0)
	procs["bob"].event("message", said("only bob"), func(e event) bool { return e.Room == "#dev" })
	ana.run("send", "#secret", "is anybody there?").exits(3)
	ana.in("wrong").run("send", "#secret", "is anybody there?").exits(3)
	procs["h0"].hangUp()
	ana.in("open sesame").run("send", "#secret", "psst").exits(0)
	for _, name := range []string{"carol", "dave"} {
		procs[name].event("message", said("psst"), func(e event) bool { return e.Room == "#secret" })
	}
	ana.runWith("open sesame\nand from standard input\n", "send", "--private", "#secret").exits(0)
	procs["dave"].event("message", said("and from standard input"))

	// Between pipes.
	talk := bob.person("bea").start("chat", "#here")
	talk.say("from bea")
	procs["h1"].event("message", said("from bea"))
	ana.run("send", "#here", "to bea").exits(0)
	talk.expect(`^ana: to bea$`)
	talk.hangUp()
	talk.exits(0)

	// Who has left isn't waited for, and hears no more.
	there[6].run("rooms", "leave", "#here").exits(0)
	procs["bob"].event("room-left", func(e event) bool { return e.Room == "#here" && e.Person.Name == "h6" })
	sent = decode[event](t, ana.run("send", "--json", "#here", "without h6").exits(0).stdout)
	if sent.Delivered != 10 || sent.Total != 10 {
		t.Errorf("without h6: %+v", sent)
	}
	there[6].run("rooms", "join", "#here").exits(0)

	// One who can't be reached is named, and has it once they are back.
	there[3].nft("chain deaf { type filter hook input priority 0; udp dport 41027 drop; }")
	r := ana.run("send", "--json", "--timeout", "2s", "#here", "all but one").exits(5).notes("missing: h3", "earshot outbox")
	sent = decode[event](t, r.stdout)
	if sent.Status != "queued" || sent.Total-sent.Delivered != 1 || len(sent.Missing) != 1 || sent.Missing[0].Name != "h3" {
		t.Errorf("without h3: %+v", sent)
	}
	procs["h4"].event("message", said("all but one"))
	there[3].exec("nft", "delete", "table", "inet", "earshot")
	if m := procs["h3"].event("message", said("all but one")); m.ID != sent.ID {
		t.Errorf("h3 got %+v", m)
	}

	// The past stands in order, and says who has what.
	var last event
	for line := range strings.Lines(ana.run("log", "--json", "#here").exits(0).stdout) {
		last = decode[event](t, line)
	}
	if last.Text != "all but one" || last.Room != "#here" || last.Total != 11 {
		t.Errorf("the log ends with %+v", last)
	}
	there[1].run("log", "#here").exits(0).prints("#here ana: hello @BOB", "#here bea: from bea")

	// Rooms end with the last who leaves.
	procs["bob"].interrupt()
	procs["bob"].exits(130)
	if rows := late.rooms(); rows["#dev"].Members != 0 || len(rows) != 1 {
		t.Errorf("the rooms are %+v", rows)
	}
	for _, name := range []string{"h0", "h1", "late"} {
		if out := procs[name].stdout.String(); strings.Contains(out, "secret") || strings.Contains(out, "psst") {
			t.Errorf("%s has heard of the private room:\n%s", name, out)
		}
	}
}

// Two screens in the lobby: what is said, who has it, and who is called.
func lanRoomScreen(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	a, b := ana.screen(), bob.screen()
	a.enter("earshot chat '#here'")
	a.await(`#here: you alone are in it`)
	b.enter("earshot")
	a.await(`#here: 2 are in it`)
	b.await(`^1 □ #here`)
	a.await(`bob joined`)
	a.enter("who has the cable, @Bob?")
	a.await(`who has the cable, @Bob\? ✓ 1/1`)
	b.await(`^1 □ #here +1 @1 │`)
	b.keys("M-a")
	b.await(`ana  who has the cable, @Bob\?`)
	b.enter("I do")
	b.await(`I do ✓ 1/1`)
	a.await(`bob  I do`)
	b.enter("/join #secret private")
	b.await(`^passphrase of #secret:`)
	b.enter("open sesame")
	b.await(`#secret: you alone are in it, private`)
	a.enter("/join #secret private")
	a.await(`^passphrase of #secret:`)
	a.enter("open sesame")
	b.await(`#secret: 2 are in it, private`)
	b.enter("psst")
	b.await(`psst ✓ 1/1`)
	a.await(`bob  psst`)
	a.enter("/leave")
	b.await(`ana left`)
}
