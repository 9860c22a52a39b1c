package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
	"earshot/discovery"
)

// fakeTerminal is what a program writes to, and types from.
type fakeTerminal struct {
	mu     sync.Mutex
	out    bytes.Buffer
	writes int
	in     io.Reader
	keys   *io.PipeWriter
}

func newTerminal() *fakeTerminal {
	r, w := io.Pipe()
	return &fakeTerminal{in: r, keys: w}
}

func (v *fakeTerminal) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.writes++
	return v.out.Write(b)
}

// take returns what was written since the last call, and in how many pieces.
func (v *fakeTerminal) take() (string, int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	text, writes := v.out.String(), v.writes
	v.out.Reset()
	v.writes = 0
	return text, writes
}

// play is a whole program on a terminal, under the bubble's clock.
type play struct {
	*stage
	v     *fakeTerminal
	heard chan chat.Event
	seen  chan discovery.Event
	ended chan error
	stop  context.CancelCauseFunc
}

func inPlay(t *testing.T, f func(*play)) { t.Helper(); inPlayOf(t, 80, 24, f) }

// inPlayOf is inPlay on a terminal that says it has so many columns and rows.
func inPlayOf(t *testing.T, width, height int, f func(*play)) {
	t.Helper()
	onStage(t, func(g *stage) {
		ctx, stop := context.WithCancelCause(g.t.Context())
		p := &play{g, newTerminal(), make(chan chat.Event), make(chan discovery.Event), make(chan error, 1), stop}
		cfg := Config{Session: g.s, Chat: p.heard, Seen: p.seen}
		go func() {
			p.ended <- g.m.run(ctx, cfg, tea.WithInput(p.v.in), tea.WithOutput(p.v), tea.WithWindowSize(width, height),
				tea.WithColorProfile(colorprofile.ANSI256), tea.WithEnvironment([]string{"TERM=xterm-256color"}))
		}()
		p.wait()
		f(p)
		stop(nil)
		_ = p.v.keys.Close()
	})
}

// wait lets what is under way be drawn.
func (p *play) wait() {
	time.Sleep(50 * time.Millisecond)
	synctest.Wait()
}

func (p *play) key(bytes string) {
	p.t.Helper()
	if _, err := io.WriteString(p.v.keys, bytes); err != nil {
		p.t.Fatal(err)
	}
	p.wait()
}

func (p *play) shows(what string) {
	p.t.Helper()
	if text, _ := p.v.take(); !strings.Contains(text, what) {
		p.t.Errorf("%q isn't in %q", what, text)
	}
}

func up(p chat.Person) discovery.Event {
	return discovery.Event{Change: discovery.Up, Peer: discovery.Peer{ID: p.Key.String(), Name: p.Name}}
}

// What is told before the screen opens is laid out for it.
func TestToldBefore(t *testing.T) {
	onStage(t, func(g *stage) {
		g.s.Tell("no network is there")
		g.s.Tell("you are already here")
		m, err := newModel(Config{Session: g.s, Settings: app.DefaultSettings()}, colorprofile.ANSI256)
		if err != nil {
			t.Fatal(err)
		}
		g.m = m
		v := newTerminal()
		ended := make(chan error, 1)
		m.width, m.height = 80, 24
		ctx, stop := context.WithCancel(g.t.Context())
		go func() {
			ended <- m.run(ctx, Config{}, tea.WithInput(v.in), tea.WithOutput(v), tea.WithWindowSize(80, 24), tea.WithColorProfile(colorprofile.ANSI256))
		}()
		time.Sleep(50 * time.Millisecond)
		if text, _ := v.take(); !strings.Contains(text, "no network is there") || !strings.Contains(text, "you are already here") || !strings.Contains(text, "talk with>") {
			t.Errorf("the first frame is %q", text)
		}
		stop()
		<-ended
		_ = v.keys.Close()
	})
}

func TestProgram(t *testing.T) {
	inPlay(t, func(p *play) {
		first, _ := p.v.take()
		for _, want := range []string{"\x1b[?1049h", "\x1b[?2004h", "\x1b[?1004h", "nobody", "You are ana", "talk with>"} {
			if !strings.Contains(first, want) {
				t.Errorf("%q isn't in the first frame %q", want, first)
			}
		}
		p.seen <- up(bob)
		p.wait()
		p.shows("bob")
		p.key("bo\r")
		p.shows("is here")
		p.key("hello, bob\r")
		p.shows("hello, bob")
		p.heard <- chat.Event{Kind: chat.Delivered, Person: bob, ID: p.node.last}
		p.wait()
		p.shows("delivered")
		p.key("\x1b[200~one\ntwo\nthree\nfour\nfive\nsix\n\x1b[201~")
		p.shows("these 6 lines")
		p.key("\r")
		if want := "one\ntwo\nthree\nfour\nfive\nsix"; len(p.node.sent) != 2 || p.node.sent[1] != want {
			t.Errorf("sent %q", p.node.sent)
		}
		p.v.take()

		// The terminal says that it has a light background: everything is drawn anew.
		p.key("\x1b]11;rgb:ffff/ffff/ffff\x1b\\")
		if text, _ := p.v.take(); !strings.Contains(text, "38;5;") || p.m.ground != light {
			t.Errorf("the ground is %d after %q", p.m.ground, text)
		}

		// While nobody looks, a message rings, and the title counts it.
		p.key("\x1b[O")
		p.v.take()
		p.heard <- chat.Event{Kind: chat.Message, Person: bob, ID: chat.MessageID{5}, Text: "are\x1b]0;x\x07you there?", Received: time.Now()}
		p.wait()
		text, _ := p.v.take()
		for _, want := range []string{"\x1b]9;bob: are", "\a", "(1) bob - earshot"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q isn't in %q", want, text)
			}
		}
		if strings.Contains(text, "\x1b]0;x") {
			t.Errorf("an escape sequence got through: %q", text)
		}
		p.key("\x1b[I")
		p.v.take()

		p.key("\x03")
		p.key("\x03")
		if err := <-p.ended; err != nil {
			t.Error(err)
		}
		last, _ := p.v.take()
		for _, want := range []string{"\x1b[?1049l", "\x1b[?2004l", "\x1b[?1004l", "\x1b[?1002l"} {
			if !strings.Contains(last, want) {
				t.Errorf("%q isn't in what it left behind: %q", want, last)
			}
		}
	})
}

