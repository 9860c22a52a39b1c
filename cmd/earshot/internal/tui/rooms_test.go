package tui

import (
	"strings"
	"testing"
	"time"

	"earshot/chat"
)

func TestRooms(t *testing.T) {
	onStage(t, func(g *stage) {
		g.node.members["#here"], g.node.members["#dev"] = []chat.Person{bob, carol, dave}, []chat.Person{bob}
		g.pass(time.Second)
		g.sees(bob, carol, dave)
		g.saysIn("#here", bob, "who has the projector cable?")
		g.saysIn("#here", carol, "I think that @Ana, who isn't @anabel, has it")
		g.saysIn("#dev", bob, "the build is red")
		g.golden("rooms")
		g.press("alt+a")
		g.say("it is in the drawer")
		g.node.had = 2
		g.eventIn(chat.Delivered, "#here", bob, carol)
		g.eventIn(chat.Joined, "#here", carol, dave)
		g.eventIn(chat.Parted, "#here", bob)
		g.golden("room")
		g.node.had = 3
		g.eventIn(chat.Delivered, "#here", dave)
		if f := g.frame(80, 24); !strings.Contains(f, "it is in the drawer ✓ 3/3") {
			t.Errorf("once all have it:\n%s", f)
		}
		g.press("ctrl+k")
		g.types("de")
		g.press("enter")
		if g.s.Current().Room != "#dev" {
			t.Errorf("the switcher went to %v", g.s.Current())
		}
	})
}

// What was told hides nothing of what is said meanwhile.
func TestTold(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob, carol)
		g.press("down")
		g.say("/mute")
		g.says(bob, "look at this")
		for _, size := range [][2]int{{80, 24}, {40, 12}} {
			if f := g.frame(size[0], size[1]); !strings.Contains(f, "bob is muted") || !strings.Contains(f, "look at this") {
				t.Errorf("%v:\n%s", size, f)
			}
		}
	})
}

// Nothing of a passphrase is drawn, kept as typed, or left as a draft.
func TestPassphrase(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob)
		g.say("/join #secret private")
		g.types("open ses")
		g.press("left", "right")
		g.types("ame")
		if f := g.frame(80, 24); strings.Contains(f, "open") || strings.Contains(f, "same") || !strings.Contains(f, "passphrase of #secret:") {
			t.Errorf("asked for:\n%s", f)
		}
		g.press("enter")
		if g.s.Current().Room != "#secret" || !g.node.keys["#secret"] {
			t.Errorf("in %v", g.s.Current())
		}
		for _, typed := range g.s.Typed() {
			if strings.Contains(typed, "sesame") {
				t.Errorf("remembered: %s", typed)
			}
		}
		g.say("/leave")
		g.say("/join #other private")
		g.press("esc")
		if _, in := g.node.members["#other"]; in || len(g.node.members) != 0 {
			t.Errorf("in %v", g.node.members)
		}
	})
}
