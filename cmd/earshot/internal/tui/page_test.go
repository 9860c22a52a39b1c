package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
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
