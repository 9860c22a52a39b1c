package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", EnvVars: []string{"EARSHOT_NAME"}, Usage: "what others see you as; the first one is kept, until: earshot name NAME (default: your login)"},
		&cli.StringFlag{Name: "dir", EnvVars: []string{"EARSHOT_DIR"}, Usage: "where your identity and history are kept", Value: defaultDataDir().path},
		&cli.UintFlag{Name: "port", EnvVars: []string{"EARSHOT_PORT"}, Usage: "UDP port to be reached at; 0: any", Value: chat.DefaultPort},
		&cli.StringSliceFlag{Name: "interface", EnvVars: []string{"EARSHOT_INTERFACE"}, Usage: "look for people on this network interface only (repeatable)"},
		&cli.StringFlag{Name: "domain", EnvVars: []string{"EARSHOT_DOMAIN"}, Usage: "look for people in this DNS domain too, as lan.example"},
		&cli.StringFlag{Name: "dns", EnvVars: []string{"EARSHOT_DNS"}, Usage: "address of the DNS server to ask for --domain (default: the system's)"},
		&cli.BoolFlag{Name: "hidden", EnvVars: []string{"EARSHOT_HIDDEN"}, Usage: "see others without being announced"},
		&cli.BoolFlag{Name: "no-history", EnvVars: []string{"EARSHOT_NO_HISTORY"}, Usage: "keep nothing of what is said"},
		&cli.StringFlag{Name: "log-level", EnvVars: []string{"EARSHOT_LOG_LEVEL"}, Usage: "debug, info, warn or error", Value: "warn"},
		&cli.BoolFlag{Name: "plain", EnvVars: []string{"EARSHOT_PLAIN"}, Usage: "talk line by line instead of on the whole screen, as for a screen reader"},
		&cli.BoolFlag{Name: "no-color", EnvVars: []string{"EARSHOT_NO_COLOR"}, Usage: "no colours (as does NO_COLOR)"},
	}
}

