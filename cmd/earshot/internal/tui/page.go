package tui

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
)

// page is a text that takes the whole screen, and is scrolled.
type page struct {
	title string
	lay   func() []string // for the screen as it is
	rows  []string
	top   int
}

// open shows a page.
func (m *model) open(title string, lay func() []string) {
	m.sheet = page{title: title, lay: lay, rows: lay()}
	m.mode = reading
}

func (p *page) scroll(by, height int) {
	p.top = max(0, min(p.top+by, len(p.rows)-height))
}

// place says which part of a page is seen.
func (p *page) place(height int) string {
	if len(p.rows) <= height {
		return ""
	}
	return fmt.Sprintf("%d to %d of %d", p.top+1, min(len(p.rows), p.top+height), len(p.rows))
}

// view returns height rows.
func (p *page) view(height int) []string {
	p.scroll(0, height)
	rows := make([]string, height)
	copy(rows, p.rows[p.top:])
	return rows
}

// signs explains what is drawn.
var signs = [][2]string{
	{"●", "is here"},
	{"◌", "doesn't answer"},
	{"○", "isn't here"},
	{clean.Mark, "you compared words"},
	{"✓", "delivered"},
	{"·", "sent, not yet there"},
	{"…", "waits for them"},
	{"✗", "failed"},
	{"□ ■", "a room, a private one"},
	{"· 2/3", "2 of 3 there have it"},
	{"3 @1", "3 unread, 1 calls you"},
}

// helpPage lays the key map out for a screen of that width: in as many columns as have room.
func (k *keys) helpPage(c *cells, t *theme, width int) []string {
	const keyWidth, least = 16, 39
	columns := max(1, min(3, (width+1)/(least+1)))
	each := (width+1)/columns - 1
	left := min(keyWidth, each/2)
	for _, bound := range k.by {
		for _, key := range bound[0].keys {
			left = min(max(left, len(pretty(key))+1), each*2/3)
		}
	}
	var sections [][]string
	section := func(title string) {
		sections = append(sections, []string{t.title.Underline(true).Render(c.pad(title, each, false))})
	}
	add := func(key, text string) {
		last := &sections[len(sections)-1]
		*last = append(*last, t.bold.Render(c.pad(key, left, false))+" "+c.pad(text, each-left-1, false))
	}
	for _, g := range k.groups {
		section(g.title)
		for i := 0; i < len(g.bindings); i++ {
			b := &g.bindings[i]
			if numbered(g.bindings[i:]) {
				add("Alt+1 … Alt+9", "that one of the list")
				i += 8
				continue
			}
			names, help := "", b.help
			for j, key := range b.keys {
				name := pretty(key)
				if j < len(b.keys)-1 {
					name += ","
				}
				if names != "" && c.width(names+" "+name) > left {
					add(names, help)
					names, help = "", ""
				}
				names = strings.TrimSpace(names + " " + name)
			}
			if names != "" {
				add(names, help)
			}
		}
	}
	section("signs")
	for _, s := range signs {
		add(s[0], s[1])
	}
	return inColumns(sections, columns, each)
}

// inColumns puts sections below and beside each other, in as few rows as can be.
func inColumns(sections [][]string, columns, width int) []string {
	for high := 1; ; high++ {
		rows := make([]string, high)
		x, y := 0, 0
		for _, s := range sections {
			if y > 0 && y+len(s) > high {
				x, y = x+1, 0
			}
			if y+len(s) > high {
				x = columns
			}
			if x == columns {
				break
			}
			for _, row := range s {
				if x > 0 {
					row = strings.Repeat(" ", x*(width+1)-ansi.StringWidth(rows[y])) + row
				}
				rows[y] += row
				y++
			}
		}
		if x < columns {
			return rows
		}
	}
}

func (m *model) openHelp() {
	m.open("help", func() []string {
		return append(append(m.keys.helpPage(&m.cells, m.theme, m.width), ""), m.commands()...)
	})
}

// commands lists them.
func (m *model) commands() []string {
	rows := []string{m.theme.title.Underline(true).Render("commands")}
	for _, c := range app.Commands() {
		left := c.Name
		if c.Args != "" {
			left += " " + c.Args
		}
		indent, name := 25, m.theme.bold.Render(m.cells.pad(left, 25, false))
		if m.width < listFrom { // the name stands above
			rows = append(rows, m.theme.bold.Render(left))
			indent, name = 2, "  "
		}
		for _, text := range m.texts(c.Help, m.width-indent) {
			rows = append(rows, name+text)
			name = strings.Repeat(" ", indent)
		}
	}
	return rows
}

func (m *model) pressReading(name, text string, bound []*binding) {
	height := m.height - 2
	switch {
	case is(bound, "page-up"):
		m.sheet.scroll(-height, height)
	case is(bound, "page-down") || text == " ":
		m.sheet.scroll(height, height)
	case is(bound, "up", "line-up"):
		m.sheet.scroll(-1, height)
	case is(bound, "down", "line-down"):
		m.sheet.scroll(1, height)
	case name == "home" || is(bound, "oldest"):
		m.sheet.top = 0
	case name == "end" || is(bound, "newest"):
		m.sheet.scroll(1<<30, height)
	default:
		m.mode = talking
	}
}
