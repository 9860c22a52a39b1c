package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"earshot/cmd/earshot/internal/app"
)

func idCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:        "id",
		Usage:       "who I am",
		Description: "Prints your name, your id (what others can pick you by, whatever your name), its short\nform, and where the key to it is kept.",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print one JSON object"}},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return &usage{"id takes no arguments", helpOf(c)}
			}
			cfg, err := configure(p, c)
			if err != nil {
				return err
			}
			identity, err := app.Identity(cfg.Dir)
			if err != nil {
				return err
			}
			key := identity.Key()
			name, err := nameIn(cfg)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(selfJSON{key.String(), name, key.Short(), cfg.Dir})
			}
			return p.print(fmt.Sprintf("name   %s\nid     %s\nshort  %s\ndir    %s", name, key, key.Short(), cfg.Dir))
		},
	}
}
