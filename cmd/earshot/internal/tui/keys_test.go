package tui

import (
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"earshot/cmd/earshot/internal/app"
)

func TestKeyMapHasNoDoubles(t *testing.T) {
	k, err := newKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, bound := range k.by {
		if len(bound) > 1 && key != "ctrl+k" {
			t.Errorf("%s does %s and %s", key, bound[0].action, bound[1].action)
		}
		if name, err := keyName(key); err != nil || name != key {
			t.Errorf("the key %s can't be written in a configuration: %q, %v", key, name, err)
		}
	}
}

func TestChangedKeys(t *testing.T) {
	tests := []struct {
		name    string
		changed app.Keys
		wrong   string // empty: nothing is
		key     string
		does    action
	}{
		{"another key", app.Keys{"search": {"Ctrl+S"}}, "", "ctrl+s", "search"},
		{"several, in any order", app.Keys{"search": {"Shift-Alt-Q", "F5"}}, "", "alt+shift+q", "search"},
		{"one that was another's", app.Keys{"search": {"ctrl+k"}}, "", "ctrl+k", "search"},
		{"a page key", app.Keys{"next": {"PageDown"}}, "", "pgdown", "next"},
		{"no action", app.Keys{"serch": {"ctrl+s"}}, `keys: there is no action "serch"`, "", ""},
		{"no key", app.Keys{"search": {"ctrl+foo"}}, `keys: search: "ctrl+foo" is not a key`, "", ""},
		{"a letter", app.Keys{"search": {"s"}}, `keys: search: "s" is needed for writing`, "", ""},
		{"twice", app.Keys{"search": {"f5"}, "next": {"f5"}}, "keys: f5 is given to", "", ""},
		{"none to send with", app.Keys{"send": {}}, "keys: send has no key", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := CheckKeys(tt.changed); (err == nil) != (tt.wrong == "") || err != nil && !strings.HasPrefix(err.Error(), tt.wrong) {
				t.Fatalf("CheckKeys: %v", err)
			}
			if tt.wrong != "" {
				return
			}
			k, _ := newKeys(tt.changed)
			if b := k.by[tt.key]; len(b) != 1 || b[0].action != tt.does {
				t.Errorf("%s does %v", tt.key, b)
			}
		})
	}
}

func TestConversationsByKeys(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob, carol, dave)
		at := func(name string) {
			t.Helper()
			if got := g.s.Label(g.s.Current()); got != name {
				t.Errorf("the conversation is with %q, want %q", got, name)
			}
		}
		g.press("down")
		at("bob")
		g.press("alt+down")
		at("carol")
		g.press("ctrl+n", "ctrl+n")
		at("bob")
		g.press("ctrl+p")
		at("dave")
		g.press("alt+2")
		at("carol")
		g.press("ctrl+k")
		g.types("dv")
		g.press("enter")
		at("dave")
		g.says(bob, "here")
		g.press("alt+a")
		at("bob")
		g.types("/to car")
		g.press("enter")
		at("carol")
		g.do(tea.MouseClickMsg{Button: tea.MouseLeft, X: 5, Y: 1})
		at("bob")
		g.types("/msg car")
		g.press("tab")
		if got := g.m.input.text; got != "/msg carol " {
			t.Errorf("Tab made %q", got)
		}
		g.press("ctrl+c")
		g.types("unsaid")
		g.press("alt+2")
		if g.m.input.text != "" {
			t.Errorf("another's draft: %q", g.m.input.text)
		}
		g.press("alt+1")
		if g.m.input.text != "unsaid" {
			t.Errorf("the draft is %q", g.m.input.text)
		}
		g.press("ctrl+c", "up")
		if g.m.input.text != "/to car" { // what was last sent
			t.Errorf("Up brought %q", g.m.input.text)
		}
	})
}

func TestWheel(t *testing.T) {
	onStage(t, func(g *stage) {
		g.sees(bob)
		g.press("down")
		for range 100 {
			g.says(bob, "line")
		}
		g.do(tea.MouseWheelMsg{Button: tea.MouseWheelUp, X: 50, Y: 5})
		if g.m.timeline.follow {
			t.Error("the wheel should scroll up")
		}
		g.frame(80, 24)
		g.do(tea.MouseClickMsg{Button: tea.MouseLeft, X: 70, Y: 21})
		if !g.m.timeline.follow {
			t.Error("a click on what is below should go there")
		}
		g.press("alt+m")
		g.do(tea.FocusMsg{})
		if v := g.m.View(); v.MouseMode != tea.MouseModeNone {
			t.Error("Alt+M should leave the mouse to the terminal")
		}
	})
}

// Names and marks are readable: a contrast of 4.5 with the background, of 3 with black
// and with white where it isn't known.
func TestColoursAreReadable(t *testing.T) {
	luminance := func(channels ...float64) (l float64) {
		for i, c := range channels {
			if c <= 0.04045 {
				c /= 12.92
			} else {
				c = math.Pow((c+0.055)/1.055, 2.4)
			}
			l += c * []float64{0.2126, 0.7152, 0.0722}[i]
		}
		return l
	}
	for on, least := range map[ground]map[float64]float64{dark: {luminance(.12, .12, .12): 4.5}, light: {1: 4.5}, unknown: {0: 3, 1: 3}} {
		theme := newTheme(colorprofile.ANSI256, on)
		all := theme.nicks
		all = append(all, theme.good.GetForeground(), theme.warn.GetForeground(), theme.bad.GetForeground(), theme.link.GetForeground())
		for _, c := range all {
			r, g, b, _ := c.RGBA()
			l := luminance(float64(r)/65535, float64(g)/65535, float64(b)/65535)
			for back, ratio := range least {
				if contrast := (max(l, back) + .05) / (min(l, back) + .05); contrast < ratio {
					t.Errorf("on %d: %v has a contrast of %.2f", on, c, contrast)
				}
			}
		}
	}
}

func TestFuzzy(t *testing.T) {
	for _, tt := range []struct {
		query, better, worse string
	}{{"bo", "bob", "abo"}, {"ana", "ana", "banana"}, {"jd", "jane doe", "janusz-ed"}, {"b", "bob", "zeb"}} {
		a, ok1 := fuzzy(tt.query, tt.better)
		b, ok2 := fuzzy(tt.query, tt.worse)
		if !ok1 || !ok2 || a >= b {
			t.Errorf("%q: %s %d %v, %s %d %v", tt.query, tt.better, a, ok1, tt.worse, b, ok2)
		}
	}
	if _, ok := fuzzy("xy", "yx"); ok {
		t.Error("the letters stand in another order")
	}
}

func TestNotification(t *testing.T) {
	for term, want := range map[string]string{"xterm-256color": "\x1b]9;b,ob: hi␛\a", "rxvt-unicode": "\x1b]777;notify;b,ob;hi␛\a"} {
		if got := notification([]string{"TERM=" + term}, "b;ob", "hi\x1b"); got != want {
			t.Errorf("%s: %q", term, got)
		}
	}
	m := model{env: []string{"TMUX=/tmp/x"}}
	if got := m.through("\x1b]9;x\a"); got != "\x1bPtmux;\x1b\x1b]9;x\a\x1b\\" {
		t.Errorf("through tmux: %q", got)
	}
}

// The README names keys; they have to be those of the table.
func TestActionsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range actions(keyMap()) {
		if regexp.MustCompile(`^go-[2-8]$`).MatchString(name) {
			continue
		}
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("the README doesn't name the action %s", name)
		}
	}
}
