package tui

import (
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
	"earshot/discovery"
)

// Whatever happens between two keys, the line goes to whom it was begun to, whom the prompt names.
func TestLineStays(t *testing.T) {
	for name, happens := range map[string]func(g *stage){
		"renamed": func(g *stage) { g.event(chat.Met, chat.Person{Key: bob.Key, Name: "root"}) },
		"gone": func(g *stage) {
			g.do(arrived{seen: []discovery.Event{{Change: discovery.Down, Peer: discovery.Peer{ID: bob.Key.String(), Name: "bob"}}}})
			g.event(chat.Left, bob)
		},
		"another of the name": func(g *stage) { g.sees(chat.Person{Key: chat.Key{77}, Name: "bob"}) },
		"mentioned elsewhere": func(g *stage) { g.saysIn("#here", carol, "@ana here") },
		"blocked by another process": func(g *stage) {
			if err := g.store.SetBlocked(bob, true, time.Now()); err != nil {
				g.t.Fatal(err)
			}
			if err := g.book.Read(g.store); err != nil {
				g.t.Fatal(err)
			}
			g.pass(1100 * time.Millisecond)
			g.node.refuses = chat.ErrRefused
			if f := g.frame(80, 24); !strings.Contains(f, "bob: is blocked") {
				g.t.Errorf("the screen:\n%s", f)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			onKeptStage(t, true, func(g *stage) {
				g.node.members["#here"] = []chat.Person{bob, carol}
				g.sees(bob, carol)
				g.pass(2 * time.Second)
				g.says(bob, "hello")
				g.say("bob")
				g.types("the li")
				happens(g)
				if g.m.input.text != "the li" || g.s.Current().Key != bob.Key || !strings.HasPrefix(g.m.prompt(), g.s.Label(app.Conv{Key: bob.Key})) {
					t.Errorf("input %q behind %q", g.m.input.text, g.m.prompt())
				}
				g.types("ne")
				g.press("enter")
				to := g.node.to
				if g.node.refuses != nil {
					to = append(to, bob.Key)
				}
				if !slices.Equal(to, []chat.Key{bob.Key}) {
					t.Errorf("said to %v", to)
				}
				all := g.s.Lines(app.Conv{Key: bob.Key})
				if l := all[len(all)-1]; l.Text != "the line" {
					t.Errorf("shown: %+v", l)
				}
			})
		})
	}
}

// What is typed before a command has come about isn't for what it leads to.
func TestTypedMeanwhile(t *testing.T) {
	onKeptStage(t, true, func(g *stage) {
		g.sees(bob, carol)
		g.press("down")
		g.types("/block bob")
		for _, k := range []string{"enter", "c", "a"} { // at once: the disk is still busy
			g.give(keyPress(k))
		}
		if g.settle(); !g.s.Current().IsZero() || g.m.input.text != "ca" {
			t.Errorf("with %q, input %q", g.s.Label(g.s.Current()), g.m.input.text)
		}
	})
}

// Who comes and goes in the moment before a key or a click doesn't change whom it goes to.
func TestAim(t *testing.T) {
	abel := chat.Person{Key: chat.Key{8}, Name: "abel"}
	for name, act := range map[string]func(g *stage){
		"a number":       func(g *stage) { g.press("alt+1") },
		"a click":        func(g *stage) { g.do(tea.MouseClickMsg{Button: tea.MouseLeft, X: 5, Y: 1}) },
		"along the list": func(g *stage) { g.press("down") },
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(g *stage) {
				g.sees(bob, carol)
				g.pass(time.Second)
				g.sees(abel) // above bob, who was aimed at
				if act(g); !g.s.Current().IsZero() || g.m.told != "the list has just moved: once more" {
					t.Errorf("with %q, told %q", g.s.Label(g.s.Current()), g.m.told)
				}
				g.pass(aimFor)
				if act(g); g.s.Current().Key != abel.Key {
					t.Errorf("then with %q", g.s.Label(g.s.Current()))
				}
				g.pass(time.Second)
				g.sees(chat.Person{Key: chat.Key{99}, Name: "zoe"}) // below all: nothing has moved
				if g.press("alt+2"); g.s.Current().Key != bob.Key {
					t.Errorf("with %q", g.s.Label(g.s.Current()))
				}
			})
		})
	}
	onStage(t, func(g *stage) { // in the switcher
		g.sees(bob, carol)
		g.press("ctrl+k", "down")
		g.sees(abel)
		if g.press("enter"); g.s.Current().Key != carol.Key {
			t.Errorf("the switcher goes to %q", g.s.Label(g.s.Current()))
		}
		g.press("ctrl+k", "down")
		g.sees(chat.Person{Key: chat.Key{98}, Name: "aaron"})
		if g.press("down", "enter"); g.s.Current().Key != carol.Key {
			t.Errorf("the switcher goes to %q", g.s.Label(g.s.Current()))
		}
	})
}

// Enter, pressed as a conversation comes up that was asked for before, doesn't send what was
// begun there; what is typed there since goes.
func TestComesUpUnderEnter(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob, carol)
		g.press("down")
		g.types("not to be said")
		g.press("alt+2")
		g.say("/to 198.18.0.9")
		g.answer()
		if g.press("enter"); g.node.sent != nil || g.m.input.text != "not to be said" || !strings.Contains(g.m.told, "once more") {
			t.Errorf("sent %q, input %q, told %q", g.node.sent, g.m.input.text, g.m.told)
		}
		if g.press("enter"); !slices.Equal(g.node.sent, []string{"not to be said"}) {
			t.Errorf("sent %q", g.node.sent)
		}
		g.press("alt+2")
		g.say("/to 198.18.0.9")
		g.answer()
		if g.say("hello"); len(g.node.sent) != 2 {
			t.Errorf("sent %q", g.node.sent)
		}
	})
}
