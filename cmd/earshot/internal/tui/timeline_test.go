package tui

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
)

// chronicle returns a timeline of so many lines, one a minute.
func chronicle(count int) *timeline {
	begin := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	c := &cells{}
	t := &timeline{cells: c, theme: newTheme(0, unknown), again: "Alt+R", follow: true, label: func(k chat.Key) string { return fmt.Sprint("p", k[0]) }, as: func(app.Line) string { return "" }}
	for i := range count {
		t.lines = append(t.lines, app.Line{N: int64(i + 1), From: chat.Key{byte(i % 3)}, At: begin.Add(time.Duration(i) * time.Minute), Text: fmt.Sprintf("line %d%s", i, strings.Repeat(" and more", i%12))})
	}
	t.resize(60, 20)
	return t
}

func (t *timeline) text() string { return ansi.Strip(strings.Join(t.view(), "\n")) }

func TestTimelineScrolls(t *testing.T) {
	tl := chronicle(300)
	whole := tl.text()
	if !strings.Contains(whole, "line 299") {
		t.Errorf("the end isn't shown:\n%s", whole)
	}
	for _, by := range []int{1, 7, 19, 200} {
		if missed := tl.scroll(-by); missed != 0 || tl.follow {
			t.Errorf("scrolled by %d less, follows: %v", missed, tl.follow)
		}
		if missed := tl.scroll(by); missed != 0 || !tl.follow || tl.text() != whole {
			t.Errorf("%d up and down ends elsewhere:\n%s", by, tl.text())
		}
	}
	// Row by row, each view is the one before, moved.
	for range 400 {
		before := strings.Split(tl.text(), "\n")
		if tl.scroll(-1) != 0 {
			break
		}
		after := strings.Split(tl.text(), "\n")
		if got, want := text(after[2:]), text(before[1:19]); got != want { // the first row bears a name
			t.Fatalf("a row up: %q became %q", want, got)
		}
	}
	tl.scroll(-1 << 20)
	if missed := tl.scroll(-5); missed != -5 || !strings.HasPrefix(tl.text(), "───") {
		t.Errorf("at the top %d are missed:\n%s", missed, tl.text())
	}
	tl.top()
	if !strings.Contains(tl.text(), "line 0") {
		t.Errorf("the top isn't shown:\n%s", tl.text())
	}
}

// text returns what stands behind the gutters.
func text(rows []string) (s string) {
	for _, r := range rows {
		s += strings.TrimSpace(ansi.TruncateLeft(r, 18, "")) + "|"
	}
	return s
}

// What is read stays where it is, whatever comes below and above it.
func TestTimelineStaysWhereItIsRead(t *testing.T) {
	tl := chronicle(100)
	tl.scroll(-50)
	before := tl.text()
	tl.lines = append(tl.lines, app.Line{N: 1000, At: tl.lines[99].At, Text: "new"})
	if tl.text() != before {
		t.Error("a new line moved it")
	}
	older := []app.Line{{N: -1, At: tl.lines[0].At, Text: "older"}, {N: 0, At: tl.lines[0].At, Text: "than that"}}
	tl.lines = append(older, tl.lines...)
	if tl.text() != before {
		t.Error("older lines moved it")
	}
	tl.resize(30, 8)
	tl.resize(60, 20)
	if got := tl.text(); got != before {
		t.Errorf("sizes moved it:\n%s\nwas\n%s", got, before)
	}
}

func TestTimelineJumps(t *testing.T) {
	tl := chronicle(500)
	for _, n := range []int64{250, 1, 500, 30} {
		tl.jump(n)
		if want := fmt.Sprintf("line %d", n-1); !strings.Contains(tl.text(), want) {
			t.Errorf("%q isn't shown:\n%s", want, tl.text())
		}
	}
}

