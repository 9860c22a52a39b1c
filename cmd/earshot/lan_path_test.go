//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"testing"
)

// hole makes what comes to the host vanish where it is larger than a datagram of so many bytes. Nobody is told.
func (h *host) hole(most int) {
	h.t.Helper()
	h.nft(fmt.Sprintf("chain in { type filter hook input priority 0; iifname eth0 meta l4proto udp meta length gt %d drop; }", most+28))
}

// A host that gets no large datagram gets long messages all the same, from who talks with it already and
// from who comes, and in rooms; and when it gets them again too.
func lanPath(t *testing.T) {
	for _, most := range []int{1000, 548} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			ana, bob, carol := l.host("ana"), l.host("bob"), l.host("carol")
			there := bob.start("listen", "--json", "--room", "#dev")
			there.event("ready")
			talk := ana.start("chat", "--wait", "20s", "bob")
			talk.expectNote("talking with bob")
			talk.say("before")
			there.hears("before")
			bob.hole(most)
			long := strings.Repeat("0123456789abcdef", 4096)
			talk.say(long)
			talk.say("after")
			there.hears(long)
			there.hears("after")
			carol.runWith(long[:20_000], "send", "bob").exits(0)
			there.hears(long[:20_000])
			ana.runWith(long[:10_000], "send", "--wait", "20s", "#dev").exits(0)
			there.hears(long[:10_000])
			bob.exec("nft", "flush", "ruleset")
			for i := range 20 {
				talk.say(fmt.Sprint("line ", i))
				there.hears(fmt.Sprint("line ", i))
			}
			talk.say(long)
			there.hears(long)
			talk.hangUp()
			talk.exits(0)
		})
	}
}

// To the first release, which takes nothing in parts, what the path doesn't carry fails at once, with the
// reason and a remedy, and nothing waits behind it.
func olderPath(t *testing.T, older string) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob").running(older)
	there := listening(bob)["bob"]
	bob.hole(1000)
	long := strings.Repeat("0123456789abcdef", 1000)
	ana.runWith(long, "send", "bob").exits(1).notes("wasn't delivered to bob", "too long for the network", "update earshot")
	r := ana.runWith(long, "send", "--json", "bob").exits(1)
	if sent := decode[struct{ Status, Reason string }](t, r.stdout); sent.Status != "failed" || sent.Reason == "" {
		t.Errorf("%+v", sent)
	}
	ana.run("send", "bob", "short").exits(0)
	there.hears("short")
	ana.run("outbox").exits(0).prints("failed").notes("too long for the network")
	talk := ana.start("chat", "--wait", "20s", "bob")
	talk.expectNote("talking with bob")
	talk.say("one")
	talk.say(long)
	talk.say("two")
	there.hears("one")
	there.hears("two")
	talk.expectNote("not delivered to bob: .*too long for the network")
	talk.hangUp()
	talk.exits(1)
}
