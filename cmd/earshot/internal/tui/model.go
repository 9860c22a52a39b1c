package tui

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

// mode is what keys go to besides, or instead of, the input line.
type mode int

const (
	talking   mode = iota
	reading        // a page
	switching      // the switcher
	searching      // the search line
	asking         // whether to send what was pasted
	leaving        // whether to quit
	hiding         // a secret
)

// model is the whole screen. Only Bubble Tea's event loop uses it.
type model struct {
	ctx      context.Context // ends with Run
	env      uv.Environ
	s        *app.Session
	network  string
	settings app.Settings

	cells   cells
	keys    *keys
	theme   *theme
	profile colorprofile.Profile
	ground  ground

	width, height int
	mode          mode
	focused       bool
	mouse         bool
	rang          time.Time

	acting bool        // the person, in this Update
	came   time.Time   // when a conversation came up that was asked for before
	moved  []time.Time // of each place in the list: when somebody else came to it

	rows     []app.Row // our copy
	empty    string    // why there are none
	listTop  int       // of the list, the first row seen
	reveal   bool      // scroll the list to the row of the conversation
	timeline timeline
	conv     app.Conv // whose line the input is: that shown by turned, and no other
	input    editor
	typed    int    // of the lines typed before, the one shown; their number: none
	unsent   string // what stood there before
	told     string
	toldBad  bool
	offers   offers
	sheet    page
	waiting  func() // shows what would take the keyboard from somebody who types
	switcher switcher
	search   search
	toHit    *app.Hit // to jump to, in the conversation that is turned to
	pasted   string
	secret   editor // what is typed of it
	asked    string // what it is
	probed   int    // answers that came to probe
	leaves   bool   // it was asked whether to quit, on a screen too small for all else

	frame tea.View
	stale bool
	cmds  []tea.Cmd
	pace  pace
	send  func(tea.Msg)
	crash *Crash
}

// Messages of our own.
type (
	arrived struct { // what came since the last frame, in order
		chat    []chat.Event
		seen    []discovery.Event
		changed bool // by other processes
	}
	due  struct{}                        // Tick is
	done struct{ f func(now time.Time) } // a Job is
	fail struct{ crash *Crash }          // a command panicked
)

// Crash is a panic of the screen.
type Crash struct {
	Value any
	Stack []byte
}

func (c *Crash) Error() string { return fmt.Sprintf("the screen has crashed: %v", c.Value) }

// Init implements tea.Model.
func (m *model) Init() tea.Cmd {
	// What every terminal answers is asked last: then it has answered the rest, or won't.
	return tea.Batch(append(m.cmds, tea.Sequence(tea.RequestBackgroundColor, tea.Raw(ansi.RequestPrimaryDeviceAttributes)), m.wait(0))...)
}

// wait asks for Tick after d.
func (m *model) wait(d time.Duration) tea.Cmd {
	return later(d, due{})
}

// Update implements tea.Model. A panic in it ends the program with the terminal restored.
func (m *model) Update(msg tea.Msg) (same tea.Model, cmd tea.Cmd) {
	defer func() {
		if r := recover(); r != nil {
			m.crash = &Crash{r, debug.Stack()}
			same, cmd = m, tea.Quit
		}
	}()
	now := time.Now()
	m.cmds = nil
	m.stale = true
	m.acting = false
	switch msg := msg.(type) {
	case calm:
		m.stale = false
		return m, m.pace.calm(now)
	case arrived:
		for _, e := range msg.seen {
			m.s.Saw(e, now)
		}
		for _, e := range msg.chat {
			m.s.Heard(e, now)
		}
		if msg.changed {
			m.s.Refresh(now)
		}
	case due:
		m.cmds = append(m.cmds, m.wait(m.s.Tick(now).Sub(now)))
	case done:
		msg.f(now)
	case fail:
		m.crash = msg.crash
		return m, tea.Quit
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		if m.mode == reading {
			m.sheet.rows = m.sheet.lay()
		}
	case tea.ColorProfileMsg:
		m.profile = msg.Profile
		m.dress()
	case tea.BackgroundColorMsg:
		if m.ground = light; msg.IsDark() {
			m.ground = dark
		}
		m.dress()
	case tea.ModeReportMsg:
		m.reported(msg)
	case uv.PrimaryDeviceAttributesEvent:
		m.probe()
	case tea.CursorPositionMsg:
		m.measured(msg)
	case tea.FocusMsg:
		m.focused = true
	case tea.BlurMsg:
		m.focused = false
	case tea.PasteMsg:
		m.acting = true
		m.paste(msg.Content)
	case tea.MouseWheelMsg:
		m.wheel(msg.Mouse())
	case tea.MouseClickMsg:
		m.acting = true
		m.click(msg.Mouse(), now)
	case tea.KeyPressMsg:
		m.acting = true
		m.focused = true // whoever types looks here, also where the terminal doesn't say so
		m.press(msg.Key())
	}
	_, idle := msg.(due)
	if changed := m.settle(now); idle && !changed {
		m.stale = false
	} else {
		m.cmds = append(m.cmds, m.pace.wake(now))
	}
	return m, tea.Batch(m.cmds...)
}

