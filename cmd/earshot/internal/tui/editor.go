package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// editor is a text of one or several lines with a cursor in it. It keeps what was typed
// as it is, but for bytes that aren't UTF-8, and draws it harmless.
type editor struct {
	text string
	at   int // the cursor, in bytes, before a cluster or at the end
	cut  string
	cuts bool // the last action was a cut: what is cut next belongs to it

	shape shape
}

func (e *editor) set(text string) {
	e.text, e.at = "", 0
	e.insert(text)
}

func (e *editor) insert(s string) {
	s = strings.ToValidUTF8(s, "\uFFFD")
	e.text = e.text[:e.at] + s + e.text[e.at:]
	e.at += len(s)
	e.cuts = false
}

// bounds returns where the line of the cursor begins and ends.
func (e *editor) bounds() (from, to int) {
	from = strings.LastIndexByte(e.text[:e.at], '\n') + 1
	if to = strings.IndexByte(e.text[e.at:], '\n'); to < 0 {
		return from, len(e.text)
	}
	return from, e.at + to
}

// cluster returns the first cluster of a text, as Unicode parts them.
func cluster(s string) string {
	if s[0] < utf8.RuneSelf && (len(s) == 1 || s[1] < utf8.RuneSelf) {
		return s[:1]
	}
	c, _ := ansi.FirstGraphemeCluster(s, ansi.GraphemeWidth)
	if len(c) == 0 {
		return s[:1]
	}
	return c
}

// before returns where the cluster on the left of the cursor begins.
func (e *editor) before() int {
	from, _ := e.bounds()
	if from == e.at {
		return max(0, e.at-1) // the line break
	}
	for from < e.at {
		n := len(cluster(e.text[from:]))
		if from+n >= e.at {
			break
		}
		from += n
	}
	return from
}

func (e *editor) after() int {
	if e.at == len(e.text) {
		return e.at
	}
	return e.at + len(cluster(e.text[e.at:]))
}

func (e *editor) move(to int) { e.at, e.cuts = to, false }

func (e *editor) left()  { e.move(e.before()) }
func (e *editor) right() { e.move(e.after()) }
func (e *editor) home()  { from, _ := e.bounds(); e.move(from) }
func (e *editor) end()   { _, to := e.bounds(); e.move(to) }

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// wordBefore returns where the word on the left begins: letters and digits, or for
// blanks true whatever is no blank.
func (e *editor) wordBefore(blanks bool) int {
	in := inWord
	if blanks {
		in = func(r rune) bool { return !unicode.IsSpace(r) }
	}
	at := e.at
	for _, within := range []bool{false, true} {
		for at > 0 {
			r, n := utf8.DecodeLastRuneInString(e.text[:at])
			if in(r) != within {
				break
			}
			at -= n
		}
	}
	return at
}

func (e *editor) wordAfter() int {
	at := e.at
	for _, within := range []bool{false, true} {
		for at < len(e.text) {
			r, n := utf8.DecodeRuneInString(e.text[at:])
			if inWord(r) != within {
				break
			}
			at += n
		}
	}
	return at
}

func (e *editor) wordLeft()  { e.move(e.wordBefore(false)) }
func (e *editor) wordRight() { e.move(e.wordAfter()) }

func (e *editor) drop(from, to int) string {
	gone := e.text[from:to]
	e.text = e.text[:from] + e.text[to:]
	e.at = from
	return gone
}

func (e *editor) deleteLeft()  { e.drop(e.before(), e.at); e.cuts = false }
func (e *editor) deleteRight() { e.drop(e.at, e.after()); e.cuts = false }

// take cuts a part of the text; cuts that follow each other are put back as one.
func (e *editor) take(from, to int) {
	if !e.cuts {
		e.cut = ""
	}
	if from < e.at {
		e.cut = e.drop(from, to) + e.cut
	} else {
		e.cut += e.drop(from, to)
	}
	e.cuts = true
}

func (e *editor) cutWordLeft()  { e.take(e.wordBefore(true), e.at) }
func (e *editor) cutPartLeft()  { e.take(e.wordBefore(false), e.at) }
func (e *editor) cutWordRight() { e.take(e.at, e.wordAfter()) }
func (e *editor) cutToStart()   { from, _ := e.bounds(); e.take(from, e.at) }
func (e *editor) cutToEnd()     { _, to := e.bounds(); e.take(e.at, to) }
func (e *editor) yank()         { e.insert(e.cut) }

// swap exchanges the clusters on both sides of the cursor, at the end of a line the last two.
func (e *editor) swap() {
	from, to := e.bounds()
	if e.at == to {
		e.left()
	}
	if e.at <= from {
		e.end()
		return
	}
	mid, last := e.at, e.after()
	first := e.before()
	e.text = e.text[:first] + e.text[mid:last] + e.text[first:mid] + e.text[last:]
	e.move(last)
}

// lineUp moves to the line above, and reports false where there is none.
func (e *editor) lineUp() bool {
	from, _ := e.bounds()
	if from == 0 {
		return false
	}
	col := utf8.RuneCountInString(e.text[from:e.at])
	e.move(from - 1)
	e.home()
	e.forward(col)
	return true
}

func (e *editor) lineDown() bool {
	from, to := e.bounds()
	if to == len(e.text) {
		return false
	}
	col := utf8.RuneCountInString(e.text[from:e.at])
	e.move(to + 1)
	e.forward(col)
	return true
}

// forward moves right by about so many characters, within the line.
func (e *editor) forward(col int) {
	_, to := e.bounds()
	for at := e.at; e.at < to && utf8.RuneCountInString(e.text[at:e.at]) < col; {
		e.right()
	}
}
