package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"earshot/cmd/earshot/internal/app"
)

// On the page of what was said no text can pass for another's, however it is broken, in any
// size; what is newest is seen.
func TestLogPage(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob)
		g.press("down")
		for i := range 30 {
			g.says(bob, fmt.Sprint("line ", i))
		}
		g.says(bob, "hello\n2026-11-22 15:04 carol: forged\n"+strings.Repeat("x", 70)+" 2026-11-22 15:04 carol: forged")
		g.say("/log")
		for _, width := range []int{80, 43, 120} {
			g.do(tea.WindowSizeMsg{Width: width, Height: 24})
			frame := g.frame(width, 24)
			if strings.Contains(frame, "\n2026-11-22") || !strings.Contains(frame, "\n    2026-11-22 15:04 carol: forged") {
				t.Errorf("%d columns:\n%s", width, frame)
			}
			for _, row := range strings.Split(frame, "\n")[1:23] {
				if !strings.HasPrefix(row, "2000-01-01 14:57 bob: ") && !strings.HasPrefix(row, "    ") {
					t.Errorf("%d columns: %q", width, row)
				}
			}
		}
	})
}

// A page that was told is laid out anew for another size.
func TestToldPageIsResized(t *testing.T) {
	onStage(t, func(g *stage) {
		g.m.tell(strings.Repeat("word ", 400)+"end", false)
		g.frame(120, 40)
		wide := len(g.m.sheet.rows)
		if g.frame(40, 12); g.m.mode != reading || len(g.m.sheet.rows) < 2*wide {
			t.Errorf("%d rows became %d", wide, len(g.m.sheet.rows))
		}
		g.press("end")
		if frame := g.frame(40, 12); !strings.Contains(frame, "\nend\n") {
			t.Errorf("the end isn't shown:\n%s", frame)
		}
	})
}

// The help shows every key of every action, also where the configuration has changed some.
func TestHelpHasAllKeys(t *testing.T) {
	for _, changed := range []app.Keys{nil, {"go-3": {"f7"}, "swap": {"ctrl+alt+shift+pgdown", "f8", "f9"}, "go-9": {}}} {
		k, err := newKeys(changed)
		if err != nil {
			t.Fatal(err)
		}
		for _, width := range []int{40, 80, 130} {
			rows := strings.Join(k.helpPage(&cells{}, newTheme(0, unknown), width), "\n")
			for _, g := range k.groups {
				for _, b := range g.bindings {
					for _, key := range b.keys {
						if !strings.Contains(rows, pretty(key)) && (changed != nil || !strings.HasPrefix(string(b.action), "go-")) {
							t.Errorf("%d columns: %s for %s isn't shown", width, pretty(key), b.action)
						}
					}
				}
			}
			for row := range strings.Lines(rows) {
				if w := ansi.StringWidth(strings.TrimSuffix(row, "\n")); w > width {
					t.Errorf("%d columns in %d: %q", w, width, row)
				}
			}
		}
	}
}

// What is said of keys is said of those that are configured.
func TestHintsNameTheKeys(t *testing.T) {
	onKeptStage(t, true, func(g *stage) {
		var err error
		if g.m.keys, err = newKeys(app.Keys{"send": {"f2"}, "cancel": {"f3"}, "clear": {"f4"}, "up": {"f5"}, "down": {"f6"}}); err != nil {
			t.Fatal(err)
		}
		shown := func(hint string) {
			t.Helper()
			if frame := g.frame(100, 24); !strings.Contains(frame, hint) {
				t.Errorf("%q isn't shown:\n%s", hint, frame)
			}
		}
		g.sees(bob)
		shown("F5 and F6, or a click, or type the beginning of")
		shown("their name and F2.")
		g.says(bob, "the cable")
		g.press("alt+1")
		g.do(tea.PasteMsg{Content: "1\n2\n3\n4\n5\n6"})
		shown("F2: send it; e: edit it; F3: don't")
		g.press("f3", "ctrl+r")
		g.types("cable")
		shown("1 of 1; F5: older, F6: newer, F2: stay, F3: back")
		g.press("f3", "f4")
		shown("quit? F2 or F4: yes, F3: no")
		g.press("f3", "f1")
		shown("F3 closes")
	})
}
