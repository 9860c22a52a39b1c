package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestDataDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the system itself says where data belongs")
	}
	const me, other = 1000, 1001
	root := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }
	for _, dir := range []string{"me", "other", "stray/earshot", "me-too/earshot"} {
		if err := os.MkdirAll(at(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(at("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	owners := map[string]int{
		at("me"): me, at("other"): other, "/.local/share/earshot/identity": 0,
		at("stray/earshot/identity"): me, at("other/earshot/identity"): other, at("me-too/earshot/identity"): me,
	}
	for _, tt := range []struct {
		name   string
		env    map[string]string
		xdg    string // its directory, without earshot
		passwd string
		want   dataDir // its error by a part of the text
		why    string
	}{
		{name: "HOME", env: map[string]string{"HOME": at("me")}, xdg: at("me"), passwd: at("other"), want: dataDir{path: at("me/earshot")}},
		{name: "no HOME", xdg: "/.local/share", passwd: at("me"), want: dataDir{path: at("me/earshot")}},
		{name: "empty HOME", env: map[string]string{"HOME": ""}, xdg: "/.local/share", passwd: at("me"), want: dataDir{path: at("me/earshot")}},
		{name: "HOME of a daemon", env: map[string]string{"HOME": "/"}, xdg: "/.local/share", passwd: at("me"), want: dataDir{path: at("me/earshot")}},
		{name: "relative HOME", env: map[string]string{"HOME": "me"}, xdg: "", passwd: at("me"), want: dataDir{path: at("me/earshot")}},
		{name: "no HOME at all", xdg: "/.local/share", why: "HOME isn't set"},
		{name: "a daemon", env: map[string]string{"HOME": "/"}, xdg: "/.local/share", passwd: "/", why: "HOME isn't set"},
		{name: "a daemon's home", xdg: "/.local/share", passwd: at("missing"), why: "HOME isn't set"},
		{name: "a home that is a file", xdg: "/.local/share", passwd: at("file"), why: "HOME isn't set"},
		{name: "HOME that is missing", env: map[string]string{"HOME": at("missing")}, xdg: at("missing"), passwd: at("me"), why: "no such directory"},
		{name: "HOME that is a file", env: map[string]string{"HOME": at("file")}, xdg: at("file"), passwd: at("me"), why: "no such directory"},
		{name: "sudo", env: map[string]string{"HOME": at("other"), "SUDO_UID": "1001"}, xdg: at("other"), passwd: at("me"), want: dataDir{path: at("me/earshot")}},
		{name: "sudo with our HOME", env: map[string]string{"HOME": at("me"), "SUDO_UID": "1001"}, xdg: at("me"), want: dataDir{path: at("me/earshot")}},
		{name: "XDG_DATA_HOME", env: map[string]string{"XDG_DATA_HOME": at("new")}, xdg: at("new"), want: dataDir{path: at("new/earshot")}},
		{name: "relative XDG_DATA_HOME", env: map[string]string{"XDG_DATA_HOME": "new"}, xdg: "/.local/share", passwd: at("me"), want: dataDir{path: at("me/earshot")}},
		{name: "stray", xdg: at("stray"), passwd: at("me"), want: dataDir{path: at("stray/earshot"), isStray: true, home: at("me/earshot")}},
		{name: "stray without a home", xdg: at("stray"), want: dataDir{path: at("stray/earshot"), isStray: true}},
		{name: "another user's stray", xdg: at("other"), passwd: at("me"), want: dataDir{path: at("me/earshot")}},
		{name: "stray with HOME", env: map[string]string{"HOME": at("me")}, xdg: at("me"), want: dataDir{path: at("me/earshot")}},
	} {
		env := environment{
			get: func(name string) string { return tt.env[name] }, xdg: filepath.Join(tt.xdg, "earshot"), uid: me,
			passwd: func() string { return tt.passwd },
			owner: func(path string) (int, bool) {
				uid, known := owners[path]
				return uid, known
			},
		}
		got := findDataDir(env, func(home string) string { return filepath.Join(home, "earshot") })
		if tt.why != "" && got.err != nil && strings.Contains(got.err.Error(), tt.why) {
			continue
		}
		if got != tt.want {
			t.Errorf("%s: %+v, not %+v", tt.name, got, tt.want)
		}
	}
	windows := environment{xdg: `earshot`, windows: true, get: func(string) string { return "" }}
	if d := findDataDir(windows, nil); d.err == nil {
		t.Errorf("Windows without a known folder: %+v", d)
	}
	if code, _, remedy := explain(errors.Join(&noHomeError{"none"})); code != exitFailure || !strings.Contains(remedy, "--dir") {
		t.Errorf("exit code %d, %q", code, remedy)
	}
}

// A home is never made of nothing.
func TestNoHome(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the system itself says where data belongs")
	}
	path := program(t)
	for _, home := range []string{"", "/", "relative"} {
		for _, env := range [][]string{{"HOME=" + home}, {"HOME=" + home, "XDG_DATA_HOME=relative"}} {
			cmd := exec.Command(path, "--help")
			cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
			out, err := cmd.CombinedOutput()
			if text := string(out); err != nil || strings.Contains(text, `"/.local`) || strings.Contains(text, `"/Library`) || strings.Contains(text, `"relative`) || strings.Contains(text, `"earshot"`) {
				t.Errorf("%v: %v, %s", env, err, text)
			}
		}
	}
	cmd := exec.Command(path, "id")
	cmd.Env = []string{"HOME=" + filepath.Join(t.TempDir(), "missing")}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "--dir") {
		t.Errorf("a missing home: %v, %s", err, out)
	}
}

func TestStrayNotice(t *testing.T) {
	dir := t.TempDir()
	d := dataDir{path: filepath.Join(dir, "stray"), isStray: true, home: filepath.Join(dir, "my home", "earshot")}
	if err := os.Mkdir(d.path, 0o700); err != nil {
		t.Fatal(err)
	}
	said := func() string {
		f, err := os.Create(filepath.Join(dir, "said"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		(&process{err: f}).strayNotice(d)
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := "&& mv " + d.path + " '" + d.home + "'"
	if text := said(); !strings.Contains(text, d.path+", made when HOME wasn't set") || !strings.Contains(text, want) {
		t.Errorf("%q", text)
	}
	if text := said(); text != "" {
		t.Errorf("again: %q", text)
	}
	if err := os.MkdirAll(d.home, 0o700); err != nil {
		t.Fatal(err)
	}
	if text := d.moving(); strings.Contains(text, "mv") || !strings.Contains(text, d.home) {
		t.Errorf("where there are two: %q", text)
	}
	d.home = ""
	if text := d.moving(); !strings.Contains(text, "--dir") {
		t.Errorf("without a home: %q", text)
	}
}
