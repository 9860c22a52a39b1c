package tui

import (
	"errors"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"earshot/cmd/earshot/internal/app"
)

// press does what a key does.
func (m *model) press(k tea.Key) {
	name := strings.ToLower(k.Keystroke())
	text := k.Text
	if k.Mod.Contains(tea.ModCtrl) || k.Mod.Contains(tea.ModAlt) {
		text = ""
	}
	bound := m.keys.by[name]
	if text == "" && len(bound) == 0 && strings.Contains(name, "shift+") { // as with caps lock
		bound = m.keys.by[strings.Replace(name, "shift+", "", 1)]
	}
	if m.small() {
		if m.leaves && is(bound, "clear", "send") {
			m.cmds = append(m.cmds, tea.Quit)
		}
		m.leaves = is(bound, "clear")
		return
	}
	m.leaves = false
	switch m.mode {
	case reading:
		m.pressReading(name, text, bound)
	case switching:
		m.pressSwitching(text, bound)
	case searching:
		m.pressSearching(text, bound)
	case asking:
		m.pressAsking(text, bound)
	case leaving:
		m.pressLeaving(text, bound)
	case hiding:
		m.pressHiding(text, bound)
	default:
		m.pressTalking(text, bound)
	}
}

func (m *model) pressTalking(text string, bound []*binding) {
	before := m.input.text
	if !is(bound, "complete", "complete-back") {
		m.offers = offers{}
	}
	switch {
	case text == "?" && m.input.text == "":
		m.openHelp()
	case text != "":
		m.input.insert(text)
	case len(bound) > 0:
		b := bound[0]
		_, to := m.input.bounds()
		for _, other := range bound {
			if (other.action == cutToEnd) == (m.input.at < to) || len(bound) == 1 {
				b = other
			}
		}
		b.do(m)
	}
	if m.input.text != before {
		m.wrote()
	}
}

// wrote notes that the input has changed. It belongs to the conversation in which it was
// written, also where a key has just turned to another.
func (m *model) wrote() {
	m.came = time.Time{}
	m.s.SetDraft(m.conv, m.draft())
	if m.conv.IsZero() {
		return
	}
	if t := m.input.text; t != "" && (t[0] != '/' || strings.HasPrefix(t, "//")) {
		m.s.Typing(m.conv)
	}
}

// draft is what is begun: what a line recalled stands in the place of, until that is changed.
func (m *model) draft() string {
	if typed := m.s.Typed(); m.typed < len(typed) && m.input.text == typed[m.typed] {
		return m.unsent
	}
	return m.input.text
}

func is(bound []*binding, actions ...action) bool {
	for _, b := range bound {
		if slices.Contains(actions, b.action) {
			return true
		}
	}
	return false
}

// enter does what was typed.
func (m *model) enter() {
	text, now := m.input.text, time.Now()
	m.told = ""
	if m.surprised(now) {
		return
	}
	if _, err := app.Text(text); errors.Is(err, app.ErrEmpty) {
		m.input.set("")
		return
	} else if err != nil { // it stays
		m.tell(m.s.Explain(err), true)
		return
	}
	conv, begun := m.conv, m.draft()
	if begun == text {
		begun = ""
	}
	m.input.set(begun)
	m.s.SetDraft(conv, begun)
	if strings.Contains(text, "\n") && strings.HasPrefix(strings.TrimSpace(text), "/") && !conv.IsZero() {
		m.s.Say(conv, text, now) // a file's name, not a command
	} else {
		m.s.Do(text, conv, now)
	}
	m.typed = len(m.s.Typed())
	if conv == m.s.Current() && !strings.HasPrefix(text, "/") {
		m.toEnd()
	}
}

// turn shows the conversation of a row.
func (m *model) turn(r app.Row) {
	m.mode = talking
	if r.Conv.IsZero() {
		m.s.Do("/to "+r.Arg, m.s.Current(), time.Now())
		return
	}
	if r.Conv != m.s.Current() {
		m.s.Turn(r.Conv, time.Now())
	}
}

func (m *model) nextUnread() {
	if conv := m.s.NextUnread(); !conv.IsZero() {
		m.s.Turn(conv, time.Now())
	} else {
		m.tell("nothing is unread", false)
	}
}

// step goes up or down in the list.
func (m *model) step(by int) {
	if len(m.rows) == 0 {
		return
	}
	at := -1
	if by < 0 {
		at = len(m.rows)
	}
	for i := range m.rows {
		if conv := m.s.Current(); !conv.IsZero() && m.rows[i].Conv == conv {
			at = i
		}
	}
	if r, ok := m.aimed((at+by+len(m.rows))%len(m.rows), time.Now()); ok {
		m.turn(r)
	}
}

func (m *model) goTo(i int) {
	if r, ok := m.aimed(i, time.Now()); ok {
		m.turn(r)
	}
}

func (m *model) retry() {
	if !m.s.Retry(m.s.Current(), 0, time.Now()) {
		m.tell("nothing has failed here", false)
	}
}

// scroll moves the conversation, and reads more of it where it ends.
func (m *model) scroll(by int) {
	conv := m.s.Current()
	if conv.IsZero() {
		m.listTop = max(0, m.listTop+by)
		return
	}
	m.lines()
	missed := m.timeline.scroll(by)
	for missed < 0 && m.s.Older(conv) {
		m.lines()
		missed = m.timeline.scroll(missed)
	}
	for by > 0 && m.timeline.follow && m.s.Newer(conv) {
		m.timeline.follow = false
		m.lines()
		m.timeline.scroll(missed)
	}
}

