package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
)

func nameCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:      "name",
		Usage:     "what I am called: show or change it",
		ArgsUsage: "[NAME]",
		Description: "Without NAME, prints what you are called. With it, you are called NAME from now on, by every earshot\n" +
			"of yours; those that run tell others at once, unless they were given another name by --name.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print one JSON object"}},
		Action: func(c *cli.Context) error {
			return withArchive(p, c, func(a *archive) error { return a.name(c) })
		},
	}
}

// nameJSON says what I am called. Kept is false of a default, and of a name given to this
// process alone.
type nameJSON struct {
	Name string `json:"name"`
	Kept bool   `json:"kept"`
}

func (a *archive) name(c *cli.Context) error {
	if c.NArg() > 1 {
		return &usage{"name takes one name", "one of several words stands in quotes, as in: earshot name 'Ana María'"}
	}
	name := c.Args().First()
	if c.NArg() == 1 {
		if err := app.CheckName(name); err != nil {
			return &usage{err.Error(), "nothing was changed: choose another"}
		}
		if c.Bool("no-history") {
			return &usage{"nothing is kept with --no-history", "leave it out, or give a name to one process: earshot --name NAME"}
		}
		if err := a.store.SetName(name); err != nil {
			return err
		}
	} else {
		name = a.me.Name
	}
	kept, err := a.store.Name()
	switch {
	case err != nil:
		return err
	case c.Bool("json"):
		return a.p.printJSON(nameJSON{name, kept == name})
	case c.NArg() == 1:
		return nil
	}
	return a.p.print(name)
}

// nameIn returns what a person is called whose data directory it is. Where there is no database
// yet, none is made unless there is a name to be kept.
func nameIn(cfg app.Config) (string, error) {
	_, err := os.Stat(filepath.Join(cfg.Dir, store.File))
	if errors.Is(err, fs.ErrNotExist) && (cfg.Name == "" || cfg.NoHistory) {
		return app.Called(cfg.Name, store.Names{}, true, false).Name, nil
	}
	s, err := store.OpenPast(cfg.Dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }()
	n, err := app.BrieflyCalled(cfg, s)
	return n.Name, err
}

// keepFirstName keeps the name given to a command that only looks around, where none is kept yet.
// Looking goes on where that can't be.
func keepFirstName(cfg app.Config) {
	if cfg.Name == "" || cfg.NoHistory {
		return
	}
	if _, err := app.Identity(cfg.Dir); err == nil { // what is kept belongs to one
		_, _ = nameIn(cfg)
	}
}
