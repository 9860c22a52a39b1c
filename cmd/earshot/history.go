package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/cmd/earshot/internal/terminal"
	"earshot/discovery"
)

// archive is what the commands about the past and the known work on.
type archive struct {
	p      *process
	me     chat.Person
	naming app.Naming
	store  *store.Store
	book   *app.Book
	all    []discovery.Peer // the known, as they are called here; nil: not asked for yet
}

// openArchive opens what is kept. The caller closes its store.
func openArchive(p *process, c *cli.Context) (*archive, error) {
	cfg, err := configure(p, c)
	if err != nil {
		return nil, err
	}
	identity, err := app.Identity(cfg.Dir)
	if err != nil {
		return nil, err
	}
	a := &archive{p: p, me: chat.Person{Key: identity.Key()}, book: &app.Book{}}
	if a.store, err = store.OpenPast(cfg.Dir); err != nil {
		return nil, err
	}
	for _, e := range a.store.Damaged() {
		cfg.Trouble(e)
	}
	a.store.CatchUp()
	_, _ = a.store.Expire() // or on a full disk it has to be seen another time
	if a.naming, err = app.BrieflyCalled(cfg, a.store); err == nil {
		err = a.book.Read(a.store)
	}
	if err != nil {
		_ = a.store.Close()
		return nil, err
	}
	a.me.Name = a.naming.Name
	return a, nil
}

// label returns how somebody is shown among all who are known.
func (a *archive) label(p chat.Person) string {
	if a.all == nil {
		for _, known := range a.book.People() {
			a.all = append(a.all, discovery.Peer{ID: known.Key.String(), Name: known.Name})
		}
		a.all = a.book.Named(a.all)
	}
	return a.book.Label(p, a.all, a.me.Name)
}

// withArchive runs f on what is kept.
func withArchive(p *process, c *cli.Context, f func(a *archive) error) error {
	a, err := openArchive(p, c)
	if err != nil {
		return err
	}
	err = f(a)
	if bad := a.store.Close(); err == nil {
		err = bad
	}
	return err
}

// known returns the person that arg names, who must be known.
func (a *archive) known(arg string) (store.Person, error) {
	q, err := app.ParsePeer(arg)
	if err != nil {
		return store.Person{}, err
	}
	return a.book.Known(q)
}

// interactive reports whether somebody can be asked.
func (p *process) interactive() bool { return term.IsTerminal(int(p.in.Fd())) }

// confirm asks before something that can't be undone.
func (a *archive) confirm(c *cli.Context, question string) error { return a.p.confirm(c, question) }

func (p *process) confirm(c *cli.Context, question string) error {
	if c.Bool("yes") {
		return nil
	}
	if !p.interactive() {
		return &usage{"nobody is there to confirm it", "to do it without being asked: --yes"}
	}
	fmt.Fprintf(p.err, "%s (yes or no) ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(p.in).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case line := <-answer:
		if line == "yes" {
			return nil
		}
		if terminal.Gone(p.in) {
			return terminal.ErrGone
		}
		return &usage{"not confirmed", "nothing was changed"}
	case <-c.Context.Done():
		return context.Cause(c.Context)
	}
}

func logCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:        "log",
		Usage:       "past conversations",
		ArgsUsage:   "[PEER|ROOM]",
		Description: "Prints what was said and heard, the newest last, with PEER, in ROOM or with everybody.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "n", Usage: "the last `COUNT` messages; 0: all", Value: 50},
			&cli.StringFlag{Name: "since", Usage: "what came after `TIME`: 90m, 2006-01-02 or 2006-01-02T15:04"},
			&cli.StringFlag{Name: "search", Usage: "what has all these `WORDS`, of which * stands for the rest; the best last"},
			&cli.BoolFlag{Name: "follow", Usage: "go on, and print what comes"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object per line"},
			&cli.StringFlag{Name: "export", Usage: "print everything as `FORMAT`: text or markdown"},
			&cli.BoolFlag{Name: "delete", Usage: "delete what is picked, and give its space back; what waits to be sent stays"},
			&cli.BoolFlag{Name: "yes", Usage: "delete without being asked"},
		},
		Action: func(c *cli.Context) error {
			return withArchive(p, c, func(a *archive) error { return a.log(c) })
		},
	}
}

func (a *archive) log(c *cli.Context) error {
	f, err := a.filter(c)
	if err != nil {
		return err
	}
	if c.Bool("delete") {
		if c.String("search") != "" || c.IsSet("n") || c.Bool("follow") || c.IsSet("export") {
			return &usage{"--delete goes with PEER and --since only", helpOf(c)}
		}
		what := "with everybody"
		if c.NArg() > 0 {
			what = "with " + clean.Name(c.Args().First())
		}
		if f.Room != "" {
			what = "in " + f.Room
		}
		if err := a.confirm(c, "delete what was said "+what+"?"); err != nil {
			return err
		}
		n, err := a.store.Delete(c.Context, f)
		if errors.Is(err, errInterrupted) {
			a.p.notice(fmt.Sprintf("interrupted: %d messages deleted", n), "to delete the others, and what is left of these in the files, do the same again")
			return err
		}
		if err != nil && !errors.Is(err, store.ErrResidue) {
			return err
		}
		return cmp.Or(a.p.print(fmt.Sprintf("%d messages deleted", n)), err)
	}
	w := &writer{a: a, json: c.Bool("json"), labels: map[chat.Key]string{}}
	switch c.String("export") {
	case "":
	case "markdown":
		w.markdown, f.Limit = true, 0
	case "text":
		f.Limit = 0
	default:
		return &usage{"there is no export as " + clean.Line(c.String("export")), "use text or markdown"}
	}
	if f.Search != "" && !store.Searchable(f.Search) {
		a.p.notice("nothing is found: there are only punctuation marks in "+clean.Line(f.Search), "search for words, of which * stands for the rest")
	}
	ctx := a.p.whileRead(c.Context)
	var writes *app.Writes
	if c.Bool("follow") {
		writes = app.WatchWrites(a.store.Dir())
		defer writes.Close()
	}
	for {
		version, err := a.store.Version()
		if err != nil {
			return err
		}
		all, err := a.store.Log(f)
		if err != nil {
			return err
		}
		for _, m := range all {
			if err := w.write(m); err != nil {
				return err
			}
			f.After = max(f.After, m.N)
		}
		if !c.Bool("follow") {
			return nil
		}
		f.Limit, f.Follow = 0, true
		for now := version; now == version && err == nil; {
			if err := writes.Wait(ctx); err != nil {
				return err
			}
			now, err = a.store.Version()
		}
		if err := a.book.Read(a.store); err != nil {
			return err
		}
		a.all = nil
		clear(w.labels)
		// What is deleted at the end leaves its numbers to what comes.
		newest, err := a.store.Log(store.Filter{Limit: 1})
		if err != nil {
			return err
		}
		if len(newest) == 0 {
			f.After = 0
		} else {
			f.After = min(f.After, newest[0].N)
		}
	}
}

