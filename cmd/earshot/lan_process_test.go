//go:build linux

package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A transcript keeps what a program writes, line by line, and wakes those who wait for
// a line.
type transcript struct {
	mu      sync.Mutex
	text    strings.Builder
	lines   []string
	partial string
	read    int           // lines that next has passed
	changed chan struct{} // closed and replaced at each write
	ended   bool
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

func (tr *transcript) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.text.Write(b)
	lines := strings.Split(tr.partial+string(b), "\n")
	last := len(lines) - 1
	tr.lines, tr.partial = append(tr.lines, lines[:last]...), lines[last]
	close(tr.changed)
	tr.changed = make(chan struct{})
	return len(b), nil
}

func (tr *transcript) end() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.ended = true
	close(tr.changed)
	tr.changed = make(chan struct{})
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String()
}

// next returns the next unread complete line, waiting for it until the deadline; false
// when the deadline passes or the program has ended without one.
func (tr *transcript) next(deadline <-chan time.Time) (string, bool) {
	for {
		tr.mu.Lock()
		if tr.read < len(tr.lines) {
			line := tr.lines[tr.read]
			tr.read++
			tr.mu.Unlock()
			return line, true
		}
		changed, ended := tr.changed, tr.ended
		tr.mu.Unlock()
		if ended {
			return "", false
		}
		select {
		case <-changed:
		case <-deadline:
			return "", false
		}
	}
}

// A process is a program running on a host.
type process struct {
	t      *testing.T
	title  string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *transcript
	stderr *transcript
	done   chan struct{} // closed once it has ended and all it wrote is read
}

// start runs earshot on the host until the test ends or ends it.
func (h *host) start(args ...string) *process {
	h.t.Helper()
	return h.startProgram(nil, h.earshot(args...)...)
}

// startProgram runs any program on the host, with additions to its environment.
func (h *host) startProgram(env []string, args ...string) *process {
	h.t.Helper()
	p := &process{
		t: h.t, title: fmt.Sprintf("%s$ %q", h.name, strings.Join(args, " ")),
		cmd:    h.command(context.Background(), args[0], args[1:]...),
		stdout: newTranscript(), stderr: newTranscript(), done: make(chan struct{}),
	}
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		h.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		h.t.Fatalf("%s: %v", p.title, err)
	}
	go func() {
		_ = p.cmd.Wait()
		p.stdout.end()
		p.stderr.end()
		close(p.done)
	}()
	h.t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(2 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
		if h.t.Failed() {
			h.t.Logf("%s\n%s%s", p.title, tail(p.stdout.String()), tail(p.stderr.String()))
		}
		if strings.Contains(p.stderr.String(), "DATA RACE") || strings.Contains(p.stderr.String(), "goroutine 1 [") {
			h.t.Errorf("%s: crashed or raced\n%s", p.title, p.stderr)
		}
	})
	return p
}

// tail is the end of a long text.
func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "[...] " + s[len(s)-most:]
	}
	return s
}

// say writes a line to the program's standard input.
func (p *process) say(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatalf("%s: standard input: %v", p.title, err)
	}
}

// hangUp ends the program's standard input.
func (p *process) hangUp() { _ = p.stdin.Close() }

// expect waits for a line on standard output that matches; lines before it are passed
// over.
func (p *process) expect(pattern string) {
	p.t.Helper()
	p.expectOn(p.stdout, pattern)
}

// expectNote is expect for standard error.
func (p *process) expectNote(pattern string) {
	p.t.Helper()
	p.expectOn(p.stderr, pattern)
}

func (p *process) expectOn(tr *transcript, pattern string) {
	p.t.Helper()
	re, deadline := regexp.MustCompile(pattern), time.After(patience)
	for {
		line, ok := tr.next(deadline)
		if !ok {
			p.t.Fatalf("%s: no line matched %q (in %v, or before it ended)", p.title, pattern, patience)
		}
		if re.MatchString(line) {
			return
		}
	}
}

// anywhere waits until some line of standard output matches, read before or not.
func (p *process) anywhere(pattern string) {
	p.t.Helper()
	re, deadline := regexp.MustCompile(pattern), time.After(patience)
	for !re.MatchString(p.stdout.String()) {
		if _, ok := p.stdout.next(deadline); !ok {
			p.t.Fatalf("%s: %q was never printed", p.title, pattern)
		}
	}
}

// wait returns the exit code once the program has ended by itself.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s: still running after %v", p.title, patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// exits waits for the end of the program, which has to have that exit code.
func (p *process) exits(code int) {
	p.t.Helper()
	if got := p.wait(); got != code {
		p.t.Fatalf("%s: exit code %d, want %d", p.title, got, code)
	}
}

