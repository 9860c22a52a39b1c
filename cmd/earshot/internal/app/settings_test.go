package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), SettingsFile)
	got, err := ReadSettings(filepath.Dir(path), func(Keys) error { return nil })
	if err != nil || !got.Typing || !got.Notify.Bell || !got.Notify.Desktop {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	const file = "typing = false\nkeep = \"90d\"\n\n[notify]\nbell = false\nquiet = \"22:00-07:30\"\n\n[keys]\nnext-unread = [\"alt+n\", \"f2\"]\nnext = \"f3\"\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err = ReadSettings(filepath.Dir(path), func(Keys) error { return nil })
	if err != nil || got.Typing || got.Keep != (KeepTime{90 * 24 * time.Hour}) || got.Notify.Bell || !got.Notify.Desktop || got.Notify.Quiet != (Hours{22 * 60, 7*60 + 30}) ||
		len(got.Keys["next-unread"]) != 2 || len(got.Keys["next"]) != 1 || got.Keys["next"][0] != "f3" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSettingsErrors(t *testing.T) {
	for _, tt := range []struct{ name, file, want, remedy string }{
		{"unknown", "typing = true\nnotfy = 1\n", "c.toml, line 2: there is no setting notfy", "leave it out; there are: typing"},
		{"unknown below", "[notify]\nbell = true\n\nbel = false\n", "c.toml, line 4: there is no setting notify.bel", "there are: typing, keep, and bell"},
		{"syntax", "typing = \n", "c.toml, line 1: ", "mend that line"},
		{"type", "\ntyping = 3\n", "c.toml, line 2: ", "mend that line"},
		{"hours", "[notify]\nquiet = \"at night\"\n", "c.toml, line 2: quiet hours are written like \"22:00-07:00\"", "mend that line"},
		{"keep", "typing = true\nkeep = \"3m\"\n", "c.toml, line 2: a time to keep messages is written like \"12h\", \"90d\"", "mend that line"},
		{"hours as a number", "[notify]\nquiet = 22\n", "c.toml, line 2: quiet hours are written like", "mend that line"},
		{"keep without a unit", "keep = 90\n", "c.toml, line 1: ", "mend that line"},
		{"key", "[keys]\nnext = [\"alt+x\"]\nsend = [\"nokey\"]\n", "c.toml, line 3: keys: send next: nokey is no key", "mend that line"},
		{"key of no list", "typing = true\nkeys.send = 3\n", "c.toml, line 2: keys: send next: nokey is no key", "--plain"},
		{"hostile", "\"\x1b[2J\" = 1\n", "c.toml, line 1: ", "mend"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseSettings("c.toml", []byte(tt.file), func(keys Keys) error {
				if keys["send"] != nil {
					return &KeyError{"send", "send next: nokey is no key"}
				}
				return nil
			})
			bad, ok := errors.AsType[*SettingsError](err)
			if !ok || !strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(bad.Remedy, tt.remedy) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("got %v (%+v)", err, bad)
			}
		})
	}
}

func TestQuietHours(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 1, 1, hour, 30, 0, 0, time.Local) }
	night, noon := Hours{22 * 60, 7 * 60}, Hours{12 * 60, 13 * 60}
	for hour := range 24 {
		if got, want := night.contain(at(hour)), hour >= 22 || hour < 7; got != want {
			t.Errorf("night at %d: %v", hour, got)
		}
		if got, want := noon.contain(at(hour)), hour == 12; got != want {
			t.Errorf("noon at %d: %v", hour, got)
		}
		if (Hours{}).contain(at(hour)) {
			t.Errorf("none at %d", hour)
		}
	}
}
