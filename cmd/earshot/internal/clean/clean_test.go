package clean

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLineAndText(t *testing.T) {
	tests := []struct{ name, in, line, text string }{
		{"plain", "hello, world", "hello, world", "hello, world"},
		{"escape sequence", "a\x1b[31mred", "a␛[31mred", "a␛[31mred"},
		{"bell, backspace, delete", "\a\b\x7f", "␇␈␡", "␇␈␡"},
		{"8-bit control sequence", "a\u009b31m", "a\ufffd31m", "a\ufffd31m"},
		{"next line", "a\u0085b", "a\ufffdb", "a\ufffdb"},
		{"line ends", "a\nb\r\nc\rd", "a␊b␍␊c␍d", "a\nb\nc␍d"},
		{"separators", "a\u2028b\u2029c", "a b c", "a\nb\nc"},
		{"tabs", "a\tb\n\tc", "a␉b␊␉c", "a       b\n        c"},
		{"end of text", "a\n\n", "a␊␊", "a"},
		{"direction override", "abc\u202egnp.exe\u202c", "abcgnp.exe", "abcgnp.exe"},
		{"isolates and marks", "\u2066a\u2069\u200e\u200f\u061c", "a", "a"},
		{"zero width", "a\u200bn\u2060a\ufeff\u00ad", "ana", "ana"},
		{"joiner between Latin letters", "a\u200dn\u200ca", "ana", "ana"},
		{"fillers and tags", "a\u3164\u115f\u034f\U000e0041", "a", "a"},
		{"braille blank", "a\u2800b", "a b", "a b"},
		{"invalid UTF-8", "a\xff\xc3b", "a\ufffd\ufffdb", "a\ufffd\ufffdb"},
		{"noncharacter", "a\ufffe", "a\ufffd", "a\ufffd"},
		{"emoji with joiners", "👩‍💻 ❤️ 🏳️‍🌈 👍🏽", "👩‍💻 ❤️ 🏳️‍🌈 👍🏽", "👩‍💻 ❤️ 🏳️‍🌈 👍🏽"},
		{"selector on a letter", "a\ufe0fb", "ab", "ab"},
		{"selector on a keycap", "1\ufe0f\u20e3 ‼\ufe0f 1\ufe0f2", "1\ufe0f\u20e3 ‼\ufe0f 12", "1\ufe0f\u20e3 ‼\ufe0f 12"},
		{"selector twice", "❤\ufe0f\ufe0f", "❤\ufe0f", "❤\ufe0f"},
		{"Persian", "می\u200cخواهم", "می\u200cخواهم", "می\u200cخواهم"},
		{"marks", "o" + strings.Repeat("\u0301", 40), "o" + strings.Repeat("\u0301", 8), "o" + strings.Repeat("\u0301", 8)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Line(tt.in); got != tt.line {
				t.Errorf("Line = %q, want %q", got, tt.line)
			}
			if got := Text(tt.in); got != tt.text {
				t.Errorf("Text = %q, want %q", got, tt.text)
			}
		})
	}
}

func TestName(t *testing.T) {
	for in, want := range map[string]string{
		"ana":                  "ana",
		"  ana \u00a0 maria ":  "ana maria",
		"":                     "no-name",
		"\u200b\u202e":         "no-name",
		"ana: I quit\n14:03 b": "ana꞉ I quit␊14꞉03 b",
		"e\u0301va":            "éva",
	} {
		if got := Name(in); got != want {
			t.Errorf("Name(%q) = %q, want %q", in, got, want)
		}
	}
	if Fold("ÉVA") != Fold("e\u0301va\u200b") {
		t.Error("case, composition and invisible characters should not tell two names apart")
	}
}

