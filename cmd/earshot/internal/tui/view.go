package tui

import (
	"fmt"
	"runtime/debug"
	"strings"

	tea "charm.land/bubbletea/v2"

	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
)

const (
	leastWidth, leastHeight = 40, 12
	listFrom                = 60 // columns from which on the list stands beside the conversation
)

// small reports whether there is no room for anything.
func (m *model) small() bool { return m.width < leastWidth || m.height < leastHeight }

// listWidth is the columns of the list, 0 where it has no place of its own.
func (m *model) listWidth() int {
	if m.width < listFrom {
		return 0
	}
	return min(30, max(20, m.width/4))
}

func (m *model) paneWidth() int {
	if w := m.listWidth(); w > 0 {
		return m.width - w - 1
	}
	return m.width
}

// inputRows is how many rows the input takes.
func (m *model) inputRows() int {
	return m.input.rows(&m.cells, m.width-m.promptWidth(), max(1, m.height/3))
}

// bodyHeight is the rows between the bars.
func (m *model) bodyHeight() int { return m.height - 2 - m.inputRows() }

// timelineHeight leaves a row for who types and what is below, and what was told its place.
func (m *model) timelineHeight() int {
	return max(1, m.bodyHeight()-1-max(0, len(m.toldRows())-1))
}

// View implements tea.Model. A panic in it ends the program, as one in Update does.
func (m *model) View() (v tea.View) {
	defer func() {
		if r := recover(); r != nil {
			crash := &Crash{r, debug.Stack()}
			go m.send(fail{crash})
		}
	}()
	if !m.stale && m.frame.Content != "" {
		return m.frame
	}
	v = m.draw()
	m.stale, m.frame = false, v
	return v
}

// draw makes the frame.
func (m *model) draw() (v tea.View) {
	v.AltScreen, v.ReportFocus = true, true
	if m.mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	v.WindowTitle = m.windowTitle()
	var rows []string
	switch {
	case m.width < 1 || m.height < 1:
	case m.small():
		rows = m.tooSmall()
	case m.mode == reading:
		bar := m.bar(" "+m.sheet.title, m.keys.name("cancel")+" closes ")
		rows = append(append([]string{bar}, m.sheet.view(m.height-2)...), m.bar(" "+m.sheet.place(m.height-2), m.keys.name("page-up")+", "+m.keys.name("page-down")+" "))
	default:
		rows = m.whole(&v)
	}
	v.Content = strings.Join(rows, "\n")
	return v
}

func (m *model) tooSmall() []string {
	text := fmt.Sprintf("earshot needs %dx%d, this is %dx%d", leastWidth, leastHeight, m.width, m.height)
	if m.leaves {
		text = m.quitPrompt()
	}
	var rows []string
	for _, r := range m.cells.layout(text, m.width, 0, nil) {
		rows = append(rows, r.text)
	}
	return rows[:min(len(rows), m.height)]
}

// bar draws a row with something at each end.
func (m *model) bar(left, right string) string {
	r := m.cells.width(right)
	text := m.cells.pad(left, m.width-r, false)
	return m.theme.bar.Render(text + m.cells.pad(right, min(r, m.width), false))
}

// whole draws list, conversation, bars and input.
func (m *model) whole(v *tea.View) []string {
	m.lines()
	rows := make([]string, 0, m.height)
	rows = append(rows, m.head())
	list := m.list(m.listWidth(), m.bodyHeight())
	for i, r := range m.pane() {
		if list != nil {
			r = list[i] + m.theme.dim.Render("│") + r
		}
		rows = append(rows, r)
	}
	rows = append(rows, m.status())
	return append(rows, m.foot(v, len(rows))...)
}

// head says with whom the conversation is, and how it stands.
func (m *model) head() string {
	left := " " + people(m.present())
	right := ""
	if r := m.row(); r != nil {
		right = r.Label + ": " + standing(r)
	}
	if w := m.listWidth(); w > 0 {
		return m.theme.bar.Render(m.cells.pad(left, w, false) + "  " + m.cells.pad(right, m.width-w-2, false))
	}
	if right != "" {
		return m.theme.bar.Render(m.cells.pad(" "+right, m.width, false))
	}
	return m.theme.bar.Render(m.cells.pad(left, m.width, false))
}

func people(n int) string {
	switch n {
	case 0:
		return "nobody is here"
	case 1:
		return "1 person is here"
	}
	return fmt.Sprintf("%d people are here", n)
}

