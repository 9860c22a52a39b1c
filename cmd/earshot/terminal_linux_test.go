package main_test

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"earshot/discovery/lantest"
)

// onTerminal starts earshot on a terminal, deaf to hangups as under nohup.
func onTerminal(t *testing.T, columns, rows uint16, env []string, args ...string) *pty {
	t.Helper()
	path, err := exec.LookPath("earshot")
	if err != nil {
		t.Fatal(err)
	}
	master, slave, err := newPTY(columns, rows)
	if err != nil {
		t.Skip(err)
	}
	defer slave.Close()
	home := t.TempDir()
	all := append([]string{
		"-c", `trap "" HUP; exec "$@"`, "sh", path,
		"--name", "ana", "--dir", home + "/ana", "--port", "0", "--interface", lantest.Loopback(t),
	}, args...)
	p := &pty{master, exec.Command("/bin/sh", all...)}
	p.cmd.Env = append([]string{"HOME=" + home, "LANG=C.UTF-8", "TERM=xterm-256color", "PATH=/usr/bin:/bin"}, env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _, _ = p.cmd.Process.Wait(); _ = p.Close() })
	return p
}

// Whoever has a terminal ends with it, though no hangup is heard: on the screen, by lines, and
// while something is asked.
func TestTerminalGone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		env    []string
		args   []string
		awaits string
		types  string
		code   int
	}{
		{name: "screen", awaits: "talk with>", code: 130},
		{name: "screen, in a page", awaits: "talk with>", types: "?", code: 130},
		{name: "screen, in a room", args: []string{"chat", "#here"}, awaits: "#here", types: "half a line", code: 130},
		{name: "lines", args: []string{"--plain"}, awaits: "talk with>", code: 130},
		{name: "lines, half of one", args: []string{"--plain", "chat", "#here"}, awaits: "#here", types: "half", code: 130},
		{name: "lines, while a call is on", args: []string{"--plain"}, awaits: "talk with>", types: "127.0.0.1:9\rhello\r", code: 130},
		{name: "without a line editor", env: []string{"TERM=dumb"}, awaits: "you are ana", code: 0},
		{name: "passphrase", args: []string{"rooms", "--private", "join", "#den"}, awaits: "passphrase of #den", types: "hal", code: 130},
		{name: "message", args: []string{"send", "127.0.0.1:9"}, awaits: "reading the message", types: "one\nha", code: 130},
		{name: "listening", args: []string{"listen"}, awaits: "listening as ana", code: 130},
		{name: "watching", args: []string{"peers", "--watch"}, awaits: "nobody", code: 130},
		{name: "deleting", args: []string{"log", "--delete"}, awaits: "yes or no", types: "ye", code: 130},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name != "watching" { // which would see the others
				t.Parallel()
			}
			p := onTerminal(t, 80, 24, tt.env, tt.args...)
			if err := p.until(tt.awaits, true); err != nil {
				t.Fatal(err)
			}
			if _, err := p.WriteString(tt.types); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { _ = p.cmd.Wait(); close(ended) }()
			select {
			case <-ended:
			case <-time.After(slack * 5 * time.Second):
				t.Fatal("it outlives its terminal")
			}
			if code := p.cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d after %v, want %d", code, time.Since(began), tt.code)
			}
		})
	}
}

// A terminal that doesn't know its size is drawn on all the same, and one that comes to know
// it is drawn on anew.
func TestTerminalOfNoSize(t *testing.T) {
	for _, tt := range []struct {
		columns, rows uint16
		env           []string
		shows         string
	}{
		{0, 0, nil, "talk with>"},
		{0, 30, nil, "talk with>"},
		{90, 0, nil, "talk with>"},
		{1, 1, nil, "e"},
		{0, 0, []string{"COLUMNS=30", "LINES=10"}, "40x12, this is"},
	} {
		t.Run(fmt.Sprintf("%dx%d %s", tt.columns, tt.rows, strings.Join(tt.env, " ")), func(t *testing.T) {
			p := onTerminal(t, tt.columns, tt.rows, tt.env)
			if err := p.until(tt.shows, true); err != nil {
				t.Fatal(err)
			}
			if err := p.resize(100, 40); err != nil {
				t.Fatal(err)
			}
			if err := p.until("You are ana", true); err != nil {
				t.Fatal(err)
			}
		})
	}
	p := onTerminal(t, 0, 0, nil, "--plain")
	if err := p.until("talk with>", true); err != nil {
		t.Fatal(err)
	}
}
