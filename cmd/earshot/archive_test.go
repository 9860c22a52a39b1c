package main

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
)

// kept returns a data directory with what f puts there.
func kept(t *testing.T, f func(*store.Store)) string {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// program is where the earshot is that the tests run.
func program(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("earshot")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// runOn runs earshot on a data directory, and returns what it prints and its exit code.
func runOn(t *testing.T, dir string, args ...string) (out string, code int) {
	t.Helper()
	path := program(t)
	cmd := exec.Command(path, append([]string{"--dir", dir, "--name", "me"}, args...)...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// What has waited too long has failed, whoever looks first.
func TestLogSaysWhatExpired(t *testing.T) {
	dir := kept(t, func(s *store.Store) {
		up := time.Duration(0)
		s.SetClock(func() (time.Duration, time.Time) { return up, time.Now() })
		if _, err := s.Queue(chat.Person{Key: chat.Key{1}, Name: "ana"}, "hello", time.Now()); err != nil {
			t.Fatal(err)
		}
		up = 8 * 24 * time.Hour
	})
	if out, code := runOn(t, dir, "log"); code != 0 || !strings.Contains(out, "> ana (failed): hello") {
		t.Errorf("exit code %d, %q", code, out)
	}
}

// What several members of a room lack is one message, to be taken back and queued again as one.
func TestOutboxOfARoom(t *testing.T) {
	ana, bob := chat.Person{Key: chat.Key{1}, Name: "ana"}, chat.Person{Key: chat.Key{2}, Name: "bob"}
	dir := kept(t, func(s *store.Store) {
		m := chat.Saying{ID: chat.MessageID{0xab, 0xcd}, Text: "hello", Sent: time.Now(), Room: "#here"}
		if _, err := s.SaidIn(m, []chat.Person{ana, bob}); err != nil {
			t.Fatal(err)
		}
	})
	for _, step := range [][2]string{{"cancel", "cancelled"}, {"retry", "queued"}} {
		if out, code := runOn(t, dir, "outbox", step[0], "abcd"); code != 0 || out != "" {
			t.Errorf("%s: exit code %d, %q", step[0], code, out)
		}
		if out, _ := runOn(t, dir, "outbox"); strings.Count(out, step[1]) != 2 {
			t.Errorf("after %s: %q", step[0], out)
		}
	}
}

// What can't be read of what a killed process has left is told of, once, and kept.
func TestDamagedJournalIsToldOf(t *testing.T) {
	dir := kept(t, func(*store.Store) {})
	file := filepath.Join(dir, "running", "1.a")
	if err := os.WriteFile(file, []byte(strings.Repeat("rubbish ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := runOn(t, dir, "log"); code != 0 || !strings.Contains(out, file+".damaged-") {
		t.Errorf("exit code %d, %q", code, out)
	}
	if out, code := runOn(t, dir, "log"); code != 0 || out != "" {
		t.Errorf("again: exit code %d, %q", code, out)
	}
}

// A deletion that leaves copies in the files doesn't pass for whole, and the next command makes it so.
func TestLogDeleteBesideAReader(t *testing.T) {
	dir := kept(t, func(s *store.Store) {
		if _, err := s.Heard(chat.Person{Key: chat.Key{1}, Name: "ana"}, chat.MessageID{1}, "zzsecret", time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
	})
	db, err := sql.Open("sqlite", filepath.Join(dir, store.File))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	reader, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.QueryRow(`SELECT count(*) FROM messages`).Scan(new(int)); err != nil {
		t.Fatal(err)
	}
	out, code := runOn(t, dir, "log", "--delete", "--yes")
	if code != exitFailure || !strings.Contains(out, "1 messages deleted") || !strings.Contains(out, "another program reads the database") {
		t.Errorf("exit code %d, %q", code, out)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if out, code := runOn(t, dir, "log"); code != exitDone || out != "" {
		t.Errorf("then exit code %d, %q", code, out)
	}
	for _, file := range []string{store.File, store.Log} {
		if b, _ := os.ReadFile(filepath.Join(dir, file)); strings.Contains(string(b), "zzsecret") {
			t.Errorf("%s still has it", file)
		}
	}
}

// A reader of `log --follow` that stands still keeps nobody from writing or deleting, and has all of it, once
// and in order, when it goes on.
func TestLogFollowStandsStill(t *testing.T) {
	const lines = 3000 // more than a pipe holds
	text := func(n int) string { return fmt.Sprintf("line %d %s", n, strings.Repeat("word ", 20)) }
	hear := func(s *store.Store, from string, n int) {
		t.Helper()
		id := chat.MessageID{from[0], byte(n), byte(n >> 8)}
		if _, err := s.Heard(chat.Person{Key: chat.Key{from[0]}, Name: from}, id, text(n), time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	dir := kept(t, func(s *store.Store) { hear(s, "ana", 0); hear(s, "bob", 0) })
	path := program(t)
	cmd := exec.Command(path, "--dir", dir, "log", "--follow", "ana")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	r := bufio.NewScanner(out)
	next := func(n int) {
		t.Helper()
		if !r.Scan() || !strings.HasSuffix(r.Text(), strings.TrimSpace(text(n))) {
			t.Fatalf("line %d is %q, %v", n, r.Text(), r.Err())
		}
	}
	next(0) // it follows
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < lines; n++ {
		hear(s, "ana", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out, code := runOn(t, dir, "log", "--delete", "--yes", "bob"); code != exitDone || !strings.Contains(out, "1 messages deleted") {
		t.Errorf("deleting beside it: exit code %d, %q", code, out)
	}
	for n := 1; n < lines; n++ {
		next(n)
	}
}
