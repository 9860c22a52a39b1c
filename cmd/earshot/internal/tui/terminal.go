package tui

import (
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"

	"earshot/cmd/earshot/internal/clean"
)

// samples are what terminals differ in: emoji joined, a symbol with an emoji selector, a
// skin tone. Where each takes two columns it is one to the terminal.
var samples = []string{"👩\u200d💻", "❤\ufe0f", "👍🏽"}

// reported takes whether the terminal knows a mode.
func (m *model) reported(msg tea.ModeReportMsg) {
	if msg.Mode == ansi.ModeUnicodeCore && (msg.Value == ansi.ModeSet || msg.Value == ansi.ModeReset || msg.Value == ansi.ModePermanentlySet) {
		m.cells.clusters = true // Bubble Tea turns it on
		m.timeline.reset()
	}
}

// probe finds out how wide the terminal draws the samples, by where the cursor stands
// after each, and has the screen drawn over them.
func (m *model) probe() {
	if m.cells.clusters || m.probed > 0 {
		return
	}
	var b strings.Builder
	b.WriteString(ansi.SaveCursor)
	for _, s := range samples {
		b.WriteString(ansi.CursorPosition(1, 2) + s + ansi.RequestCursorPositionReport)
	}
	b.WriteString(ansi.RestoreCursor)
	m.cmds = append(m.cmds, tea.Sequence(tea.Raw(b.String()), tea.ClearScreen))
}

// measured takes an answer to probe.
func (m *model) measured(at tea.CursorPositionMsg) {
	if at.Y != 1 || m.probed >= len(samples) {
		return
	}
	one := at.X == 2
	switch m.probed {
	case 0:
		m.cells.joins = one
	case 1:
		m.cells.styles = one
	case 2:
		m.cells.tones = one
	}
	m.probed++
	m.timeline.reset()
}

// suspend gives the terminal to the shell until it resumes us.
func (m *model) suspend() {
	if !hasShell() {
		m.tell("there is no shell to go back to", false)
		return
	}
	m.cmds = append(m.cmds, tea.Suspend)
}

// ringEvery is how often somebody may be called.
const ringEvery = 2 * time.Second

// ring calls somebody who looks elsewhere: the bell, and a notification of the desktop.
func (m *model) ring(from, text string, now time.Time) {
	if now.Sub(m.rang) < ringEvery {
		return
	}
	m.rang = now
	var b strings.Builder
	if m.settings.Notify.Desktop {
		b.WriteString(m.through(notification(m.env, from, text)))
	}
	if m.settings.Notify.Bell {
		b.WriteString("\a")
	}
	if b.Len() > 0 {
		m.cmds = append(m.cmds, tea.Raw(b.String()))
	}
}

// through wraps a sequence so that tmux gives it to the terminal around it.
func (m *model) through(sequence string) string {
	if m.env.Getenv("TMUX") == "" {
		return sequence
	}
	return ansi.TmuxPassthrough(sequence)
}

// notification returns the sequence for the desktop: OSC 777, where the terminal is known
// to take that, else OSC 9.
func notification(env uv.Environ, from, text string) string {
	const most = 200 // bytes
	text = clean.Line(text)
	if len(text) > most {
		cut := most
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	title := strings.ReplaceAll(clean.Line(from), ";", ",")
	if strings.Contains(env.Getenv("TERM"), "rxvt") || strings.HasPrefix(env.Getenv("TERM"), "foot") || env.Getenv("VTE_VERSION") != "" {
		return "\x1b]777;notify;" + title + ";" + text + "\a"
	}
	return "\x1b]9;" + title + ": " + text + "\a"
}

// wheelRows is by how many rows the wheel scrolls.
const wheelRows = 3

func (m *model) wheel(at tea.Mouse) {
	by := wheelRows
	switch at.Button {
	case tea.MouseWheelUp:
		by = -wheelRows
	case tea.MouseWheelDown:
	default:
		return
	}
	switch {
	case m.mode == reading:
		m.sheet.scroll(by, m.height-2)
	case m.mode == switching:
		m.switcher.at = max(0, min(m.switcher.at+by, len(m.switcher.found)-1))
	case at.X < m.listWidth() || m.s.Current().IsZero():
		m.listTop = max(0, m.listTop+by)
	default:
		m.scroll(by)
	}
}

func (m *model) click(at tea.Mouse, now time.Time) {
	y := at.Y - 1 // below the bar
	inList := at.X < m.listWidth() || m.listWidth() == 0 && m.s.Current().IsZero()
	switch {
	case at.Button != tea.MouseLeft || m.mode == reading || m.mode == asking || m.mode == hiding || y < 0 || y >= m.bodyHeight():
	case m.mode == switching && at.X >= m.listWidth():
		if i := max(0, m.switcher.at-m.bodyHeight()+1) + y; i < len(m.switcher.found) {
			m.turn(m.switcher.found[i])
		}
	case inList && y == m.bodyHeight()-1 && m.listTop+y < len(m.rows)-1:
		m.listTop += m.bodyHeight() - 1
	case inList && m.listTop+y < len(m.rows):
		if r, ok := m.aimed(m.listTop+y, now); ok {
			m.turn(r)
		}
	case y == m.bodyHeight()-1 && !m.timeline.follow:
		m.toEnd()
	}
}
