//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"earshot/chat/store"
	"earshot/discovery/lantest"
)

// running is a program of somebody's that goes on until the test ends.
type running struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // of standard output
}

// launch starts earshot in a data directory, where nobody is found but by address.
func launch(t *testing.T, dir, port string, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: earshotIn(t, dir, port, args...), lines: make(chan string, 1000)}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			r.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	})
	return r
}

func earshotIn(t *testing.T, dir, port string, args ...string) *exec.Cmd {
	t.Helper()
	path := program(t)
	cmd := exec.Command(path, append([]string{"--dir", dir, "--name", filepath.Base(dir), "--port", port, "--hidden"}, args...)...)
	cmd.Env = append(os.Environ(), "EARSHOT_INTERFACE="+lantest.Loopback(t))
	return cmd
}

func (r *running) says(line string) {
	r.t.Helper()
	if _, err := fmt.Fprintln(r.in, line); err != nil {
		r.t.Fatal(err)
	}
}

// shows waits for a line that contains text, and returns what was shown until then.
func (r *running) shows(text string, limit time.Duration) (all []string) {
	r.t.Helper()
	deadline := time.After(limit)
	for {
		select {
		case line := <-r.lines:
			if all = append(all, line); strings.Contains(line, text) {
				return all
			}
		case <-deadline:
			r.t.Fatalf("%q isn't shown in %v, but %q", text, limit, all)
		}
	}
}

// stop stops the program, and returns when it is.
func (r *running) stop() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		r.t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(r.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		r.t.Fatal(status, err)
	}
}

func (r *running) goOn() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		r.t.Fatal(err)
	}
}

// keptBy returns what somebody has kept, once ok holds of it.
func keptBy(t *testing.T, dir string, what string, ok func(all []store.Message) bool) (all []store.Message) {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if all, err = s.Log(store.Filter{}); err != nil {
			t.Fatal(err)
		}
		if ok(all) {
			return all
		}
		if time.Now().After(limit) {
			t.Fatalf("%s: %v", what, all)
		}
	}
}

func textsOf(all []store.Message, out bool) (texts []string) {
	for _, m := range all {
		if m.Out == out {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

func waits(text string) func([]store.Message) bool {
	return func(all []store.Message) bool {
		return slices.ContainsFunc(all, func(m store.Message) bool { return m.Text == text && m.Status == store.Queued })
	}
}

// A chat that is stopped with a line that isn't delivered holds up nothing that is said later to the
// same person; when it goes on, nothing comes twice or out of order.
func TestStoppedChat(t *testing.T) {
	ana, bob := filepath.Join(t.TempDir(), "ana"), filepath.Join(t.TempDir(), "bob")
	anaPort, bobPort := freePort(t), freePort(t)
	to := "127.0.0.1:" + bobPort
	listens := launch(t, bob, bobPort, "listen")
	chats := launch(t, ana, anaPort, "chat", "--wait", "20s", to)
	chats.says("one")
	listens.shows("one", 20*time.Second)
	listens.stop()
	chats.says("two")
	keptBy(t, ana, "nothing waits", waits("two"))
	chats.stop()
	listens.goOn()
	began := time.Now()
	if out, err := earshotIn(t, ana, "0", "send", "--timeout", "20s", to, "three").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("sent after %v beside a stopped process", time.Since(began))
	listens.shows("three", 20*time.Second)
	chats.goOn()
	chats.says("four")
	listens.shows("four", 20*time.Second)
	all := keptBy(t, ana, "not all is delivered", func(all []store.Message) bool {
		return !slices.ContainsFunc(all, func(m store.Message) bool { return m.Status != store.Done })
	})
	want := []string{"one", "two", "three", "four"}
	if got := textsOf(all, true); !slices.Equal(got, want) {
		t.Errorf("ana has said %q", got)
	}
	heard := keptBy(t, bob, "bob hasn't all", func(all []store.Message) bool { return len(all) >= len(want) })
	if got := textsOf(heard, false); !slices.Equal(got, want) {
		t.Errorf("bob has heard %q", got)
	}
}

// What a stopped chat was sending can be taken back, and stays so when it goes on.
func TestStoppedChatTakenBack(t *testing.T) {
	ana, bob := filepath.Join(t.TempDir(), "ana"), filepath.Join(t.TempDir(), "bob")
	anaPort, bobPort := freePort(t), freePort(t)
	to := "127.0.0.1:" + bobPort
	listens := launch(t, bob, bobPort, "listen")
	chats := launch(t, ana, anaPort, "chat", "--wait", "20s", to)
	chats.says("one")
	listens.shows("one", 20*time.Second)
	_ = listens.cmd.Process.Kill()
	_ = listens.cmd.Wait()
	chats.says("two")
	all := keptBy(t, ana, "nothing waits", waits("two"))
	chats.stop()
	id := all[len(all)-1].ID.String()
	if out, err := earshotIn(t, ana, "0", "outbox", "cancel", id).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	listens = launch(t, bob, bobPort, "listen")
	chats.goOn()
	chats.says("three")
	for _, line := range listens.shows("three", 30*time.Second) {
		if strings.Contains(line, "two") {
			t.Errorf("%q was taken back", line)
		}
	}
	heard := keptBy(t, bob, "bob hasn't all", func(all []store.Message) bool { return len(all) >= 2 })
	if got := textsOf(heard, false); !slices.Equal(got, []string{"one", "three"}) {
		t.Errorf("bob has heard %q", got)
	}
}

// Processes of one person beside each other take in at once whom the other mutes, and cost nothing
// while nothing happens.
func TestMutedElsewhere(t *testing.T) {
	ana, bob := filepath.Join(t.TempDir(), "ana"), filepath.Join(t.TempDir(), "bob")
	anaPort, bobPort := freePort(t), freePort(t)
	first := launch(t, ana, anaPort, "--plain")
	launch(t, bob, bobPort, "listen")
	if out, err := earshotIn(t, ana, "0", "send", "--timeout", "20s", "127.0.0.1:"+bobPort, "hello").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	second := launch(t, ana, "0", "--plain")
	first.shows("you are ana", 20*time.Second)
	second.shows("you are ana", 20*time.Second)
	for range 3 {
		first.says("/mute bob")
		first.shows("bob is muted", 20*time.Second)
		time.Sleep(inTime(t))
		second.says("/mute bob") // which undoes what it knows of
		second.shows("bob isn't muted", 20*time.Second)
		time.Sleep(inTime(t))
	}
}

// inTime is within what time another process has taken in what one has changed.
func inTime(t *testing.T) time.Duration {
	t.Helper()
	if os.Getenv("CI") != "" || testing.Short() {
		return 2 * time.Second
	}
	return 500 * time.Millisecond // 100 ms, on a machine that others use too
}
