package main

import (
	"context"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/console"
	"earshot/cmd/earshot/internal/doctor"
	"earshot/cmd/earshot/internal/tui"
)

// manner is how a conversation is shown.
type manner int

const (
	piped  manner = iota // a line is a message, as it stands
	lines                // line by line, with commands
	screen               // the whole terminal
)

// mannerOf says how to talk here: on the screen where the terminal can show it, by lines
// where that is wanted or it can't, and without commands where nobody types.
func (p *process) mannerOf(c *cli.Context) manner {
	switch {
	case c.Bool("plain"):
		return lines
	case console.Possible(p.in, p.out):
		return screen
	case p.interactive():
		return lines
	}
	return piped
}

// settings reads the configuration. Its keys matter on the screen only.
func (p *process) settings(c *cli.Context, dir string) (app.Settings, error) {
	check := tui.CheckKeys
	if p.mannerOf(c) != screen {
		check = func(app.Keys) error { return nil }
	}
	return app.ReadSettings(dir, check)
}

// newSession makes the session of who takes part, with those who are visible already.
func newSession(p *process, a *app.App, cfg app.Config, settings app.Settings) (*app.Session, error) {
	now := time.Now()
	s, err := app.NewSession(app.SessionConfig{
		Me: chat.Person{Key: a.Me.Key, Name: a.Name()}, Name: a.Name, Node: a.Node, Book: a.Book, Store: a.Store, Rename: a.Rename, Join: a.Join, Leave: a.Leave, Settings: settings, Notices: p.heldNotices,
		Explain: func(err error) string {
			_, text, remedy := explain(err)
			return asCommands.Replace(strings.TrimSpace(text + "\n" + remedy))
		},
		Diagnose: func(ctx context.Context) string {
			facts, err := doctor.Examine(ctx, doctor.Config{ID: a.Me.Key.String(), Port: a.Port, Interfaces: cfg.Interfaces, Domain: cfg.Domain, DNS: cfg.DNS})
			if err != nil {
				return ""
			}
			return strings.ReplaceAll(diagnosis(facts, doctor.Judge(facts)), "who: earshot peers", "who: /who")
		},
	}, now)
	if err != nil {
		return nil, err
	}
	if a.Presence != nil {
		s.Begin(a.Presence.Peers(), now)
	}
	return s, nil
}

// asCommands says what to type in a conversation for what is typed at a shell.
var asCommands = strings.NewReplacer("earshot peers", "/who", "earshot people forget", "/forget", "earshot people", "/people",
	"earshot doctor", "/doctor", "earshot rooms leave", "/leave", "earshot chat", "/to")

// converse talks in the manner that fits, with somebody, in a room, or with whomever they pick; met is who has answered already.
func (p *process) converse(c *cli.Context, a *app.App, cfg app.Config, settings app.Settings, with app.Conv, met chat.Person) error {
	s, err := newSession(p, a, cfg, settings)
	if err != nil {
		return err
	}
	if !met.Key.IsZero() {
		s.Heard(chat.Event{Kind: chat.Met, Person: met}, time.Now())
	}
	if !with.IsZero() {
		s.Turn(with, time.Now())
	}
	if console.Possible(p.in, p.out) {
		log, err := openLog(cfg.Dir)
		if err != nil {
			return err
		}
		defer func() { _ = log.Close() }()
		defer p.guard(log)()
		if p.mannerOf(c) == screen {
			return p.runScreen(c, a, s, settings, log)
		}
	}
	s.Attend(true)
	return runPlain(c.Context, p, a, s, colors(p, c), settings.Notify.Bell)
}
