package tui

import (
	"errors"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"earshot/chat"
)

func TestNobodyThere(t *testing.T) {
	onStage(t, func(g *stage) {
		g.golden("nobody")
		g.pass(6 * time.Second)
		g.golden("doctor")
		g.sees(bob)
		g.golden("first-person")
	})
}

func TestFirstSight(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob, carol, dave)
		g.says(carol, "anybody there?")
		g.event(chat.Unreachable, dave)
		g.golden("first-sight")
		g.press("f1")
		g.golden("help")
		g.press("esc")
		g.types("?")
		if g.m.mode != reading {
			t.Error("? on an empty line should show the keys")
		}
	})
}

func TestConversation(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob, carol)
		g.says(bob, "lunch?")
		g.says(bob, "the place with the dumplings, https://example.org/a/rather/long/address/of/it?table=12 it was good")
		g.types("bob")
		g.press("enter")
		g.say("in five minutes")
		g.delivered(bob)
		g.say("or ten 👩‍💻, 漢字, 🇩🇪, é")
		g.event(chat.Met, bob)
		g.say("this one is on its way")
		g.golden("conversation")
		g.event(chat.Left, bob)
		g.say("and this waits")
		g.node.refuses = errors.New("the socket is closed")
		g.say("this doesn't go")
		g.golden("delivery")
		g.node.refuses = nil
		g.press("alt+r")
		g.event(chat.Met, bob)
		g.golden("back")
	})
}

func TestScrolled(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob, carol)
		for i := range 60 {
			g.says(bob, strings.Repeat("word ", i%20)+"end")
			time.Sleep(time.Minute)
		}
		g.press("alt+a", "alt+down")
		g.says(bob, "are you there?")
		g.says(bob, "I have found it")
		g.press("alt+a")
		g.golden("unread-rule")
		g.press("pgup", "pgup")
		for range 3 {
			g.says(bob, "one more")
		}
		g.golden("scrolled")
		g.press("alt+end")
		if !g.m.timeline.follow || strings.Contains(g.frame(80, 24), "below") {
			t.Error("Alt+End should go to the end")
		}
	})
}

func TestAsking(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob)
		g.press("down")
		g.do(tea.PasteMsg{Content: "a\tb\r\nsecond\x1b[31m\nthird\nfourth\nfifth\nsixth\n"})
		g.golden("paste")
		g.press("enter")
		if want := "a\tb\nsecond\x1b[31m\nthird\nfourth\nfifth\nsixth"; len(g.node.sent) != 1 || g.node.sent[0] != want {
			t.Errorf("sent %q", g.node.sent)
		}
		g.do(tea.PasteMsg{Content: "two\nlines"})
		g.press("alt+enter")
		g.types("and a third")
		g.golden("multi-line")
		g.press("ctrl+c", "ctrl+c")
		g.golden("leaving")
		if g.quit {
			t.Error("it should have asked")
		}
		g.press("ctrl+c")
		if !g.quit {
			t.Error("it should have quit")
		}
	})
}

func TestSwitcherFrames(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob, carol, dave)
		g.press("ctrl+k")
		g.types("a")
		g.golden("switcher")
	})
}

func TestSearchFrames(t *testing.T) {
	onKeptStage(t, true, func(g *stage) {
		g.sees(bob)
		for _, text := range []string{"the projector cable", "is in the drawer", "which drawer?", "the cable's drawer"} {
			g.says(bob, text)
		}
		g.press("down", "ctrl+r")
		g.types("cable")
		g.golden("search")
		g.press("up")
		g.press("esc")
		if g.m.mode != talking || g.m.timeline.query != "" {
			t.Error("Esc should end the search")
		}
	})
}

func TestNameClash(t *testing.T) {
	onKeptStage(t, true, func(g *stage) {
		other := chat.Person{Key: chat.Key{7, 7, 7}, Name: "bob"}
		g.sees(bob, carol)
		g.says(bob, "hello")
		g.press("down")
		g.say("/verify bob yes")
		g.press("esc")
		g.sees(other)
		g.says(other, "hello, it's me, bob")
		g.golden("name-clash")
	})
}

func TestTooSmall(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob)
		compare(t, "too-small.txt", g.frame(30, 10))
		g.golden("after-too-small")
		g.types("half a line")
		g.frame(30, 10)
		if g.press("ctrl+c"); g.quit || !strings.Contains(g.frame(30, 10), "quit? Enter or Ctrl+C: yes") {
			t.Errorf("it should ask:\n%s", g.frame(30, 10))
		}
		if g.press("esc", "enter"); g.quit || !strings.Contains(g.frame(80, 24), "half a line") {
			t.Error("it should stay, with what was typed")
		}
		g.frame(30, 10)
		if g.press("ctrl+c", "ctrl+c"); !g.quit {
			t.Error("it should have quit")
		}
	})
}
