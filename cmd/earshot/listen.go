package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

func listenCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:        "listen",
		Usage:       "be visible, print what arrives",
		Description: "Prints a line per message, with the further lines of a text indented, until interrupted.\nWith --json also who comes, changes and goes, and what waits, fails and is delivered of the outbox.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object per line"},
			&cli.StringSliceFlag{Name: "room", Usage: "be in this `ROOM` (repeatable)"},
			privateFlag(),
		},
		Action: func(c *cli.Context) error { return listen(p, c) },
	}
}

func listen(p *process, c *cli.Context) error {
	if c.NArg() > 0 {
		return &usage{"listen takes no arguments", helpOf(c)}
	}
	cfg, err := configure(p, c)
	if err != nil {
		return err
	}
	if cfg.Rooms, err = p.memberships(c, c.StringSlice("room")); err != nil {
		return err
	}
	settings, err := app.ReadSettings(cfg.Dir, func(app.Keys) error { return nil })
	if err != nil {
		return err
	}
	cfg.Keep = settings.Keep
	ctx, cancel := context.WithCancel(p.whileRead(c.Context))
	defer cancel()
	l := &listener{p: p, json: c.Bool("json"), proven: map[string]bool{}}
	if l.json {
		l.outbox = make(chan store.Message, maxOutbox)
		cfg.Outbox = func(m store.Message) bool {
			select {
			case l.outbox <- m:
				return true
			default:
				return false
			}
		}
	}
	if l.json {
		l.renamed = make(chan renamedJSON, maxRenamed)
		cfg.Renamed = l.wasRenamed
	}
	if l.a, err = start(p, cfg); err != nil {
		return err
	}
	a := l.a
	warnNoLAN(p, a)
	defer pointToDoctor(p, a.Peers)()
	err = l.run(ctx)
	cancel() // what is told of the outbox waits for nobody now
	a.Close(func(e chat.Event) { _ = l.chat(e) })
	return err
}

// maxOutbox is how many changes of the outbox wait to be printed.
const maxOutbox = 256

// maxProven bounds what a listener remembers.
const maxProven = 10000

type listener struct {
	p       *process
	a       *app.App
	json    bool
	outbox  chan store.Message // what comes to wait, or fails; nil: not told
	renamed chan renamedJSON   // who calls themselves otherwise; nil: not told
	proven  map[string]bool    // ids that a handshake has proven
}

func (l *listener) run(ctx context.Context) error {
	if l.json {
		err := l.p.printJSON(readyJSON{"ready", stamp(time.Now()), l.a.Me.Key.String(), l.a.Name(), l.a.Port, l.a.Addrs()})
		if err != nil {
			return err
		}
	} else {
		l.p.notice(fmt.Sprintf("listening as %s·%s on UDP port %d", l.a.Name(), l.a.Me.Key.Short(), l.a.Port), "")
	}
	for {
		var err error
		select {
		case e := <-l.a.Chat:
			err = l.chat(e)
		case e := <-l.a.Seen:
			if l.json {
				err = l.peer(e)
			}
		case m := <-l.outbox:
			err = l.waits(m)
		case j := <-l.renamed:
			err = l.p.printJSON(j)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

func (l *listener) chat(e chat.Event) error {
	switch {
	case e.Kind == chat.Message && l.json:
		return l.p.printJSON(newMessageJSON(e, l.a.Book, l.a.Name()))
	case e.Kind == chat.Message:
		return l.p.print(clean.Layout(messageHead(l.a, e), e.Text, l.p.columns()))
	case e.Kind == chat.Delivered && l.json:
		return l.p.printJSON(newOutboxEventJSON(store.Done, e.ID, e.Person, l.a.Book, e.Room))
	case (e.Kind == chat.Joined || e.Kind == chat.Parted) && l.json:
		return l.p.printJSON(newRoomEventJSON(e, l.a.Book))
	case e.Kind == chat.Met && l.json:
		return l.met(e.Person)
	}
	return nil
}

// waits tells of what isn't delivered yet, or was not in time.
func (l *listener) waits(m store.Message) error {
	to, name := chat.Person{Key: m.Peer, Name: m.Name}, ""
	if m.Room != "" {
		name = chat.RoomName(m.Room)
	}
	j := newOutboxEventJSON(m.Status, m.ID, to, l.a.Book, name)
	if m.Status == store.Failed {
		j.Reason = app.Why(m.Failure)
	}
	return l.p.printJSON(j)
}

// maxRenamed is how many changes of names wait to be printed. Names are taken slowly (SPEC §8.3).
const maxRenamed = 1000

// wasRenamed tells that somebody known calls themselves otherwise.
func (l *listener) wasRenamed(a *app.App, was store.Person, name string) {
	j := renamedJSON{"renamed", stamp(time.Now()), was.Name, newPersonJSON(chat.Person{Key: was.Key, Name: name}, a.Book)}
	select {
	case l.renamed <- j:
	default:
	}
}

// met tells that a visible peer is now proven.
func (l *listener) met(person chat.Person) error {
	id := person.Key.String()
	if l.proven[id] {
		return nil
	}
	if len(l.proven) >= maxProven {
		clear(l.proven)
	}
	l.proven[id] = true
	if l.a.Presence == nil {
		return nil
	}
	for _, peer := range l.a.Presence.Peers() {
		if peer.ID == id {
			return l.peer(discovery.Event{Change: discovery.Changed, Peer: peer})
		}
	}
	return nil
}

func (l *listener) peer(e discovery.Event) error {
	status := unproven
	if l.proven[e.Peer.ID] {
		status = proven
	}
	return l.p.printJSON(newPeerEventJSON(e, status, l.a.Book))
}

// lateMark marks what precedes, in the log of its room, something that was printed before.
func lateMark(late bool) string {
	if late {
		return " (late)"
	}
	return ""
}

// messageHead is what precedes a message's text: when it came, and from whom.
func messageHead(a *app.App, e chat.Event) string {
	where := ""
	if e.Room != "" {
		where = e.Room + " "
	}
	return e.Received.Local().Format("15:04 ") + where + a.Label(e.Person) + a.Book.As(e.Person.Key, e.As) + lateMark(e.Late) + ": "
}
