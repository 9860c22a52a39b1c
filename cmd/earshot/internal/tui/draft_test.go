package tui

import (
	"slices"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
)

// What is begun in a conversation is there again, by whatever way one comes back to it, and is
// kept meanwhile.
func TestDraftWaits(t *testing.T) {
	const draft = "half of\n/it"
	for _, tt := range []struct {
		name string
		conv app.Conv
		back func(g *stage)
	}{
		{"a name where none is shown", app.Conv{Key: bob.Key}, func(g *stage) { g.say("/close"); g.say("bo") }},
		{"/to", app.Conv{Key: bob.Key}, func(g *stage) { g.say("/to bob") }},
		{"/to by a prefix", app.Conv{Key: bob.Key}, func(g *stage) { g.say("/to bo") }},
		{"/next", app.Conv{Key: bob.Key}, func(g *stage) { g.says(bob, "well?"); g.say("/next") }},
		{"the key for it", app.Conv{Key: bob.Key}, func(g *stage) { g.says(bob, "well?"); g.press("alt+a") }},
		{"along the list", app.Conv{Key: bob.Key}, func(g *stage) { g.press("alt+up") }},
		{"a number", app.Conv{Key: bob.Key}, func(g *stage) { g.press("alt+3") }},
		{"a click", app.Conv{Key: bob.Key}, func(g *stage) { g.do(tea.MouseClickMsg{Button: tea.MouseLeft, X: 5, Y: 3}) }},
		{"the switcher", app.Conv{Key: bob.Key}, func(g *stage) { g.press("ctrl+k"); g.types("bo"); g.press("enter") }},
		{"a hit", app.Conv{Key: bob.Key}, func(g *stage) {
			g.says(bob, "the cable")
			g.say("/close")
			g.press("ctrl+r")
			g.types("cable")
			g.press("enter")
		}},
		{"/msg leaves it", app.Conv{Key: bob.Key}, func(g *stage) { g.say("/msg bob by the way"); g.say("/to bob") }},
		{"a room by name", app.Conv{Room: "#here"}, func(g *stage) { g.say("/close"); g.say("#he") }},
		{"a room by /to", app.Conv{Room: "#here"}, func(g *stage) { g.say("/to #here") }},
		{"a room by its number", app.Conv{Room: "#here"}, func(g *stage) { g.press("alt+1") }},
		{"a private room by /join", app.Conv{Room: "#den"}, func(g *stage) { g.joinPrivate("#den") }},
		{"a private room by its number", app.Conv{Room: "#den"}, func(g *stage) { g.press("alt+2") }},
		{"where none is shown", app.Conv{}, func(g *stage) { g.say("/close") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onKeptStage(t, true, func(g *stage) {
				g.node.members["#here"], g.node.members["#den"], g.node.keys["#den"] = nil, nil, true
				g.pass(2 * time.Second)
				g.sees(bob, carol)
				want := draft
				if tt.conv.IsZero() {
					want = "bobb"
					g.types(want)
				} else {
					g.s.Turn(tt.conv, time.Now())
					g.do(nil, due{})
					g.do(tea.PasteMsg{Content: draft})
				}
				g.press("alt+4")
				if g.s.Current().Key != carol.Key || g.m.input.text != "" {
					t.Fatalf("with %q, input %q", g.s.Label(g.s.Current()), g.m.input.text)
				}
				if tt.back(g); g.s.Current() != tt.conv || g.m.input.text != want {
					t.Errorf("with %q, input %q", g.s.Label(g.s.Current()), g.m.input.text)
				}
				g.pass(1100 * time.Millisecond)
				if got := g.kept(tt.conv); got != want && !tt.conv.IsZero() {
					t.Errorf("%q is kept", got)
				}
			})
		})
	}
}

// kept is the draft that the store has.
func (g *stage) kept(conv app.Conv) string {
	g.t.Helper()
	for _, r := range g.node.Rooms() {
		if r.Name == conv.Room {
			draft, err := g.store.RoomDraft(r.Handle)
			if err != nil {
				g.t.Fatal(err)
			}
			return draft
		}
	}
	views, err := g.store.Views()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, v := range views {
		if v.Peer == conv.Key {
			return v.Draft
		}
	}
	return ""
}

