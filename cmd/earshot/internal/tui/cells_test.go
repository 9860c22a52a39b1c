package tui

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"earshot/cmd/earshot/internal/clean"
)

func TestCellsMeasureAsTerminalsDo(t *testing.T) {
	xterm := cells{}
	tmux := cells{joins: true} // 3.3a
	kitty := cells{joins: true, styles: true, tones: true}
	modern := cells{clusters: true}
	tests := []struct {
		text                       string
		xterm, tmux, kitty, modern int
	}{
		{"abc", 3, 3, 3, 3},
		{"漢字", 4, 4, 4, 4},
		{"ﾊﾝ", 2, 2, 2, 2},
		{"e\u0301", 1, 1, 1, 1},
		{"👩\u200d💻", 4, 2, 2, 2},
		{"👨\u200d👩\u200d👧\u200d👦", 8, 2, 2, 2},
		{"❤\ufe0f", 1, 1, 2, 2},
		{"👍🏽", 4, 4, 2, 2},
		{"🇩🇪🇫🇷", 4, 4, 4, 4},
		{"🏳\ufe0f\u200d🌈", 3, 1, 2, 2},
		{"\u1112\u1161\u11ab", 2, 2, 2, 2},
		{"กำ", 2, 2, 2, 1},
		{"\u0301", 1, 1, 1, 1}, // on a dotted circle
		{string(narrow), 1, 1, 1, 1},
	}
	for _, tt := range tests {
		for _, c := range []struct {
			name string
			cells
			want int
		}{{"xterm", xterm, tt.xterm}, {"tmux", tmux, tt.tmux}, {"kitty", kitty, tt.kitty}, {"modern", modern, tt.modern}} {
			if got := c.width(tt.text); got != c.want {
				t.Errorf("%s: %q takes %d columns, want %d", c.name, tt.text, got, c.want)
			}
		}
	}
}

// Whatever the terminal measures, Bubble Tea's renderer has to come to the same width.
func TestStandInsAgreeWithTheRenderer(t *testing.T) {
	c := cells{joins: true, styles: true, tones: true, stand: &standIns{}}
	for _, text := range []string{"👩\u200d💻", "❤\ufe0f", "👍🏽", "🇩🇪", "\u1112\u1161\u11ab", "a", "漢"} {
		cluster, width, _ := c.next(text)
		drawn := c.draw(cluster, width)
		if got := ansi.WcWidth.StringWidth(drawn); got != width {
			t.Errorf("%q is drawn as %q, %d columns wide to the renderer, want %d", text, drawn, got, width)
		}
		if got := string(c.stand.restore([]byte("<" + drawn + ">"))); got != "<"+text+">" {
			t.Errorf("%q comes back as %q", text, got)
		}
	}
	if _, w, _ := c.next(string(wide)); w != 1 {
		t.Error("a stand-in in a text must not stand for anything")
	}
}

func TestFitAndPad(t *testing.T) {
	var c cells
	tests := []struct {
		text  string
		width int
		want  string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"漢字", 3, "漢…"},
		{"漢字", 4, "漢字"},
		{"a", 0, ""},
		{"ab", 1, "…"},
		{"漢", 1, "…"},
	}
	for _, tt := range tests {
		if got, w := c.fit(tt.text, tt.width); got != tt.want || w != c.width(got) {
			t.Errorf("fit(%q, %d) = %q, %d", tt.text, tt.width, got, w)
		}
	}
	if got := c.pad("漢", 4, true); got != "  漢" {
		t.Errorf("pad = %q", got)
	}
}

