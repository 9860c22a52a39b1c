package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	Keys   map[string][]string `toml:"keys"` // those of some actions of the screen
	Notify Notify              `toml:"notify"`
	Typing bool                `toml:"typing"` // tell others when I write
}

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

// UnmarshalText reads what is written like 22:00-07:00.
func (h *Hours) UnmarshalText(text []byte) error {
	from, to, _ := strings.Cut(string(text), "-")
	var minutes [2]int
	for i, s := range []string{from, to} {
		at, err := time.Parse("15:04", strings.TrimSpace(s))
		if err != nil {
			return errors.New("quiet hours are written like \"22:00-07:00\"")
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
func ReadSettings(dir string, checkKeys func(map[string][]string) error) (Settings, error) {
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

func parseSettings(path string, b []byte, checkKeys func(map[string][]string) error) (Settings, error) {
	s := DefaultSettings()
	d := toml.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(&s)
	if err == nil {
		err = checkKeys(s.Keys)
		if err == nil {
			return s, nil
		}
		return s, &SettingsError{path, keyLine(b, err.Error()), err, "take an action and keys from the list that F1 shows, or leave it out"}
	}
	e := &SettingsError{Path: path, Err: errors.New(strings.TrimPrefix(err.Error(), "toml: ")), Remedy: "mend that line, or move the file away"}
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		first := unknown.Errors[0]
		e.Line, _ = first.Position()
		e.Err = fmt.Errorf("there is no setting %s", strings.Join(first.Key(), "."))
		e.Remedy = "leave it out; there are: typing, and bell, desktop and quiet in [notify], and actions in [keys]"
	} else if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		e.Line, _ = bad.Position()
	}
	return s, e
}

// keyLine returns on which line stands the action that is wrong, as the text of the
// error names it; 0 when it isn't found.
func keyLine(b []byte, wrong string) int {
	var p unstable.Parser
	p.Reset(b)
	inKeys := false
	for p.NextExpression() {
		e := p.Expression()
		it := e.Key()
		if e.Kind != unstable.Table && e.Kind != unstable.KeyValue || !it.Next() {
			continue
		}
		name := string(it.Node().Data)
		if e.Kind == unstable.Table {
			inKeys = name == "keys"
			continue
		}
		if inKeys && strings.Contains(wrong, name) {
			return p.Shape(it.Node().Raw).Start.Line
		}
	}
	return 0
}
