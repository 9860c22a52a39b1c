package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/cmd/earshot/internal/terminal"
)

// lookAfter is how often to look whether another process has delivered something.
const lookAfter = 50 * time.Millisecond

// lookOut is how long to go on looking for a name that nobody visible has.
const lookOut = 2 * time.Second

func waitFlag() cli.Flag {
	return &cli.DurationFlag{Name: "wait", Usage: "how long to look for PEER", Value: lookOut}
}

func sendCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:      "send",
		Usage:     "deliver one message and exit; `-` or no TEXT reads standard input",
		ArgsUsage: "PEER|ROOM [TEXT...]",
		Description: "Exits 0 only once the other side has acknowledged the message, 5 when it is queued: whatever\n" +
			"earshot of yours runs then delivers it when they are next seen. Everything that is read from\n" +
			"standard input, less one newline at its end, is one message: UTF-8 text, whose lines may end as on Windows.\n" +
			"Said in a room, it goes to everybody who is in it:\n" +
			"it exits 0 once all have it, and 5 with the list of who hasn't. It is sent once no new member has appeared for a\n" +
			"quarter of a second, after 5 s at the latest, or --wait.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
			&cli.BoolFlag{Name: "queue", Usage: "where nobody has the name, keep the message for whoever is first met under it"},
			&cli.BoolFlag{Name: "no-queue", Usage: "keep nothing that can't be delivered now"},
			&cli.DurationFlag{Name: "timeout", Usage: "how long to try", Value: 10 * time.Second},
			waitFlag(),
			privateFlag(),
		},
		Action: func(c *cli.Context) error { return send(p, c) },
	}
}

func send(p *process, c *cli.Context) error {
	if c.NArg() == 0 {
		return &usage{"send needs to know to whom", "as in: earshot send ana hello"}
	}
	if c.Bool("queue") && c.Bool("no-queue") {
		return &usage{"--queue and --no-queue don't go together", helpOf(c)}
	}
	if c.Bool("queue") && c.Bool("no-history") {
		return &usage{"nothing can be queued with --no-history", helpOf(c)}
	}
	if app.IsRoom(c.Args().First()) {
		return sendRoom(p, c)
	}
	q, cfg, err := peerAndConfig(p, c)
	if err != nil {
		return err
	}
	text, err := p.text(c.Context, c.Args().Tail())
	if err != nil {
		return err
	}
	s := &sending{p: p, c: c, to: chat.Person{Name: c.Args().First()}}
	err = s.send(q, cfg, text)
	if err == nil || s.told {
		return err
	}
	switch code, _, _ := explain(err); code {
	case exitUsage:
		return err
	case exitInterrupted:
		p.notice("failed: nothing was sent", "")
	}
	return s.tell(nil, chat.Event{Person: s.to}, store.Failed, &failed{err})
}

// sending is one message on its way.
type sending struct {
	p    *process
	c    *cli.Context
	to   chat.Person // as far as is known
	told bool        // what has become of it
}

func (s *sending) send(q app.Query, cfg app.Config, text string) error {
	p, c := s.p, s.c
	cfg.Passing, cfg.Brief = !cfg.Hidden, true
	cfg.Port, cfg.Hidden = 0, true // gone in a moment
	a, err := app.Start(cfg, q.Near())
	if err != nil {
		return err
	}
	defer a.Close(func(e chat.Event) { tellMeanwhile(p, a, e) })
	queue := a.Store != nil && !c.Bool("no-queue")
	target, err := a.Resolve(c.Context, q, c.Duration("wait"), false)
	var absent *app.NotFoundError
	if queue && (errors.As(err, &absent) || errors.Is(err, a.NoLAN) && err != nil) {
		known, unfound := a.Book.Find(q)
		to := chat.Person{Key: known.Key, Name: known.Name}
		key, noID := chat.ParseKey(strings.ToLower(q.Arg))
		_, unknown := errors.AsType[*app.UnknownError](unfound)
		switch {
		case unfound == nil:
		case !unknown:
			return unfound
		case !c.Bool("queue") || absent == nil:
			return err
		case noID != nil && checkName(s.to.Name) != nil:
			return &usage{"nobody can be called " + q.Arg, "nothing was sent; who is there: earshot peers"}
		default:
			to = chat.Person{Key: key, Name: s.to.Name}
		}
		sent := chat.Event{Person: to}
		if sent.ID, err = a.Store.Queue(to, text, time.Now()); err != nil {
			return err
		}
		why := ": nobody of that name is visible"
		if absent == nil {
			why = ": there is no network to look on"
			warnNoLAN(p, a)
		}
		return s.tell(a, sent, store.Queued, &undelivered{1, q.Arg, why, true})
	}
	if err != nil {
		return err
	}
	s.to.Key = target.Key
	sent, err := deliver(c.Context, p, a, target, text, c.Duration("timeout"))
	if lost, ok := errors.AsType[*givenUp](err); ok {
		return s.tell(a, sent, store.Failed, &failed{lost})
	}
	interrupted := errors.Is(err, errInterrupted)
	declined := errors.Is(err, errDeclined)
	if err != nil && !interrupted && !declined && !errors.Is(err, chat.ErrUnreachable) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	label := q.Arg
	if sent.Person.Key.IsZero() { // nobody has proven to be there
		sent.Person = s.to
	} else {
		label = a.Label(sent.Person)
	}
	if err == nil {
		return s.tell(a, sent, store.Done, fmt.Sprintf("delivered to %s (%.1f ms)", label, milliseconds(sent.RTT)))
	}
	status := store.Failed
	switch {
	case sent.ID != (chat.MessageID{}) && queue:
		status = store.Queued
	case sent.ID != (chat.MessageID{}) && a.Store != nil:
		_ = a.Node.Close(c.Context) // from here on nobody sends it
		a.Store.Release(sent.Person.Key)
		if canceled := a.Store.Cancel(sent.ID, store.Failed); a.Settled(sent.Person.Key, sent.ID) { // at the last moment
			return s.tell(a, sent, store.Done, "delivered to "+label)
		} else if canceled != nil {
			return canceled
		}
	case !target.Key.IsZero() && queue && !interrupted:
		if sent.ID, err = a.Store.Queue(s.to, text, time.Now()); err != nil {
			return err
		}
		status = store.Queued
	}
	if interrupted {
		if status == store.Queued {
			p.notice("the message stays queued", "see: earshot outbox")
		} else {
			p.notice("failed: the message wasn't delivered", "nothing is kept for later")
		}
		return s.tell(a, sent, status, errInterrupted)
	}
	after := fmt.Sprintf(" within %s", c.Duration("timeout"))
	if declined {
		after = ": " + sent.Reason.String()
	}
	return s.tell(a, sent, status, &undelivered{1, label, after, status == store.Queued})
}