// A terminal that doesn't know its size is taken for one of 80 by 24, until it does.
func TestUnknownSize(t *testing.T) {
	for _, tt := range []struct{ w, h, drawnW, drawnH int }{{0, 0, 80, 24}, {0, 30, 80, 30}, {100, 0, 100, 24}, {1, 1, 1, 1}} {
		inPlayOf(t, tt.w, tt.h, func(p *play) {
			text, _ := p.v.take()
			if p.m.width != tt.drawnW || p.m.height != tt.drawnH || strings.Contains(text, "You are ana") != (tt.w != 1) {
				t.Errorf("%dx%d is taken for %dx%d: %q", tt.w, tt.h, p.m.width, p.m.height, text)
			}
			p.m.send(tea.WindowSizeMsg{Width: 100, Height: 40}) // it is made a size
			p.wait()
			if text, _ := p.v.take(); !strings.Contains(text, "talk with>") || p.m.height != 40 {
				t.Errorf("made larger: %q", text)
			}
			p.m.send(tea.WindowSizeMsg{})
			p.wait()
			if p.m.width != 80 || p.m.height != 24 {
				t.Errorf("then taken for %dx%d", p.m.width, p.m.height)
			}
		})
	}
}

// Nothing is drawn while nothing moves.
func TestIdleDrawsNothing(t *testing.T) {
	inPlay(t, func(p *play) {
		p.seen <- up(bob)
		p.key("bob\r")
		time.Sleep(10 * time.Second)
		p.v.take()
		time.Sleep(time.Minute)
		if text, writes := p.v.take(); writes != 0 {
			t.Errorf("%d writes in an idle minute: %q", writes, text)
		}
	})
}

// However much arrives, there are no more frames than the terminal can show.
func TestArrivalsAreDrawnTogether(t *testing.T) {
	inPlay(t, func(p *play) {
		p.seen <- up(bob)
		p.key("bob\r")
		p.v.take()
		for i := range 2000 {
			p.heard <- chat.Event{Kind: chat.Message, Person: bob, ID: chat.MessageID{7, byte(i), byte(i >> 8)}, Text: "and another", Received: time.Now()}
			time.Sleep(500 * time.Microsecond)
		}
		p.wait()
		if _, writes := p.v.take(); writes > fps+10 {
			t.Errorf("%d frames in a second", writes)
		}
		if n := len(p.s.Lines(p.s.Current())); n < 2000 {
			t.Errorf("%d lines of 2000", n)
		}
	})
}

// What the terminal answers to probe decides how emoji are measured.
func TestProbe(t *testing.T) {
	inPlay(t, func(p *play) {
		p.v.take()
		p.key("\x1b[?62;22c")
		p.shows("👍🏽\x1b[6n")
		p.key("\x1b[2;3R\x1b[2;2R\x1b[2;5R") // as tmux 3.3a
		if c := p.m.cells; !c.joins || c.styles || c.tones || c.clusters {
			t.Errorf("taken for %+v", c)
		}
	})
	inPlay(t, func(p *play) {
		p.v.take()
		p.key("\x1b[?2027;2$y\x1b[?62;22c")
		if text, _ := p.v.take(); strings.Contains(text, "\x1b[6n") || !p.m.cells.clusters {
			t.Errorf("a terminal that knows mode 2027 was asked more: %q", text)
		}
	})
}

func TestCrash(t *testing.T) {
	for _, where := range []string{"a key", "the frame", "a job"} {
		t.Run(where, func(t *testing.T) {
			inPlay(t, func(p *play) {
				p.v.take()
				switch where {
				case "a key":
					p.m.keys.by["f2"] = []*binding{{do: func(*model) { panic("boom") }}}
				case "the frame":
					p.m.keys.by["f2"] = []*binding{{do: func(m *model) { m.timeline.label = nil; m.theme = nil }}}
				case "a job":
					p.m.keys.by["f2"] = []*binding{{do: func(m *model) {
						m.cmds = append(m.cmds, m.work(func(context.Context) func(time.Time) { panic("boom") }))
					}}}
				}
				p.key("\x1bOQ")
				err := <-p.ended
				crash, ok := errors.AsType[*Crash](err)
				if !ok || len(crash.Stack) == 0 {
					t.Fatalf("%v", err)
				}
				if last, _ := p.v.take(); !strings.Contains(last, "\x1b[?1049l") {
					t.Errorf("the terminal isn't restored: %q", last)
				}
			})
		})
	}
}

func TestEndsWithItsContext(t *testing.T) {
	inPlay(t, func(p *play) {
		cause := errors.New("interrupted")
		p.stop(cause)
		if err := <-p.ended; !errors.Is(err, cause) {
			t.Error(err)
		}
		if last, _ := p.v.take(); !strings.Contains(last, "\x1b[?1049l") {
			t.Errorf("the terminal isn't restored: %q", last)
		}
	})
}
