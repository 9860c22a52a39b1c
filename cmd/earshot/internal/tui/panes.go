package tui

import (
	"fmt"
	"slices"
	"strings"

	"earshot/chat/room"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
)

// welcome is what is seen before somebody is picked.
func (m *model) welcome(width, height int) []string {
	rows := make([]string, 0, height)
	if m.listWidth() == 0 && len(m.rows) > 0 { // the list has no other place
		rows = append(rows, m.list(width, min(len(m.rows), max(height-4, min(height, 4))))...)
		rows = append(rows, "")
	}
	say := func(text string) {
		for _, r := range m.cells.layout(text, width-3, 0, nil) {
			rows = append(rows, "  "+r.text)
		}
		rows = append(rows, "")
	}
	wide := m.listWidth() > 0
	if wide {
		rows = append(rows, "")
		say("You are " + clean.Name(m.s.Me().Name) + ". Whoever runs earshot on this network is listed on the left.")
	}
	if m.empty != "" {
		for line := range strings.Lines(m.empty) {
			for _, r := range m.cells.layout(strings.TrimRight(clean.Line(strings.TrimRight(line, "\n")), " "), width-3, 0, nil) {
				rows = append(rows, "  "+r.text)
			}
		}
		rows = append(rows, "")
	} else {
		say(fmt.Sprintf("To talk with somebody: %s and %s, or a click, or type the beginning of their name and %s.",
			m.keys.name("up"), m.keys.name("down"), m.keys.name("send")))
		if wide && slices.ContainsFunc(m.rows, func(r app.Row) bool { return r.Conv.Room == room.Here }) {
			say(room.Here + " is the room where everybody is.")
		}
	}
	if wide {
		say(m.keys.name("help") + " or ? shows all keys and commands.")
	}
	for len(rows) < height {
		rows = append(rows, "")
	}
	return rows[:height]
}

// switching lists whom the switcher finds.
func (m *model) switching(width, height int) []string {
	w := &m.switcher
	rows := make([]string, height)
	top := max(0, w.at-height+1)
	for y := range rows {
		if top+y >= len(w.found) {
			break
		}
		r := &w.found[top+y]
		text := m.cells.pad("  "+sign(r)+" "+r.Label, width-12, false) + m.cells.pad(unreadWords(r), 11, false)
		if top+y == w.at {
			text = m.theme.selected.Render(text)
		}
		rows[y] = text
	}
	if len(w.found) == 0 {
		rows[0] = m.theme.dim.Render("  nobody of that name")
	}
	return rows
}

func unreadWords(r *app.Row) string {
	switch {
	case r.Mentions > 0:
		return fmt.Sprintf("%d, @%d", r.Unread, r.Mentions)
	case r.Unread > 0:
		return fmt.Sprintf("%d unread", r.Unread)
	}
	return ""
}

// pasting shows what was pasted, before it is sent.
func (m *model) pasting(width, height int) []string {
	lines := strings.Count(m.pasted, "\n") + 1
	rows := []string{
		m.theme.title.Render(m.cells.pad(fmt.Sprintf(" send these %d lines to %s as one message?", lines, m.s.Label(m.s.Current())), width, false)), "",
	}
	rest := m.pasted
	for shown := 0; len(rows) < height; shown++ {
		line, after, more := strings.Cut(rest, "\n")
		if more && len(rows) == height-1 {
			rows = append(rows, m.theme.dim.Render(fmt.Sprintf(" … and %d more lines", lines-shown)))
			break
		}
		text, _ := m.cells.fit(clean.Text(line[:min(len(line), 4*width)]), width-3)
		rows = append(rows, m.theme.dim.Render("│ ")+text)
		if rest = after; !more {
			break
		}
	}
	for len(rows) < height {
		rows = append(rows, "")
	}
	return rows
}

// hits lists what was found in all conversations.
func (m *model) hits(width, height int) []string {
	f := &m.search
	rows := make([]string, height)
	for y := height - 1; y >= 0; y-- { // the newest is last
		i := min(len(f.hits)-1, max(f.at, height-1)) - (height - 1 - y)
		if i < 0 {
			break
		}
		h := &f.hits[i]
		text := fmt.Sprintf(" %s %s: %s", h.Line.At.Local().Format("2006-01-02 15:04"), m.s.Label(h.Conv), clean.Line(h.Line.Text))
		text = m.cells.pad(text, width-1, false)
		if i == f.at {
			text = m.theme.selected.Render(text)
		}
		rows[y] = text
	}
	return rows
}
