package tui

import (
	"fmt"
	"regexp"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"
)

// maxText is how many bytes of one text are shown. No message is longer; notices of
// what others did may be.
const maxText = 64 << 10

// A span is a part of a text, in bytes, that is drawn in another style.
type span struct {
	from, to int
	style    lipgloss.Style
	url      bool // a link, in one piece where it fits
	whole    bool // in one piece where it fits
}

// A row is one row of a text laid out.
type row struct {
	text  string // styled
	width int
	full  bool // begins at the left edge, not behind the nick
}

// address is what terminals take for a URL.
var address = regexp.MustCompile(`\b(?:https?|ftp|file|ssh|git|gemini|gopher)://[^\s<>"'` + "`" + `]+[^\s<>"'` + "`" + `.,;:!?)\]}]|\bmailto:[^\s<>"]+@[^\s<>"]+\w`)

// urls finds the addresses in a text.
func urls(text string, style lipgloss.Style) (found []span) {
	if !strings.Contains(text, ":") {
		return nil
	}
	for _, at := range address.FindAllStringIndex(text, -1) {
		to := at[1]
		// A bracket that was opened before belongs to the sentence, one opened inside to the address.
		if to < len(text) && text[to] == ')' && strings.Count(text[at[0]:to], "(") > strings.Count(text[at[0]:to], ")") {
			to++
		}
		found = append(found, span{from: at[0], to: to, style: style, url: true})
	}
	return found
}

// target is an address as a link has it (OSC 8): in ASCII.
func target(address string) string {
	var b strings.Builder
	for i := range len(address) {
		if c := address[i]; c > ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// normal is a text as it is laid out: composed, and not too long.
func normal(text string) string {
	if len(text) > maxText {
		cut := maxText
		for cut > 0 && text[cut]&0xc0 == 0x80 {
			cut--
		}
		text = text[:cut] + "…"
	}
	return norm.NFC.String(text)
}

// layout breaks a cleaned text into rows of at most width columns: between words where
// it can. An address stays whole where it fits a row of its own, be it one of full
// columns, and is a link in every part where it does not. Spans are in order and don't
// overlap.
func (c *cells) layout(text string, width, full int, spans []span) []row {
	l := layout{cells: c, width: max(width, 2), full: max(full, width, 2)}
	at := 0
	for at < len(text) {
		if len(spans) > 0 && at >= spans[0].to {
			spans = spans[1:]
			continue
		}
		switch {
		case len(spans) == 0:
			l.words(text[at:], nil)
			at = len(text)
		case at < spans[0].from:
			l.words(text[at:spans[0].from], nil)
			at = spans[0].from
		case spans[0].url || spans[0].whole:
			l.word(text[at:spans[0].to], &spans[0])
			at = spans[0].to
		default:
			l.words(text[at:spans[0].to], &spans[0])
			at = spans[0].to
		}
	}
	if !l.over {
		l.end()
	}
	return l.rows
}

type layout struct {
	*cells
	width, full int

	rows []row
	row  strings.Builder
	used int
	wide bool // this row may take full columns
	over bool // the row before took them, and has ended
}

func (l *layout) end() {
	l.rows = append(l.rows, row{l.row.String(), l.used, l.wide})
	l.row.Reset()
	l.used, l.wide = 0, false
}

// limit of this row.
func (l *layout) limit() int {
	if l.wide {
		return l.full
	}
	return l.width
}

// words lays out a text of several lines, each between its opportunities to break
// (UAX #14).
func (l *layout) words(text string, style *span) {
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			if !l.over {
				l.end()
			}
			l.over = false
		}
		state := -1
		for line != "" {
			var word string
			if end := asciiWord(line); end > 0 {
				word, line, state = line[:end], line[end:], -1
			} else {
				word, line, _, state = uniseg.FirstLineSegmentInString(line, state)
			}
			l.word(word, style)
		}
	}
}

// asciiWord returns the length of a word of plain letters and the blanks behind it, for
// which no table is needed; 0 where text doesn't begin with one.
func asciiWord(text string) int {
	i := 0
	for i < len(text) && (text[i]|0x20 >= 'a' && text[i]|0x20 <= 'z' || text[i] == ',' || text[i] == '.' && i > 0) {
		i++
	}
	if i == 0 || i == len(text) || text[i] != ' ' {
		return 0
	}
	for i < len(text) && text[i] == ' ' {
		i++
	}
	if i < len(text) && text[i] >= 0x80 { // a mark may belong to the blank
		return 0
	}
	return i
}

// word adds what is not to be broken, unless it is longer than a row.
func (l *layout) word(word string, style *span) {
	if l.over && strings.TrimLeft(word, " ") == "" {
		return
	}
	l.over = false
	need := l.cells.width(strings.TrimRight(word, " "))
	if l.used > 0 && l.used+need > l.limit() {
		l.end()
	}
	if style != nil && style.url && need > l.width {
		if l.used > 0 {
			l.end()
		}
		l.wide = true
	}
	var b strings.Builder
	flush := func() {
		text := b.String()
		b.Reset()
		if style != nil && text != "" {
			s := style.style
			if style.url {
				s = s.Hyperlink(target(word))
			}
			text = s.Render(text)
		}
		l.row.WriteString(text)
	}
	for rest := word; rest != ""; {
		cluster, w, n := l.next(rest)
		if w > l.limit() {
			cluster, w = "\ufffd", 1
		}
		if l.used+w > l.limit() {
			if strings.TrimLeft(rest, " ") == "" {
				break // blanks at the end of a row aren't carried over
			}
			wide := l.wide
			flush()
			l.end()
			l.wide = wide
		}
		b.WriteString(l.draw(cluster, w))
		l.used += w
		rest = rest[n:]
	}
	if flush(); l.wide {
		l.end()
		l.over = true
	}
}
