package tui

import "fmt"

func (m *model) windowTitle() string {
	title := "earshot"
	if r := m.row(); r != nil {
		title = r.Label + " - earshot"
	}
	if n := m.unread(); n > 0 {
		title = fmt.Sprintf("(%d) %s", n, title)
	}
	return title
}

func (m *model) unread() (n int) {
	for i := range m.rows {
		n += m.rows[i].Unread
	}
	return n
}

// calls is how often I am called in what is unread.
func (m *model) calls() (n int) {
	for i := range m.rows {
		n += m.rows[i].Mentions
	}
	return n
}

// present is how many people are here.
func (m *model) present() (n int) {
	for i := range m.rows {
		if m.rows[i].Present && m.rows[i].Conv.Room == "" {
			n++
		}
	}
	return n
}
