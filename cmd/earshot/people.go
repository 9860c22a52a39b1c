package main

import (
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
)

func peopleCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:      "people",
		Usage:     "known people: rename, block, forget",
		ArgsUsage: "[rename PEER [PETNAME] | block PEER | unblock PEER | forget PEER]",
		Description: "Lists everybody who has said something to you, or you to them. rename gives somebody known or\n" +
			"visible a name of your own for them, or without one takes it back; what somebody blocked sends is dropped, and they aren't\n" +
			"shown; forget removes somebody with all that was said, and with the key that they are known by.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object per line"},
			&cli.BoolFlag{Name: "yes", Usage: "forget without being asked"},
			waitFlag(),
		},
		Action: func(c *cli.Context) error {
			return withArchive(p, c, func(a *archive) error { return a.people(c) })
		},
	}
}

func (a *archive) people(c *cli.Context) error {
	args := c.Args().Slice()
	if len(args) == 0 {
		return a.listPeople(c)
	}
	if len(args) < 2 || len(args) > 3 || len(args) == 3 && args[0] != "rename" {
		return &usage{"people takes nothing, or what to do with whom", helpOf(c)}
	}
	var known store.Person
	var err error
	switch args[0] {
	case "rename", "block":
		known, err = a.meet(c, args[1], args[0] == "rename")
	default:
		known, err = a.known(args[1])
	}
	if err != nil {
		return err
	}
	person, now := chat.Person{Key: known.Key, Name: known.Name}, time.Now()
	switch args[0] {
	case "rename":
		petname := ""
		if len(args) == 3 {
			petname = args[2]
			if err := checkName(petname); err != nil {
				return &usage{"that can't be a name: " + clean.Line(petname), "use other characters, or fewer"}
			}
			if q, err := app.ParsePeer(petname); err == nil && q.Addrs != nil {
				return &usage{"that would be an address: " + clean.Line(petname), "use a name"}
			}
			if holder, ok := a.book.Holder(petname); ok && holder.Key != known.Key && holder.Petname != "" {
				return &usage{"you call somebody else so", "see: earshot people"}
			}
		}
		return a.store.SetPetname(person, petname, now)
	case "block":
		return a.store.SetBlocked(person, true, now)
	case "unblock":
		return a.store.SetBlocked(person, false, now)
	case "forget":
		if err := a.confirm(c, "forget "+a.label(person)+", and all that was said?"); err != nil {
			return err
		}
		err := a.store.Forget(c.Context, known.Key)
		if errors.Is(err, errInterrupted) {
			a.p.notice("interrupted: they aren't forgotten, but some of what was said is deleted", "do the same again")
		}
		return err
	}
	return &usage{"people can't " + clean.Line(args[0]), helpOf(c)}
}

// meet returns the person that arg names, who must be known, or else visible. If prove is
// set, that one must then prove to be who they announce, as they are known by that from now on.
func (a *archive) meet(c *cli.Context, arg string, prove bool) (store.Person, error) {
	q, err := app.ParsePeer(arg)
	if err != nil {
		return store.Person{}, err
	}
	known, err := a.book.Known(q)
	if _, unknown := errors.AsType[*app.UnknownError](err); !unknown {
		return known, err
	}
	cfg, bad := configure(a.p, c)
	if bad != nil {
		return known, bad
	}
	cfg.Passing, cfg.Brief = !cfg.Hidden, true
	cfg.Port, cfg.Hidden = 0, true
	here, bad := app.Start(cfg, q.Addrs == nil)
	if bad != nil {
		return known, bad
	}
	defer here.Close(func(e chat.Event) { tellMeanwhile(a.p, here, e) })
	target, bad := here.Resolve(c.Context, q, c.Duration("wait"), false)
	if _, none := errors.AsType[*app.NotFoundError](bad); none || bad != nil && errors.Is(bad, here.NoLAN) {
		return known, err
	}
	var person chat.Person
	if bad == nil && !prove && !target.Key.IsZero() {
		peer, gone := here.Match(q, false)
		person, bad = chat.Person{Key: target.Key, Name: peer.Name}, gone
	} else if bad == nil {
		person, bad = open(c.Context, here, target, q.Arg, answerTime)
	}
	return store.Person{Key: person.Key, Name: person.Name}, bad
}

type knownJSON struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Petname  *string `json:"petname"`
	First    stamp   `json:"first_seen"`
	Last     stamp   `json:"last_seen"`
	Verified bool    `json:"verified"`
	Blocked  bool    `json:"blocked"`
	Label    string  `json:"label,omitempty"` // the name they are known by, where it is another
}

func newKnownJSON(p store.Person) knownJSON {
	j := knownJSON{ID: p.Key.String(), Name: p.Name, First: stamp(p.First), Last: stamp(p.Last), Verified: p.Verified, Blocked: p.Blocked}
	if p.Petname != "" {
		j.Petname = &p.Petname
	}
	if p.Label != p.Name {
		j.Label = p.Label
	}
	return j
}

func (a *archive) listPeople(c *cli.Context) error {
	rows := [][]string{{"NAME", "ID", "LAST SEEN", "THEIR NAME", "STATUS"}}
	for _, p := range a.book.People() {
		if c.Bool("json") {
			if err := a.p.printJSON(newKnownJSON(p)); err != nil {
				return err
			}
			continue
		}
		status := ""
		switch {
		case p.Blocked:
			status = "blocked"
		case p.Verified:
			status = "verified"
		}
		label := a.label(chat.Person{Key: p.Key, Name: p.Name})
		rows = append(rows, []string{label, p.Key.Short(), p.Last.Local().Format("2006-01-02 15:04"), clean.Name(p.Name), status})
	}
	switch {
	case c.Bool("json"):
		return nil
	case len(rows) == 1:
		a.p.notice("you know nobody yet", "whoever you talk with is known from then on")
		return nil
	}
	return a.p.print(table(rows))
}
