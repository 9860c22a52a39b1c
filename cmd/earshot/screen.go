package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/tui"
)

// runScreen talks on the whole terminal.
func (p *process) runScreen(c *cli.Context, a *app.App, s *app.Session, settings app.Settings, log *logFile) error {
	var network []string
	if a.Presence != nil {
		network, _ = a.Presence.Interfaces()
	}
	if len(network) > 1 { // loopback goes without saying
		network = slices.DeleteFunc(network, func(name string) bool { return name == "lo" || name == "lo0" })
	}
	p.logTo(log)
	err := tui.Run(c.Context, tui.Config{
		Session: s, Chat: a.Chat, Seen: a.Seen, Changed: a.Changed, In: p.in, Out: p.out, Color: colors(p, c),
		Network: strings.Join(network, ", "), Settings: settings,
	})
	p.logTo(nil)
	if crash, ok := errors.AsType[*tui.Crash](err); ok {
		fmt.Fprintf(log, "%s crash: %v\n\n%s\n", time.Now().Format(time.RFC3339), crash.Value, crash.Stack)
		return &crashed{log.path}
	}
	if bad := s.Close(); err == nil {
		err = bad
	}
	if err == nil {
		err = unsaid(a, s)
	}
	return err
}

// logTo has log lines written to w; nil: on the terminal again.
func (p *process) logTo(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = w
}