func TestTimelineInAnySize(t *testing.T) {
	tl := chronicle(40)
	tl.lines[20].Text = "漢字 https://example.org/" + strings.Repeat("x", 300)
	tl.lines[30].Out, tl.lines[30].State, tl.lines[30].Reason = true, app.Failed, "the reason \x1b[2J is long"
	tl.lines[31].Notice = true
	tl.lines[32].Action = true
	tl.unread = 25
	for width := 1; width < 130; width += 3 {
		for _, height := range []int{1, 2, 9, 60} {
			tl.resize(width, height)
			for _, by := range []int{0, -3, -1000, 5, 1000} {
				tl.scroll(by)
				rows := tl.view()
				if len(rows) != height {
					t.Fatalf("%d rows in %d", len(rows), height)
				}
				for _, r := range rows {
					if w := ansi.StringWidth(r); w > width && width >= 40 {
						t.Fatalf("%d columns in %d: %q", w, width, r)
					}
				}
			}
		}
	}
}

// An address wider than the column of texts leaves who says it, and when, above itself.
func TestWideAddressHasItsAuthor(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob, carol)
		g.press("down")
		url := "https://example.org/" + strings.Repeat("x", 30)
		g.says(bob, "look at this")
		g.saysIn("#here", carol, "elsewhere")
		g.says(bob, url)
		g.say(url)
		if frame := g.frame(80, 24); strings.Count(frame, "│"+url) != 2 || !regexp.MustCompile(`│14:57 +ana\n.*│`+url).MatchString(frame) || strings.Count(frame, "14:57") != 3 {
			t.Errorf("an address stands without its author:\n%s", frame)
		}
		if frame := g.frame(58, 24); strings.Count(frame, "14:57") != 3 {
			t.Errorf("without a list:\n%s", frame)
		}
	})
}

func TestSearchHits(t *testing.T) {
	tl := &timeline{theme: newTheme(0, unknown), query: "Cab* dr"}
	text := "the CABLE is in the drawer, İcable"
	var got []string
	for _, s := range tl.hits(text) {
		got = append(got, text[s.from:s.to])
	}
	if strings.Join(got, " ") != "CAB dr cab" {
		t.Errorf("found %q", got)
	}
}

// Whatever others send, a frame holds styles, links and what can be seen, and is of its size.
func TestHostileText(t *testing.T) {
	huge := strings.Repeat("0123456789", 1<<20)
	texts := []string{
		"\x1b[2J\x1b[H\x1b]0;owned\a\x1b]52;c;AAAA\a\x1bPq\x1b\\", "\u202egnp.exe\u2066\u2069", "z\u200be\u200dr\u00ado\ufeff",
		"\x9b31m\x9d0;x\x9c\xff\xfe", strings.Repeat("\u0301", 5000), "a\r\nb\rc\vd\fe\x00\x07\x08", huge, "\u2028\u2029", strings.Repeat("\n", 60000) + "end",
		strings.Repeat("👨\u200d", 3000), string([]rune{narrow, wide, narrow + 1}), "https://example.org/\x1b]8;;evil\a" + "\u009c",
		strings.Repeat("https://a.example/ ", 3000), "\U000e0041\U000e0042", strings.Repeat("漢", 20000),
	}
	onStage(t, func(g *stage) {
		g.sees(bob, carol)
		g.types("bob\t")
		g.press("enter")
		eve := chat.Person{Key: chat.Key{6}, Name: "e\x1b[31mve\u202e\n\u200b: ana"}
		for _, text := range texts {
			g.says(bob, text)
			g.says(eve, text)
			for _, size := range [][2]int{{80, 24}, {40, 12}, {200, 50}} {
				harmless(t, g.frame(size[0], size[1]))
				v := g.m.View()
				harmless(t, v.WindowTitle)
				if left := sgrOrLink.ReplaceAllString(v.Content, ""); strings.ContainsFunc(left, func(r rune) bool { return r < ' ' && r != '\n' || 0x7f <= r && r < 0xa0 }) {
					t.Fatalf("%.60q leaves control characters in a frame: %q", text, left)
				}
			}
			g.press("pgup", "pgup", "alt+end")
		}
		g.press("ctrl+k")
		harmless(t, g.frame(80, 24))
	})
}

var sgrOrLink = regexp.MustCompile("\x1b\\[[0-9;:]*m|\x1b\\]8;[^\x1b\a]*(?:\x1b\\\\|\a)")

func harmless(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if r < ' ' && r != '\n' || 0x7f <= r && r < 0xa0 || 0x200b <= r && r <= 0x200f && r != '\u200d' && r != '\u200c' || 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 {
			t.Fatalf("%U is in %q", r, text)
		}
	}
}
