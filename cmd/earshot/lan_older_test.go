//go:build linux

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// firstRelease is the first version that people run. Every later one has to work with it.
const firstRelease = "331b99f45e1460f62e3dab299660a8252a840975"

// TestLANOlder has this version and the first release on one network, and in one data
// directory.
func TestLANOlder(t *testing.T) {
	needLAN(t)
	older := buildRelease(t, firstRelease)
	for _, situation := range []struct {
		name string
		test func(t *testing.T, older string)
	}{
		{"discovery", olderDiscovery},
		{"messages", olderMessages},
		{"rooms", olderRooms},
		{"outbox", olderOutbox},
		{"block", olderBlock},
		{"kill", olderKill},
		{"path", olderPath},
		{"data directory", olderData},
	} {
		t.Run(situation.name, func(t *testing.T) {
			t.Parallel()
			situation.test(t, older)
		})
	}
}

// buildRelease builds the program as it was at a commit, and returns its path.
func buildRelease(t *testing.T, commit string) string {
	t.Helper()
	if exec.Command("git", "rev-parse", "--quiet", "--verify", commit+"^{commit}").Run() != nil {
		give := t.Skipf
		if os.Getenv("EARSHOT_REQUIRE_LAN") == "1" {
			give = t.Fatalf
		}
		give("the history of this checkout lacks %s\nrun: git fetch --unshallow", commit)
	}
	dir := t.TempDir()
	root := strings.TrimSpace(sh(t, "git", "rev-parse", "--show-toplevel"))
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "tree.tar")
	sh(t, "git", "-C", root, "archive", "-o", archive, commit)
	sh(t, "tar", "-xf", archive, "-C", tree)
	path := filepath.Join(dir, "earshot")
	sh(t, "go", "build", "-C", tree, "-buildvcs=false", "-o", path, "./cmd/earshot")
	return path
}

// running is the host with another program.
func (h *host) running(program string) *host {
	h.program = program
	return h
}

// pairs calls f twice, at once: the first of the two hosts is the older one, then the second.
func pairs(t *testing.T, older string, f func(t *testing.T, l *lan, ana, bob *host)) {
	for _, names := range []struct{ title, older string }{{"from older to newer", "ana"}, {"from newer to older", "bob"}} {
		t.Run(names.title, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			ana, bob := l.host("ana"), l.host("bob")
			for _, h := range []*host{ana, bob} {
				if h.name == names.older {
					h.running(older)
				}
			}
			f(t, l, ana, bob)
		})
	}
}

func olderDiscovery(t *testing.T, older string) {
	pairs(t, older, func(t *testing.T, _ *lan, ana, bob *host) {
		watch := ana.start("peers", "--watch", "--json")
		there := listening(bob)["bob"]
		watch.event("peer-up", of("bob"))
		ana.sees(bob)
		there.interrupt()
		there.exits(130)
		watch.event("peer-down", of("bob"))
	})
}

func olderMessages(t *testing.T, older string) {
	pairs(t, older, func(t *testing.T, _ *lan, ana, bob *host) {
		there := listening(bob)["bob"]
		ana.run("send", "bob", "hello").exits(0)
		there.hears("hello")
		long := strings.Repeat("0123456789abcdef", 4096)
		ana.runWith(long, "send", "bob").exits(0)
		there.hears(long)
		if a, b := ana.run("verify", "bob").exits(0).stdout, bob.run("verify", "ana").exits(0).stdout; a != b {
			t.Errorf("the words are %q and %q", a, b)
		}
		// By address too, both ways at once.
		chat := ana.start("chat", bob.ip("eth0", "4"))
		chat.expectNote("talking with bob")
		for n := range 50 {
			chat.say(fmt.Sprint("line ", n))
		}
		for n := range 5 {
			bob.run("send", "ana", fmt.Sprint("answer ", n)).exits(0)
		}
		for n := range 5 {
			chat.expect(fmt.Sprintf("^bob: answer %d$", n))
		}
		for n := range 50 {
			there.hears(fmt.Sprint("line ", n))
		}
		chat.hangUp()
		chat.exits(0)
	})
}

