package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/cmd/earshot/internal/console"
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
	color bool
	bell  bool // rings for what is worth it
	rang  time.Time

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
		t.paper = (*sheet)(p)
		return t.talk(ctx, bareLines(ctx, p.in), nil)
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
	t.paper = con
	con.Recall(t.s.Typed())
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
			if !t.sending() {
				return unsaid(t.a, t.s)
			}
		}
		typed := lines
		if t.s.Calling() {
			typed = nil
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
		case c := <-asked:
			c.answer <- t.complete(c.head)
		case e := <-t.a.Chat:
			t.s.Heard(e, time.Now())
		case e := <-t.a.Seen:
			t.s.Saw(e, time.Now())
		case f := <-done:
			f(time.Now())
		case <-timer.C:
			timer.Reset(time.Until(t.s.Tick(time.Now())))
			t.alone()
		case <-leave:
			return unsaid(t.a, t.s)
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

// sending reports whether something is on its way.
func (t *plain) sending() bool {
	return slices.ContainsFunc(t.s.Undelivered(), func(h app.Hit) bool { return h.Line.State == app.Sent })
}

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
		t.say(line.Refused)
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

// show says what is new.
func (t *plain) show() {
	for _, n := range t.s.News() {
		switch n.Kind {
		case app.Said:
			t.said(n)
		case app.Marked:
			t.mark(n)
		case app.Came, app.Went:
			if conv := t.s.Current(); conv.IsZero() && n.Conv.Room == "" || !conv.IsZero() && n.Conv == conv && conv.Room != "" {
				how := "  is here"
				if n.Kind == app.Went {
					how = "  has left"
				}
				t.say(n.Text + how)
			}
		case app.Told:
			t.say(n.Text)
		case app.Turned:
			t.turned(n.Conv)
		case app.Found:
			t.found(n)
		case app.Helped:
			t.say(help())
		case app.Asked:
			if t.secret = n.Text + ": "; !t.paper.Hide(t.secret) {
				t.secret = ""
				t.s.Answer("")
				t.say("this terminal can't hide what is typed; try: earshot rooms --private join ROOM")
			}
		case app.Quit:
			t.over = true
		}
	}
}

// said shows a line. One's own stands there already, as it was typed.
func (t *plain) said(n app.News) {
	switch {
	case n.Line.Notice:
		t.say(n.Line.Text)
	case n.Line.Out && n.Line.Elsewhere && n.Conv == t.s.Current():
		t.line(n.Line, n.Line.At.Local().Format("15:04 "))
	case n.Line.Out && n.Conv == t.s.Current():
		t.mark(n)
	case n.Line.Out:
		t.say("to " + t.s.Label(n.Conv) + ": " + n.Line.Text)
		t.mark(n)
	default:
		t.line(n.Line, t.ring(n)+n.Line.At.Local().Format("15:04 ")+t.where(n.Conv))
		if n.Conv != t.s.Current() && !t.hinted[n.Conv] {
			t.hinted[n.Conv] = true
			how := "to answer, type: "
			if !t.s.Current().IsZero() {
				how += "/to "
			}
			t.say(how + t.s.Label(n.Conv))
		}
	}
}

// ring returns the bell where something is worth it, and it hasn't just rung.
func (t *plain) ring(n app.News) string {
	if !t.bell || !n.Notify || time.Since(t.rang) < ringEvery {
		return ""
	}
	t.rang = time.Now()
	return "\a"
}

const ringEvery = 2 * time.Second

// where names a room that isn't the one talked in.
func (t *plain) where(conv app.Conv) string {
	if conv.Room == "" || conv == t.s.Current() {
		return ""
	}
	return t.s.Label(conv) + " "
}

// mark says what has become of a line of one's own, once it is known.
func (t *plain) mark(n app.News) {
	l := n.Line
	if l.State == app.Delivered && n.Conv.Room != "" {
		if l.Of > 0 {
			t.say(fmt.Sprintf("delivered to all %d: %s", l.Of, clip(l.Text)))
		}
		return
	}
	switch l.State {
	case app.Delivered, app.Queued:
		t.say(l.State.String() + ": " + clip(l.Text))
	case app.Failed:
		t.say("failed, " + l.Reason + ": " + clip(l.Text) + "; to say it again: /retry")
	case app.Heard, app.Sent:
	}
}

// line shows something said, behind head.
func (t *plain) line(l app.Line, head string) {
	if who := t.s.Label(app.Conv{Key: l.From}); l.Action {
		head += "* " + who + " "
	} else {
		head += who + ": "
	}
	if l.Mention {
		head = "calls you: " + head
	}
	text := l.Text
	if l.Out && l.Of > 0 {
		text += fmt.Sprintf(" (%d/%d)", l.Got, l.Of)
	} else if l.Out && l.State != app.Delivered {
		text += " (" + l.State.String() + ")"
	}
	all := clean.Layout(head, text, t.paper.Width())
	t.paper.Print(t.paint("1;36", head) + strings.TrimPrefix(all, head))
}

// when says when something was said before.
func when(at time.Time) string {
	if time.Since(at) > 12*time.Hour {
		return at.Local().Format("2006-01-02 15:04 ")
	}
	return at.Local().Format("15:04 ")
}

// turned shows the end of the conversation that is talked in now.
func (t *plain) turned(conv app.Conv) {
	if conv.IsZero() {
		return
	}
	if conv.Room != "" {
		for _, r := range t.s.Rows() {
			if r.Conv == conv {
				t.say("you talk in " + r.Label + ": " + r.Words() + "; /help for help")
			}
		}
	} else {
		t.say(fmt.Sprintf("you talk with %s (%s); /help for help", t.s.Label(conv), conv.Key.Short()))
	}
	lines, rule := t.s.Lines(conv), t.s.Rule(conv)
	first := max(0, len(lines)-shownBefore)
	if i := slices.IndexFunc(lines, func(l app.Line) bool { return l.N == rule }); i >= 0 {
		first = min(first, i)
	}
	for _, l := range lines[first:] {
		if l.N == rule {
			t.say("unread:")
		}
		if !l.Notice {
			t.line(l, when(l.At))
		}
	}
	if draft := t.s.Draft(conv); draft != "" {
		t.say("you had begun to write: " + clean.Text(draft))
	}
}

// found shows what was searched for.
func (t *plain) found(n app.News) {
	if len(n.Hits) == 0 {
		t.say("nothing was found")
	}
	for _, h := range n.Hits {
		if h.Line.Notice {
			continue
		}
		head := when(h.Line.At)
		if head += t.where(h.Conv); h.Line.Out && h.Conv.Room == "" && h.Conv != t.s.Current() {
			head += "to " + t.s.Label(h.Conv) + ", "
		}
		t.line(h.Line, head)
	}
}

func help() string {
	var rows [][]string
	for _, c := range app.Commands() {
		rows = append(rows, []string{strings.TrimSpace(c.Name + " " + c.Args), c.Help})
	}
	return table(rows) + "\n//...  says something that begins with a slash; Tab completes names, commands and :emoji"
}

// say shows a notice.
func (t *plain) say(text string) {
	t.paper.Print(t.paint("2", clean.Layout("* ", text, t.paper.Width())))
}

// paint colours s, where that is wanted.
func (t *plain) paint(code, s string) string {
	if !t.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// clip returns the beginning of a text, on one line.
func clip(text string) string {
	const most = 40
	runes := []rune(clean.Line(text))
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(runes)
}
