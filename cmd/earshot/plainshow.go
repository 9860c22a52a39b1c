package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
)

// What the plain mode prints.

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
			if n.Stays {
				t.stray()
			}
			t.say(n.Text)
		case app.Turned:
			t.strays = 0
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
	case n.Line.Out && n.Line.State == app.Failed && !n.Line.Elsewhere:
		t.unsaid++
		t.mark(n)
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
	if who := t.s.Label(app.Conv{Key: l.From}) + t.s.As(l) + lateMark(l.Late); l.Action {
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
