package main

import (
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/chat"
	"earshot/chat/safety"
	"earshot/cmd/earshot/internal/clean"
)

func verifyCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "compare safety words",
		ArgsUsage: "PEER",
		Description: "Prints six words that PEER sees too, with: earshot verify YOU. Read them to each other by a way on\n" +
			"which you know each other, such as aloud. When they are the same, nobody stands between you: say\n" +
			"yes, and a " + clean.Mark + " stands behind PEER's name.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
			&cli.BoolFlag{Name: "yes", Usage: "the words are the same: don't ask"},
			&cli.BoolFlag{Name: "revoke", Usage: "take the mark away"},
			waitFlag(),
		},
		Action: func(c *cli.Context) error {
			return withArchive(p, c, func(a *archive) error { return a.verify(c) })
		},
	}
}

type verifyJSON struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Words    []string `json:"words"`
	Verified bool     `json:"verified"`
}

func (a *archive) verify(c *cli.Context) error {
	if c.NArg() != 1 {
		return &usage{"verify takes one peer", "as in: earshot verify ana"}
	}
	if c.Bool("revoke") {
		known, err := a.known(c.Args().First())
		if err != nil {
			return err
		}
		return a.store.SetVerified(chat.Person{Key: known.Key, Name: known.Name}, false, time.Now())
	}
	known, err := a.meet(c, c.Args().First(), true)
	if err != nil {
		return err
	}
	person := chat.Person{Key: known.Key, Name: known.Name}
	words := safety.Words(a.me.Key, known.Key)
	verified := known.Verified || c.Bool("yes")
	if c.Bool("json") {
		err = a.p.printJSON(verifyJSON{known.Key.String(), known.Name, words, verified})
	} else {
		err = a.p.print(strings.Join(words, " "))
	}
	switch {
	case err != nil || known.Verified:
		return err
	case !verified && !c.Bool("json") && a.p.interactive():
		label := a.label(person)
		if err := a.confirm(c, "does "+label+" see the same words?"); err != nil {
			return err
		}
	case !verified:
		return nil
	}
	return a.store.SetVerified(person, true, time.Now())
}
