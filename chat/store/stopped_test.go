//go:build unix

package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"earshot/chat"
)

// stoppable is a process that does as it is told, until it is stopped.
type stoppable struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

func startStoppable(t *testing.T, dir string) *stoppable {
	t.Helper()
	p := &stoppable{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), puppet+"="+dir)
	out := must[io.ReadCloser](t)(p.cmd.StdoutPipe())
	p.in = must[io.WriteCloser](t)(p.cmd.StdinPipe())
	p.out = bufio.NewScanner(out)
	check(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	p.answer("ready")
	return p
}

func (p *stoppable) does(order string) {
	p.t.Helper()
	fmt.Fprintln(p.in, order)
	p.answer("done " + order)
}

func (p *stoppable) answer(want string) {
	p.t.Helper()
	if p.out.Scan(); p.out.Text() != want {
		p.t.Fatalf("the process says %q, want %q", p.out.Text(), want)
	}
}

// stop stops the process, and returns when it is.
func (p *stoppable) stop() {
	p.t.Helper()
	check(p.t, p.cmd.Process.Signal(syscall.SIGSTOP))
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		p.t.Fatal(status, err)
	}
}

func (p *stoppable) goOn() { check(p.t, p.cmd.Process.Signal(syscall.SIGCONT)) }

// unflushed runs f while nobody can write to the database.
func unflushed(t *testing.T, s *Store, f func()) {
	t.Helper()
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	check(t, s.write.transact(func() error { f(); return nil }))
}

// until asks until it is so.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > limit {
			t.Fatalf("%s: not in %v", what, limit)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(began)
}

// What a stopped process was sending can be sent, or taken back, by others after some seconds, and
// isn't its own when it goes on.
func TestStoppedSender(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := startStoppable(t, dir)
	p.does("say 1")
	p.does("flush")
	p.does("say 2")
	p.does("flush")
	if own := must[bool](t)(s.Said(chat.Saying{To: ana.Key, ID: id(3), Text: "3", Sent: now})); own {
		t.Error("it may be sent before what another process sends")
	}
	if err := s.Cancel(id(1), Cancelled); !errors.Is(err, ErrBusy) {
		t.Errorf("taken back from a process that runs: %v", err)
	}
	if all := must[[]chat.Saying](t)(s.Outbox(ana.Key)); len(all) > 0 {
		t.Errorf("taken from a process that runs: %v", all)
	}
	p.stop()
	began := time.Now()
	if err := s.Cancel(id(2), Cancelled); err != nil {
		t.Errorf("taken back from one that is stopped: %v", err)
	}
	t.Logf("taken back after %v", time.Since(began))
	var all []chat.Saying
	until(t, 10*time.Second, "taken over", func() bool {
		all = append(all, must[[]chat.Saying](t)(s.Outbox(ana.Key))...)
		return len(all) > 0
	})
	if got := said2(all); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("to be sent: %q", got)
	}
	p.goOn()
	p.does("lapsed")
	p.does("release")
	if fmt.Fprintln(p.in, "outbox"); !p.out.Scan() || p.out.Text() != "outbox []" {
		t.Errorf("the process that goes on has %q", p.out.Text())
	}
	p.answer("done outbox")
	check(t, s.Delivered(ana.Key, id(1), now))
	check(t, s.Delivered(ana.Key, id(3), now))
	check(t, s.Flush())
	p.does("deliver 1") // it was under way
	p.does("flush")
	if all := must[[]Message](t)(s.Log(Filter{})); len(all) != 3 || all[0].Status != Done || all[1].Status != Cancelled || all[2].Status != Done {
		t.Errorf("kept: %v", all)
	}
}

func said2(all []chat.Saying) (texts []string) {
	for _, m := range all {
		texts = append(texts, m.Text)
	}
	return texts
}

// What a process has heard, and said, before it was stopped is seen by others though it couldn't
// write it to the database, before what they hear later, and once when it goes on; unless it is
// deleted meanwhile.
func TestStoppedBeforeItsFlush(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := startStoppable(t, dir)
	unflushed(t, s, func() {
		p.does("hear 1")
		p.does("hear 2")
		p.does("say 3")
		p.stop()
	})
	s.CatchUp()
	must[bool](t)(s.Heard(ana, id(4), "4", now, now))
	check(t, s.Flush())
	want := []string{"1", "2", "3", "4"}
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	if must[bool](t)(s.Heard(ana, id(1), "1", now, now)) {
		t.Error("taken twice")
	}
	if n, err := s.Delete(ctx, Filter{Before: 3}); n != 2 || !errors.Is(err, ErrResidue) { // they are in its journal until it goes on
		t.Errorf("%d deleted: %v", n, err)
	}
	p.goOn()
	p.does("hear 5")
	p.does("flush")
	want = []string{"3", "4", "5"}
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	// What is deleted while it is stopped doesn't come back even if nobody has looked before.
	unflushed(t, s, func() {
		p.does("hear 6")
		p.stop()
	})
	if _, err := s.Delete(ctx, Filter{}); !errors.Is(err, ErrResidue) {
		t.Errorf("deleted: %v", err)
	}
	p.goOn()
	p.does("flush")
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, []string{"3"}) {
		t.Errorf("kept %q", got)
	}
}

// A process that is stopped while it writes to the database keeps others from that, but not from
// taking what they hear; a command says which process it is.
func TestStoppedWriter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := startStoppable(t, dir)
	p.does("lock")
	p.stop()
	if !must[bool](t)(s.Heard(ana, id(1), "1", now, now)) {
		t.Error("not taken")
	}
	past := must[*Store](t)(OpenPast(dir))
	defer past.Close()
	err := past.SetPetname(ana, "anna", now)
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Remedy, fmt.Sprint("process ", p.cmd.Process.Pid)) {
		t.Errorf("it is said: %v (%+v)", err, e)
	}
	p.goOn()
	p.does("unlock")
	check(t, s.Flush())
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, []string{"1"}) {
		t.Errorf("kept %q", got)
	}
}

// A process of an earlier version, which has no heartbeat, lives as long as it has its lock.
func TestNoHeartbeat(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.pulses.after = 0
	old := must[*slot](t)(openSlot(s.running(), 7))
	defer old.release()
	check(t, old.append(&record{kind: said, own: true, key: ana.Key, id: id(1), text: "1", sent: millis(now)}))
	s.writeMu.Lock()
	check(t, s.write.transact(func() error {
		return s.apply([]record{{kind: said, own: true, key: ana.Key, id: id(2), text: "2", sent: millis(now)}}, 7)
	}))
	s.writeMu.Unlock()
	for range 3 {
		if all := must[[]chat.Saying](t)(s.Outbox(ana.Key)); len(all) > 0 {
			t.Errorf("taken over: %v", all)
		}
		s.CatchUp()
	}
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, []string{"2"}) {
		t.Errorf("kept %q", got)
	}
}
