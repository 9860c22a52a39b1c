//go:build linux

package main_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLAN runs the real program on hosts of real (if virtual) networks. Each situation
// is a subtest that lays its own LAN.
func TestLAN(t *testing.T) {
	needLAN(t)
	t.Run("latency", lanLatency) // alone, for the sake of its figures
	t.Run("screen's figures", lanScreenFigures)
	for _, situation := range []struct {
		name string
		test func(*testing.T)
	}{
		{"peers", lanPeers},
		{"watch", lanWatch},
		{"namesakes", lanNamesakes},
		{"unknown name", lanUnknownName},
		{"IPv6 only", lanIPv6Only},
		{"IPv4 only", lanIPv4Only},
		{"two links", lanTwoLinks},
		{"loopback only", lanLoopbackOnly},
		{"no usable interface", lanNoInterface},
		{"by address", lanByAddress},
		{"chat by pipes", lanChatByPipes},
		{"send", lanSend},
		{"listen", lanListen},
		{"interrupt", lanInterrupt},
		{"loss", lanLoss},
		{"path", lanPath},
		{"stalled reader", lanStalledReader},
		{"cable pulled", lanCablePulled},
		{"readdressed", lanReaddressed},
		{"restart", lanRestart},
		{"garbage", lanGarbage},
		{"impostor", lanImpostor},
		{"hostile names", lanHostileNames},
		{"rooms", lanRooms},
		{"avahi", lanAvahi},
		{"zeroconf", lanZeroconf},
		{"screen", lanScreen},
		{"rooms on the screen", lanRoomScreen},
		{"chat on the screen", lanChatScreen},
		{"plain mode", lanPlain},
		{"crash", lanCrash},
	} {
		t.Run(situation.name, func(t *testing.T) {
			t.Parallel()
			situation.test(t)
		})
	}
}

// listening starts `earshot listen --json` on each host and waits until all are there.
func listening(hosts ...*host) map[string]*process {
	procs := map[string]*process{}
	for _, h := range hosts {
		procs[h.name] = h.start("listen", "--json")
	}
	for _, p := range procs {
		p.event("ready")
	}
	return procs
}

// identity asks earshot who the host's person is.
func (h *host) identity() string {
	h.t.Helper()
	return decode[person](h.t, h.run("id", "--json").exits(0).stdout).ID
}

// sees asserts that the roster of the host consists of exactly these people.
func (h *host) sees(others ...*host) map[string]person {
	h.t.Helper()
	rows := h.roster()
	for _, o := range others {
		if _, ok := rows[o.name]; !ok {
			h.t.Errorf("%s does not see %s: %v", h.name, o.name, rows)
		}
	}
	if len(rows) != len(others) {
		h.t.Errorf("%s sees %d people, want %d: %v", h.name, len(rows), len(others), rows)
	}
	return rows
}

var idShape = regexp.MustCompile(`^[a-z2-7]{52}$`)

func lanPeers(t *testing.T) {
	l := newLAN(t)
	hosts := []*host{l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")}
	listening(hosts...)
	for i, h := range hosts {
		began := time.Now()
		rows := h.sees(slices.Delete(slices.Clone(hosts), i, i+1)...)
		if took := time.Since(began); took > slack*2*time.Second {
			t.Errorf("peers took %v on %s", took, h.name)
		}
		for _, o := range hosts {
			row, ok := rows[o.name]
			if !ok {
				continue // itself
			}
			if !idShape.MatchString(row.ID) || row.ID != o.identity() {
				t.Errorf("%s has the id %q", o.name, row.ID)
			}
			if want := o.ip("eth0", "4") + ":41027"; !slices.Contains(row.Addrs, want) {
				t.Errorf("%s is at %v, which lacks %s", o.name, row.Addrs, want)
			}
			if want := "[" + o.ip("eth0", "6") + "%eth0]:41027"; !slices.Contains(row.Addrs, want) {
				t.Errorf("%s is at %v, which lacks %s", o.name, row.Addrs, want)
			}
			checkTime(t, row.Since)
			if row.Self || row.Verified {
				t.Errorf("the row of %s claims too much: %+v", o.name, row)
			}
		}
	}
	for _, h := range hosts[1:] {
		if table := hosts[0].run("peers").exits(0).stdout; !strings.Contains(table, h.name) {
			t.Errorf("the table lacks %s:\n%s", h.name, table)
		}
	}
}

// checkTime asserts the documented form of times: RFC 3339, milliseconds, UTC.
func checkTime(t *testing.T, s string) {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000Z", s)
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("not a time of now in RFC 3339 with milliseconds in UTC: %q", s)
	}
}