// tell says what has become of the message: a line of text, or an error.
func (s *sending) tell(a *app.App, sent chat.Event, status store.Status, what any) error {
	s.told = true
	if s.c.Bool("json") {
		var book *app.Book
		if a != nil {
			book = a.Book
		}
		j := newSentJSON(sent, status, book)
		if err, ok := what.(error); ok {
			if lost, ok := errors.AsType[*givenUp](err); ok {
				j.Reason = app.Why(lost.why)
			}
		}
		if err := s.p.printJSON(j); err != nil {
			return err
		}
	}
	if err, ok := what.(error); ok {
		return err
	}
	if s.c.Bool("json") {
		return nil
	}
	return s.p.print(fmt.Sprint(what))
}

// deliver sends text and waits for its acknowledgement, which it returns. Where there is
// none in time, what is known of it comes with [chat.ErrUnreachable] or
// [context.DeadlineExceeded].
func deliver(ctx context.Context, p *process, a *app.App, t chat.Target, text string, timeout time.Duration) (chat.Event, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var sent chat.Event
	person, err := a.Open(limited, t)
	if err != nil {
		return sent, interruptedOr(ctx, err)
	}
	sent.Person = person
	if sent.ID, err = a.Node.Send(person.Key, text); err != nil {
		return sent, err
	}
	begun := time.Now()
	look := time.NewTicker(lookAfter)
	defer look.Stop()
	for {
		select {
		case e := <-a.Chat:
			switch {
			case e.ID != sent.ID:
			case e.Kind == chat.Delivered:
				return e, nil
			case e.Kind == chat.Declined:
				sent.Reason = e.Reason
				return sent, errDeclined
			}
			if e.Kind == chat.Failed && e.ID == sent.ID {
				return sent, &givenUp{a.Label(person), e.Failure}
			}
			tellMeanwhile(p, a, e)
		case <-look.C:
			// Another process may be sending something said before, and then this.
			a.Node.Collect(person.Key)
			if a.Settled(person.Key, sent.ID) {
				sent.RTT = time.Since(begun)
				return sent, nil
			}
			if why, lost := a.Failed(person.Key, sent.ID); lost {
				return sent, &givenUp{a.Label(person), why}
			}
		case <-a.Seen:
		case <-limited.Done():
			return sent, interruptedOr(ctx, limited.Err())
		}
	}
}

// errDeclined reports that the person hasn't taken the message, for the reason in the event.
var errDeclined = errors.New("the message was declined")

// tellMeanwhile shows on standard error what somebody says to a process that listens by
// the way only.
func tellMeanwhile(p *process, a *app.App, e chat.Event) {
	if e.Kind == chat.Message {
		where := ""
		if e.Room != "" {
			where = " in " + e.Room
		}
		fmt.Fprintln(p, clean.Layout("earshot: meanwhile "+a.Label(e.Person)+a.Book.As(e.Person.Key, e.As)+" said"+where+": ", e.Text, 0))
	}
}

// interruptedOr returns the cause where ctx has ended, else err.
func interruptedOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func newSentJSON(e chat.Event, status store.Status, book *app.Book) sentJSON {
	j := sentJSON{To: newPersonJSON(e.Person, book), Status: status.String(), Reason: reasonJSON(e.Reason)}
	if e.ID != (chat.MessageID{}) {
		id := e.ID.String()
		j.ID = &id
	}
	if status == store.Done {
		rtt := milliseconds(e.RTT)
		j.RTT = &rtt
	}
	return j
}

// milliseconds keeps three decimals.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// text returns the message: words, or what standard input holds.
func (p *process) text(ctx context.Context, words []string) (string, error) {
	text := strings.Join(words, " ")
	if len(words) == 0 || text == "-" {
		typed := term.IsTerminal(int(p.in.Fd()))
		if typed {
			p.notice("reading the message from the terminal", "end it with Ctrl-D on a line of its own")
		}
		type input struct {
			text []byte
			err  error
		}
		read := make(chan input, 1)
		go func() {
			b, err := io.ReadAll(io.LimitReader(p.in, int64(app.MostRaw+len("\r\n")+1))) // with its newline, and one too many
			read <- input{b, err}
		}()
		select {
		case in := <-read:
			switch {
			case typed && terminal.Gone(p.in): // in the midst of it
				return "", terminal.ErrGone
			case in.err != nil:
				return "", fmt.Errorf("standard input: %w", in.err)
			}
			text = trimLineEnd(string(in.text))
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	return app.Text(text)
}

// trimLineEnd takes one end of a line off the end of text.
func trimLineEnd(text string) string {
	for _, end := range []string{"\r\n", "\n", "\r"} {
		if rest, ok := strings.CutSuffix(text, end); ok {
			return rest
		}
	}
	return text
}
