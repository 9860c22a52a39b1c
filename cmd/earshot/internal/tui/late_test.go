package tui

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
)

// answer has somebody who was called by address answer.
func (g *stage) answer() {
	g.node.answers <- bob
	g.settle()
}

// Whoever answers late takes neither the conversation nor the keyboard from somebody who
// has begun something else.
func TestLateAnswerTakesNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin func(g *stage)
		mode  mode
		input string
	}{
		{"a passphrase", func(g *stage) { g.say("/join #den private"); g.types("secr") }, hiding, ""},
		{"half a line", func(g *stage) { g.types("half") }, talking, "half"},
		{"a paste", func(g *stage) { g.do(tea.PasteMsg{Content: "1\n2\n3\n4\n5\n6"}) }, asking, ""},
		{"a search", func(g *stage) { g.press("ctrl+r") }, searching, ""},
		{"the switcher", func(g *stage) { g.press("ctrl+k") }, switching, ""},
		{"leaving", func(g *stage) { g.press("ctrl+c") }, leaving, ""},
		{"a page", func(g *stage) { g.press("f1") }, reading, ""},
		{"a line said", func(g *stage) { g.say("and you?") }, talking, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onStage(t, func(g *stage) {
				g.sees(carol)
				g.press("down")
				g.say("/to 198.18.0.9")
				tt.begin(g)
				g.answer()
				if g.s.Current().Key != carol.Key || g.m.mode != tt.mode || g.m.input.text != tt.input {
					t.Errorf("with %q, mode %d, input %q", g.s.Label(g.s.Current()), g.m.mode, g.m.input.text)
				}
				if g.m.told != "bob answers: /to bob" {
					t.Errorf("told %q", g.m.told)
				}
				if tt.mode != hiding {
					return
				}
				g.do(tea.MouseClickMsg{Button: tea.MouseLeft, X: 5, Y: 1})
				g.types("et")
				if g.press("enter"); g.s.Current() != (app.Conv{Room: "#den"}) || g.m.input.text != "" || len(g.node.sent) > 0 || !g.node.keys["#den"] {
					t.Errorf("the passphrase went elsewhere: %q, %q, %v", g.m.input.text, g.node.sent, g.s.Current())
				}
			})
		})
	}
	onStage(t, func(g *stage) {
		g.sees(carol)
		g.press("down")
		g.say("/to 198.18.0.9")
		if g.answer(); g.s.Current().Key != bob.Key {
			t.Error("who waits for the answer isn't taken to it")
		}
	})
}

// A page waits until what is being typed is done.
func TestLatePageWaits(t *testing.T) {
	onStage(t, func(g *stage) {
		g.types("ha")
		g.m.tell(strings.Repeat("line\n", 50)+"end", false)
		g.types("lf")
		if g.m.mode != talking || g.m.input.text != "half" || !strings.Contains(g.frame(80, 24), showsLater) {
			t.Errorf("mode %d, input %q:\n%s", g.m.mode, g.m.input.text, g.frame(80, 24))
		}
		if g.press("ctrl+c"); g.m.mode != reading || g.m.told != "" {
			t.Error("the page should be shown then")
		}
	})
}

// What is found after the search was ended doesn't open it again.
func TestLateHits(t *testing.T) {
	onKeptStage(t, true, func(g *stage) {
		g.sees(bob)
		g.says(bob, "the cable")
		g.press("down", "ctrl+r")
		g.give(keyPress("c")) // and before it is answered:
		g.press("esc")
		if g.m.mode != talking {
			t.Errorf("the mode is %d", g.m.mode)
		}
		g.say("/search cable")
		if g.m.mode != searching || len(g.m.search.hits) != 1 {
			t.Errorf("/search: mode %d, %v", g.m.mode, g.m.search.hits)
		}
	})
}

// What is told stays, though the conversation ends with it.
func TestToldAtTheEnd(t *testing.T) {
	onKeptStage(t, true, func(g *stage) {
		g.sees(bob)
		g.press("down")
		if g.say("/block bob"); !g.s.Current().IsZero() || !strings.HasPrefix(g.m.told, "bob is blocked") {
			t.Errorf("told %q", g.m.told)
		}
	})
}

// What is said elsewhere is acknowledged here.
func TestMsgIsAnswered(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob, carol)
		g.press("down")
		if g.say("/msg carol hello"); g.m.told != "to carol: queued" || g.m.toldBad {
			t.Errorf("told %q", g.m.told)
		}
		g.node.refuses = chat.ErrBacklog
		if g.say("/msg carol more"); g.m.told != "to carol: failed, too much waits for them already" || !g.m.toldBad {
			t.Errorf("told %q", g.m.told)
		}
	})
}

// Some terminals tell that the focus has gone, but not that it is back.
func TestTypingIsFocus(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob)
		g.press("down")
		g.do(tea.BlurMsg{})
		g.says(bob, "hello")
		if g.m.row().Unread != 1 {
			t.Error("it was read while nobody looked")
		}
		if g.types("h"); g.m.row().Unread != 0 {
			t.Error("it is unread while somebody answers it")
		}
	})
}
