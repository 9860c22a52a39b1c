package tui

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"charm.land/lipgloss/v2"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
)

// timeline shows a conversation. What a frame costs depends on the rows that are seen,
// not on how many lines there are: nothing knows the height of it all.
type timeline struct {
	cells *cells
	theme *theme
	again string // the key that sends a failed line again

	lines         []app.Line            // of the conversation shown, oldest first, N ascending
	unread        int64                 // the line before which the unread rule stands; 0: none
	label         func(chat.Key) string // how somebody is called
	as            func(app.Line) string // how they were called then, where that differs; else empty
	me            func() string         // what I am called
	room          bool                  // it is one
	width, height int
	query         string

	// Unless follow, the last row that is seen is that at this place.
	follow bool
	at     place

	laid map[int64]*laid
}

// place is a row of a line's block: what precedes it (a date, the rule), then its text.
type place struct {
	n   int64
	row int
}

// laid is a line's text, laid out.
type laid struct {
	line app.Line
	last bool
	as   string
	rows []row
}

// same reports whether two lines look the same but for their place.
func same(a, b *app.Line) bool {
	return a.Text == b.Text && a.State == b.State && a.Reason == b.Reason && a.Got == b.Got && a.Of == b.Of && a.From == b.From &&
		a.Notice == b.Notice && a.Action == b.Action && a.Mention == b.Mention && a.Late == b.Late
}

// maxLaid bounds what is kept of lines out of sight.
const maxLaid = 2000

// sameGroup is how long somebody's messages in a row stand under one name: the clock is
// divided into parts of it.
const sameGroup = 5 * time.Minute

// narrowPane is the columns below which names stand above their messages.
const narrowPane = 50

// reset forgets how lines were laid out.
func (t *timeline) reset() { clear(t.laid) }

// resize is for the size of the pane.
func (t *timeline) resize(width, height int) {
	if width != t.width {
		t.reset()
	}
	t.width, t.height = width, height
}

// show turns to another conversation, at its end.
func (t *timeline) show(lines []app.Line) {
	t.lines = lines
	t.reset()
	t.follow = true
}

// index returns where the line n stands, or would stand.
func (t *timeline) index(n int64) int {
	return sort.Search(len(t.lines), func(i int) bool { return t.lines[i].N >= n })
}

// bottom is the last row seen, as index and row.
func (t *timeline) bottom() (int, int) {
	last := len(t.lines) - 1
	if t.follow || last < 0 {
		return last, t.size(last) - 1
	}
	i := t.index(t.at.n)
	if i > last { // what was there is gone
		return last, t.size(last) - 1
	}
	return i, min(t.at.row, t.size(i)-1)
}

// size returns the rows of a block.
func (t *timeline) size(i int) int {
	if i < 0 {
		return 0
	}
	return t.before(i) + len(t.body(i).rows)
}

// scroll moves by rows, up where they are negative, as far as there are lines. It
// returns by how many it did not.
func (t *timeline) scroll(rows int) (missed int) {
	i, r := t.bottom()
	if i < 0 {
		return rows
	}
	for ; rows > 0; rows-- {
		if r+1 < t.size(i) {
			r++
			continue
		}
		if i == len(t.lines)-1 {
			break
		}
		i, r = i+1, 0
	}
	for ; rows < 0; rows++ {
		if r > 0 {
			r--
			continue
		}
		if i == 0 {
			break
		}
		i--
		r = t.size(i) - 1
	}
	missed = rows - t.fill(&i, &r)
	t.rest(i, r)
	return missed
}

// rest leaves row r of block i at the bottom.
func (t *timeline) rest(i, r int) {
	t.at = place{t.lines[i].N, r}
	t.follow = i == len(t.lines)-1 && r == t.size(i)-1
}

// fill moves the bottom down so that the pane is full, and returns by how many rows.
func (t *timeline) fill(i, r *int) (moved int) {
	above := *r + 1 // rows from the top of block j to the bottom
	for j := *i; above < t.height && j > 0; {
		j--
		above += t.size(j)
	}
	for ; above+moved < t.height; moved++ {
		switch {
		case *r+1 < t.size(*i):
			*r++
		case *i < len(t.lines)-1:
			*i, *r = *i+1, 0
		default:
			return moved
		}
	}
	return moved
}