func standing(r *app.Row) string {
	switch {
	case r.Conv.Room != "":
		return r.Words()
	case r.Blocked:
		return "is blocked; to undo it: /unblock"
	case r.Warned:
		return "make sure of them: /verify"
	case r.Away && r.Present:
		return "doesn't answer"
	case r.Present:
		return "is here"
	}
	return "isn't here"
}

// list draws the list of people, or nil where it has no columns.
func (m *model) list(width, height int) []string {
	if width == 0 {
		return nil
	}
	m.showRow(height)
	rows := make([]string, height)
	for y := range rows {
		i := m.listTop + y
		switch {
		case i >= len(m.rows):
			rows[y] = strings.Repeat(" ", width)
		case y == height-1 && i < len(m.rows)-1:
			rows[y] = m.theme.dim.Render(m.cells.pad(fmt.Sprintf("   %d more", len(m.rows)-i), width, false))
		default:
			rows[y] = m.listRow(i, width)
		}
	}
	return rows
}

// showRow scrolls the list to the conversation that was turned to.
func (m *model) showRow(height int) {
	if m.reveal {
		conv := m.s.Current()
		for i := range m.rows {
			if !conv.IsZero() && m.rows[i].Conv == conv {
				m.listTop = max(min(m.listTop, i), i-height+2)
			}
		}
	}
	m.reveal = false
	m.listTop = max(0, min(m.listTop, len(m.rows)-height))
}

func sign(r *app.Row) string {
	switch {
	case r.Private:
		return "■"
	case r.Conv.Room != "":
		return "□"
	case r.Present && r.Away:
		return "◌"
	case r.Present:
		return "●"
	}
	return "○"
}

// listRow draws a row of the list: its number for Alt+1 to 9, presence, name, unread.
func (m *model) listRow(i, width int) string {
	r := &m.rows[i]
	number := " "
	if i < 9 {
		number = fmt.Sprint(i + 1)
	}
	unread := ""
	if r.Unread > 0 {
		unread = fmt.Sprintf(" %d ", min(r.Unread, 999))
	}
	if r.Mentions > 0 {
		unread += fmt.Sprintf("@%d ", min(r.Mentions, 999))
	}
	if r.Typing {
		unread = " …" + unread
		if r.Unread == 0 {
			unread += " "
		}
	}
	name := m.cells.pad(r.Label, width-4-m.cells.width(unread), false)
	if conv := m.s.Current(); !conv.IsZero() && r.Conv == conv {
		return m.theme.selected.Render(number + " " + sign(r) + " " + name + unread)
	}
	signStyle, nameStyle := m.theme.here, m.theme.plain
	switch {
	case r.Present && r.Away:
		signStyle = m.theme.warn
	case !r.Present:
		signStyle, nameStyle = m.theme.dim, m.theme.dim
	}
	if r.Warned {
		nameStyle = m.theme.warn
	}
	if r.Unread > 0 {
		nameStyle = nameStyle.Bold(true)
	}
	if r.Muted {
		nameStyle = m.theme.dim
	}
	return m.theme.dim.Render(number) + " " + signStyle.Render(sign(r)) + " " + nameStyle.Render(name) + m.theme.unread.Render(unread)
}

// pane draws what stands right of the list.
func (m *model) pane() []string {
	height, width := m.bodyHeight(), m.paneWidth()
	switch {
	case m.mode == switching:
		return m.switching(width, height)
	case m.mode == asking:
		return m.pasting(width, height)
	case m.mode == searching && m.s.Current().IsZero():
		return m.hits(width, height)
	case m.s.Current().IsZero():
		told := m.toldRows()
		return append(m.welcome(width, height-len(told)), told...)
	}
	told := m.toldRows()
	if told == nil {
		told = []string{m.below(width)}
	}
	return append(m.timeline.view(), told...)
}

// toldRows is what was told, below what stays readable.
func (m *model) toldRows() []string {
	if m.told == "" {
		return nil
	}
	style := m.theme.plain
	if m.toldBad {
		style = m.theme.bad
	}
	rule := "── " + m.keys.name("cancel") + " closes "
	rows := []string{m.theme.dim.Render(rule + strings.Repeat("─", max(0, m.paneWidth()-m.cells.width(rule))))}
	for _, text := range m.texts(m.told, m.paneWidth()-2) {
		rows = append(rows, " "+style.Render(text))
	}
	return rows[:min(len(rows), m.bodyHeight()-1)]
}