// configure reads the global flags.
func configure(p *process, c *cli.Context) (app.Config, error) {
	cfg := app.Config{
		Name:       c.String("name"),
		Dir:        c.String("dir"),
		Interfaces: slices.DeleteFunc(c.StringSlice("interface"), func(s string) bool { return s == "" }), // as of an empty variable
		Hidden:     c.Bool("hidden"),
		NoHistory:  c.Bool("no-history"),
		Trouble: func(err error) {
			_, text, remedy := explain(err)
			p.notice(text, remedy)
		},
		FirstContact: func(a *app.App, person chat.Person) {
			p.notice(fmt.Sprintf("first contact with %s (%s): remembered", a.Label(person), person.Key.Short()),
				"compare words with: earshot verify "+a.Book.Pick(person))
		},
		Renamed: func(_ *app.App, was store.Person, name string) { p.notice(app.Renaming(was, name), "") },
	}
	if c.IsSet("name") && (cfg.Name != "" || !isEmptyVariable("EARSHOT_NAME")) {
		if err := checkName(cfg.Name); err != nil {
			return cfg, err
		}
	}
	for _, option := range []string{"wait", "timeout"} {
		if c.Duration(option) < 0 {
			return cfg, &usage{"--" + option + " can't be negative", "write it like 500ms, 10s or 2m"}
		}
	}
	if !c.IsSet("dir") {
		dir := defaultDataDir()
		if dir.err != nil {
			return cfg, dir.err
		}
		p.strayNotice(dir)
	}
	if cfg.Dir == "" {
		return cfg, &usage{"--dir is empty", "name a directory, or leave the option out"}
	}
	port := c.Uint("port")
	if port > 65535 {
		return cfg, &usage{fmt.Sprintf("there is no port %d", port), "ports go from 1 to 65535; 0 takes any"}
	}
	cfg.Port = uint16(port)
	if cfg.Domain = c.String("domain"); cfg.Domain != "" && !discovery.ValidDomain(cfg.Domain) {
		return cfg, &usage{"people can't be looked for in the domain " + clean.Line(cfg.Domain), "name a DNS domain, as lan.example; what is .local is seen without"}
	}
	if server := c.String("dns"); server != "" {
		var err error
		if cfg.DNS, err = parseServer(server); err != nil {
			return cfg, &usage{clean.Line(server) + " is not the address of a DNS server", "write it in numbers, like 192.0.2.53 or [2001:db8::53]:53"}
		}
		if cfg.Domain == "" {
			return cfg, &usage{"--dns is of no use without --domain", "name the domain to look for people in, as: --domain lan.example"}
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return cfg, &usage{"no such log level: " + clean.Line(c.String("log-level")), "use debug, info, warn or error"}
	}
	cfg.Log = slog.New(slog.NewTextHandler(p, &slog.HandlerOptions{Level: level}))
	return cfg, nil
}

// isEmptyVariable reports whether a variable is in the environment, and empty.
func isEmptyVariable(name string) bool {
	value, set := os.LookupEnv(name)
	return set && value == ""
}

// flagErrors are what the reader of flags says, and how we do.
var flagErrors = []struct {
	theirs string // a regular expression
	ours   string
}{
	{`^flag provided but not defined: -(.*)$`, "there is no option -$1"},
	{`^flag needs an argument: -(.*)$`, "the option -$1 needs a value"},
	{`^invalid (?:boolean )?value "(.*)" for (?:flag )?-([^:]*): .*$`, "$1 won't do for the option -$2"},
	{`^could not parse "(.*)" as .* from environment variable "(.*)" for flag .*$`, "$1 won't do for $2 in the environment"},
}

// plainly says what is wrong with a flag as we say such things.
func plainly(text string) string {
	for _, e := range flagErrors {
		if theirs := regexp.MustCompile(e.theirs); theirs.MatchString(text) {
			text = theirs.ReplaceAllString(text, e.ours)
			return regexp.MustCompile(`option -(\w[\w-]+)`).ReplaceAllString(text, "option --$1") // its reader gives all one hyphen
		}
	}
	return text
}

// peerAndConfig reads what commands that reach somebody begin with: PEER, and the
// global flags.
func peerAndConfig(p *process, c *cli.Context) (q app.Query, cfg app.Config, err error) {
	if q, err = app.ParsePeer(c.Args().First()); err == nil {
		cfg, err = configure(p, c)
	}
	return q, cfg, err
}

// parseServer reads ADDR or ADDR:PORT.
func parseServer(s string) (netip.AddrPort, error) {
	const port = 53
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return netip.AddrPortFrom(addr, port), nil
	}
	return netip.ParseAddrPort(s)
}

func checkName(name string) error {
	if err := app.CheckName(name); err != nil {
		return &usage{err.Error(), "choose another with --name or EARSHOT_NAME"}
	}
	return nil
}

// colors reports whether standard output may be coloured.
func colors(p *process, c *cli.Context) bool {
	return !c.Bool("no-color") && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(p.out.Fd())) && os.Getenv("TERM") != "dumb"
}

// start takes part, and says so where another port than the one asked for is used.
func start(p *process, cfg app.Config) (*app.App, error) {
	a, err := app.Start(cfg, true)
	if err != nil {
		return nil, err
	}
	a.Deliver(cfg)
	if len(a.Surplus) > 0 {
		_, text, remedy := explain(chat.ErrTooManyRooms)
		p.notice("you aren't in "+strings.Join(a.Surplus, ", ")+": "+text, remedy)
	}
	if cfg.Port != 0 && a.Port != cfg.Port {
		p.notice(fmt.Sprintf("UDP port %d is taken, using %d", cfg.Port, a.Port), fmt.Sprintf("a firewall must let UDP port %d through", a.Port))
	}
	return a, nil
}

// warnNoLAN says that nobody can be seen, where that isn't an error.
func warnNoLAN(p *process, a *app.App) {
	if a.NoLAN != nil {
		_, text, remedy := explain(a.NoLAN)
		p.notice(text, remedy)
	}
}
