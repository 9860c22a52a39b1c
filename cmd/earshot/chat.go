package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
)

func chatCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:      "chat",
		Usage:     "talk with one peer, or in a room",
		ArgsUsage: "PEER|ROOM",
		Description: "On a terminal: type a line, Enter sends it; /help or F1 tells the rest. The beginning of a name will do.\n" +
			"Otherwise, unless --plain is given, every line of input is one message as it stands, and standard output gets `name: text`\n" +
			"lines. At the end of input it waits for the acknowledgements.",
		Flags:  append(conversationFlags(), privateFlag()),
		Action: func(c *cli.Context) error { return chatWith(p, c) },
	}
}

func conversationFlags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: "timeout", Usage: "how long to wait for an answer, and after the end of input for acknowledgements", Value: answerTime},
		waitFlag(),
	}
}

const (
	answerTime = 10 * time.Second // how long somebody called may take to answer
	quiet      = time.Second      // how long to say nothing about it
)

func chatWith(p *process, c *cli.Context) error {
	if c.NArg() != 1 {
		return &usage{"chat takes one peer", "as in: earshot chat ana"}
	}
	if app.IsRoom(c.Args().First()) {
		return chatRoom(p, c)
	}
	q, cfg, err := peerAndConfig(p, c)
	if err != nil {
		return err
	}
	settings, err := p.settings(c, cfg.Dir)
	if err != nil {
		return err
	}
	typed := p.mannerOf(c) != piped
	if typed {
		cfg.FirstContact, cfg.Renamed = nil, nil // the conversation tells
	}
	a, err := start(p, cfg)
	if err != nil {
		return err
	}
	if q.Addrs == nil {
		defer pointToDoctor(p, a.Peers)()
	}
	var with chat.Key
	err = func() error {
		target, err := a.Resolve(c.Context, q, c.Duration("wait"), typed)
		if err != nil {
			return err
		}
		warnNoLAN(p, a)
		slow := time.AfterFunc(quiet, func() { p.notice("no answer from "+q.Arg+" yet", "") })
		person, err := open(c.Context, a, target, q.Arg, c.Duration("timeout"))
		if slow.Stop(); err != nil {
			return err
		}
		with = person.Key
		if typed {
			return p.converse(c, a, cfg, settings, app.Conv{Key: person.Key}, person)
		}
		return p.pipe(c.Context, a, readLines(p.in), person, c.Duration("timeout"))
	}()
	a.Close(func(e chat.Event) { _ = p.after(a, e, with) })
	return err
}

// open reaches whoever t is. Where that fails it names them by arg.
func open(ctx context.Context, a *app.App, t chat.Target, arg string, timeout time.Duration) (chat.Person, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	person, err := a.Open(limited, t)
	if errors.Is(err, chat.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) {
		err = &noAnswer{arg, fmt.Sprintf(" within %s", timeout)}
	}
	if err != nil {
		return person, interruptedOr(ctx, err)
	}
	return person, nil
}
