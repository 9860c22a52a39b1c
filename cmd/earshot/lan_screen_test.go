//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// picture is what the screen shows, with what differs from run to run made the same.
func (s *screen) picture() string {
	s.h.t.Helper()
	text := s.tmux("capture-pane", "-p")
	for _, r := range [][2]string{
		{`\b\d\d:\d\d\b`, "hh:mm"}, {`\([a-z2-7]{6}\)`, "(id)"}, {`─+ \w+day \d+ \w+ \d+ ─+`, "── day ──"}, {` +\n`, "\n"},
	} {
		text = regexp.MustCompile(r[0]).ReplaceAllString(text, r[1])
	}
	return text
}

// shows asserts that rows of this text follow each other on the screen. Of what stands
// left of the conversation only that it is there counts.
func (s *screen) shows(rows ...string) {
	s.h.t.Helper()
	var got []string
	for row := range strings.Lines(s.picture()) {
		if _, right, ok := strings.Cut(row, "│"); ok {
			row = right
		}
		got = append(got, strings.TrimRight(row, " \n"))
	}
	if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+strings.Join(rows, "\n")+"\n") {
		s.h.t.Errorf("%s: the screen doesn't show\n%s\nbut\n%s", s.h.name, strings.Join(rows, "\n"), s.picture())
	}
}

func lanScreen(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	listening(l.host("carol"), l.host("dave"))
	a, b := ana.screen(), bob.screen()
	a.enter("stty -g >before; earshot")
	b.enter("earshot")
	a.await(`3 people are here`)
	b.await(`3 people are here`)
	for _, name := range []string{"bob", "carol", "dave"} {
		a.await(`^\d ● ` + name + ` `)
	}
	a.shows(
		"  You are ana. Whoever runs earshot on this network is listed on the",
		"  left.",
		"",
		"  To talk with somebody: Up and Down, or a click, or type the beginning",
		"  of their name and Enter.")

	// Somebody is picked by name; both talk.
	a.enter("bob")
	a.await(`bob: is here`)
	a.enter("picked by typing a name")
	a.await(`picked by typing a name ✓ delivered`)
	b.await(`ana .* 1 │`)
	b.keys("M-a")
	b.await(`picked by typing a name`)
	b.enter("me too 👩‍💻, see https://example.org/")
	a.await(`me too 👩‍💻, see https://example.org/`)
	b.await(`✓ delivered`)

	// What is pasted is one message, and asked about when it is long.
	write(t, ana.home+"/paste", "one\ntwo\n\tthree\nfour\nfive\nsix\n")
	a.tmux("load-buffer", ana.home+"/paste")
	a.tmux("paste-buffer", "-p")
	a.await(`send these 6 lines to bob as one message\?`)
	a.keys("Enter")
	b.await(`six`)
	a.await(`six ✓ delivered`)
	a.shows(
		"── day ──",
		"hh:mm          ana  picked by typing a name ✓",
		"hh:mm           --  first contact with bob (id): remembered; compare",
		"                    words with: /verify bob",
		"hh:mm          bob  me too 👩‍💻, see https://example.org/",
		"hh:mm          ana  one",
		"                    two",
		"                            three",
		"                    four",
		"                    five",
		"                    six ✓ delivered")

	// Somebody is lost, and found again.
	bob.cable("eth0", "down")
	a.enter("still there?")
	a.await(`bob (can't be reached|doesn't answer)`)
	a.await(`still there\? … queued`)
	bob.cable("eth0", "up")
	b.await(`still there\?`)
	a.await(`bob is back`)
	a.await(`still there\? ✓ delivered`)

	// Any size will do, and in the end the terminal is as before.
	a.tmux("resize-window", "-x", "40", "-y", "12")
	a.await(`^ bob: is here`)
	a.tmux("resize-window", "-x", "39", "-y", "12")
	a.await(`earshot needs 40x12`)
	a.tmux("resize-window", "-x", "100", "-y", "30")
	a.await(`^ 3 people are here +bob: is here`)
	a.keys("C-z")
	a.await(`Stopped`)
	a.enter("clear; stty -g | cmp before - && echo lent")
	a.await(`^lent$`)
	a.enter("fg")
	a.await(`bob: is here`)
	a.keys("C-c")
	a.await(`^quit\?`)
	a.keys("C-c")
	a.await(`^lent$`)
	a.enter("echo code=$?; stty -g | cmp before - && echo restored")
	a.await(`^(\$ )?code=0$`)
	a.await(`^restored$`)
}

