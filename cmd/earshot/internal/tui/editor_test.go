package tui

import (
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// The cursor is written as |.
func TestEditor(t *testing.T) {
	tests := []struct {
		name, before string
		keys         string
		want         string
	}{
		{"home and end", "ab|c", "ctrl+a", "|abc"},
		{"end of this line", "a|b\ncd", "ctrl+e", "ab|\ncd"},
		{"left over a cluster", "a👩\u200d💻|b", "left", "a|👩\u200d💻b"},
		{"right over a mark", "|e\u0301b", "right", "e\u0301|b"},
		{"left over the line break", "a\n|b", "left", "a|\nb"},
		{"backspace takes a cluster", "ae\u0301|b", "backspace", "a|b"},
		{"backspace at the start", "|ab", "backspace", "|ab"},
		{"delete", "a|🇩🇪b", "delete", "a|b"},
		{"delete at the end", "ab|", "ctrl+d", "ab|"},
		{"word left", "one two-|three", "alt+b", "one |two-three"},
		{"word right", "|one two", "alt+f alt+f", "one two|"},
		{"cut a word", "see a-b/c  |d", "ctrl+w", "see |d"},
		{"cut a part of one", "see a-b/c|d", "alt+backspace", "see a-b/|d"},
		{"cut and put back", "one |two", "ctrl+u ctrl+e ctrl+y", "twoone |"},
		{"cuts in a row are one", "a b c|", "ctrl+w ctrl+w ctrl+y", "a b c|"},
		{"cut to the end of the line", "a|b\nc", "ctrl+k", "a|\nc"},
		{"cut the word behind", "|one two", "alt+d", "| two"},
		{"swap", "ab|", "ctrl+t", "ba|"},
		{"swap inside", "a|bc", "ctrl+t", "ba|c"},
		{"swap alone", "a|", "ctrl+t", "a|"},
		{"a line up", "abc\nde|", "up", "ab|c\nde"},
		{"a line down", "abc|\nd", "down", "abc\nd|"},
		{"new line", "a|b", "ctrl+j", "a\n|b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onStage(t, func(g *stage) {
				at := strings.Index(tt.before, "|")
				g.m.input.text, g.m.input.at = tt.before[:at]+tt.before[at+1:], at
				g.press(strings.Fields(tt.keys)...)
				if e := g.m.input; e.text[:e.at]+"|"+e.text[e.at:] != tt.want {
					t.Errorf("got %q, want %q", e.text[:e.at]+"|"+e.text[e.at:], tt.want)
				}
			})
		})
	}
}

func TestEditorView(t *testing.T) {
	tests := []struct {
		before string
		width  int
		rows   []string
		y, x   int
	}{
		{"abc|", 10, []string{"abc"}, 0, 3},
		{"abcdef|", 4, []string{"abc", "def"}, 1, 3},
		{"abc|def", 4, []string{"abc", "def"}, 1, 0},
		{"a\n|b", 10, []string{"a", "b"}, 1, 0},
		{"漢字|", 4, []string{"漢", "字"}, 1, 2},
		{"a\x1b|b", 10, []string{"a␛b"}, 0, 2},
		{"|", 10, []string{""}, 0, 0},
	}
	for _, tt := range tests {
		at := strings.Index(tt.before, "|")
		e := editor{text: tt.before[:at] + tt.before[at+1:], at: at}
		rows, y, x, _ := e.view(&cells{}, tt.width, 10)
		if !slices.Equal(rows, tt.rows) || y != tt.y || x != tt.x {
			t.Errorf("%q in %d: %q, cursor %d,%d", tt.before, tt.width, rows, y, x)
		}
	}
}

// A change behind a cluster can make it fit into the row before its own.
func TestRowsJoin(t *testing.T) {
	var e editor
	e.insert("ab😀字")
	e.view(&cells{}, 4, 5)
	e.left()
	e.insert(strings.Repeat("\u200d😀", 10)) // no writing: shown as one sign
	if rows, _, _, _ := e.view(&cells{}, 4, 5); !slices.Equal(rows, []string{"ab\uFFFD", "字"}) {
		t.Errorf("%q", rows)
	}
}

// Whatever keys come, the cursor stays between clusters, and on the screen.
func FuzzEditor(f *testing.F) {
	f.Add("hello 👩\u200d💻\nworld", []byte{0, 1, 2, 3, 9, 9, 12}, 10)
	f.Add("00\xf7", []byte{0, 16}, 0)
	f.Fuzz(func(t *testing.T, text string, moves []byte, width int) {
		if len(text) > 1000 || len(moves) > 200 {
			t.Skip()
		}
		width = 2 + abs(width)%80
		var e editor
		e.insert(text)
		e.view(&cells{}, width, 3)
		all := []func(*editor){
			(*editor).left, (*editor).right, (*editor).home, (*editor).end, (*editor).wordLeft, (*editor).wordRight, (*editor).deleteLeft,
			(*editor).deleteRight, (*editor).cutWordLeft, (*editor).cutWordRight, (*editor).cutToStart, (*editor).cutToEnd, (*editor).yank,
			(*editor).swap, func(e *editor) { e.lineUp() }, func(e *editor) { e.lineDown() }, func(e *editor) { e.insert("x\n漢") },
		}
		for _, move := range moves {
			all[int(move)%len(all)](&e)
			if len(e.text) > 1<<16 {
				break
			}
			got, gy, gx, first := e.view(&cells{}, width, 3)
			fresh := editor{text: e.text, at: e.at}
			if want, wy, wx, wasFirst := fresh.view(&cells{}, width, 3); !slices.Equal(got, want) || gy != wy || gx != wx || first != wasFirst {
				t.Fatalf("%q after a change: %q, cursor %d,%d, want %q, %d,%d", e.text, got, gy, gx, want, wy, wx)
			}
		}
		rows, y, x, _ := e.view(&cells{}, width, 5)
		if e.at < 0 || e.at > len(e.text) || y < 0 || y >= len(rows) || x < 0 || x >= width {
			t.Fatalf("%q: cursor at %d, on the screen %d,%d of %d,%d", e.text, e.at, y, x, len(rows), width)
		}
		for _, r := range rows {
			if w := ansi.WcWidth.StringWidth(r); w > width {
				t.Fatalf("%q takes %d of %d columns", r, w, width)
			}
		}
	})
}

// What a key costs doesn't grow with what stands in the line.
func TestLongInput(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob)
		g.press("down")
		g.m.input.insert(strings.Repeat("漢", 20_000))
		g.frame(80, 24)
		before := g.m.input.shape.work
		for _, key := range []string{"字", "backspace", "left", "字", "ctrl+a", "字", "ctrl+e", "字"} {
			g.press(key)
			g.frame(80, 24)
		}
		if all := g.m.input.shape.work - before; all > 21_000+8*2000 { // once more to the end, after the change at the start
			t.Errorf("%d clusters were measured for 8 keys", all)
		}
	})
}

func abs(n int) int { return max(n, -n, 0) }
