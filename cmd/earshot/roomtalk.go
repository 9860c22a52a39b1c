package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
)

// enter begins to take part in the room that the first argument names, and waits until it
// is known who is there, with crowd no longer than that while people still appear.
func enter(p *process, c *cli.Context, cfg app.Config, crowd time.Duration, begin func(app.Config) (*app.App, error)) (a *app.App, name string, err error) {
	if cfg.Rooms, err = p.memberships(c, []string{c.Args().First()}); err != nil {
		return nil, "", err
	}
	if a, err = begin(cfg); err != nil {
		return nil, "", err
	}
	name = cfg.Rooms[0].Name
	if err = a.NoLAN; err == nil {
		err = settle(c, a)
	}
	if err == nil && crowd > 0 {
		err = a.AwaitCrowd(c.Context, crowd)
	}
	if err == nil && name != room.Here {
		err = survey(c.Context, p, a, c.Duration("wait"))
	}
	a.Look()
	return a, name, err
}

// crowdWait is how long people may still appear before something is said to all of them.
const crowdWait = 5 * time.Second

// sendRoom says one message in a room, and waits until everybody who is in it has it.
func sendRoom(p *process, c *cli.Context) error {
	cfg, err := configure(p, c)
	if err != nil {
		return err
	}
	cfg.Passing, cfg.Brief = !cfg.Hidden, true
	cfg.Port, cfg.Hidden = 0, true
	var text string
	crowd := crowdWait
	if c.IsSet("wait") {
		crowd = c.Duration("wait")
	}
	a, name, err := enter(p, c, cfg, crowd, func(cfg app.Config) (*app.App, error) {
		if text, err = p.text(c.Context, c.Args().Tail()); err != nil {
			return nil, err
		}
		return app.Start(cfg, true)
	})
	if a == nil {
		return err
	}
	defer a.Close(func(e chat.Event) { tellMeanwhile(p, a, e) })
	if err != nil {
		return err
	}
	if len(a.Node.Members(name)) == 0 {
		return &empty{name}
	}
	visible := len(a.Peers())
	id, to, err := a.Node.SendRoom(name, text)
	if err != nil {
		return err
	}
	rtt, lost, err := awaitAll(c.Context, p, a, id, to, c.Duration("timeout"))
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		if errors.Is(err, errInterrupted) && a.Store != nil {
			p.notice("the message stays queued for those who don't have it", "see: earshot outbox")
		}
		return err
	}
	n, of, missing := a.Node.Delivery(id)
	if of == 0 {
		return &empty{name}
	}
	j := sentRoomJSON{ID: id.String(), Room: name, Status: store.Done.String(), deliveryJSON: deliveryJSON{n, of}, Visible: visible, Missing: []missingJSON{}}
	var labels []string
	for _, m := range missing {
		person := a.Named([]chat.Person{m.Person})[0]
		because := app.Because(m.Reason)
		if why, ok := lost[m.Key]; ok {
			because = " (" + app.Why(why) + ")"
		}
		labels = append(labels, a.Label(person)+because)
		j.Missing = append(j.Missing, missingJSON{newPersonJSON(person, a.Book), reasonJSON(m.Reason)})
	}
	kept := a.Store != nil && !c.Bool("no-queue") && len(missing) > len(lost)
	switch {
	case len(missing) == 0:
		ms := milliseconds(rtt)
		j.RTT = &ms
	case kept:
		j.Status = store.Queued.String()
	default:
		if j.Status = store.Failed.String(); a.Store != nil {
			if err := giveUp(c.Context, a, id, missing); err != nil {
				return err
			}
		}
	}
	if c.Bool("json") {
		if err := p.printJSON(j); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return &unheard{name, n, of, strings.Join(labels, ", "), kept}
	}
	if c.Bool("json") {
		return nil
	}
	return p.print(fmt.Sprintf("delivered to all %d in %s, of %d visible (%.1f ms)", of, name, visible, *j.RTT))
}

// giveUp takes back what isn't delivered yet.
func giveUp(ctx context.Context, a *app.App, id chat.MessageID, missing []chat.Missing) error {
	_ = a.Node.Close(ctx) // from here on nobody sends it
	for _, m := range missing {
		a.Store.Release(m.Key)
	}
	err := a.Store.Cancel(id, store.Failed)
	if errors.Is(err, store.ErrNotQueued) {
		return nil // the last have taken it meanwhile
	}
	return err
}

