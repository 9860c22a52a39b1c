package tui

import (
	"strings"
	"time"
	"unicode"

	"earshot/cmd/earshot/internal/app"
)

// paste takes what was pasted: a few lines into the input, more as a message of their
// own, if that is confirmed.
func (m *model) paste(text string) {
	text = app.Lines(strings.ToValidUTF8(text, "\uFFFD"))
	switch m.mode {
	case switching:
		m.switcher.query.insert(oneLine(text))
		m.switcher.filter(m.rows)
		return
	case searching:
		m.search.query.insert(oneLine(text))
		m.sought()
		return
	case hiding:
		m.secret.insert(oneLine(text))
		return
	case talking, asking:
	default:
		m.mode = talking
	}
	if strings.Count(strings.TrimRight(text, "\n"), "\n") >= pasteLines && !m.conv.IsZero() {
		m.pasted = strings.TrimRight(text, "\n")
		m.mode = asking
		return
	}
	m.input.insert(text)
	m.wrote()
}

// pasteLines is how many lines may be pasted without a question.
const pasteLines = 5

func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, unicode.IsControl), " ")
}

func (m *model) pressAsking(text string, bound []*binding) {
	switch {
	case is(bound, "send") || text == "y":
		m.mode = talking
		m.s.Say(m.conv, m.pasted, time.Now())
		m.toEnd()
	case text == "e":
		m.mode = talking
		m.input.insert(m.pasted)
		m.wrote()
	case is(bound, "cancel", "clear") || text == "n":
		m.mode = talking
	}
	if m.mode == talking {
		m.pasted = ""
	}
}
