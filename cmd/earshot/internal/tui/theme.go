package tui

import (
	"hash/fnv"
	"image/color"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

// A ground is what the terminal's background is.
type ground int

const (
	unknown ground = iota // it hasn't said: only what is readable on both
	dark
	light
)

// theme holds the styles for one background and number of colours. Everything that a
// colour says is said by a sign or an attribute too.
type theme struct {
	plain, dim, bold, bar, selected, title   lipgloss.Style
	good, warn, bad, unread, link, hit, here lipgloss.Style
	nicks                                    []color.Color
}

// Indexes into the 256 colours, of each of the hues. The contrast with the background
// is 4.5 or more (WCAG 2.2, 1.4.3), of those for both 3 or more with each.
var (
	nicksOnDark  = []uint8{203, 209, 179, 149, 84, 79, 80, 117, 111, 141, 177, 211}
	nicksOnLight = []uint8{160, 130, 94, 58, 28, 29, 24, 25, 26, 55, 91, 125}
	nicksOnBoth  = []uint8{161, 166, 136, 64, 28, 29, 30, 31, 32, 62, 98, 134}
)

func newTheme(profile colorprofile.Profile, on ground) *theme {
	s := lipgloss.NewStyle
	t := &theme{
		plain: s(), dim: s().Faint(true), bold: s().Bold(true), bar: s().Reverse(true), selected: s().Reverse(true), title: s().Bold(true),
		good: s(), warn: s().Bold(true), bad: s().Bold(true), unread: s().Bold(true), link: s().Underline(true), hit: s().Reverse(true), here: s(),
	}
	if profile < colorprofile.ANSI {
		return t
	}
	pick := func(both, onDark, onLight uint8) color.Color {
		return ansi.IndexedColor([]uint8{both, onDark, onLight}[on])
	}
	if profile == colorprofile.ANSI {
		t.nicks = basic(1, 2, 3, 4, 5, 6)
		if on == dark {
			t.nicks = basic(9, 10, 11, 12, 13, 14)
		}
		t.good = s().Foreground(pick(2, 10, 2))
		t.here = t.good
		t.warn = s().Foreground(pick(3, 11, 3))
		t.bad = s().Foreground(pick(1, 9, 1)).Bold(true)
		t.unread = t.bad
		t.link = t.link.Foreground(pick(4, 14, 4))
		return t
	}
	for _, n := range [][]uint8{nicksOnBoth, nicksOnDark, nicksOnLight}[on] {
		t.nicks = append(t.nicks, ansi.IndexedColor(n))
	}
	if on != unknown {
		t.dim = s().Foreground(pick(0, 246, 242))
		t.bar = s().Foreground(pick(0, 252, 236)).Background(pick(0, 236, 254))
		t.selected = s().Foreground(pick(0, 255, 16)).Background(pick(0, 24, 153)).Bold(true)
		t.hit = s().Foreground(ansi.IndexedColor(16)).Background(pick(0, 221, 221))
	}
	t.good = s().Foreground(pick(28, 114, 28))
	t.here = t.good
	t.warn = s().Foreground(pick(136, 221, 94))
	t.bad = s().Foreground(pick(161, 203, 160)).Bold(true)
	t.unread = t.bad
	t.link = t.link.Foreground(pick(32, 117, 25))
	return t
}

func basic(ns ...uint8) (colors []color.Color) {
	for _, n := range ns {
		colors = append(colors, ansi.BasicColor(n))
	}
	return colors
}

// nick returns the style of somebody's name: the same wherever and whenever the key is seen.
func (t *theme) nick(key []byte) lipgloss.Style {
	if len(t.nicks) == 0 {
		return t.bold
	}
	h := fnv.New32a()
	_, _ = h.Write(key)
	return lipgloss.NewStyle().Foreground(t.nicks[h.Sum32()%uint32(len(t.nicks))])
}
