package clean

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Indent precedes every line of a text but the first. No line of a program's own
// begins with a blank, so no text can pass for one.
const Indent = "    "

// Width returns how many columns of a terminal s, cleaned before, takes.
func Width(s string) int { return uniseg.StringWidth(s) }

// Layout returns head followed by [Text](text), with every further line indented.
// Where columns is 20 or more the lines are also broken before that column, as a
// terminal would break them without the indent.
func Layout(head, text string, columns int) string {
	var b strings.Builder
	b.WriteString(head)
	col := Width(head)
	for i, line := range strings.Split(Text(text), "\n") {
		if i > 0 {
			b.WriteString("\n" + Indent)
			col = len(Indent)
		}
		if columns < 20 {
			b.WriteString(line)
			continue
		}
		col = wrap(&b, line, col, columns)
	}
	return b.String()
}

// wrap writes line from column col on, between words where it can, and returns the
// column after it. The last column stays empty: terminals differ in what they do
// after filling it.
func wrap(b *strings.Builder, line string, col, columns int) int {
	state := -1
	for line != "" {
		var word string
		word, line, _, state = uniseg.FirstLineSegmentInString(line, state)
		need := Width(strings.TrimRight(word, " "))
		if col+need >= columns && col > len(Indent) {
			b.WriteString("\n" + Indent)
			col = len(Indent)
		}
		if w := Width(word); col+w < columns {
			b.WriteString(word)
			col += w
			continue
		}
		for inner := -1; word != ""; {
			var char string
			var w int
			char, word, w, inner = uniseg.FirstGraphemeClusterInString(word, inner)
			if col+w >= columns {
				b.WriteString("\n" + Indent)
				col = len(Indent)
			}
			b.WriteString(char)
			col += w
		}
	}
	return col
}