// work makes a command of a job; its panic ends the program as any other.
func (m *model) work(job app.Job) tea.Cmd {
	return func() (msg tea.Msg) {
		defer func() {
			if r := recover(); r != nil {
				msg = fail{&Crash{r, debug.Stack()}}
			}
		}()
		return done{job(m.ctx)}
	}
}

// settle does what the session wants, tells it what is looked at, and reports whether
// it has changed.
func (m *model) settle(now time.Time) (changed bool) {
	var told []string // together, and after what would close it
	bad := false
	for _, n := range m.s.News() {
		if changed = true; n.Kind != app.Told {
			m.heard(n, now)
			continue
		}
		told, bad = append(told, n.Text), bad || n.Failed
	}
	if told != nil {
		m.tell(strings.Join(told, "\n"), bad)
	}
	for _, job := range m.s.Jobs() {
		m.cmds = append(m.cmds, m.work(job))
	}
	if show := m.waiting; show != nil && !m.busy() {
		if m.waiting, changed = nil, true; m.told == showsLater {
			m.told = ""
		}
		show()
	}
	m.s.Busy(m.busy())
	m.s.Attend(m.focused && m.timeline.follow && m.mode == talking && !m.s.Current().IsZero())
	rows, empty := m.s.Rows(), m.s.Empty()
	if changed = changed || empty != m.empty || !slices.Equal(rows, m.rows); changed {
		m.move(rows, now)
		m.rows, m.empty = append(m.rows[:0], rows...), empty
	}
	return changed
}

// busy reports whether keys are for something that an answer, come late, mustn't take them from.
func (m *model) busy() bool { return m.mode != talking || m.input.text != "" }

// take shows something that keys go to, once nothing else is under way.
func (m *model) take(show func()) {
	if !m.busy() {
		show()
		return
	}
	m.waiting = show
	m.told, m.toldBad = showsLater, false
}

const showsLater = "the answer is shown once nothing is being typed"

// heard takes a piece of news.
func (m *model) heard(n app.News, now time.Time) {
	m.stale = true
	switch n.Kind {
	case app.Said:
		if n.Line.Out && n.Conv != m.s.Current() { // by /msg
			m.told, m.toldBad = "to "+m.s.Label(n.Conv)+": "+n.Line.State.String(), n.Line.State == app.Failed
			if m.toldBad {
				m.told += ", " + n.Line.Reason
			}
		}
		if n.Notify && !m.focused {
			from := m.s.Label(n.Conv)
			if n.Conv.Room != "" {
				from = m.s.Label(app.Conv{Key: n.Line.From}) + " in " + from
			}
			m.ring(from, n.Line.Text, now)
		}
	case app.Turned:
		if m.came = (time.Time{}); !m.acting {
			m.came = now
		}
		m.turned(n.Conv)
	case app.Found:
		m.found(n)
	case app.Helped:
		m.openHelp()
		m.sheet.top = len(m.sheet.rows) - len(m.commands())
	case app.Asked:
		m.mode, m.secret, m.asked = hiding, editor{}, n.Text
	case app.Quit:
		m.cmds = append(m.cmds, tea.Quit)
	}
}

// turned shows another conversation. What else is open stays so.
func (m *model) turned(conv app.Conv) {
	m.timeline.show(m.s.Lines(conv))
	m.conv = conv
	m.input.set(m.s.Draft(conv))
	m.typed = len(m.s.Typed())
	m.told = ""
	m.offers = offers{}
	m.search = search{}
	m.timeline.find("")
	m.reveal = true
	if m.toHit != nil && m.toHit.Conv == conv {
		m.show(*m.toHit)
	}
	m.toHit = nil
}

// tell shows what answers a command: below the conversation, or on a page of its own.
func (m *model) tell(text string, bad bool) {
	if len(m.texts(text, m.paneWidth()-2)) > m.bodyHeight()/2 {
		m.take(func() { m.open("earshot", func() []string { return m.texts(text, m.width) }) })
		return
	}
	m.told, m.toldBad = text, bad
}

// texts lays out a text of the session's.
func (m *model) texts(text string, width int) (rows []string) {
	for _, r := range m.cells.layout(clean.Text(text), width, 0, nil) {
		rows = append(rows, r.text)
	}
	return rows
}

// dress chooses the theme anew.
func (m *model) dress() {
	m.theme = newTheme(m.profile, m.ground)
	m.timeline.theme = m.theme
	m.timeline.reset()
}

// lines brings the timeline up to date.
func (m *model) lines() {
	conv := m.s.Current()
	m.timeline.lines, m.timeline.unread = m.s.Lines(conv), m.s.Rule(conv)
	m.timeline.room = conv.Room != ""
	m.timeline.resize(m.paneWidth(), m.timelineHeight())
}

// row returns the row of the conversation shown, or nil.
func (m *model) row() *app.Row {
	conv := m.s.Current()
	for i := range m.rows {
		if !conv.IsZero() && m.rows[i].Conv == conv {
			return &m.rows[i]
		}
	}
	return nil
}
