package tui

import (
	"reflect"
	"time"

	tea "charm.land/bubbletea/v2"
)

// pace lets Bubble Tea's renderer look for a new frame only while there can be one. By
// itself it looks fps times a second, which costs a laptop more than all the rest of an
// idle earshot. There is no option for that, so its ticker is taken from the program;
// where a later version keeps none, it goes on as it likes. Only the event loop uses it.
type pace struct {
	ticker func() *time.Ticker
	until  time.Time // when it may rest
	awake  bool
}

const (
	frameTime = time.Second / fps
	restAfter = 5 * frameTime // of the last change
	rest      = 24 * time.Hour
)

// calm is the message that it may be time to rest.
type calm struct{}

// wake has frames looked for.
func (p *pace) wake(now time.Time) tea.Cmd {
	p.until = now.Add(restAfter)
	if p.awake || p.ticker == nil {
		return nil
	}
	if t := p.ticker(); t != nil {
		t.Reset(frameTime)
	}
	p.awake = true
	return later(restAfter, calm{})
}

// later is the message after d. It sleeps, unlike tea.Tick: a timer's channel that is read
// when it is overdue can crash the race detector under a fake clock (go.dev/issue/78156).
func later(d time.Duration, msg tea.Msg) tea.Cmd {
	return func() tea.Msg {
		time.Sleep(d)
		return msg
	}
}

// calm stops looking, unless something has changed meanwhile.
func (p *pace) calm(now time.Time) tea.Cmd {
	if now.Before(p.until) {
		return later(p.until.Sub(now), calm{})
	}
	if t := p.ticker(); t != nil {
		t.Reset(rest)
	}
	p.awake = false
	return nil
}

// tickerOf returns the renderer's ticker, or nil.
func tickerOf(p *tea.Program) *time.Ticker {
	field := reflect.ValueOf(p).Elem().FieldByName("ticker")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*time.Ticker]() {
		return nil
	}
	return *(**time.Ticker)(field.Addr().UnsafePointer())
}