// interrupt sends what Ctrl-C sends.
func (p *process) interrupt() { _ = p.cmd.Process.Signal(os.Interrupt) }

// The documented JSON, as a script would read it.
type (
	person struct {
		ID       string   `json:"id"`
		Name     string   `json:"name"`
		Petname  *string  `json:"petname"`
		Addrs    []string `json:"addrs"`
		Since    string   `json:"since"`
		Status   string   `json:"status"`
		Verified bool     `json:"verified"`
		Self     bool     `json:"self"`
	}
	event struct {
		Event    string   `json:"event"`
		Time     string   `json:"time"`
		ID       string   `json:"id"`
		Name     string   `json:"name"`
		Port     int      `json:"port"`
		Addrs    []string `json:"addrs"`
		Peer     person   `json:"peer"`
		From     person   `json:"from"`
		To       person   `json:"to"`
		Text     string   `json:"text"`
		Sent     string   `json:"sent"`
		Received string   `json:"received"`
		Status   string   `json:"status"`
		RTT      float64  `json:"rtt_ms"`

		Room      string   `json:"room"`
		Mention   bool     `json:"mention"`
		Person    person   `json:"person"`
		Delivered int      `json:"delivered"`
		Total     int      `json:"total"`
		Missing   []person `json:"missing"`
		Members   int      `json:"members"`
		Joined    bool     `json:"joined"`
	}
)

// event waits for an event of that kind for which every condition holds. Each line has
// to be one JSON object.
func (p *process) event(kind string, where ...func(event) bool) event {
	p.t.Helper()
	deadline := time.After(patience)
next:
	for {
		line, ok := p.stdout.next(deadline)
		if !ok {
			p.t.Fatalf("%s: no such event %q (in %v, or before it ended)", p.title, kind, patience)
		}
		e := decode[event](p.t, line)
		for _, holds := range where {
			if !holds(e) {
				continue next
			}
		}
		if e.Event == kind {
			return e
		}
	}
}

// of is a condition of event: the peer it is about has that name.
func of(name string) func(event) bool {
	return func(e event) bool { return e.Peer.Name == name }
}

func decode[T any](t *testing.T, line string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		t.Fatalf("not one JSON object in a line: %v\n%s", err, line)
	}
	return v
}

// A result is what a program that has ended left.
type result struct {
	t              *testing.T
	title          string
	code           int
	stdout, stderr string
	took           time.Duration
}

// run runs earshot on the host to its end.
func (h *host) run(args ...string) result {
	h.t.Helper()
	return h.runWith("", args...)
}

// runWith is run with a text on standard input.
func (h *host) runWith(stdin string, args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	full := h.earshot(args...)
	cmd := h.command(ctx, full[0], full[1:]...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	r := result{h.t, h.name + "$ " + strings.Join(full, " "), cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(began)}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		h.t.Fatalf("%s: %v %v\n%s%s", r.title, err, ctx.Err(), r.stdout, r.stderr)
	}
	if strings.Contains(r.stderr, "DATA RACE") || strings.Contains(r.stderr, "goroutine 1 [") {
		h.t.Errorf("%s: crashed or raced\n%s", r.title, r.stderr)
	}
	return r
}

// exits asserts the exit code.
func (r result) exits(code int) result {
	r.t.Helper()
	if r.code != code {
		r.t.Fatalf("%s: exit code %d, want %d\n%s%s", r.title, r.code, code, r.stdout, tail(r.stderr))
	}
	return r
}

// notes asserts that standard error holds all of these.
func (r result) notes(words ...string) result {
	r.t.Helper()
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			r.t.Errorf("%s: standard error lacks %q:\n%s", r.title, w, r.stderr)
		}
	}
	return r
}

// prints asserts that standard output holds all of these.
func (r result) prints(words ...string) result {
	r.t.Helper()
	for _, w := range words {
		if !strings.Contains(r.stdout, w) {
			r.t.Errorf("%s: standard output lacks %q:\n%s", r.title, w, r.stdout)
		}
	}
	return r
}

// roster runs `earshot peers --json` and returns the rows by name; two rows of one name
// are a failure.
func (h *host) roster(flags ...string) map[string]person {
	h.t.Helper()
	r := h.run(append([]string{"peers", "--json"}, flags...)...).exits(0)
	rows := map[string]person{}
	for line := range strings.Lines(r.stdout) {
		p := decode[person](h.t, line)
		if _, twice := rows[p.Name]; twice {
			h.t.Errorf("%s sees %q twice:\n%s", h.name, p.Name, r.stdout)
		}
		rows[p.Name] = p
	}
	return rows
}