func olderRooms(t *testing.T, older string) {
	pairs(t, older, func(t *testing.T, l *lan, ana, bob *host) {
		there := bob.start("listen", "--json", "--room", "#dev")
		there.event("ready")
		here := ana.start("listen", "--json", "--room", "#dev")
		here.event("ready")
		for _, room := range []string{"#here", "#dev"} {
			sent := decode[event](t, ana.run("send", "--json", room, "in "+room).exits(0).stdout)
			if sent.Delivered != 1 || sent.Total != 1 {
				t.Errorf("%s: %+v", room, sent)
			}
			there.event("message", said("in "+room), func(e event) bool { return e.Room == room })
			bob.run("send", room, "back in "+room).exits(0)
			here.event("message", said("back in "+room), func(e event) bool { return e.Room == room })
		}
		// Two who are in a private room find each other there.
		a, b := ana.in("open sesame").start("listen", "--json", "--room", "#secret"), bob.in("open sesame").start("listen", "--json", "--room", "#secret")
		a.event("ready")
		b.event("ready")
		ana.in("open sesame").run("send", "#secret", "psst").exits(0)
		b.event("message", said("psst"))
		// Who comes late is given what was said.
		late := l.host("late").start("listen", "--json")
		late.event("message", said("in #here"))
		late.event("message", said("back in #here"))
	})
}

func olderOutbox(t *testing.T, older string) {
	pairs(t, older, func(t *testing.T, _ *lan, ana, bob *host) {
		there := listening(bob)["bob"]
		ana.run("send", "bob", "hello").exits(0)
		there.hears("hello")
		there.kill()
		ana.run("send", "--timeout", "1s", "--wait", "50ms", "bob", "one").exits(5).notes("queued")
		ana.run("send", "--timeout", "1s", "--wait", "50ms", "bob", "two").exits(5).notes("queued")
		here := ana.start("listen")
		here.expectNote("listening")
		listening(bob)["bob"].hears("one", "two")
		if got := bob.texts("ana"); !slices.Equal(got, []string{"hello", "one", "two"}) {
			t.Errorf("bob has kept %q", got)
		}
	})
}

func olderBlock(t *testing.T, older string) {
	pairs(t, older, func(t *testing.T, _ *lan, ana, bob *host) {
		there := listening(bob)["bob"]
		ana.run("send", "bob", "hello").exits(0)
		there.hears("hello")
		bob.run("people", "block", "ana").exits(0)
		ana.run("send", "--timeout", "1s", "bob", "hello?").exits(5)
		bob.run("people", "unblock", "ana").exits(0)
		ana.run("send", "bob", "thanks").exits(0)
		there.hears("hello?", "thanks")
	})
}

// Each is killed while they talk: nothing is lost, doubled or out of order.
func olderKill(t *testing.T, older string) {
	pairs(t, older, func(t *testing.T, _ *lan, ana, bob *host) {
		const rounds, lines = 4, 10
		there := listening(bob)["bob"]
		chat := ana.start("chat", "bob")
		chat.expectNote("talking with bob")
		var want []string
		for round := range rounds {
			for n := range lines {
				want = append(want, fmt.Sprint(round, " ", n))
				chat.say(want[len(want)-1])
			}
			there.event("message", said(want[len(want)-1]))
			if round%2 == 0 {
				there.kill()
				there = listening(bob)["bob"]
			} else {
				chat.kill()
				chat = ana.start("chat", "bob")
				chat.expectNote("talking with bob")
			}
		}
		chat.say("last")
		there.event("message", said("last"))
		if got := bob.texts("ana"); !slices.Equal(got, append(want, "last")) {
			t.Errorf("bob has kept %q, want %q and last", got, want)
		}
	})
}