// awaitAll waits until those to whom a message was said have it, have declined it, turn out not to be in
// the room or can't be reached, and returns how long the last one took and who can't be reached, and why.
func awaitAll(ctx context.Context, p *process, a *app.App, id chat.MessageID, to []chat.Person, timeout time.Duration) (
	rtt time.Duration, lost map[chat.Key]chat.Failure, err error,
) {
	lost = map[chat.Key]chat.Failure{}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	waiting := map[chat.Key]bool{}
	for _, m := range to {
		waiting[m.Key] = true
	}
	begun := time.Now()
	look := time.NewTicker(lookAfter)
	defer look.Stop()
	for len(waiting) > 0 {
		select {
		case e := <-a.Chat:
			if (e.Kind == chat.Delivered || e.Kind == chat.Declined || e.Kind == chat.Excluded) && e.ID == id {
				delete(waiting, e.Person.Key)
			}
			if e.Kind == chat.Failed && e.ID == id {
				delete(waiting, e.Person.Key)
				lost[e.Person.Key] = e.Failure
			}
			tellMeanwhile(p, a, e)
		case <-look.C:
			for key := range waiting { // another process may be sending something said before
				a.Node.Collect(key)
			}
		case <-a.Seen:
		case <-limited.Done():
			return 0, lost, interruptedOr(ctx, limited.Err())
		}
	}
	return time.Since(begun), lost, nil
}

// chatRoom talks in a room; between pipes every line of input is a message, and what others
// say is printed.
func chatRoom(p *process, c *cli.Context) error {
	cfg, err := configure(p, c)
	if err != nil {
		return err
	}
	if p.mannerOf(c) != piped {
		if cfg.Rooms, err = p.memberships(c, []string{c.Args().First()}); err != nil {
			return err
		}
		return p.gather(c, cfg, app.Conv{Room: cfg.Rooms[0].Name}, nil)
	}
	a, name, err := enter(p, c, cfg, 0, func(cfg app.Config) (*app.App, error) { return start(p, cfg) })
	if a == nil {
		return err
	}
	defer pointToDoctor(p, a.Peers)()
	if err == nil {
		err = p.pipeRoom(c.Context, a, name, c.Duration("timeout"))
	}
	a.Close(func(e chat.Event) { _ = p.inRoom(a, name, e) })
	return err
}

// pipeRoom talks in a room between pipes.
func (p *process) pipeRoom(ctx context.Context, a *app.App, name string, timeout time.Duration) error {
	handle := handleOf(a, name)
	p.notice(fmt.Sprintf("in %s with %d others", name, len(a.Node.Members(name))), "")
	t := &talk{
		p: p, a: a, room: name,
		say: func(text string) (chat.MessageID, []chat.Person, error) {
			if handleOf(a, name) != handle {
				return chat.MessageID{}, nil, chat.ErrNotIn
			}
			id, to, err := a.Node.SendRoom(name, text)
			if err == nil && len(to) == 0 {
				p.notice("nobody else is in "+name+" yet; who comes in the next hours is given what you have said, while you are here", "")
			}
			return id, to, err
		},
		event: func(e chat.Event) error { return p.inRoom(a, name, e) },
	}
	err := t.run(ctx, readLines(p.in), timeout)
	if err == nil && t.said && !t.heard && len(a.Node.Members(name)) == 0 {
		return &empty{name}
	}
	return err
}

// handleOf returns the handle of the room of that name that we are in; empty: of none.
func handleOf(a *app.App, name string) string {
	for _, r := range a.Node.Rooms() {
		if r.Joined && r.Name == name {
			return r.Handle
		}
	}
	return ""
}

// inRoom prints what is said in the room, and who comes and goes.
func (p *process) inRoom(a *app.App, name string, e chat.Event) error {
	switch e.Kind {
	case chat.Joined, chat.Parted:
		if e.Room == name {
			verb := " has come"
			if e.Kind == chat.Parted {
				verb = " has left"
			}
			p.notice(a.Label(e.Person)+verb, "")
		}
	case chat.Message:
		if e.Room == name {
			return p.print(clean.Layout(a.Label(e.Person)+a.Book.As(e.Person.Key, e.As)+lateMark(e.Late)+": ", e.Text, p.columns()))
		}
		tellMeanwhile(p, a, e)
	}
	return nil
}
