package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/cmd/earshot/internal/clean"
	"earshot/cmd/earshot/internal/doctor"
	"earshot/discovery"
)

func doctorCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "why can't I see anybody",
		Description: "Looks at this machine and listens to the network for two seconds, then says what keeps people\n" +
			"from being seen, the likeliest first, and what to type against it. Exits 0 when nothing is wrong.",
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print one JSON object"}},
		Action: func(c *cli.Context) error { return examine(p, c) },
	}
}

// errUnhealthy is for the exit code: what is wrong has been said.
var errUnhealthy = errors.New("")

func examine(p *process, c *cli.Context) error {
	if c.NArg() > 0 {
		return &usage{"doctor takes no arguments", helpOf(c)}
	}
	cfg, err := configure(p, c)
	if err != nil {
		return err
	}
	keepFirstName(cfg)
	id, err := existingID(cfg.Dir)
	if err != nil {
		return err
	}
	facts, err := doctor.Examine(c.Context, doctor.Config{ID: id, Port: cfg.Port, Interfaces: cfg.Interfaces, Domain: cfg.Domain, DNS: cfg.DNS})
	if err != nil {
		return interruptedOr(c.Context, err)
	}
	found := doctor.Judge(facts)
	if c.Bool("json") {
		err = p.printJSON(newDoctorJSON(facts, found))
	} else {
		err = p.print(diagnosis(facts, found))
	}
	if err == nil && !doctor.Healthy(found) {
		return errUnhealthy
	}
	return err
}

// diagnosis is what a person is told.
func diagnosis(f doctor.Facts, found []doctor.Finding) string {
	var b strings.Builder
	for n, d := range found {
		fmt.Fprintf(&b, "%d. %s\n   %s", n+1, clean.Line(d.Text), clean.Line(d.Remedy))
		if len(d.Commands) > 0 {
			b.WriteByte(':')
		}
		b.WriteByte('\n')
		for _, command := range d.Commands {
			fmt.Fprintf(&b, "       %s\n", clean.Line(command))
		}
	}
	if f.Visible > 0 {
		people := "people are"
		if f.Visible == 1 {
			people = "person is"
		}
		fmt.Fprintf(&b, "%d %s visible on other machines; who: earshot peers\n", f.Visible, people)
	}
	if doctor.Healthy(found) {
		b.WriteString("nothing is wrong with this machine\n")
	}
	looked := "looked on " + strings.Join(names(f.Trials), ", ")
	if len(f.Trials) == 0 {
		looked = "there was nowhere to look"
	}
	var left []string
	for _, s := range f.Skipped {
		left = append(left, fmt.Sprintf("%s (%s)", clean.Line(s.Name), clean.Line(s.Reason)))
	}
	if left != nil {
		looked += "; not on " + strings.Join(left, ", ")
	}
	return b.String() + looked
}

// names of the interfaces that were tried.
func names(trials []discovery.Trial) []string {
	names := []string{}
	for _, t := range trials {
		if name := clean.Line(t.Interface); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

type doctorJSON struct {
	Healthy    bool                   `json:"healthy"`
	Visible    int                    `json:"visible"` // on other machines
	Interfaces []string               `json:"interfaces"`
	Skipped    []skippedInterfaceJSON `json:"skipped"`
	Findings   []findingJSON          `json:"findings"`
}

type skippedInterfaceJSON struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

type findingJSON struct {
	Finding  string   `json:"finding"`
	Fault    bool     `json:"fault"`
	Text     string   `json:"text"`
	Remedy   string   `json:"remedy"`
	Commands []string `json:"commands"`
}

func newDoctorJSON(f doctor.Facts, found []doctor.Finding) doctorJSON {
	j := doctorJSON{
		Healthy: doctor.Healthy(found), Visible: f.Visible, Interfaces: names(f.Trials),
		Skipped: []skippedInterfaceJSON{}, Findings: []findingJSON{},
	}
	for _, s := range f.Skipped {
		j.Skipped = append(j.Skipped, skippedInterfaceJSON(s))
	}
	for _, d := range found {
		j.Findings = append(j.Findings, findingJSON{d.Code, d.Fault, d.Text, d.Remedy, append([]string{}, d.Commands...)})
	}
	return j
}

// noInterface says why nobody can be seen here, and what to do.
func noInterface(e *discovery.NoInterfaceError) (text, remedy string) {
	var tried, missing, there []string
	held := false
	for _, s := range e.Tried {
		name := clean.Line(s.Name)
		switch held = held || s.Reason == discovery.Held; s.Reason {
		case discovery.Missing:
			missing = append(missing, name)
		case discovery.Unasked:
			there = append(there, name)
		default:
			tried = append(tried, fmt.Sprintf("%s (%s)", name, clean.Line(s.Reason)))
		}
	}
	const byAddress = "without any you can still talk by address"
	if missing != nil {
		tried = append(tried, "there is none called "+strings.Join(missing, ", "))
	}
	switch {
	case tried == nil:
		return "there is no network interface", "bring one up (how: earshot doctor); " + byAddress
	case held:
		remedy = "find it, and end it or let it share the port: " + doctor.FindHolder(runtime.GOOS)
	case missing != nil && there != nil:
		remedy = "name one that there is with --interface: " + strings.Join(there, ", ")
	default:
		remedy = "bring one up or name one with --interface (how: earshot doctor)"
	}
	return "no network interface can be used: " + strings.Join(tried, ", "), remedy + "; " + byAddress
}

// lonely is how long nobody is seen before it is said who knows why.
const lonely = 5 * time.Second

// pointToDoctor says who knows why, if nobody is seen for a while.
func pointToDoctor(p *process, peers func() []discovery.Peer) (stop func() bool) {
	return time.AfterFunc(lonely, func() {
		if len(peers()) == 0 {
			p.notice("nobody is seen yet; why: earshot doctor", "")
		}
	}).Stop
}