// top shows the first line.
func (t *timeline) top() {
	if len(t.lines) == 0 {
		return
	}
	i, r := 0, 0
	t.fill(&i, &r)
	t.rest(i, r)
}

// jump shows the line n in the middle.
func (t *timeline) jump(n int64) {
	i := t.index(n)
	if i >= len(t.lines) {
		return
	}
	t.follow = false
	t.at = place{t.lines[i].N, t.before(i)}
	t.scroll(t.height / 2)
}

// find sets what is to stand out.
func (t *timeline) find(query string) {
	if query != t.query {
		t.query = query
		t.reset()
	}
}

// view returns exactly height rows.
func (t *timeline) view() []string {
	rows := make([]string, t.height)
	i, r := t.bottom()
	for y := t.height - 1; y >= 0 && i >= 0; y-- {
		rows[y] = t.rowAt(i, r, y == 0)
		if r--; r < 0 {
			if i--; i >= 0 {
				r = t.size(i) - 1
			}
		}
	}
	return rows
}

func (t *timeline) newDay(i int) bool {
	return i == 0 || day(t.lines[i].At) != day(t.lines[i-1].At)
}

func day(at time.Time) int { at = at.Local(); return at.Year()*1000 + at.YearDay() }

func (t *timeline) rule(i int) bool { return t.unread != 0 && t.lines[i].N == t.unread }

// grouped reports whether line i stands under the name of the one before.
func (t *timeline) grouped(i int) bool {
	if i == 0 || t.newDay(i) || t.rule(i) {
		return false
	}
	l, p := &t.lines[i], &t.lines[i-1]
	return !l.Notice && !p.Notice && !l.Action && !p.Action && l.From == p.From && l.At.Truncate(sameGroup).Equal(p.At.Truncate(sameGroup))
}

func (t *timeline) narrow() bool { return t.width < narrowPane }

// headed reports whether the name stands above line i.
func (t *timeline) headed(i int) bool {
	return t.narrow() && !t.lines[i].Notice && !t.lines[i].Action && !t.grouped(i)
}

// before returns how many rows precede the text of line i.
func (t *timeline) before(i int) (n int) {
	if t.newDay(i) {
		n++
	}
	if t.rule(i) {
		n++
	}
	if t.headed(i) {
		n++
	}
	return n
}

// rowAt draws row r of line i's block. What is seen first has its name beside it.
func (t *timeline) rowAt(i, r int, first bool) string {
	l := &t.lines[i]
	if t.newDay(i) {
		if r == 0 {
			return t.separator(l.At.Local().Format("Monday 2 January 2006"), false)
		}
		r--
	}
	if t.rule(i) {
		if r == 0 {
			return t.separator("new", true)
		}
		r--
	}
	if t.headed(i) {
		if r == 0 {
			name, used := t.cells.fit(t.label(l.From), t.width-6)
			return t.theme.nick(l.From[:]).Bold(true).Render(name) + strings.Repeat(" ", max(1, t.width-used-5)) + t.theme.dim.Render(clock(l.At))
		}
		r--
	}
	body := t.body(i).rows[r]
	if body.full {
		return body.text
	}
	return t.gutter(i, r, first) + body.text
}

func clock(at time.Time) string { return at.Local().Format("15:04") }

// nickWidth is the columns for names on a wide pane.
func (t *timeline) nickWidth() int { return min(16, max(8, t.width/6)) }

// gutterWidth is the columns before texts.
func (t *timeline) gutterWidth() int {
	if t.narrow() {
		return 2
	}
	return len("15:04 ") + t.nickWidth() + 2
}

