package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"earshot/cmd/earshot/internal/clean"
)

// SettingsFile is the name of the configuration file in the data directory.
const SettingsFile = "config.toml"

// Settings is what the configuration file says.
type Settings struct {
	Keys   Keys     `toml:"keys"`
	Notify Notify   `toml:"notify"`
	Typing bool     `toml:"typing"` // tell others when I write
	Keep   KeepTime `toml:"keep"`   // of conversations for which nothing else was said
}

// Keys are those of some actions of the screen.
type Keys map[string]KeyNames

// KeyNames are the keys of an action. A single one may be written without brackets.
type KeyNames []string

// UnmarshalText reads a single one.
func (k *KeyNames) UnmarshalText(text []byte) error { *k = KeyNames{string(text)}; return nil }

// KeyError says what is wrong with the keys of an action.
type KeyError struct{ Action, Text string }

func (e *KeyError) Error() string { return "keys: " + e.Text }

// Notify says what may call somebody who looks elsewhere.
type Notify struct {
	Bell    bool  `toml:"bell"`
	Desktop bool  `toml:"desktop"`
	Quiet   Hours `toml:"quiet"`
}

// Hours are a time of the day, such as the night. The zero Hours are none.
type Hours struct {
	From, To int // minutes since midnight
}

var errHours = errors.New("quiet hours are written like \"22:00-07:00\"")

// UnmarshalText reads what is written like 22:00-07:00.
func (h *Hours) UnmarshalText(text []byte) error {
	from, to, _ := strings.Cut(string(text), "-")
	var minutes [2]int
	for i, s := range []string{from, to} {
		at, err := time.Parse("15:04", strings.TrimSpace(s))
		if err != nil {
			return errHours
		}
		minutes[i] = at.Hour()*60 + at.Minute()
	}
	h.From, h.To = minutes[0], minutes[1]
	return nil
}

// contain reports whether they have a moment of the local day.
func (h Hours) contain(now time.Time) bool {
	now = now.Local()
	at := now.Hour()*60 + now.Minute()
	if h.From <= h.To {
		return h.From <= at && at < h.To
	}
	return at >= h.From || at < h.To // over midnight
}

// DefaultSettings are those of who has no configuration file.
func DefaultSettings() Settings {
	return Settings{Notify: Notify{Bell: true, Desktop: true}, Typing: true}
}

// SettingsError says what is wrong with the configuration file.
type SettingsError struct {
	Path   string
	Line   int // 0: not known
	Err    error
	Remedy string
}

func (e *SettingsError) Error() string {
	where := e.Path
	if e.Line > 0 {
		where = fmt.Sprintf("%s, line %d", e.Path, e.Line)
	}
	return where + ": " + clean.Line(e.Err.Error())
}

func (e *SettingsError) Unwrap() error { return e.Err }

// ReadSettings reads the configuration file in the data directory, if there is one.
// checkKeys says what is wrong with its keys. Errors are [*SettingsError].
func ReadSettings(dir string, checkKeys func(Keys) error) (Settings, error) {
	path := filepath.Join(dir, SettingsFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return DefaultSettings(), nil
	}
	if err != nil {
		return Settings{}, &SettingsError{Path: path, Err: err, Remedy: "let yourself read it, or move it away"}
	}
	return parseSettings(path, b, checkKeys)
}

func parseSettings(path string, b []byte, checkKeys func(Keys) error) (Settings, error) {
	s := DefaultSettings()
	d := toml.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(&s)
	if err == nil {
		err = checkKeys(s.Keys)
		if err == nil {
			return s, nil
		}
		line := 0
		if bad, ok := errors.AsType[*KeyError](err); ok {
			line = lineOf(b, "keys", bad.Action)
		}
		return s, &SettingsError{path, line, err, "mend that line, or leave it out; without the screen keys don't matter: earshot --plain"}
	}
	e := &SettingsError{Path: path, Err: errors.New(strings.TrimPrefix(err.Error(), "toml: ")), Remedy: "mend that line, or move the file away"}
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		first := unknown.Errors[0]
		e.Line, _ = first.Position()
		e.Err = fmt.Errorf("there is no setting %s", strings.Join(first.Key(), "."))
		e.Remedy = "leave it out; there are: typing, keep, and bell, desktop and quiet in [notify], and actions in [keys]"
	} else if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		e.Line, _ = bad.Position()
	} else if errors.Is(err, errKeep) { // of a number go-toml doesn't say where it is
		e.Line = lineOf(b, "keep")
	} else if errors.Is(err, errHours) {
		e.Line = lineOf(b, "notify", "quiet")
	}
	return s, e
}

// lineOf returns on which line a setting stands; 0 when it isn't found.
func lineOf(b []byte, setting ...string) int {
	var p unstable.Parser
	p.Reset(b)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.KeyValue {
			continue
		}
		line := 0
		var name []string
		for it := e.Key(); it.Next(); {
			name = append(name, string(it.Node().Data))
			line = p.Shape(it.Node().Raw).Start.Line
		}
		if e.Kind == unstable.Table {
			table = name
		} else if slices.Equal(slices.Concat(table, name), setting) {
			return line
		}
	}
	return 0
}