func (a *archive) filter(c *cli.Context) (store.Filter, error) {
	f := store.Filter{Search: c.String("search"), Limit: c.Int("n")}
	if c.NArg() > 1 {
		return f, &usage{"log takes one peer", helpOf(c)}
	}
	if f.Limit < 0 {
		return f, &usage{"there is no negative number of messages", helpOf(c)}
	}
	if c.IsSet("export") && (c.Bool("json") || c.Bool("follow")) {
		return f, &usage{"--export goes neither with --json nor with --follow", helpOf(c)}
	}
	if c.IsSet("search") && strings.TrimSpace(f.Search) == "" {
		return f, &usage{"there is no word to search for", "as in: earshot log --search 'lunch meet*'"}
	}
	if f.Search != "" && c.Bool("follow") {
		return f, &usage{"--search and --follow don't go together", helpOf(c)}
	}
	if c.NArg() == 1 && app.IsRoom(c.Args().First()) {
		name, err := parseRoom(c.Args().First())
		if err != nil {
			return f, err
		}
		f.Room = name
	} else if c.NArg() == 1 {
		p, err := a.known(c.Args().First())
		if err != nil {
			return f, err
		}
		f.Peer = p.Key
	}
	if since := c.String("since"); since != "" {
		at, err := parseSince(since, time.Now())
		if err != nil {
			return f, err
		}
		f.Since = at
	}
	return f, nil
}

// parseSince reads a time, or how long ago it was.
func parseSince(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, &usage{"no time: " + clean.Line(s), "write it like 90m, 24h, 2006-01-02 or 2006-01-02T15:04"}
}

// writer prints messages of the past.
type writer struct {
	a        *archive
	json     bool
	markdown bool
	day      string
	labels   map[chat.Key]string
}

// label returns how somebody is called here, and if they weren't then, how they were.
func (w *writer) label(m store.Message) string {
	if m.Peer.IsZero() {
		return clean.Name(m.Name)
	}
	label, ok := w.labels[m.Peer]
	if !ok {
		label = w.a.label(chat.Person{Key: m.Peer, Name: m.Name})
		w.labels[m.Peer] = label
	}
	return label + w.a.book.As(m.Peer, m.As)
}

func (w *writer) write(m store.Message) error {
	if w.json {
		j, err := newLogJSON(w.a, m)
		if err != nil {
			return err
		}
		return w.a.p.printJSON(j)
	}
	at := m.At().Local()
	who, mark := w.label(m), lateMark(m.Late)
	if m.Out {
		who = "> " + who
		if m.Status != store.Done {
			mark = " (" + withReason(m) + ")"
		}
	}
	if m.Room != "" && m.Out {
		n, of, missing, err := w.a.store.Delivery(m.ID)
		if err != nil {
			return err
		}
		var why strings.Builder
		for _, p := range missing {
			if p.Reason != 0 {
				why.WriteString("; " + w.label(store.Message{Peer: p.Key, Name: p.Name}) + ": " + p.Reason.String())
			}
		}
		who, mark = "> "+chat.RoomName(m.Room), fmt.Sprintf(" (%d/%d%s)", n, of, why.String())
	} else if m.Room != "" {
		who = chat.RoomName(m.Room) + " " + who
	}
	if !w.markdown {
		return w.a.p.print(clean.Layout(at.Format("2006-01-02 15:04 ")+who+mark+": ", m.Text, w.a.p.columns()))
	}
	head := ""
	if day := at.Format("2006-01-02"); day != w.day {
		w.day, head = day, "## "+day+"\n\n"
	}
	if m.Out && m.Room != "" {
		who = clean.Name(w.a.me.Name) + " in " + chat.RoomName(m.Room)
	} else if m.Out {
		who = clean.Name(w.a.me.Name) + " to " + w.label(m)
	}
	text := "> " + strings.ReplaceAll(escapeMarkdown(clean.Text(m.Text)), "\n", "  \n> ")
	return w.a.p.print(fmt.Sprintf("%s**%s %s**%s\n\n%s\n", head, at.Format("15:04"), escapeMarkdown(who), mark, text))
}

// withReason returns what has become of a message, and why it isn't delivered where the person
// hasn't taken it.
func withReason(m store.Message) string {
	if m.Declined == 0 || m.Status == store.Done {
		return m.Status.String()
	}
	return m.Status.String() + ": " + m.Declined.String()
}

// escapeMarkdown makes text mean itself.
func escapeMarkdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_{}[]()<>#+-.!|~&$", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