func lanWatch(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	there := listening(bob, dave)
	watch := ana.start("peers", "--watch", "--json")
	for range 2 { // bob and dave, in any order
		up := watch.event("peer-up")
		checkTime(t, up.Time)
		if !idShape.MatchString(up.Peer.ID) || len(up.Peer.Addrs) == 0 {
			t.Errorf("a poor row: %+v", up.Peer)
		}
	}
	there["carol"] = listening(carol)["carol"]
	watch.event("peer-up", of("carol"))

	for range 2 { // gone, back, and gone again
		began := time.Now()
		there["carol"].interrupt()
		watch.event("peer-down", of("carol"))
		if took := time.Since(began); took > slack*time.Second {
			t.Errorf("carol's goodbye took %v to show", took)
		}
		there["carol"].exits(130)
		// Who is ready minds an interrupt; what is seen may still be of the one before.
		there["carol"] = listening(carol)["carol"]
		watch.event("peer-up", of("carol"))
	}
	watch.interrupt()
	watch.exits(130)
}

func lanNamesakes(t *testing.T) {
	l := newLAN(t)
	ana, other, bob, carol := l.host("ana"), l.host("ana"), l.host("bob"), l.host("carol")
	first, second := ana.start("listen", "--json"), other.start("listen", "--json")
	first.event("ready")
	second.event("ready")
	listening(carol)
	a, b := ana.identity(), other.identity()

	bob.run("send", "ana", "which one?").exits(4).notes("ana·"+a[:6], "ana·"+b[:6])
	bob.run("send", "ana·"+a[:6], "you, the first").exits(0)
	bob.run("send", "ana-"+b[:6], "you, the second").exits(0)
	bob.run("send", b, "you again").exits(0)
	for _, want := range []string{"you, the first"} {
		if m := first.event("message"); m.Text != want {
			t.Errorf("the first ana got %q, want %q", m.Text, want)
		}
	}
	for _, want := range []string{"you, the second", "you again"} {
		if m := second.event("message"); m.Text != want {
			t.Errorf("the second ana got %q, want %q", m.Text, want)
		}
	}
}

func lanUnknownName(t *testing.T) {
	l := newLAN(t)
	anabel, bob, carol, dave := l.host("anabel"), l.host("bob"), l.host("carol"), l.host("dave")
	there := listening(anabel, bob, carol)
	dave.run("send", "carl", "hello").exits(3).notes("carl", "carol")
	// A prefix picks nobody when nobody looks: ana may just have left.
	dave.run("send", "ana", "hello").exits(3).notes("anabel")
	dave.run("send", "CAROL", "any case will do").exits(0)
	if m := there["carol"].event("message"); m.Text != "any case will do" {
		t.Errorf("carol got %q", m.Text)
	}
}

func lanIPv6Only(t *testing.T) {
	l := newLAN(t)
	hosts := []*host{l.hostWith("ana", noIPv4), l.hostWith("bob", noIPv4), l.hostWith("carol", noIPv4), l.hostWith("dave", noIPv4)}
	sh(t, "ip", "-n", hosts[0].ns, "link", "set", "lo", "down") // as where nobody has brought it up
	everybodyTalks(t, hosts, func(h *host) string { return "[" + h.ip("eth0", "6") + "%eth0]:41027" })
}

func lanIPv4Only(t *testing.T) {
	l := newLAN(t)
	hosts := []*host{l.hostWith("ana", noIPv6), l.hostWith("bob", noIPv6), l.hostWith("carol", noIPv6), l.hostWith("dave", noIPv6)}
	if routes := hosts[0].exec("ip", "route", "show", "default"); routes != "" {
		t.Fatalf("there is a default route: %s", routes)
	}
	everybodyTalks(t, hosts, func(h *host) string { return h.ip("eth0", "4") + ":41027" })
}

// everybodyTalks has each host see all others at their one address, and send to the next.
func everybodyTalks(t *testing.T, hosts []*host, at func(*host) string) {
	t.Helper()
	there := listening(hosts...)
	for i, h := range hosts {
		rows := h.sees(slices.Delete(slices.Clone(hosts), i, i+1)...)
		next := hosts[(i+1)%len(hosts)]
		if got := rows[next.name].Addrs; !slices.Equal(got, []string{at(next)}) {
			t.Errorf("%s sees %s at %v, want %s", h.name, next.name, got, at(next))
		}
		h.run("send", next.name, "from", h.name).exits(0)
		if m := there[next.name].event("message"); m.Text != "from "+h.name || m.From.Name != h.name {
			t.Errorf("%s got %q from %s", next.name, m.Text, m.From.Name)
		}
	}
}

