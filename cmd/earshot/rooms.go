package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/cmd/earshot/internal/terminal"
)

// passphraseVariable holds the passphrase of a private room.
const passphraseVariable = "EARSHOT_ROOM_PASSPHRASE"

func privateFlag() cli.Flag {
	return &cli.BoolFlag{
		Name:  "private",
		Usage: "the room has a passphrase: it is taken from " + passphraseVariable + ", which implies this, asked for on a terminal, or the first line of standard input",
	}
}

// parseRoom returns the name of the room that arg means.
func parseRoom(arg string) (string, error) {
	name, err := room.ParseName(arg)
	if err != nil {
		return "", &usage{clean.Line(arg) + " can't be a room", err.Error()}
	}
	return name, nil
}

// memberships returns the rooms that args name, private where that is said.
func (p *process) memberships(c *cli.Context, args []string) (all []chat.Membership, err error) {
	passphrase := ""
	for _, arg := range args {
		m := chat.Membership{}
		if m.Name, err = parseRoom(arg); err != nil {
			return nil, err
		}
		if m.Name != room.Here && (c.Bool("private") || os.Getenv(passphraseVariable) != "") {
			if passphrase == "" {
				if passphrase, err = p.passphrase(c.Context, m.Name); err != nil {
					return nil, err
				}
			}
			m.Key = room.DeriveKey(m.Name, passphrase)
		}
		all = append(all, m)
	}
	return all, nil
}

// passphrase returns what opens a private room. It is never an argument, which others on
// the machine could see.
func (p *process) passphrase(ctx context.Context, name string) (string, error) {
	if s := os.Getenv(passphraseVariable); s != "" {
		return s, nil
	}
	type input struct {
		text string
		err  error
	}
	read, gone := make(chan input, 1), make(chan error, 1)
	typed := term.IsTerminal(int(p.in.Fd()))
	if !typed {
		go func() {
			line, err := readLine(p.in)
			read <- input{line, err}
		}()
	} else {
		before, err := term.GetState(int(p.in.Fd()))
		if err != nil {
			return "", fmt.Errorf("%w: %w", terminal.ErrGone, err)
		}
		fmt.Fprintf(p.err, "passphrase of %s: ", name)
		defer func() { _ = term.Restore(int(p.in.Fd()), before) }() // an interrupt leaves it without echo
		// A terminal that has gone gives an end of file again and again, which ReadPassword reads over.
		whenUnread(p.in, func(why error) { gone <- why })
		go func() {
			b, err := term.ReadPassword(int(p.in.Fd()))
			fmt.Fprintln(p.err)
			read <- input{string(b), err}
		}()
	}
	select {
	case in := <-read:
		if typed && terminal.Gone(p.in) {
			return "", terminal.ErrGone
		}
		if in.err != nil && !errors.Is(in.err, io.EOF) {
			return "", fmt.Errorf("the passphrase can't be read: %w", in.err)
		}
		if in.text == "" {
			return "", &usage{"the passphrase is empty", "an open room needs none: leave --private out"}
		}
		return in.text, nil
	case why := <-gone:
		return "", why
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// readLine reads one line and nothing of what follows it.
func readLine(f *os.File) (string, error) {
	var line strings.Builder
	b := make([]byte, 1)
	for line.Len() < 1024 {
		n, err := f.Read(b)
		if n == 1 && b[0] == '\n' || n == 0 && line.Len() > 0 {
			return strings.TrimPrefix(strings.TrimSuffix(line.String(), "\r"), "\ufeff"), nil
		}
		if err != nil {
			return "", err
		}
		line.Write(b[:n])
	}
	return "", errors.New("it is longer than 1024 bytes")
}

func roomsCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:      "rooms",
		Usage:     "the rooms that people are in: list, join, leave",
		ArgsUsage: "[join ROOM | leave ROOM]",
		Description: "Asks everybody visible, and lists the rooms with how many are in them. Private rooms are listed\n" +
			"only where you have joined them. Whatever earshot of yours runs is in the rooms that you join, from then on.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object per line"},
			&cli.DurationFlag{Name: "wait", Usage: "how long to wait for those who don't answer", Value: lookOut},
			privateFlag(),
		},
		Action: func(c *cli.Context) error { return rooms(p, c) },
	}
}

func rooms(p *process, c *cli.Context) error {
	switch verb := c.Args().First(); {
	case verb == "":
	case c.NArg() != 2 || verb != "join" && verb != "leave":
		return &usage{"rooms takes nothing, or join or leave with a room", helpOf(c)}
	default:
		return withArchive(p, c, func(a *archive) error { return a.decideRoom(c, verb == "join") })
	}
	cfg, err := configure(p, c)
	if err != nil {
		return err
	}
	cfg.Passing, cfg.Brief = !cfg.Hidden, true
	cfg.Port, cfg.Hidden = 0, true
	a, err := app.Start(cfg, true)
	if err != nil {
		return err
	}
	defer a.Close(func(e chat.Event) { tellMeanwhile(p, a, e) })
	if a.NoLAN != nil {
		return a.NoLAN
	}
	if err := settle(c, a); err != nil {
		return err
	}
	if err := survey(c.Context, p, a, c.Duration("wait")); err != nil {
		return err
	}
	here := runs(cfg.Dir)
	rows := [][]string{{"ROOM", "IN", ""}}
	for _, r := range a.Node.Rooms() {
		if r.Joined && here {
			r.Members++ // by the other process
		}
		if r.Members == 0 && !r.Joined && r.Name != room.Here {
			continue
		}
		if c.Bool("json") {
			if err := p.printJSON(roomJSON{r.Name, r.Members, r.Private, r.Joined}); err != nil {
				return err
			}
			continue
		}
		var words []string
		if r.Private {
			words = append(words, "private")
		}
		if r.Joined {
			words = append(words, "joined")
		}
		rows = append(rows, []string{r.Name, strconv.Itoa(r.Members), strings.Join(words, ", ")})
	}
	if c.Bool("json") {
		return nil
	}
	return p.print(table(rows))
}

// decideRoom remembers a room as joined or left.
func (a *archive) decideRoom(c *cli.Context, join bool) error {
	if !join {
		name, err := parseRoom(c.Args().Get(1))
		if err != nil {
			return err
		}
		return a.store.SetRoom(chat.Membership{Name: name}, false)
	}
	all, err := a.p.memberships(c, []string{c.Args().Get(1)})
	if err != nil {
		return err
	}
	return a.store.SetRoom(all[0], true)
}

// runs reports whether another process takes part as the person whose directory it is.
func runs(dir string) bool {
	l := flock.New(filepath.Join(dir, "advertise.lock"))
	got, err := l.TryLock()
	_ = l.Close()
	return err == nil && !got
}

// survey finds out which rooms those visible are in, in at most so long.
func survey(ctx context.Context, p *process, a *app.App, wait time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	done := make(chan struct{})
	go func() {
		a.Survey(limited)
		close(done)
	}()
	for {
		select {
		case <-done:
			return interruptedOr(ctx, nil)
		case e := <-a.Chat:
			tellMeanwhile(p, a, e)
		case <-a.Seen:
		}
	}
}
