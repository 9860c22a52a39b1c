package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/console"
	"earshot/cmd/earshot/internal/terminal"
)

// paper is what the plain mode reads from and writes on: a line editor, or standard
// input and output as they are.
type paper interface {
	Print(text string)
	SetPrompt(prompt string)
	Width() int // 0: lines aren't broken
	// Answer ends the handling of a line.
	Answer()
	// Hide has the next line asked for by that prompt, and not shown; false: that can't be.
	Hide(prompt string) bool
}

// plain shows a Session line by line: nothing that was shown is ever changed, and every
// state is said in a word. Own notices begin with a star, what was said with the time and
// a name, the further lines of a text with blanks: no text can pass for anything else.
type plain struct {
	s     *app.Session
	a     *app.App
	paper paper
	gone  <-chan struct{} // closed when the terminal has gone; nil: that shows as the end of input
	color bool
	bell  bool // rings for what is worth it
	rang  time.Time

	// What is typed after something that should show another conversation is meant for that one.
	// Where it doesn't come to that, lines begun before this was said go nowhere.
	moves  atomic.Int64 // how often it didn't
	strays int64        // lines with a lesser stamp are such; 0: none are
	piped  bool         // nobody types: lines have no stamp
	unsaid int          // lines that weren't said

	pasted []string // lines that make one message with the next one typed
	hinted map[app.Conv]bool
	secret string // what the next line is asked for: it is an Answer
	over   bool

	prompted string // the prompt that stands
	empty    string // why nobody is there, as it was said
}

const shownBefore = 10 // lines of a conversation that are shown when it is turned to

func newPlain(a *app.App, s *app.Session, color bool) *plain {
	return &plain{s: s, a: a, color: color, hinted: map[app.Conv]bool{}}
}

// runPlain talks by lines: on a terminal with a line editor, if it has what that takes.
func runPlain(ctx context.Context, p *process, a *app.App, s *app.Session, color, bell bool) error {
	t := newPlain(a, s, color)
	t.bell = bell && term.IsTerminal(int(p.out.Fd()))
	if !console.Possible(p.in, p.out) {
		t.paper, t.piped = (*sheet)(p), !p.interactive()
		stamp := t.moves.Load
		if t.piped {
			stamp = func() int64 { return 0 }
			ctx = p.whileRead(ctx) // else the end of input tells
		}
		return t.talk(ctx, bareLines(ctx, p.in, stamp), nil)
	}
	con, err := p.openConsole()
	if err != nil {
		return err
	}
	defer p.closeConsole()
	return t.onConsole(ctx, con)
}

// onConsole talks at a line editor.
func (t *plain) onConsole(ctx context.Context, con *console.Console) error {
	t.paper, t.gone = con, con.Gone()
	con.Recall(t.s.Typed())
	con.Stamp = t.moves.Load
	asked := make(chan completion)
	done := make(chan struct{})
	defer close(done)
	con.Complete = func(head string) []string {
		c := completion{head, make(chan []string, 1)}
		select {
		case asked <- c:
			return <-c.answer
		case <-done:
			return nil
		}
	}
	t.prompted = t.prompt()
	return t.talk(ctx, con.Read(t.prompted), asked)
}

// completion is a question of the line editor's, which asks on its own goroutine.
type completion struct {
	head   string
	answer chan []string
}

