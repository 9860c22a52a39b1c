package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/clean"
)

func backupCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:      "backup",
		Usage:     "save everything in one file",
		ArgsUsage: "FILE",
		Description: "Writes to FILE all that the data directory has: messages, people, rooms, what waits to be sent,\n" +
			"config.toml, and your private key. Anyone who reads FILE can act as you.\n" +
			"earshot may run meanwhile. To get all back: earshot restore FILE",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
			&cli.BoolFlag{Name: "yes", Usage: "replace FILE without being asked"},
		},
		Action: func(c *cli.Context) error { return backup(p, c) },
	}
}

func backup(p *process, c *cli.Context) error {
	path, dir, err := p.backupFile(c)
	if err != nil {
		return err
	}
	if !store.Kept(dir) {
		return &store.Error{Path: dir, Err: errors.New("there is nothing to back up here"), Remedy: "where your data are: earshot id; to name another directory: --dir"}
	}
	if store.Ours(dir, path, logName, movedName) {
		return &usage{clean.Line(path) + " is a file of the data directory itself", "name another file"}
	}
	if _, err := store.BackupTarget(path); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		if err := p.confirm(c, clean.Line(path)+" is there already: replace it?"); err != nil {
			return err
		}
	}
	return withArchive(p, c, func(a *archive) error {
		b, err := a.store.Backup(c.Context, path, time.Now())
		if err != nil {
			return interruptedOr(c.Context, err)
		}
		if c.Bool("json") {
			err = p.printJSON(newBackupJSON(path, b))
		} else {
			err = p.print(fmt.Sprintf("saved in %s: %s", clean.Line(path), holds(b)))
		}
		p.notice("the file has your private key: only you can read it there", "keep copies of it where nobody else can; to get all back: earshot restore FILE")
		return err
	})
}

func restoreCommand(p *process) *cli.Command {
	return &cli.Command{
		Name:      "restore",
		Usage:     "get everything back from a backup",
		ArgsUsage: "FILE",
		Description: "Brings the data directory back to what it was when earshot backup made FILE. What is there now is set aside\n" +
			"in it, not deleted. No earshot may run on the directory. Don't use one identity on two machines:\n" +
			"messages to you would go to either of them.",
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print one JSON object"}},
		Action: func(c *cli.Context) error { return restore(p, c) },
	}
}

func restore(p *process, c *cli.Context) error {
	path, dir, err := p.backupFile(c)
	if err != nil {
		return err
	}
	b, before, err := store.Restore(c.Context, dir, path, time.Now())
	if err != nil {
		return interruptedOr(c.Context, err)
	}
	if c.Bool("json") {
		j := restoredJSON{newBackupJSON(path, b), dir, nil}
		if before != "" {
			j.SetAside = &before
		}
		err = p.printJSON(j)
	} else {
		err = p.print("restored in " + clean.Line(dir) + ": " + holds(b))
		if err == nil && before != "" {
			err = p.print("what was there before is in " + clean.Line(before))
		}
	}
	p.notice("one identity must not be used on two machines", "if it is still used where the backup was made, end it there; what was waiting to be sent waits again")
	return err
}

// backupFile returns the one argument, and the data directory.
func (p *process) backupFile(c *cli.Context) (path, dir string, err error) {
	if c.NArg() != 1 || c.Args().First() == "" {
		return "", "", &usage{c.Command.Name + " takes one FILE", helpOf(c)}
	}
	cfg, err := configure(p, c)
	if err != nil {
		return "", "", err
	}
	path, err = filepath.Abs(c.Args().First())
	return path, cfg.Dir, err
}

// holds says what is in a backup.
func holds(b store.Backup) string {
	key, _ := chat.ParseKey(b.ID)
	return fmt.Sprintf("identity %s, %s, %s, %d waiting to be sent; made %s", key.Short(), counted(b.Messages, "message"),
		map[bool]string{true: "1 person", false: fmt.Sprintf("%d people", b.People)}[b.People == 1], b.Waiting, b.Made.Local().Format("2006-01-02 15:04"))
}

// counted returns a number of things.
func counted(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

type backupJSON struct {
	File     string `json:"file"`
	ID       string `json:"id"`
	Made     stamp  `json:"made"`
	Messages int64  `json:"messages"`
	People   int64  `json:"people"`
	Waiting  int64  `json:"waiting"`
	Bytes    int64  `json:"bytes"`
}

func newBackupJSON(path string, b store.Backup) backupJSON {
	return backupJSON{path, b.ID, stamp(b.Made), b.Messages, b.People, b.Waiting, b.Bytes}
}

type restoredJSON struct {
	backupJSON
	Dir      string  `json:"dir"`
	SetAside *string `json:"set_aside"`
}