func TestLayout(t *testing.T) {
	long := "https://example.org/0123456789"
	tests := []struct {
		name, text  string
		width, full int
		want        []string
	}{
		{"between words", "the quick brown fox", 10, 0, []string{"the quick ", "brown fox"}},
		{"a long word", "0123456789abc", 10, 0, []string{"0123456789", "abc"}},
		{"lines", "a\n\nb", 10, 0, []string{"a", "", "b"}},
		{"indented", "if x {\n    y\n}", 10, 0, []string{"if x {", "    y", "}"}},
		{"Chinese", "漢字漢字漢字", 5, 0, []string{"漢字", "漢字", "漢字"}},
		{"nothing", "", 10, 0, []string{""}},
		{"an address that fits", "see " + long, 30, 0, []string{"see ", long}},
		{"an address wider than the column", "see " + long + ", it is good", 20, 40, []string{"see ", long, ", it is good"}},
		{"an address wider than all", long, 12, 20, []string{"https://example.org/", "0123456789"}},
		{"punctuation behind an address", "(" + long + ").", 40, 0, []string{"(" + long + ")."}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c cells
			theme := newTheme(0, unknown)
			var got []string
			for _, r := range c.layout(tt.text, tt.width, tt.full, urls(tt.text, theme.plain)) {
				got = append(got, ansi.Strip(r.text))
			}
			if strings.Join(got, "|") != strings.Join(tt.want, "|") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"see https://a.example/b?c=d#e.":       "https://a.example/b?c=d#e",
		"(https://a.example/x)":                "https://a.example/x",
		"https://a.example/x_(y) z":            "https://a.example/x_(y)",
		"mailto:ana@a.example":                 "mailto:ana@a.example",
		"javascript:alert(1)":                  "",
		"https://":                             "",
		"xhttps://a.example":                   "",
		"https://a.example/ü/漢字":               "https://a.example/ü/漢字",
		"<https://a.example/>, and more":       "https://a.example/",
		"HTTPS is not http: not://an.address/": "",
	} {
		got := ""
		for _, s := range urls(text, newTheme(0, unknown).plain) {
			got += text[s.from:s.to]
		}
		if got != want {
			t.Errorf("in %q: %q, want %q", text, got, want)
		}
	}
}

// Every part of an address that is broken is a link to the whole.
func TestBrokenAddressIsALink(t *testing.T) {
	text := "https://example.org/" + strings.Repeat("x", 50)
	var c cells
	rows := c.layout(text, 10, 20, urls(text, newTheme(0, unknown).link))
	if len(rows) < 4 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		if !strings.Contains(r.text, "\x1b]8;;"+text+"\x1b\\") && !strings.Contains(r.text, "\x1b]8;;"+text+"\a") {
			t.Errorf("%q is no link to the whole", r.text)
		}
	}
}

// No row is wider than it may be, and all of the text is there.
func TestLayoutKeepsWithinItsColumns(t *testing.T) {
	parts := []string{"word ", "漢字", "👩\u200d💻", "🇩🇪", "❤\ufe0f", "e\u0301\u0302", "\n", "  ", "https://a.example/bcdefghijklmnopqrstuvw ", "0123456789abcdefghi", "می\u200cخ", "-", "👍🏽"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var b strings.Builder
		for range r.IntN(20) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		checkLayout(t, clean.Text(b.String()), 2+r.IntN(40), r.IntN(60), cells{joins: r.IntN(2) == 0, styles: r.IntN(2) == 0, clusters: r.IntN(3) == 0})
	}
}

func checkLayout(t *testing.T, text string, width, full int, c cells) {
	t.Helper()
	c.stand = &standIns{}
	text = normal(text)
	var got strings.Builder
	for _, r := range c.layout(text, width, full, urls(text, newTheme(0, unknown).plain)) {
		limit := max(width, 2)
		if r.full {
			limit = max(full, width, 2)
		}
		plain := ansi.Strip(r.text)
		method := ansi.WcWidth
		if c.clusters {
			method = ansi.GraphemeWidth
		}
		if w := method.StringWidth(plain); w > limit || w != r.width {
			t.Fatalf("%q in %d columns: the row %q takes %d, and is said to take %d", text, limit, plain, w, r.width)
		}
		for _, control := range plain {
			if control < 0x20 || control == 0x7f {
				t.Fatalf("%q is drawn with a control character: %q", text, plain)
			}
		}
		got.Write(c.stand.restore([]byte(plain)))
	}
	squeeze := strings.NewReplacer(" ", "", "\n", "", "\u25cc", "")
	if want, got := squeeze.Replace(text), squeeze.Replace(got.String()); want != got && !strings.ContainsRune(got, '\ufffd') {
		t.Fatalf("%q became %q", want, got)
	}
}

func FuzzLayout(f *testing.F) {
	f.Add("hello, world https://example.org/x", 20, 40, uint8(0))
	f.Add("\x1b[31m\x1b]8;;x\a\u202e\u200b漢字👩\u200d💻\U0003f000\U0010f000", 3, 9, uint8(3))
	f.Add(strings.Repeat("\u0301", 100), 2, 2, uint8(7))
	f.Fuzz(func(t *testing.T, text string, width, full int, bits uint8) {
		if len(text) > 4096 {
			t.Skip()
		}
		checkLayout(t, clean.Text(text), width%200, full%300, cells{joins: bits&1 != 0, styles: bits&2 != 0, tones: bits&4 != 0, clusters: bits&8 != 0})
	})
}