// talk goes on until the person ends it.
func (t *plain) talk(ctx context.Context, lines <-chan console.Line, asked <-chan completion) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan func(time.Time))
	defer func() { _ = t.s.Close() }()
	var leave <-chan time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	if conv := t.s.Current(); conv.IsZero() {
		t.say("you are " + t.s.Label(app.Conv{Key: t.s.Me().Key}) + "; type a name to talk, /help for help, Ctrl-C to leave")
		t.empty = t.s.Empty()
		t.s.Do("/who", conv, time.Now())
	}
	for {
		t.show()
		t.ask()
		for _, job := range t.s.Jobs() {
			go func() {
				f := job(inner)
				select {
				case done <- f:
				case <-inner.Done():
				}
			}()
		}
		if t.over {
			lines = nil
			if leave == nil {
				leave = time.After(leaveFor)
			}
			if !t.s.Sending() {
				return t.end()
			}
		}
		typed, gone := lines, (<-chan struct{})(nil)
		if t.s.Calling() { // what is typed waits, but not the end
			typed, gone = nil, t.gone
		}
		select {
		case line := <-typed:
			if line.Err != nil && !errors.Is(line.Err, io.EOF) {
				return line.Err
			}
			if line.Err != nil {
				t.over = true
				continue
			}
			t.typed(line)
			t.ask()
			t.paper.Answer()
		case <-gone:
			return terminal.ErrGone
		case c := <-asked:
			c.answer <- t.complete(c.head)
		case e := <-t.a.Chat:
			t.s.Heard(e, time.Now())
		case e := <-t.a.Seen:
			t.s.Saw(e, time.Now())
		case <-t.a.Changed:
			t.s.Refresh(time.Now())
		case f := <-done:
			f(time.Now())
		case <-timer.C:
			timer.Reset(time.Until(t.s.Tick(time.Now())))
			t.alone()
		case <-leave:
			return t.end()
		case <-ctx.Done():
			if err := unsaid(t.a, t.s); err != nil {
				t.say(err.Error())
			}
			return context.Cause(ctx)
		}
	}
}

// leaveFor is how long somebody who leaves waits for what is on its way.
const leaveFor = 300 * time.Millisecond

// end says what isn't delivered, or where nobody sees it said what wasn't said at all.
func (t *plain) end() error {
	err := unsaid(t.a, t.s)
	if err == nil && t.piped && t.unsaid > 0 {
		err = fmt.Errorf("%d of the lines couldn't be sent", t.unsaid)
	}
	return err
}

// stray notes that another conversation was asked for, and isn't shown.
func (t *plain) stray() { t.strays = t.moves.Add(1) }

// alone says why nobody is there, once that is known.
func (t *plain) alone() {
	if why := t.s.Empty(); why != t.empty {
		if t.empty = why; why != "" && t.s.Current().IsZero() {
			t.say(why)
		}
	}
}

// typed takes a line. Lines pasted together are one message, with the line they end in.
func (t *plain) typed(line console.Line) {
	now, conv := time.Now(), t.s.Current()
	switch {
	case t.secret != "":
		t.secret = ""
		t.s.Answer(line.Text)
	case line.Refused != "":
		t.unsaid++
		t.say(line.Refused)
	case line.Stamp < t.strays && app.IsFor(line.Text):
		t.pasted = nil
		if strings.TrimSpace(line.Text) != "" {
			t.unsaid++
			t.say("not said, as it was for another conversation: " + clip(line.Text))
		}
	case line.Pasted && !conv.IsZero():
		t.pasted = append(t.pasted, line.Text)
	case t.pasted != nil:
		text := strings.Join(append(t.pasted, line.Text), "\n")
		t.pasted = nil
		if line.Text == "/cancel" {
			t.say("nothing was said")
		} else {
			t.s.Say(conv, strings.TrimRight(text, "\n"), now)
		}
	default:
		t.s.Do(line.Text, conv, now)
	}
	t.show()
}

// ask shows the prompt, if it has changed.
func (t *plain) ask() {
	if prompt := t.prompt(); prompt != t.prompted {
		t.prompted = prompt
		t.paper.SetPrompt(prompt)
	}
}

func (t *plain) prompt() string {
	conv := t.s.Current()
	switch {
	case t.secret != "":
		return t.secret
	case t.pasted != nil:
		return fmt.Sprintf("%d lines pasted; Enter says them, /cancel doesn't> ", len(t.pasted))
	case conv.IsZero():
		return "talk with> "
	}
	return t.s.Label(conv) + "> "
}

// complete returns what the typed words could become.
func (t *plain) complete(head string) (all []string) {
	from, candidates := t.s.Complete(head, len(head))
	for _, c := range candidates {
		text := c.Text
		if c.Name != c.Text && strings.HasPrefix(c.Name, ":") && len(candidates) > 1 {
			text, _, _ = strings.Cut(c.Name, " ") // by its name as long as several begin so
		}
		all = append(all, head[:from]+strings.TrimSuffix(text, " "))
	}
	return all
}