func (m *model) pageRows() int { return max(1, m.timelineHeight()-2) }

func (m *model) toTop() {
	conv := m.s.Current()
	for range maxPages {
		if !m.s.Older(conv) {
			break
		}
	}
	m.lines()
	m.timeline.top()
}

// maxPages bounds how much is read at once.
const maxPages = 500

func (m *model) toEnd() {
	m.s.End(m.s.Current())
	m.timeline.follow = true
}

// up goes a line up, or to what was typed before that.
func (m *model) up() {
	if m.input.lineUp() {
		return
	}
	if m.s.Current().IsZero() && m.input.text == "" && m.typed == len(m.s.Typed()) {
		m.step(-1)
		return
	}
	m.recall(-1)
}

func (m *model) down() {
	if m.input.lineDown() {
		return
	}
	if m.s.Current().IsZero() && m.input.text == "" {
		m.step(1)
		return
	}
	m.recall(1)
}

// recall shows a line typed earlier, or later.
func (m *model) recall(by int) {
	typed := m.s.Typed()
	to := min(m.typed, len(typed)) + by
	if to < 0 || to > len(typed) {
		return
	}
	if m.typed >= len(typed) {
		m.unsent = m.input.text
	}
	if m.typed = to; to == len(typed) {
		m.input.set(m.unsent)
	} else {
		m.input.set(typed[to])
	}
}

// offers are what Tab offers.
type offers struct {
	options []app.Candidate
	at      int
	from    int // in the input, where the option stands
}

// complete puts the next option in.
func (m *model) complete(by int) {
	o := &m.offers
	if len(o.options) == 0 {
		o.from, o.options = m.s.Complete(m.input.text, m.input.at)
		if len(o.options) == 0 {
			return
		}
		if o.at = 0; by < 0 {
			o.at = len(o.options) - 1
		}
	} else {
		o.at = (o.at + by + len(o.options)) % len(o.options)
	}
	m.input.drop(o.from, m.input.at)
	m.input.insert(o.options[o.at].Text)
	if len(o.options) == 1 {
		*o = offers{}
	}
}

// clear is Ctrl+C: it clears what is there, and where nothing is asks to quit.
func (m *model) clear() {
	switch {
	case m.input.text != "":
		m.unsent = ""
		m.typed = len(m.s.Typed())
		m.input.set("")
	default:
		m.mode = leaving
	}
}

func (m *model) pressLeaving(text string, bound []*binding) {
	m.mode = talking
	switch {
	case is(bound, "clear", "send") || text == "y":
		m.cmds = append(m.cmds, tea.Quit)
	case text != "" && text != "n":
		m.press(tea.Key{Text: text})
	}
}

// cancel is Esc.
func (m *model) cancel() {
	switch {
	case m.told != "":
		m.told = ""
	case m.timeline.query != "":
		m.search = search{}
		m.timeline.find("")
		m.toEnd()
	case !m.timeline.follow:
		m.toEnd()
	}
}

func (m *model) redraw() { m.cmds = append(m.cmds, tea.ClearScreen) }

func (m *model) toggleMouse() {
	if m.mouse = !m.mouse; m.mouse {
		m.tell("the wheel scrolls again; "+m.keys.name("mouse")+" leaves the mouse to the terminal", false)
	} else {
		m.tell("the mouse is the terminal's, to mark and copy; "+m.keys.name("mouse")+" takes it back", false)
	}
}

func (m *model) openSwitcher() {
	m.switcher = switcher{}
	m.switcher.filter(m.rows)
	m.mode = switching
}

// pressSwitching finds somebody. Whom it has found stands still while no letter is typed.
func (m *model) pressSwitching(text string, bound []*binding) {
	w := &m.switcher
	before := w.query.text
	switch {
	case text != "":
		w.query.insert(text)
		w.at = 0
	case is(bound, "send"):
		if m.mode = talking; w.at < len(w.found) {
			m.turn(w.found[w.at])
		}
		return
	case is(bound, "up", "previous"):
		w.at--
	case is(bound, "down", "next", "switch", "complete"):
		w.at++
	case is(bound, "cancel", "clear"):
		m.mode = talking
		return
	case len(bound) > 0:
		editing(&w.query, bound)
	}
	if w.query.text != before {
		w.filter(m.rows)
	}
	w.at = max(0, min(w.at, len(w.found)-1))
}

// pressHiding takes a secret, which isn't shown.
func (m *model) pressHiding(text string, bound []*binding) {
	switch {
	case text != "":
		m.secret.insert(text)
	case is(bound, "send"):
		m.mode = talking
		m.s.Answer(m.secret.text)
		m.secret = editor{}
	case is(bound, "cancel", "clear"):
		m.mode = talking
		m.s.Answer("")
		m.secret = editor{}
	default:
		editing(&m.secret, bound)
	}
}

// editing does what a key does to a line other than the input.
func editing(e *editor, bound []*binding) {
	m := model{input: *e}
	for _, b := range bound {
		switch b.action {
		case "left", "right", "line-start", "line-end", "word-left", "word-right", "delete-left", "delete-right",
			"cut-word-left", "cut-part-left", "cut-word-right", "cut-to-start", cutToEnd, "paste-cut", "swap":
			b.do(&m)
		}
	}
	*e = m.input
}