// With `chat NAME` the screen begins in the conversation. An interrupt from outside
// leaves the terminal as it was.
func lanChatScreen(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	listening(bob)
	a := ana.screen()
	a.enter("stty -g >before; earshot chat bob & echo $! >pid; fg; echo code=$?; stty -g >after; cmp before after && echo restored")
	a.await(`bob: is here`)
	a.enter("hello from the keyboard")
	a.await(`hello from the keyboard ✓ delivered`)
	ana.exec("sh", "-c", "kill -INT $(cat "+ana.home+"/pid)")
	a.await(`^code=130$`)
	a.await(`^restored$`)

	// On a terminal that was opened for the program nothing would resume it.
	p, err := ana.onPTY()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, step := range []struct{ sees, types string }{{"talk with>", "\x1a"}, {"there is no shell to go back to", "\x03\x03\x03"}} {
		if err := p.until(step.sees, true); err != nil {
			_ = p.cmd.Process.Kill()
			t.Fatal(err)
		}
		if _, err := p.WriteString(step.types); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.until("\x00", true); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it doesn't leave when told to: %v", err)
		_ = p.cmd.Process.Kill()
	}
	_ = p.cmd.Wait()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && code != 130 {
		t.Errorf("exit code %d", code)
	}
}

// A pty is a terminal on which a program runs, seen from its other end.
type pty struct {
	*os.File
	cmd *exec.Cmd
}

// onPTY starts earshot on a new terminal of 80 by 24 on the host.
func (h *host) onPTY(args ...string) (*pty, error) {
	master, slave, err := newPTY(80, 24)
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	// The program is started on a thread that stands in the namespace already: the time
	// that `ip netns exec` takes isn't the program's.
	p := &pty{master, exec.Command(program, h.earshot(args...)[1:]...)}
	p.cmd.Env = []string{"HOME=" + h.home, "LANG=C.UTF-8", "TERM=xterm-256color"}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	h.inside(func() error { err = p.cmd.Start(); return err })
	return p, err
}

// answers are what a terminal says when it is asked: its background, its modes, what
// it is, and where its cursor stands.
var answers = strings.NewReplacer(
	"\x1b]11;?\a", "\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\", "\x1b[?2026$p", "\x1b[?2026;2$y", "\x1b[?2027$p", "\x1b[?2027;0$y",
	"\x1b[c", "\x1b[?62;22c", "\x1b[6n", "\x1b[2;3R")

var queries = regexp.MustCompile("\x1b\\]11;\\?\a|\x1b\\[\\?202[67]\\$p|\x1b\\[c|\x1b\\[6n")

// until reads what the program draws, up to a text, and answers it if it is such a terminal.
func (p *pty) until(text string, answering bool) error {
	var all strings.Builder
	buf := make([]byte, 1<<16)
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	defer func() { _ = p.SetReadDeadline(time.Time{}) }()
	for !strings.Contains(all.String(), text) {
		n, err := p.Read(buf)
		if err != nil {
			return fmt.Errorf("%w after %q", err, all.String())
		}
		all.Write(buf[:n])
		if answering {
			for _, query := range queries.FindAllString(string(buf[:n]), -1) {
				if _, err := p.WriteString(answers.Replace(query)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cpu is the time on processors that the program has taken.
func (p *pty) cpu() time.Duration {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.cmd.Process.Pid))
	var sum time.Duration
	for _, task := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", p.cmd.Process.Pid, task.Name()))
		var ns int64
		_, _ = fmt.Sscan(string(text), &ns)
		sum += time.Duration(ns)
	}
	return sum
}

// The first frame is there within 100 ms of the start, whether the terminal answers or
// not, and a screen on which nothing happens takes next to nothing.
func lanScreenFigures(t *testing.T) {
	unmeasurable(t)
	const runs = 7
	l := newLAN(t)
	ana := l.host("ana")
	listening(l.host("bob"))
	ana.run("id").exits(0) // the identity is made
	for _, answering := range []bool{true, false} {
		var took []time.Duration
		for range runs {
			began := time.Now()
			p, err := ana.onPTY()
			if err == nil {
				err = p.until("talk with>", answering)
			}
			if err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(began))
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			go func() { _ = p.until("\x00", answering) }()
			_ = p.cmd.Wait()
			p.Close()
		}
		slices.Sort(took)
		t.Logf("process start to first frame, %d runs, answering terminal %v: median %v, slowest %v", runs, answering, took[runs/2], took[runs-1])
		if took[0] > 100*time.Millisecond {
			t.Errorf("the first frame never came within 100 ms: %v", took)
		}
	}
	p, err := ana.onPTY()
	if err == nil {
		err = p.until("talk with>", true)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	drawn := make(chan struct{}, 1000)
	go func() {
		buf := make([]byte, 1<<16)
		for {
			if _, err := p.Read(buf); err != nil {
				return
			}
			drawn <- struct{}{}
		}
	}()
	const span = 10 * time.Second
	time.Sleep(5 * time.Second) // until all that begins has ended
	for len(drawn) > 0 {
		<-drawn
	}
	before := p.cpu()
	time.Sleep(span)
	share := float64(p.cpu()-before) / float64(span) * 100
	t.Logf("idle: %.2f %% of a core, %d writes in %v", share, len(drawn), span)
	if len(drawn) > 0 {
		t.Errorf("%d writes while nothing happened", len(drawn))
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}
