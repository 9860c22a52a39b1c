package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
)

// inputLine is a line of standard input that isn't a terminal's.
type inputLine struct {
	number  int
	text    string
	refused string // why it can't be sent
	err     error  // why nothing of the input can
}

// readLines reads in line by line, until its end. A line with nothing to see is empty.
func readLines(in io.Reader) <-chan inputLine {
	lines := make(chan inputLine)
	go func() {
		defer close(lines)
		r := bufio.NewReaderSize(in, chat.MaxText+len("\ufeff\r\n"))
		for n := 1; ; n++ {
			b, err := r.ReadSlice('\n')
			raw := string(b)
			if n == 1 && app.UTF16(raw) {
				lines <- inputLine{number: n, err: app.ErrUTF16}
				return
			}
			for errors.Is(err, bufio.ErrBufferFull) { // the rest is dropped
				_, err = r.ReadSlice('\n')
			}
			text, bad := app.Text(trimLineEnd(raw))
			line := inputLine{number: n, text: text}
			if refused, ok := errors.AsType[*app.TextError](bad); ok && !errors.Is(bad, app.ErrEmpty) {
				line.refused = refused.Text
			}
			if err == nil || raw != "" {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

// pickFirst finds and reaches the peer that the first line of input names.
func pickFirst(ctx context.Context, a *app.App, arg string) (chat.Person, error) {
	q, err := app.ParsePeer(arg)
	if err != nil {
		return chat.Person{}, err
	}
	target, err := a.Resolve(ctx, q, lookOut, false)
	if err != nil {
		return chat.Person{}, err
	}
	return open(ctx, a, target, q.Arg, answerTime)
}

// talk is a conversation between pipes: every line of input is a message, and what is
// said is printed.
type talk struct {
	p        *process
	a        *app.App
	room     string // empty: with one person
	say      func(text string) (chat.MessageID, []chat.Person, error)
	event    func(chat.Event) error
	waiting  map[messageTo]chat.Person // for acknowledgements
	declined map[messageTo]chat.Reason // of those, which the person hasn't taken
	said     bool                      // something
	heard    bool                      // somebody has it
}

// messageTo is a message, and somebody whom it is for.
type messageTo struct {
	id chat.MessageID
	to chat.Key
}

// run says every line, until the lines have ended and all are acknowledged, or timeout has
// passed since they ended.
func (t *talk) run(ctx context.Context, lines <-chan inputLine, timeout time.Duration) error {
	var (
		held    *inputLine // waits for room
		refused int
		late    <-chan time.Time
		input   = lines
	)
	t.waiting, t.declined = map[messageTo]chat.Person{}, map[messageTo]chat.Reason{}
	say := func(l inputLine) error {
		id, to, err := t.say(l.text)
		switch {
		case errors.Is(err, chat.ErrBacklog):
			held, input = &l, nil
			return nil
		case err != nil:
			return fmt.Errorf("line %d: %w", l.number, err)
		}
		for _, m := range to {
			t.waiting[messageTo{id, m.Key}] = m
		}
		held, input, t.said = nil, lines, true
		return nil
	}
	look := time.NewTicker(lookAfter)
	defer look.Stop()
	for lines != nil || held != nil || len(t.waiting) > 0 {
		var err error
		select {
		case l, ok := <-input:
			switch {
			case !ok:
				lines, input = nil, nil
				late = time.After(timeout)
			case l.err != nil:
				err = l.err
			case l.refused != "":
				refused++
				t.p.notice(fmt.Sprintf("line %d %s: not sent", l.number, l.refused), "")
			case l.text != "":
				err = say(l)
			}
		case e := <-t.a.Chat:
			to := messageTo{e.ID, e.Person.Key}
			if _, ours := t.waiting[to]; ours && e.Kind == chat.Declined {
				t.declined[to] = e.Reason
			}
			if e.Kind == chat.Failed && t.fails(to, e.Failure) {
				refused++
			}
			if e.Kind == chat.Delivered || e.Kind == chat.Excluded || e.Kind == chat.Failed {
				delete(t.waiting, to)
				delete(t.declined, to)
				t.heard = t.heard || e.Kind == chat.Delivered && e.Room == t.room
				if held != nil {
					err = say(*held)
				}
			}
			err = errors.Join(err, t.event(e))
		case <-t.a.Seen:
		case <-look.C: // another process may have delivered it
			for m := range t.waiting {
				if t.a.Settled(m.to, m.id) {
					delete(t.waiting, m)
					delete(t.declined, m)
					t.heard = true
				} else if why, failed := t.a.Failed(m.to, m.id); failed && t.fails(m, why) {
					delete(t.waiting, m)
					refused++
				}
			}
		case <-late:
			return t.undelivered(timeout)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of the lines couldn't be sent", refused)
	}
	return nil
}

// fails says that a message won't be delivered, and reports whether it is one that is waited for.
func (t *talk) fails(m messageTo, why chat.Failure) bool {
	to, ours := t.waiting[m]
	if ours {
		t.p.notice("not delivered to "+t.a.Label(to)+": "+app.Why(why), app.Remedy(why))
	}
	return ours
}

// undelivered says who doesn't have everything.
func (t *talk) undelivered(timeout time.Duration) error {
	messages, people := map[chat.MessageID]bool{}, map[chat.Key]bool{}
	reasons := map[chat.Key]chat.Reason{}
	var missing []chat.Person
	for m, person := range t.waiting {
		if messages[m.id] = true; !people[m.to] {
			people[m.to] = true
			missing = append(missing, person)
		}
		if r := t.declined[m]; r != 0 {
			reasons[m.to] = r
		}
	}
	var labels []string
	for _, m := range t.a.Named(missing) {
		labels = append(labels, t.a.Label(m)+app.Because(reasons[m.Key]))
	}
	who := strings.Join(labels, ", ")
	if t.room != "" {
		who += " in " + t.room
	}
	return &undelivered{len(messages), who, fmt.Sprintf(" within %s", timeout), t.a.Store != nil}
}

// pipe talks with one person between pipes.
func (p *process) pipe(ctx context.Context, a *app.App, lines <-chan inputLine, person chat.Person, timeout time.Duration) error {
	away := false
	a.Node.Watch(person.Key, true)
	p.notice(fmt.Sprintf("talking with %s (%s)", a.Label(person), person.Key.Short()), "")
	t := &talk{
		p: p, a: a,
		say: func(text string) (chat.MessageID, []chat.Person, error) {
			id, err := a.Node.Send(person.Key, text)
			return id, []chat.Person{person}, err
		},
		event: func(e chat.Event) error {
			if e.Person.Key == person.Key {
				away = p.passage(a, e, away)
			}
			return p.after(a, e, person.Key)
		},
	}
	return t.run(ctx, lines, timeout)
}

// passage says whether the one talked with goes or comes back, and returns whether they
// are away now.
func (p *process) passage(a *app.App, e chat.Event, away bool) bool {
	label := a.Label(e.Person)
	switch {
	case e.Kind == chat.Left:
		p.notice(label+" has left; "+app.Later, "")
		return true
	case e.Kind == chat.Unreachable && !away:
		p.notice(label+" can't be reached; "+app.Later, "")
		return true
	case away && (e.Kind == chat.Met || e.Kind == chat.Reachable):
		p.notice(label+" is back", "")
		return false
	}
	return away
}

// after prints what somebody says where no terminal is edited: as a result what the one
// talked with says, who may be anybody as far as with is zero.
func (p *process) after(a *app.App, e chat.Event, with chat.Key) error {
	switch {
	case e.Kind != chat.Message || e.Room != "": // what is said in rooms is no answer
		return nil
	case !with.IsZero() && e.Person.Key != with:
		tellMeanwhile(p, a, e)
		return nil
	}
	return p.print(clean.Layout(a.Label(e.Person)+a.Book.As(e.Person.Key, e.As)+": ", e.Text, p.columns()))
}
