package tui

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// cells measures text as the terminal draws it. Terminals agree about letters but not
// about clusters of emoji: one that reports mode 2027 draws each cluster of Unicode's
// in one or two columns; of others it is found out (see probe) what they do with
// joiners, style selectors and skin tones. The zero value is one that adds up the
// widths of the runes, as xterm does.
type cells struct {
	clusters bool // mode 2027
	joins    bool // emoji with a joiner between them are drawn as one
	styles   bool // a symbol with an emoji selector takes two columns
	tones    bool // a skin tone takes none

	stand *standIns
}

// maxCluster bounds the bytes of a cluster: more is noise, not writing.
const maxCluster = 64

// next returns the first cluster of s, as it may be drawn, how many columns it takes,
// and the bytes of s that it stands for. Cleaned text and s != "" are taken for granted.
func (c *cells) next(s string) (cluster string, width, size int) {
	if s[0] < utf8.RuneSelf && (len(s) == 1 || s[1] < utf8.RuneSelf) {
		return s[:1], 1, 1
	}
	cluster, width = ansi.FirstGraphemeCluster(s, ansi.GraphemeWidth)
	size = len(cluster)
	r, n := utf8.DecodeRuneInString(cluster)
	switch {
	case reserved(r) || size > maxCluster:
		return string(utf8.RuneError), 1, size
	case c.clusters:
	case n == size:
		width = ansi.WcWidth.StringWidth(cluster)
	default:
		width = c.sum(cluster)
	}
	if width == 0 { // a mark with nothing below it
		cluster, width = "\u25cc"+cluster, 1
	}
	return cluster, width, size
}

// sum adds up a cluster's runes as this terminal does.
func (c *cells) sum(cluster string) int {
	width, joined, flag := 0, false, false
	for _, r := range cluster {
		switch {
		case r == '\u200d':
			joined = c.joins && width > 0
			continue
		case joined:
		case r == '\ufe0f':
			if c.styles && width == 1 {
				width = 2
			}
		case tone(r) && width > 0 && c.tones:
		case 0x1160 <= r && r <= 0x11ff: // of a Hangul syllable that begins with a wide rune
		case 0x1f1e6 <= r && r <= 0x1f1ff: // two letters make a flag
			if flag = !flag; flag {
				width += 2
			}
		default:
			width += ansi.WcWidth.StringWidth(string(r))
		}
		joined = false
	}
	return width
}

func tone(r rune) bool { return 0x1f3fb <= r && r <= 0x1f3ff }

// width returns the columns that s takes.
func (c *cells) width(s string) (sum int) {
	for s != "" {
		_, w, n := c.next(s)
		sum += w
		s = s[n:]
	}
	return sum
}

// fit cuts s to at most width columns, with an ellipsis where it was longer, and
// returns it as it is drawn, with its width.
func (c *cells) fit(s string, width int) (string, int) {
	if width <= 0 {
		return "", 0
	}
	var b strings.Builder
	used, mark, markUsed := 0, 0, 0 // mark: up to where there is room for the ellipsis
	for s != "" {
		cluster, w, n := c.next(s)
		if used+w > width {
			return b.String()[:mark] + "…", markUsed + 1
		}
		b.WriteString(c.draw(cluster, w))
		used += w
		if used < width {
			mark, markUsed = b.Len(), used
		}
		s = s[n:]
	}
	return b.String(), used
}

// pad is fit with blanks behind, or before with right, up to width.
func (c *cells) pad(s string, width int, right bool) string {
	s, used := c.fit(s, width)
	blanks := strings.Repeat(" ", max(0, width-used))
	if right {
		return blanks + s
	}
	return s + blanks
}

// draw returns what is put into a frame for a cluster of that width. Bubble Tea's
// renderer knows two ways to measure; what the terminal measures in a third way
// is drawn by a stand-in of the right width, and put back on its way out.
func (c *cells) draw(cluster string, width int) string {
	if len(cluster) == 1 || c.clusters || c.stand == nil || ansi.WcWidth.StringWidth(cluster) == width {
		return cluster
	}
	return c.stand.of(cluster, width)
}

// standIns are runes that no text holds (see reserved), each for one cluster.
type standIns struct {
	mu       sync.Mutex
	by       map[string]rune
	clusters [3][]string // by width
}

const (
	// The last private-use plane, one column each, and the end of the third
	// ideographic plane, unassigned and two columns each.
	narrow = rune(0x10f000)
	wide   = rune(0x3f000)
	most   = 0xf00
)

func reserved(r rune) bool {
	return narrow <= r && r < narrow+most || wide <= r && r < wide+most
}

func (s *standIns) of(cluster string, width int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.by[cluster]; ok {
		return string(r)
	}
	if width < 1 || width > 2 || len(s.clusters[width]) == most {
		return strings.Repeat("?", width)
	}
	r := narrow
	if width == 2 {
		r = wide
	}
	r += rune(len(s.clusters[width]))
	s.clusters[width] = append(s.clusters[width], cluster)
	if s.by == nil {
		s.by = map[string]rune{}
	}
	s.by[cluster] = r
	return string(r)
}

// restore puts the clusters back in place of their stand-ins.
func (s *standIns) restore(out []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.by) == 0 {
		return out
	}
	var b []byte
	from := 0
	for i := 0; i < len(out); {
		if out[i] < 0xf0 { // all of them take four bytes
			i++
			continue
		}
		r, n := utf8.DecodeRune(out[i:])
		var list []string
		switch {
		case narrow <= r && r < narrow+most:
			list, r = s.clusters[1], r-narrow
		case wide <= r && r < wide+most:
			list, r = s.clusters[2], r-wide
		}
		if int(r) < len(list) {
			b = append(append(b, out[from:i]...), list[r]...)
			from = i + n
		}
		i += n
	}
	if from == 0 {
		return out
	}
	return append(b, out[from:]...)
}
