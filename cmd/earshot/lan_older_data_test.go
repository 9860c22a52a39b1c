//go:build linux

package main_test

import (
	"archive/zip"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"earshot/chat/store"

	_ "modernc.org/sqlite"
)

// makeFixture names, in the environment, the file that the data directory of the first
// release is written to. The one in chat/store/testdata was made so.
const makeFixture = "EARSHOT_MAKE_FIXTURE"

// olderData opens a data directory of the first release: all that it showed is shown.
func olderData(t *testing.T, older string) {
	ana := furnish(t, newLAN(t), older)
	if path := os.Getenv(makeFixture); path != "" {
		pack(t, ana.dir, path)
	}
	tables := [][]string{
		{"id", "--json"},
		{"people", "--json"},
		{"outbox", "--json"},
		{"log", "--json", "-n", "0", "bob"},
		{"log", "--json", "-n", "0", "Davy"},
		{"log", "--json", "-n", "0", "#here"},
		{"log", "--json", "-n", "0", "#dev"},
		{"log", "--json", "-n", "0", "#secret"},
		{"log", "--json", "-n", "0"},
	}
	// The first release shows a copy, since it may change what it opens.
	before := newHost(t, "ana").running(older)
	sh(t, "cp", "-a", ana.dir, before.dir)
	want := make([]string, len(tables))
	for i, args := range tables {
		want[i] = before.run(args...).exits(0).stdout
	}
	// While an older program runs there, a newer one leaves the directory alone.
	runs := ana.start("listen", "--json")
	runs.event("ready")
	newer := *ana
	newer.program = ""
	newer.run("log").exits(1).notes("an older earshot runs", fmt.Sprintf("stop the earshot that runs (pid %d)", runs.cmd.Process.Pid))
	newer.run("send", "Davy", "not now").exits(1).notes("an older earshot runs")
	runs.interrupt()
	runs.exits(130)

	ana.program = ""
	for i, args := range tables {
		if strings.Count(want[i], "\n") == 0 {
			t.Errorf("%v shows nothing", args)
		}
		covers(t, strings.Join(args, " "), ana.run(args...).exits(0).stdout, want[i])
	}
	s := ana.screen()
	s.enter("earshot chat Davy")
	s.await(`^Davy> half a thought$`)
}

// covers asserts that two tables of JSON have the same rows, but for keys that only the
// newer one knows.
func covers(t *testing.T, title, got, want string) {
	t.Helper()
	gotRows, wantRows := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(gotRows) != len(wantRows) {
		t.Errorf("%s: %d rows instead of %d:\n%s\ninstead of\n%s", title, len(gotRows), len(wantRows), got, want)
		return
	}
	for i := range wantRows {
		if wantRows[i] == "" {
			continue
		}
		g, w := decode[map[string]any](t, gotRows[i]), decode[map[string]any](t, wantRows[i])
		for key, value := range w {
			if key != "dir" && !holds(g[key], value) {
				t.Errorf("%s: %s is %v in\n%s\ninstead of\n%s", title, key, g[key], gotRows[i], wantRows[i])
			}
		}
	}
}

// holds reports whether a value of JSON is what it was, but for keys that only the newer one knows.
func holds(got, want any) bool {
	w, object := want.(map[string]any)
	if !object {
		return reflect.DeepEqual(got, want)
	}
	g, _ := got.(map[string]any)
	for key, value := range w {
		if !holds(g[key], value) {
			return false
		}
	}
	return true
}

// furnish returns a host on which the first release has left a bit of everything it keeps.
func furnish(t *testing.T, l *lan, older string) *host {
	t.Helper()
	ana, bob, carol, dave := l.host("ana"), l.host("bob"), l.host("carol"), l.host("dave")
	for _, h := range []*host{ana, bob, carol, dave} {
		h.running(older)
	}
	there := bob.start("listen", "--json", "--room", "#dev")
	there.event("ready")
	listening(carol, dave)
	ana.run("rooms", "join", "#dev").exits(0)
	ana.in("open sesame").run("rooms", "join", "#secret").exits(0)
	here := ana.start("listen", "--json")
	here.event("ready")

	ana.run("send", "bob", "hello").exits(0)
	bob.run("send", "ana", "hello to you").exits(0)
	ana.run("send", "carol", "are you carol?").exits(0)
	ana.run("send", "dave", "lunch?").exits(0)
	ana.run("verify", "--yes", "bob").exits(0)
	ana.run("people", "rename", "dave", "Davy").exits(0)
	ana.run("people", "block", "carol").exits(0)

	ana.run("send", "#dev", "does it build?").exits(0)
	bob.run("send", "#dev", "it does").exits(0)
	here.event("message", said("it does"))
	ana.run("send", "#dev", "good").exits(0)
	dave.run("send", "#here", "who has the cable?").exits(0)
	here.event("message", said("who has the cable?"))
	ana.in("open sesame").run("send", "#secret", "is anybody here?").exits(3)
	secret := bob.in("open sesame").start("listen", "--json", "--room", "#secret")
	secret.event("ready")
	ana.in("open sesame").run("send", "#secret", "psst").exits(0)
	secret.kill()

	// For the outbox.
	bob.nft("chain in { type filter hook input priority 0; udp dport 41027 @th,64,8 4 drop; }")
	ana.run("send", "--no-queue", "--timeout", "400ms", "bob", "too late").exits(5)
	there.kill()
	ana.run("send", "--timeout", "400ms", "--wait", "50ms", "bob", "waits").exits(5)
	ana.run("send", "--queue", "--timeout", "400ms", "--wait", "50ms", "zoe", "for zoe").exits(5)

	// A draft, and what was typed.
	s := ana.screen()
	s.enter(older + " chat Davy")
	s.await(`^Davy>`)
	s.enter("typed")
	s.await(`typed ✓ delivered`)
	s.tmux("send-keys", "-l", "half a thought")
	db := openDatabase(t, ana.dir)
	for draft := ""; draft != "half a thought"; time.Sleep(20 * time.Millisecond) {
		_ = db.QueryRow(`SELECT draft FROM views WHERE draft <> ''`).Scan(&draft)
	}

	// What the database doesn't have yet when everything is killed: another keeps it busy.
	if _, err := db.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	dave.run("send", "ana", "only in the journal").exits(0)
	s.tmux("kill-server")
	here.kill()
	if _, err := db.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for limit := time.Now().Add(patience); len(store.Running(ana.dir)) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the screen has outlived its terminal")
		}
	}
	return ana
}

// openDatabase opens the database in a data directory, beside the program.
func openDatabase(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "earshot.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// pack writes what is in a directory to a zip file.
func pack(t *testing.T, dir, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
