package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
	"earshot/discovery"
)

// lobby shows who is there, lets the person pick one, and goes on as chat does.
func lobby(p *process, c *cli.Context) error {
	if c.NArg() > 0 {
		word := c.Args().First()
		return &usage{"there is no command " + word, fmt.Sprintf("see: earshot --help; to talk with %s: earshot chat %s", word, word)}
	}
	cfg, err := configure(p, c)
	if err != nil {
		return err
	}
	return p.gather(c, cfg, app.Conv{}, func(a *app.App) error {
		defer pointToDoctor(p, a.Peers)()
		peers := a.Peers()
		p.notice(here(peers, a.Book.Labels(peers, a.Name())), "")
		lines := readLines(p.in)
		for {
			select {
			case <-a.Seen:
			case <-c.Context.Done():
				return interruptedOr(c.Context, nil)
			case pick, ok := <-lines:
				if !ok {
					return nil
				}
				if pick.err != nil {
					return pick.err
				}
				person, err := pickFirst(c.Context, a, strings.TrimSpace(pick.text))
				if err != nil {
					return err
				}
				return p.pipe(c.Context, a, lines, person, answerTime)
			}
		}
	})
}

// gather takes part, and talks in the manner that fits: where nobody types as pipe does.
func (p *process) gather(c *cli.Context, cfg app.Config, with app.Conv, pipe func(*app.App) error) error {
	settings, err := p.settings(c, cfg.Dir)
	if err != nil {
		return err
	}
	cfg.Keep = settings.Keep
	m := p.mannerOf(c)
	if m != piped {
		cfg.FirstContact, cfg.Renamed = nil, nil // the conversation tells
	}
	if m == screen {
		p.hold()
		defer p.release()
	}
	a, err := start(p, cfg)
	if err != nil {
		return err
	}
	err = func() error {
		p.enter(a)
		if m != screen {
			if err := settle(c, a); err != nil {
				return err
			}
		}
		if m != piped {
			return p.converse(c, a, cfg, settings, with, chat.Person{})
		}
		return pipe(a)
	}()
	a.Close(func(e chat.Event) { _ = p.after(a, e, chat.Key{}) })
	return err
}

// enter says what hinders.
func (p *process) enter(a *app.App) {
	warnNoLAN(p, a)
	if a.Twin {
		p.notice("you are already here in another window, and don't see yourself",
			"to try it alone, be somebody else in this one: earshot --name bob --dir /tmp/bob")
	}
}

// settle waits until everybody present has had the time to answer.
func settle(c *cli.Context, a *app.App) error {
	if a.Presence == nil {
		return nil
	}
	settled := a.Presence.Settled()
	for {
		select {
		case <-a.Seen:
		case <-settled:
			return nil
		case <-c.Context.Done():
			return interruptedOr(c.Context, nil)
		}
	}
}

// here says who is visible, a line for each.
func here(peers []discovery.Peer, labels []string) string {
	if len(peers) == 0 {
		return "nobody else is here yet; whoever starts earshot on this network is shown\n" +
			"nobody comes? earshot doctor says why; on a network that drops multicast type an address"
	}
	var rows [][]string
	for i, label := range labels {
		rows = append(rows, append([]string{" "}, row(peers[i], label)...))
	}
	people := "people"
	if len(peers) == 1 {
		people = "person"
	}
	return fmt.Sprintf("%d %s here:\n%s", len(peers), people, table(rows))
}