// gutter draws what stands before a row of the text.
func (t *timeline) gutter(i, r int, first bool) string {
	l := &t.lines[i]
	grouped := t.grouped(i) || r > 0
	if t.narrow() {
		if r == 0 && (l.Notice || l.Action) {
			return t.theme.dim.Render("* ")
		}
		return "  "
	}
	at := "      "
	if !grouped || first || r == 0 && clock(l.At) != clock(t.lines[i-1].At) {
		at = t.theme.dim.Render(clock(l.At)) + " "
	}
	nick := strings.Repeat(" ", t.nickWidth())
	switch {
	case grouped && !first:
	case l.Notice:
		nick = t.theme.dim.Render(t.cells.pad("--", t.nickWidth(), true))
	case l.Action:
		nick = t.theme.nick(l.From[:]).Render(t.cells.pad("*", t.nickWidth(), true))
	default:
		nick = t.theme.nick(l.From[:]).Render(t.cells.pad(t.label(l.From), t.nickWidth(), true))
	}
	return at + nick + "  "
}

// separator draws a rule with a title in it.
func (t *timeline) separator(title string, unread bool) string {
	style := t.theme.dim
	if unread {
		style = t.theme.unread
	}
	left := max(0, t.width-len(title)-2) / 2
	right := max(0, t.width-len(title)-2-left)
	text, _ := t.cells.fit(strings.Repeat("─", left)+" "+title+" "+strings.Repeat("─", right), t.width)
	return style.Render(text)
}

// body lays out the text of line i, or takes what was laid out.
func (t *timeline) body(i int) *laid {
	l := &t.lines[i]
	last := l.Out && l.State == app.Delivered && t.lastOwn(i)
	as := t.as(*l)
	if b, ok := t.laid[l.N]; ok && b.last == last && b.as == as && same(&b.line, l) {
		return b
	}
	if len(t.laid) >= maxLaid {
		t.reset()
	}
	text := normal(clean.Text(l.Text))
	switch {
	case l.Action:
		text = t.label(l.From) + as + " " + text
	case as != "":
		text = as[1:] + " " + text
	}
	var spans []span
	if !l.Notice {
		spans = urls(text, t.theme.link)
	} else if text != "" {
		spans = []span{{to: len(text), style: t.theme.dim}}
	}
	if l.Mention {
		calls := slices.DeleteFunc(t.found(text, []string{"@" + t.me()}), func(s span) bool {
			next, _ := utf8.DecodeRuneInString(text[s.to:])
			return s.to < len(text) && inWord(next) // somebody whose name begins so
		})
		spans = over(spans, calls)
	}
	if hits := t.hits(text); hits != nil {
		spans = over(spans, hits)
	}
	if mark, style := t.mark(l, last); mark != "" {
		from := len(text)
		text += " " + mark
		spans = append(spans, span{from: from + 1, to: len(text), style: style, whole: l.State != app.Failed})
	}
	rows := t.cells.layout(text, t.width-t.gutterWidth(), t.width, spans)
	if rows[0].full && !t.narrow() { // it leaves no room for who says it
		rows = append([]row{{}}, rows...)
	}
	b := &laid{line: *l, last: last, as: as, rows: rows}
	if t.laid == nil {
		t.laid = map[int64]*laid{}
	}
	t.laid[l.N] = b
	return b
}

// lastOwn reports whether line i is the last of my messages that is near the end.
func (t *timeline) lastOwn(i int) bool {
	for j := i + 1; j < len(t.lines); j++ {
		if t.lines[j].Out {
			return false
		}
		if j-i > 100 {
			return false
		}
	}
	return true
}

// mark says what has become of my own line.
func (t *timeline) mark(l *app.Line, last bool) (string, lipgloss.Style) {
	if !l.Out {
		if l.Late {
			return "late", t.theme.dim
		}
		return "", t.theme.plain
	}
	switch {
	case l.Of > 0 && l.State == app.Sent:
		return fmt.Sprintf("· %d/%d", l.Got, l.Of), t.theme.dim
	case t.room && l.State == app.Delivered && l.Of == 0:
		return "0/0", t.theme.dim
	case l.Of > 0:
		return fmt.Sprintf("✓ %d/%d", l.Got, l.Of), t.theme.good
	}
	switch l.State {
	case app.Queued:
		return "… queued", t.theme.warn
	case app.Sent:
		return "· sent", t.theme.dim
	case app.Failed:
		return fmt.Sprintf("✗ failed: %s (%s: again)", clean.Line(l.Reason), t.again), t.theme.bad
	}
	if last {
		return "✓ delivered", t.theme.good
	}
	return "✓", t.theme.good
}
