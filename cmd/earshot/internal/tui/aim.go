package tui

import (
	"time"

	"earshot/cmd/earshot/internal/app"
)

// aimFor is how long somebody takes to see that the screen has changed, and to do something
// else than they were about to.
const aimFor = 250 * time.Millisecond

// move notes where in the list others stand than before, not by what the person has done.
func (m *model) move(rows []app.Row, now time.Time) {
	for len(m.moved) < len(rows) {
		m.moved = append(m.moved, time.Time{})
	}
	for i := range min(len(m.rows), len(rows)) {
		if was, is := &m.rows[i], &rows[i]; !m.acting && (was.Conv != is.Conv || was.Conv.IsZero() && was.Arg != is.Arg) {
			m.moved[i] = now
		}
	}
}

// aimed returns the row at a place of the list, where it was there long enough for the person to
// have meant it.
func (m *model) aimed(i int, now time.Time) (app.Row, bool) {
	if i < 0 || i >= len(m.rows) {
		return app.Row{}, false
	}
	if now.Sub(m.moved[i]) < aimFor {
		m.tell("the list has just moved: once more", false)
		return app.Row{}, false
	}
	return m.rows[i], true
}

// surprised reports whether the conversation came up so late that the person may not have seen
// yet what was begun in it, and tells them once.
func (m *model) surprised(now time.Time) bool {
	late := now.Sub(m.came) < aimFor
	if m.came = (time.Time{}); late {
		m.tell("this conversation has just come up: once more", false)
	}
	return late
}