// A line recalled takes nothing away from what stood there before.
func TestRecallKeepsDraft(t *testing.T) {
	onKeptStage(t, true, func(g *stage) {
		g.sees(bob, carol)
		g.press("down")
		g.say("hello")
		g.types("half")
		if g.press("up"); g.m.input.text != "hello" || g.s.Draft(g.s.Current()) != "half" {
			t.Errorf("input %q, draft %q", g.m.input.text, g.s.Draft(g.s.Current()))
		}
		g.press("alt+2", "alt+1")
		if g.m.input.text != "half" {
			t.Errorf("back: input %q", g.m.input.text)
		}
		if g.press("up", "enter"); g.m.input.text != "half" || !slices.Equal(g.node.sent, []string{"hello", "hello"}) {
			t.Errorf("said again: input %q, sent %q", g.m.input.text, g.node.sent)
		}
		g.press("up")
		if g.types("!"); g.s.Draft(g.s.Current()) != "hello!" {
			t.Errorf("changed: draft %q", g.s.Draft(g.s.Current()))
		}
	})
}

// Forgetting takes what was begun along.
func TestForgetTakesDraft(t *testing.T) {
	onKeptStage(t, true, func(g *stage) {
		g.sees(bob, carol)
		g.says(bob, "hello")
		g.press("down")
		g.types("half")
		g.pass(1100 * time.Millisecond)
		g.press("alt+2")
		g.say("/forget bob yes")
		g.pass(1100 * time.Millisecond)
		if got := g.kept(app.Conv{Key: bob.Key}); got != "" || g.s.Draft(app.Conv{Key: bob.Key}) != "" {
			t.Errorf("%q is kept, %q shown", got, g.s.Draft(app.Conv{Key: bob.Key}))
		}
	})
}

// What was begun to somebody never met is there again after a crash, whoever is there then.
func TestDraftToNeverMet(t *testing.T) {
	onKeptStage(t, true, func(g *stage) {
		g.sees(bob)
		g.press("down")
		g.types("who are y")
		g.pass(time.Second)
		g.restart() // as after SIGKILL: nothing is written at the end
		if f := g.frame(80, 24); len(g.m.rows) != 1 || g.m.rows[0].Conv.Key != bob.Key {
			t.Fatalf("after the restart:\n%s", f)
		}
		if g.press("down"); g.m.input.text != "who are y" || g.m.prompt() != bob.Key.Short()+"> " {
			t.Errorf("input %q behind %q", g.m.input.text, g.m.prompt())
		}
		if g.sees(bob); g.m.prompt() != "bob> " || len(g.m.rows) != 1 {
			t.Errorf("once bob is there: %q, %+v", g.m.prompt(), g.m.rows)
		}
		g.types("ou?")
		if g.press("enter"); !slices.Equal(g.node.sent, []string{"who are you?"}) || g.s.Draft(app.Conv{Key: chat.Key{2}}) != "" {
			t.Errorf("sent %q", g.node.sent)
		}
	})
}

// joinPrivate joins a private room by its passphrase.
func (g *stage) joinPrivate(room string) {
	g.t.Helper()
	g.say("/join " + room + " private")
	g.say("sesame")
}

// What is begun in a private room doesn't stand in the open one that has the name then, and waits for it.
func TestDraftOfReplacedRoom(t *testing.T) {
	replace := map[string]func(g *stage, private bool){
		"by me": func(g *stage, private bool) {
			g.say("/leave #den")
			g.pass(time.Second)
			if g.say("/join #den"); private {
				g.say("/leave #den")
				g.joinPrivate("#den")
			}
		},
		"by another process": func(g *stage, private bool) {
			g.press("alt+2")
			g.node.keys["#den"] = private
			g.pass(time.Second)
			g.press("alt+3", "alt+2")
		},
		"while a process was killed": func(g *stage, private bool) {
			g.node.keys["#den"] = private
			g.restart()
			g.sees(bob)
			g.press("alt+2")
		},
	}
	for name, replace := range replace {
		t.Run(name, func(t *testing.T) {
			onKeptStage(t, true, func(g *stage) {
				g.node.members["#here"], g.node.members["#den"], g.node.keys["#den"] = nil, nil, true
				g.pass(2 * time.Second)
				g.sees(bob)
				g.press("alt+2")
				g.types("SECRET")
				g.pass(1300 * time.Millisecond)
				g.press("alt+3")
				if replace(g, false); g.s.Current().Room != "#den" || g.m.input.text != "" {
					g.t.Fatalf("in %q stands %q", g.s.Label(g.s.Current()), g.m.input.text)
				}
				if g.press("enter"); len(g.node.sent) > 0 {
					t.Errorf("said %q", g.node.sent)
				}
				g.types("open")
				g.pass(1300 * time.Millisecond)
				g.press("alt+3")
				if replace(g, true); g.s.Current().Room != "#den" || g.m.input.text != "SECRET" {
					g.t.Fatalf("in the private one again stands %q", g.m.input.text)
				}
			})
		})
	}
}