func lanTwoLinks(t *testing.T) {
	a, b := newLAN(t), newLAN(t)
	ana, bob, carol, dave := a.host("ana"), a.host("bob"), a.host("carol"), b.host("dave")
	ana.plug(b, dual)
	bob.plug(b, dual)
	there := listening(ana, bob, carol, dave)
	rows := bob.sees(ana, carol, dave)
	for _, link := range []string{"eth0", "eth1"} {
		for _, want := range []string{ana.ip(link, "4") + ":41027", "[" + ana.ip(link, "6") + "%" + link + "]:41027"} {
			if !slices.Contains(rows["ana"].Addrs, want) {
				t.Errorf("ana is at %v, which lacks %s", rows["ana"].Addrs, want)
			}
		}
	}
	dave.sees(ana, bob)
	dave.run("send", "ana", "over the second link").exits(0)
	carol.run("send", "ana", "over the first").exits(0)
	there["ana"].event("message", func(e event) bool { return e.From.Name == "dave" })
	there["ana"].event("message", func(e event) bool { return e.From.Name == "carol" })
	ana.run("send", "dave", "and back").exits(0)
	there["dave"].event("message", func(e event) bool { return e.Text == "and back" })
}

func lanLoopbackOnly(t *testing.T) {
	ana := newHost(t, "ana")
	bob := ana.person("bob")
	listening(ana)
	second := bob.start("listen", "--json")
	if ready := second.event("ready"); ready.Port == 41027 || ready.Port == 0 {
		t.Errorf("two programs on the port %d", ready.Port)
	}
	second.expectNote("41027") // taken, and said
	ana.sees(bob)
	bob.sees(ana)
	ana.run("send", "bob", "from the other terminal").exits(0)
	if m := second.event("message"); m.From.Name != "ana" {
		t.Errorf("bob got %q from %s", m.Text, m.From.Name)
	}
}

func lanNoInterface(t *testing.T) {
	ana := newHost(t, "ana")
	ana.exec("ip", "link", "set", "lo", "down")
	ana.run("peers").exits(1).notes("earshot: ", "lo")
}

func lanByAddress(t *testing.T) {
	l := newLAN(t)
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	for _, h := range []*host{ana, bob, carol, dave} {
		h.nft("chain in { type filter hook input priority 0; iifname != lo udp dport 5353 drop; }")
	}
	there := listening(bob, carol)
	there["dave"] = dave.start("--port", "5000", "listen", "--json")
	there["dave"].event("ready")
	if rows := ana.roster(); len(rows) != 0 {
		t.Fatalf("multicast is not blocked: %v", rows)
	}
	for address, p := range map[string]*process{
		bob.ip("eth0", "4"):                        there["bob"],
		carol.ip("eth0", "4") + ":41027":           there["carol"],
		dave.ip("eth0", "4") + ":5000":             there["dave"],
		bob.ip("eth0", "6") + "%eth0":              there["bob"],
		"[" + dave.ip("eth0", "6") + "%eth0]:5000": there["dave"],
	} {
		ana.run("send", address, "to", address).exits(0)
		if m := p.event("message"); m.Text != "to "+address || m.From.Name != "ana" {
			t.Errorf("sent to %s, came as %q from %s", address, m.Text, m.From.Name)
		}
	}
	// Nobody is at that address, and nobody listens at that port.
	ana.run("send", "--timeout", "1s", fmt.Sprintf("198.18.%d.250", l.subnet), "hello").exits(5).notes("within 1s")
	ana.run("send", "--timeout", "1s", bob.ip("eth0", "4")+":9", "hello").exits(5).notes("within 1s")

	// Where nobody can be it is said at once.
	for _, far := range []string{"203.0.113.7", "2001:db8::7"} {
		ana.run("send", "--timeout", "1h", far, "hello").exits(5).notes("no route to "+far+" from this machine", "earshot doctor")
		ana.run("chat", "--timeout", "1h", far).exits(5).notes("no route to " + far)
	}
	ana.run("send", "--timeout", "1h", ana.ip("eth0", "4"), "hello").exits(1).notes("that is your own address")
	ana.run("send", "--timeout", "1h", fmt.Sprintf("198.18.%d.255", l.subnet), "hello").exits(2).notes("not the address of one machine")
	carol.run("send", carol.ip("eth0", "4"), "hello").exits(1).notes("that is your own address")
	bob.person("eve").run("send", bob.ip("eth0", "4"), "hello").exits(0) // somebody else at the same machine
	there["bob"].event("message", func(e event) bool { return e.From.Name == "eve" })

	chat := ana.start("chat", carol.ip("eth0", "4"))
	chat.say("typed to an address")
	there["carol"].event("message", func(e event) bool { return e.Text == "typed to an address" })
	chat.hangUp()
	chat.exits(0)
}
