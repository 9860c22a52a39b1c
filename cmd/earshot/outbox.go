package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
)

func outboxCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:      "outbox",
		Usage:     "what isn't delivered: list, cancel, retry",
		ArgsUsage: "[cancel ID... | retry ID...]",
		Description: "Lists what waits to be delivered, and what wasn't: after 7 days a message fails. cancel takes back\n" +
			"what is queued, retry queues again what has failed or was cancelled. The first 4 characters of an ID will do.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print one JSON object per line"}},
		Action: func(c *cli.Context) error {
			return withArchive(p, c, func(a *archive) error { return a.outbox(c) })
		},
	}
}

func (a *archive) outbox(c *cli.Context) error {
	all, err := a.store.Undelivered()
	if err != nil {
		return err
	}
	switch verb := c.Args().First(); {
	case verb == "":
		return a.listOutbox(c, all)
	case verb != "cancel" && verb != "retry" || c.NArg() < 2:
		return &usage{"outbox takes nothing, or cancel or retry with ids", helpOf(c)}
	default:
		for _, arg := range c.Args().Tail() {
			id, err := pickMessage(all, arg)
			if err != nil {
				return err
			}
			if verb == "cancel" {
				err = a.store.Cancel(id, store.Cancelled)
			} else {
				err = a.store.Retry(id, time.Now())
			}
			if err != nil {
				return fmt.Errorf("%s: %w", id.String()[:shortID], err)
			}
		}
	}
	return nil
}

// shortID is how much of a message's id is shown.
const shortID = 8

// leastID is how much of it must be given.
const leastID = 4

// pickMessage returns the message whose id begins as said.
func pickMessage(all []store.Message, arg string) (chat.MessageID, error) {
	var found []chat.MessageID // one for all members who lack something said in a room
	for _, m := range all {
		if len(arg) >= leastID && strings.HasPrefix(m.ID.String(), strings.ToLower(arg)) && !slices.Contains(found, m.ID) {
			found = append(found, m.ID)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return chat.MessageID{}, &usage{"several messages have an id that begins so", "give more of it"}
	}
	return chat.MessageID{}, errors.New("no message in the outbox has that id")
}

func (a *archive) listOutbox(c *cli.Context, all []store.Message) error {
	w := &writer{a: a, labels: map[chat.Key]string{}}
	if c.Bool("json") {
		for _, m := range all {
			j, err := newLogJSON(a, m)
			if err == nil {
				err = a.p.printJSON(j)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		a.p.notice("everything is delivered", "")
		return nil
	}
	var failures []chat.Failure // said
	rows := [][]string{{"ID", "TO", "SAID", "STATUS", "TEXT"}}
	for _, m := range all {
		to := w.label(m)
		if m.Room != "" {
			to += " in " + chat.RoomName(m.Room)
		}
		rows = append(rows, []string{m.ID.String()[:shortID], to, m.At().Local().Format("2006-01-02 15:04"), withReason(m), clip(m.Text)})
		if m.Status == store.Failed && m.Failure != chat.NotInTime && !slices.Contains(failures, m.Failure) {
			failures = append(failures, m.Failure)
			a.p.notice(m.ID.String()[:shortID]+" failed: "+app.Why(m.Failure), app.Remedy(m.Failure))
		}
	}
	return a.p.print(table(rows))
}
