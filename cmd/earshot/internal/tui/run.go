// Package tui is the screen: who is here, the conversations, and a line to type on. It
// draws what an [app.Session] has and brings it keys, events and the time; it decides
// nothing about people or messages.
package tui

import (
	"context"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/cmd/earshot/internal/terminal"
	"earshot/discovery"
)

// Config is what the screen stands on.
type Config struct {
	Session  *app.Session
	Chat     <-chan chat.Event
	Seen     <-chan discovery.Event // may be nil
	Changed  <-chan struct{}        // likewise: other processes have changed something
	In, Out  *os.File               // a terminal
	Color    bool
	Network  string // where we look for people, for the status line
	Settings app.Settings
}

// fps bounds the frames per second, and with it how long a key waits for its frame.
const fps = 120

// Run shows the screen until the person leaves it, or ctx ends; then it returns the
// cause of that. It returns [terminal.ErrGone] once the terminal has gone. The terminal is as before in any case. A panic comes as [*Crash]. Run
// reads Chat and Seen until it returns.
func Run(ctx context.Context, cfg Config) error {
	profile := colorprofile.ASCII
	if cfg.Color {
		profile = colorprofile.Env(os.Environ())
	}
	m, err := newModel(cfg, profile)
	if err != nil {
		return err
	}
	m.width, m.height = terminal.Size(cfg.Out)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	gone := func() { cancel(terminal.ErrGone) }
	var out io.Writer = output{cfg.Out, m.cells.stand, gone}
	if _, _, err := term.GetSize(int(cfg.Out.Fd())); err != nil {
		out = struct{ io.Writer }{out} // Bubble Tea would end over that
	}
	return m.run(ctx, cfg,
		tea.WithInput(input{cfg.In, gone}), tea.WithOutput(out), tea.WithWindowSize(m.width, m.height), tea.WithColorProfile(profile))
}

// sized gives a terminal that doesn't know its size one, for the renderer too.
func sized(_ tea.Model, msg tea.Msg) tea.Msg {
	if size, ok := msg.(tea.WindowSizeMsg); ok {
		size.Width, size.Height = terminal.Known(size.Width, size.Height)
		return size
	}
	return msg
}

func newModel(cfg Config, profile colorprofile.Profile) (*model, error) {
	keys, err := newKeys(cfg.Settings.Keys)
	if err != nil {
		return nil, err
	}
	m := &model{
		s: cfg.Session, settings: cfg.Settings, network: cfg.Network, keys: keys, profile: profile,
		cells: cells{stand: &standIns{}}, focused: true, mouse: true, env: os.Environ(),
	}
	m.timeline = timeline{
		cells: &m.cells, again: keys.name("retry"), follow: true,
		label: func(k chat.Key) string { return m.s.Label(app.Conv{Key: k}) },
		as:    func(l app.Line) string { return m.s.As(l) },
		me:    func() string { return clean.Name(m.s.Me().Name) },
	}
	m.typed = len(m.s.Typed())
	m.dress()
	m.turned(m.s.Current())
	return m, nil
}

// run runs the program.
func (m *model) run(ctx context.Context, cfg Config, options ...tea.ProgramOption) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	m.ctx = inner
	p := tea.NewProgram(m, append(options, tea.WithContext(ctx), tea.WithFilter(sized), tea.WithoutSignalHandler(), tea.WithFPS(fps))...)
	m.send = p.Send
	m.pace.ticker = func() *time.Ticker { return tickerOf(p) }
	m.cmds = nil
	m.settle(time.Now()) // only now has what was told before the terminal's width
	go pump(inner, p.Send, cfg.Chat, cfg.Seen, cfg.Changed)
	_, err := p.Run()
	switch {
	case m.crash != nil:
		return m.crash
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// pump brings what arrives to the screen: the first at once, then what has come at most
// once in a frame.
func pump(ctx context.Context, send func(tea.Msg), heard <-chan chat.Event, seen <-chan discovery.Event, changed <-chan struct{}) {
	var batch arrived
	var frame <-chan time.Time
	for {
		select {
		case e, ok := <-heard:
			if !ok {
				heard = nil
				continue
			}
			batch.chat = append(batch.chat, e)
		case e, ok := <-seen:
			if !ok {
				seen = nil
				continue
			}
			batch.seen = append(batch.seen, e)
		case <-changed:
			batch.changed = true
		case <-frame:
			frame = nil
		case <-ctx.Done():
			return
		}
		if frame == nil && (batch.chat != nil || batch.seen != nil || batch.changed) {
			send(batch)
			batch = arrived{}
			frame = time.After(time.Second / fps)
		}
	}
}

// input is the terminal to read from. Bubble Tea goes on without one that ends.
type input struct {
	*os.File
	gone func()
}

func (i input) Read(b []byte) (int, error) {
	n, err := i.File.Read(b)
	if err != nil {
		i.gone()
	}
	return n, err
}

// output puts back, on their way to the terminal, the clusters that stand-ins stand for.
type output struct {
	*os.File
	stand *standIns
	gone  func()
}

func (o output) Write(b []byte) (int, error) {
	if _, err := o.File.Write(o.stand.restore(b)); err != nil {
		o.gone()
		return 0, err
	}
	return len(b), nil
}