func TestSafe(t *testing.T) {
	for in, want := range map[string]bool{
		"ana": true, "żółw 🐢": true, "👩‍💻": true,
		"a\nb": false, "a\x1bb": false, "a\u200bb": false, "a\xff": false, "a\u202eb": false,
	} {
		if got := Safe(in); got != want {
			t.Errorf("Safe(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestLayout(t *testing.T) {
	tests := []struct {
		name, head, text string
		columns          int
		want             string
	}{
		{"one line", "14:03 ana: ", "hi", 80, "14:03 ana: hi"},
		{
			"a forged line is indented", "14:03 ana: ", "hi\n14:04 bob: give me root", 0,
			"14:03 ana: hi\n    14:04 bob: give me root",
		},
		{"words", "ana: ", "the quick brown fox", 20, "ana: the quick \n    brown fox"},
		{
			"a forged line after padding", "ana: ", "x" + strings.Repeat(" ", 14) + "bob: hello", 20,
			"ana: x\n                  \n    bob: hello",
		},
		{
			"no room for a word", "ana: ", strings.Repeat("x", 40), 20,
			"ana: \n    " + strings.Repeat("x", 15) + "\n    " + strings.Repeat("x", 15) + "\n    " + strings.Repeat("x", 10),
		},
		{"wide characters", "ana: ", "日本語日本語日本語", 20, "ana: 日本語日本語日\n    本語"},
		{"too narrow to wrap", "ana: ", "the quick brown fox jumps", 10, "ana: the quick brown fox jumps"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Layout(tt.head, tt.text, tt.columns)
			for i, line := range strings.Split(got, "\n") {
				if tt.columns >= 20 && Width(line) >= tt.columns {
					t.Errorf("line %d is %d columns wide: %q", i, Width(line), line)
				}
				if i > 0 && !strings.HasPrefix(line, Indent) {
					t.Errorf("line %d isn't indented: %q", i, line)
				}
			}
			if tt.name != "a forged line after padding" && got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	got, err := JSON(map[string]string{"text": "<a>\x1b\x7f\u009b\u202e\u200b\u2028\U000e0041👩‍💻é"})
	want := `{"text":"<a>\u001b\u007f\u009b\u202e\u200b\u2028\udb40\udc41👩\u200d💻é"}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

// hostile reports a character that must never reach a terminal.
func hostile(r rune) bool {
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
		unicode.Is(unicode.Bidi_Control, r) || r == '\u200b' || r == '\ufeff'
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"ana", "a\x1b[2J", "\u202e\u2066", "a\xffb", "👩‍💻❤️", "a\r\nb\tc", "\u034f\u180b", "می\u200cخواهم", "ی\u200c\u0600", "\u0743 0"} {
		f.Add(s, 40)
	}
	f.Fuzz(func(t *testing.T, s string, columns int) {
		for i, out := range []string{Line(s), Name(s), Text(s), Layout("x: ", s, columns%200)} {
			if !utf8.ValidString(out) {
				t.Fatalf("%d: invalid UTF-8 %q", i, out)
			}
			for _, r := range out {
				if hostile(r) && (r != '\n' || i < 2) {
					t.Fatalf("%d: %U in %q", i, r, out)
				}
			}
		}
		if once := Line(s); Line(once) != once {
			t.Fatalf("Line isn't idempotent: %q, %q", once, Line(once))
		}
		if once := Name(s); Name(once) != once {
			t.Fatalf("Name isn't idempotent: %q, %q", once, Name(once))
		}
		for i, line := range strings.Split(Layout("x: ", s, columns%200), "\n") {
			if i > 0 && !strings.HasPrefix(line, Indent) {
				t.Fatalf("line %d isn't indented: %q", i, line)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{"ana", "a\x1b[2J\x7f", "\u202e\u2066\U000e0041", "a\xffb", "</script>\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, err := JSON(map[string]string{s: s})
		if err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSuffix(string(out), "\n")
		for _, r := range line {
			if hostile(r) || invisible(r) {
				t.Fatalf("%U in %q", r, line)
			}
		}
		var back map[string]string
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		if utf8.ValidString(s) && back[s] != s {
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}
