package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

func peersCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:  "peers",
		Usage: "who is visible",
		Description: "Lists everybody visible but you. The status unproven says that name and id are only\n" +
			"announced, as anybody on the network could: they are proven when you talk.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object per line"},
			&cli.BoolFlag{Name: "watch", Usage: "go on, and print who comes, changes and goes"},
			&cli.DurationFlag{Name: "wait", Usage: "how long to look, by default longer while nobody is seen; with --watch when to end, by default never", Value: 500 * time.Millisecond},
		},
		Action: func(c *cli.Context) error { return peers(p, c) },
	}
}

func peers(p *process, c *cli.Context) error {
	if c.NArg() > 0 {
		return &usage{"peers takes no arguments", helpOf(c)}
	}
	cfg, err := configure(p, c)
	if err != nil {
		return err
	}
	id, err := existingID(cfg.Dir)
	if err != nil {
		return err
	}
	book, reread, err := existingBook(cfg.Dir)
	if err != nil { // to look needs no memory
		_, text, remedy := explain(err)
		p.notice("nobody is known by petname or mark: "+text, remedy)
		reread = func() error { return nil }
	}
	presence, err := discovery.Join(discovery.Config{ID: id, Hidden: true, Interfaces: cfg.Interfaces, Log: cfg.Log, Trouble: cfg.Trouble, Domain: cfg.Domain, DNS: cfg.DNS})
	if err != nil {
		return err
	}
	defer presence.Leave()
	keepFirstName(cfg)
	if c.Bool("watch") {
		defer pointToDoctor(p, presence.Peers)()
		ctx := p.whileRead(c.Context)
		if c.IsSet("wait") {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.Duration("wait"))
			defer cancel()
		}
		return watch(ctx, p, presence, book, reread, c.Bool("json"))
	}
	wait := c.Duration("wait")
	if !c.IsSet("wait") {
		pause(c.Context, promptly)
		if wait -= promptly; len(presence.Peers()) == 0 {
			wait = patiently - promptly
		}
	}
	pause(c.Context, wait)
	select {
	case <-presence.Settled():
	case <-c.Context.Done():
	}
	if err := interruptedOr(c.Context, nil); err != nil {
		return err
	}
	return list(p, presence.Peers(), book, c.Bool("json"))
}

// Most answers come promptly. Where a host firewall drops those, others come by multicast, and
// each of these may have to wait for a second (RFC 6762 §6).
const (
	promptly  = 150 * time.Millisecond
	patiently = 1300 * time.Millisecond
)

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	waited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-waited.Done()
}

// existingID returns the id kept in dir, or "" where there is none yet: looking doesn't
// take one.
func existingID(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "identity")); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	identity, err := app.Identity(dir)
	if err != nil {
		return "", err
	}
	return identity.Key().String(), nil
}

// existingBook reads who is known, if anybody is: looking doesn't make a database. The
// function reads it anew.
func existingBook(dir string) (book *app.Book, reread func() error, err error) {
	book = &app.Book{}
	reread = func() error {
		if _, err := os.Stat(filepath.Join(dir, store.File)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		s, err := store.Open(dir)
		if err != nil {
			return err
		}
		err = book.Read(s)
		_ = s.Close()
		return err
	}
	return book, reread, reread()
}

func list(p *process, peers []discovery.Peer, book *app.Book, asJSON bool) error {
	if asJSON {
		for _, peer := range peers {
			if blocked(peer, book) {
				continue
			}
			if err := p.printJSON(newPeerJSON(peer, unproven, book)); err != nil {
				return err
			}
		}
		return nil
	}
	if peers = book.Peers(peers); len(peers) == 0 {
		p.notice("nobody is visible", nobodyRemedy)
		return nil
	}
	rows := [][]string{{"NAME", "ID", "ADDRESS", "STATUS"}}
	labels := book.Labels(peers, "")
	for i, peer := range peers {
		rows = append(rows, append(row(peer, labels[i]), unproven))
	}
	return p.print(table(rows))
}

func row(peer discovery.Peer, label string) []string {
	id, addr := "-", "-"
	if peer.ID != "" {
		id = peer.ID[:min(6, len(peer.ID))]
	}
	if len(peer.Addrs) > 0 {
		addr = peer.Addrs[0].String()
	}
	return []string{label, id, addr}
}

// table aligns rows in columns.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], clean.Width(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		if n > 0 {
			b.WriteByte('\n')
		}
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-clean.Width(cell)+2))
			}
		}
	}
	return b.String()
}

// watch prints the roster's changes until ctx ends.
func watch(ctx context.Context, p *process, presence *discovery.Presence, book *app.Book, reread func() error, asJSON bool) error {
	signs := map[discovery.Change]string{discovery.Up: "+", discovery.Changed: "~", discovery.Down: "-"}
	for {
		e, err := presence.Next(ctx)
		if err == nil {
			err = reread()
		}
		switch {
		case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case blocked(e.Peer, book):
		case asJSON:
			err = p.printJSON(newPeerEventJSON(e, unproven, book))
		default:
			all := book.Peers(append([]discovery.Peer{e.Peer}, others(presence.Peers(), e.Peer)...))
			label := book.Labels(all, "")[0]
			err = p.print(fmt.Sprintf("%s %s %s", time.Now().Format("15:04:05"), signs[e.Change], strings.Join(row(e.Peer, label), "  ")))
		}
		if err != nil {
			return err
		}
	}
}

func blocked(p discovery.Peer, book *app.Book) bool {
	key, err := chat.ParseKey(p.ID)
	return err == nil && book.Blocked(key)
}

// others returns peers without p.
func others(peers []discovery.Peer, p discovery.Peer) []discovery.Peer {
	var out []discovery.Peer
	for _, o := range peers {
		if o.ID != p.ID || o.ID == "" && o.Name != p.Name {
			out = append(out, o)
		}
	}
	return out
}