// below says who types, what Tab offers, and what is further down.
func (m *model) below(width int) string {
	left, right := "", ""
	r := m.row()
	switch {
	case len(m.offers.options) > 1:
		left = m.offered(width)
	case r != nil && r.Typing:
		left = r.Label + " is typing…"
	}
	if !m.timeline.follow && r != nil {
		right = "↓ " + m.keys.name("newest") + ": the end"
		if r.Unread > 0 {
			right = fmt.Sprintf("↓ %d new below, %s", r.Unread, m.keys.name("newest"))
		}
	}
	room := width - m.cells.width(right) - 1
	style := m.theme.dim
	if r != nil && r.Unread > 0 {
		style = m.theme.unread
	}
	return m.theme.dim.Render(m.cells.pad(left, room, false)) + style.Render(right)
}

// offered lists the options around the one that stands in the input.
func (m *model) offered(width int) string {
	o := m.offers
	var b strings.Builder
	for i := range o.options {
		option := o.options[(o.at+i)%len(o.options)]
		if b.Len() > 4*width {
			break
		}
		b.WriteString(clean.Line(option.Name) + "  ")
	}
	text, _ := m.cells.fit(b.String(), width)
	return text
}

// status says who I am, where, and what waits.
func (m *model) status() string {
	left := " " + m.s.Label(app.Conv{Key: m.s.Me().Key})
	if m.network != "" {
		left += " · " + clean.Line(m.network)
	}
	left += fmt.Sprintf(" · %d here", m.present())
	if n := m.unread(); n > 0 {
		left += fmt.Sprintf(" · %d unread", n)
		if calls := m.calls(); calls > 0 {
			left += fmt.Sprintf(" @%d", calls)
		}
		if m.width >= 70 {
			left += " (" + m.keys.name("next-unread") + ")"
		}
	}
	right := m.keys.name("help") + " help "
	if m.width >= 70 {
		right = m.keys.name("switch") + " find somebody · " + right
	}
	if m.cells.width(left)+m.cells.width(right) > m.width {
		right = ""
	}
	return m.bar(left, right)
}

// promptWidth is the columns before the input.
func (m *model) promptWidth() int { return min(m.cells.width(m.prompt()), m.width/3) }

func (m *model) prompt() string {
	switch m.mode {
	case leaving:
		return m.quitPrompt()
	case hiding:
		return m.asked + ": "
	case searching:
		return "search: "
	case switching:
		return "go to: "
	}
	if m.conv.IsZero() {
		return "talk with> "
	}
	return m.s.Label(m.conv) + "> "
}

func (m *model) quitPrompt() string {
	return "quit? " + m.keys.name("send") + " or " + m.keys.name("clear") + ": yes, " + m.keys.name("cancel") + ": no "
}

// foot draws the input line, or what stands in its place, and puts the cursor there.
func (m *model) foot(v *tea.View, y int) []string {
	e, style, note := &m.input, m.theme.bold, ""
	switch m.mode {
	case switching:
		e = &m.switcher.query
	case searching:
		e, note = &m.search.query, m.searched()
	case leaving, asking, hiding:
		prompt := m.prompt()
		if m.mode == asking {
			prompt = m.keys.name("send") + ": send it; e: edit it; " + m.keys.name("cancel") + ": don't "
		}
		text, used := m.cells.fit(prompt, m.width-1)
		rows := make([]string, m.inputRows())
		rows[0] = style.Render(text)
		v.Cursor = steady(used, y)
		return rows
	}
	prompt, used := m.cells.fit(m.prompt(), m.promptWidth())
	rows := make([]string, m.inputRows())
	seen, cy, cx, first := e.view(&m.cells, m.width-used, len(rows))
	for i, row := range seen {
		rows[i] = strings.Repeat(" ", used) + row
	}
	if first {
		rows[0] = style.Render(prompt) + seen[0]
		if note != "" {
			rows[0] += "  " + m.theme.dim.Render(note)
		}
	}
	v.Cursor = steady(used+cx, y+cy)
	return rows
}

// steady is a cursor that doesn't blink.
func steady(x, y int) *tea.Cursor {
	c := tea.NewCursor(x, y)
	c.Blink = false
	return c
}

func (m *model) searched() string {
	switch f := &m.search; {
	case f.none:
		return "nothing found"
	case len(f.hits) > 0:
		return fmt.Sprintf("%d of %d; %s: older, %s: newer, %s: stay, %s: back", len(f.hits)-f.at, len(f.hits),
			m.keys.name("up"), m.keys.name("down"), m.keys.name("send"), m.keys.name("cancel"))
	}
	return ""
}
