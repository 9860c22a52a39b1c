package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/adrg/xdg"

	"earshot/cmd/earshot/internal/clean"
)

// dataDir is the data directory that is used unless --dir names one.
type dataDir struct {
	path    string
	isStray bool   // path was made of an empty HOME by an earlier version
	home    string // where a stray one belongs; empty: not known
	err     error  // why there is none
}

// defaultDataDir finds the data directory once.
var defaultDataDir = sync.OnceValue(func() dataDir {
	return findDataDir(environment{
		get: os.Getenv, xdg: filepath.Join(xdg.DataHome, "earshot"), uid: os.Geteuid(), passwd: passwdHome, owner: owner,
		windows: runtime.GOOS == "windows",
	}, func(home string) string {
		_ = os.Setenv("HOME", home)
		xdg.Reload()
		return filepath.Join(xdg.DataHome, "earshot")
	})
})

// environment is what the system says of its user.
type environment struct {
	get     func(variable string) string
	xdg     string                                  // what package xdg makes of it
	uid     int                                     // -1: there are none
	passwd  func() string                           // the home in the password database; empty: none
	owner   func(path string) (uid int, known bool) // of a file
	windows bool                                    // the system itself says where data belongs
}

// findDataDir returns the data directory. Where HOME is of no use it takes the home of the
// password database, from which in makes the directory.
func findDataDir(e environment, in func(home string) string) dataDir {
	switch {
	case e.windows || filepath.IsAbs(e.get("XDG_DATA_HOME")): // the XDG specification: ignore relative paths
		if !filepath.IsAbs(e.xdg) {
			return dataDir{err: &noHomeError{"the system doesn't say where your data belongs"}}
		}
		return dataDir{path: e.xdg}
	case e.usable(e.get("HOME")):
		if info, err := os.Stat(e.get("HOME")); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			return dataDir{err: &noHomeError{"your home (HOME) is " + clean.Line(e.get("HOME")) + ", and there is no such directory"}}
		}
		return dataDir{path: e.xdg}
	}
	home, found := e.passwd(), ""
	if info, err := os.Stat(home); err == nil && info.IsDir() && e.usable(home) {
		found = in(home)
	}
	uid, known := e.owner(filepath.Join(e.xdg, "identity"))
	switch {
	case known && uid == e.uid && filepath.IsAbs(e.xdg) && e.xdg != found:
		return dataDir{path: e.xdg, isStray: true, home: found}
	case found == "":
		return dataDir{err: &noHomeError{"you have no home: HOME isn't set, and the password database names no directory"}}
	}
	return dataDir{path: found}
}

// usable reports whether a home can be the user's: an absolute path, not the root directory, which
// is what daemons are given, and not what sudo kept of the user who called it.
func (e environment) usable(home string) bool {
	if !filepath.IsAbs(home) || filepath.Clean(home) == string(filepath.Separator) {
		return false
	}
	caller, err := strconv.Atoi(e.get("SUDO_UID"))
	uid, known := e.owner(home)
	return err != nil || !known || uid != caller || uid == e.uid
}

// passwdHome returns the home in the password database.
func passwdHome() string {
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil || u.HomeDir == os.Getenv("HOME") { // package user falls back to that
		return ""
	}
	return u.HomeDir
}

// noHomeError reports that there is no place for the data directory.
type noHomeError struct{ text string }

func (e *noHomeError) Error() string { return e.text }

const noHomeRemedy = "name a data directory with --dir or EARSHOT_DIR, or set HOME"

// movedName is a file in a stray data directory, by which its owner was told how to move it.
const movedName = "told-to-move"

// strayNotice says, once for each directory, how to move a stray one to where it belongs.
func (p *process) strayNotice(d dataDir) {
	if !d.isStray {
		return
	}
	f, err := os.OpenFile(filepath.Join(d.path, movedName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return
	}
	if err == nil {
		f.Close()
	}
	p.notice("your identity and history are in "+clean.Line(d.path)+", made when HOME wasn't set", d.moving())
}

// moving says how to move a stray directory to where it belongs.
func (d dataDir) moving() string {
	if d.home == "" {
		return "name it with --dir from now on, or set HOME"
	}
	if _, err := os.Lstat(d.home); err == nil {
		return fmt.Sprintf("there is another identity in %s: name the one that you mean with --dir", clean.Line(d.home))
	}
	return fmt.Sprintf("to move them, stop every earshot that runs, then: mkdir -p %s && mv %s %s",
		shellWord(filepath.Dir(d.home)), shellWord(d.path), shellWord(d.home))
}

// shellWord returns a path as a word of a shell's command.
func shellWord(path string) string {
	path = clean.Line(path)
	if strings.ContainsFunc(path, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-", r)
	}) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
