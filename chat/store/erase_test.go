package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/room"
)

var bob = chat.Person{Key: key(2), Name: "bob"}

// holding returns the files of a directory that hold a text.
func holding(t testing.TB, dir, text string) (files []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if n := bytes.Count(b, []byte(text)); n > 0 {
			files = append(files, fmt.Sprintf("%s (%d)", path, n))
		}
		return err
	}))
	return files
}

// ungiving makes a new database as earlier versions made it, which can't give pages back.
func ungiving(t testing.TB, dir string) {
	t.Helper()
	open(t, dir).Close()
	db, err := sql.Open("sqlite", filepath.Join(dir, File))
	check(t, err)
	_, err = db.Exec("PRAGMA auto_vacuum = NONE; VACUUM")
	check(t, err)
	check(t, db.Close())
}

// converse has two people and two rooms say things, some of them with "zzsecret" in their texts, and
// returns how many those are. What is said is delivered later, so that rows grow and pages are split.
func converse(t testing.TB, s *Store, count int) (secrets int) {
	t.Helper()
	var unacknowledged []func()
	for n := range count {
		secret, who, in := n%10 != 0, ana, "#secret"
		text := fmt.Sprintf("%dzzsecret%d %s", n*7919%1_000_003, n, strings.Repeat("word ", n*7919%90))
		if !secret {
			who, in = bob, room.Here
			text = fmt.Sprintf("%dopen%d %s", n*7919%1_000_003, n, strings.Repeat("word ", n*7919%70))
		} else {
			secrets++
		}
		if n%101 == 0 {
			text += strings.Repeat("long", 2000)
		}
		m := chat.Saying{To: who.Key, ID: id(n), Text: text, Sent: now}
		switch n % 4 {
		case 0:
			must[bool](t)(s.Said(m))
			unacknowledged = append(unacknowledged, func() { check(t, s.Delivered(who.Key, id(n), now)) })
		case 1:
			m.Room, m.Head = in, "head"
			must[bool](t)(s.HeardIn(who, m, now))
		case 2:
			m.Room, m.Head = in, "head"
			must[[]bool](t)(s.SaidIn(m, []chat.Person{who}))
			unacknowledged = append(unacknowledged, func() { check(t, s.Delivered(who.Key, id(n), now)) })
		default:
			must[bool](t)(s.Heard(who, id(n), text, now, now))
		}
		if n%50 == 0 || n == count-1 {
			check(t, s.Flush())
			for _, acknowledge := range unacknowledged {
				acknowledge()
			}
			unacknowledged = nil
		}
	}
	check(t, setView(s, View{Peer: ana.Key, Draft: "zzsecret and " + strings.Repeat("a long draft ", 500)}))
	check(t, setView(s, View{Peer: ana.Key, Draft: "zzsecret"}))
	for n := range maxTyped + 10 {
		check(t, s.AddTyped([]string{fmt.Sprintf("zzsecret %d typed", n)}))
	}
	check(t, s.Flush())
	for more := true; more; {
		more = must[bool](t)(s.index())
	}
	return secrets
}

// What is deleted is in none of the files, however the pages of the database were rearranged.
func TestDeletedLeavesNothing(t *testing.T) {
	tooSlow(t)
	for name, prepare := range map[string]func(testing.TB, string){"new": func(testing.TB, string) {}, "older": ungiving} {
		for _, beside := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, beside another process %v", name, beside), func(t *testing.T) {
				dir := t.TempDir()
				prepare(t, dir)
				s := open(t, dir)
				secrets := converse(t, s, 3000)
				if beside {
					must[[]Message](t)(open(t, dir).Log(Filter{Limit: 1}))
				}
				before := must[fs.FileInfo](t)(os.Stat(filepath.Join(dir, File))).Size()
				if len(holding(t, dir, "zzsecret")) == 0 {
					t.Fatal("nothing to delete")
				}
				count := must[int64](t)(s.Delete(ctx, Filter{Room: "#secret"}))
				check(t, s.Forget(ctx, ana.Key))
				if left := holding(t, dir, "zzsecret"); left != nil {
					t.Errorf("left in %v", left)
				}
				if after := must[fs.FileInfo](t)(os.Stat(filepath.Join(dir, File))).Size(); after > before/2 {
					t.Errorf("%d bytes, after %d", after, before)
				}
				var left int
				for _, m := range must[[]Message](t)(s.Log(Filter{})) {
					if strings.Contains(m.Text, "open") {
						left++
					}
				}
				if left != 3000-secrets || int(count) != secrets/2 {
					t.Errorf("%d messages left of %d, %d deleted", left, 3000-secrets, count)
				}
				if found := must[[]Message](t)(s.Log(Filter{Search: "word"})); len(found) == 0 {
					t.Error("search finds nothing any more")
				}
				if state := ask[string](t, s, `PRAGMA integrity_check`); state != "ok" {
					t.Error(state)
				}
				execute(t, s, `INSERT INTO search (search) VALUES ('integrity-check')`)
			})
		}
	}
}

// A reader keeps the log as it is: that is said, and the next process mends it.
func TestDeleteBesideAReader(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	converse(t, s, 300)
	reader, err := connect(filepath.Join(dir, File))
	check(t, err)
	defer reader.close()
	read := func() {
		var n int
		must[int64](t)(reader.exec("BEGIN"))
		check(t, reader.get(`SELECT count(*) FROM messages`, nil, &n))
	}
	read()
	count, err := s.Delete(ctx, Filter{})
	var e *Error
	if !errors.Is(err, ErrResidue) || !errors.As(err, &e) || e.Path != s.path+"-wal" || !strings.Contains(e.Remedy, "earshot log") || count == 0 {
		t.Errorf("%d deleted, %v", count, err)
	}
	if holding(t, dir, "zzsecret") == nil {
		t.Error("there is nothing left")
	}
	must[int64](t)(reader.exec("COMMIT"))
	check(t, open(t, dir).Close())
	if left := holding(t, dir, "zzsecret"); left != nil {
		t.Errorf("left in %v", left)
	}
	// One that ends soon is waited for.
	converse(t, s, 300)
	read()
	go func() {
		time.Sleep(100 * time.Millisecond) // as long as a reader takes
		_, _ = reader.exec("COMMIT")
	}()
	must[int64](t)(s.Delete(ctx, Filter{}))
	if left := holding(t, dir, "zzsecret"); left != nil {
		t.Errorf("left in %v", left)
	}
}

// What isn't in the database can't be deleted there, and is named.
func TestDeleteBesideTheDatabase(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	converse(t, s, 100)
	stopped, err := openSlot(s.running(), 7)
	check(t, err)
	defer stopped.release()
	check(t, stopped.append(&record{kind: heard, key: ana.Key, id: id(1000), name: "ana", text: "zzsecret"}))
	named := func(path string) {
		t.Helper()
		var e *Error
		if _, err := s.Delete(ctx, Filter{}); !errors.Is(err, ErrResidue) || !errors.As(err, &e) || e.Path != path || e.Remedy == "" {
			t.Errorf("%v", err)
		}
		if left := holding(t, dir, "zzsecret"); !slices.Equal(left, []string{path + " (1)"}) {
			t.Errorf("left in %v", left)
		}
	}
	named(filepath.Join(s.running(), "7.a"))
	check(t, stopped.empty())
	damaged := filepath.Join(s.running(), "3.a.damaged-00000000")
	check(t, os.WriteFile(damaged, []byte("zzsecret"), 0o600))
	named(damaged)
	check(t, os.Remove(damaged))
	must[int64](t)(s.Delete(ctx, Filter{}))
}

// Where the database is a link, copies stand beside what it leads to, and in the data directory.
func TestDeleteBesideALink(t *testing.T) {
	if os.PathSeparator == '\\' {
		t.Skip("links take rights here")
	}
	dir, elsewhere := filepath.Join(t.TempDir(), "a[b"), filepath.Join(t.TempDir(), "c*d") // no patterns
	check(t, os.Mkdir(dir, 0o700))
	check(t, os.Mkdir(elsewhere, 0o700))
	check(t, open(t, dir).Close())
	for _, name := range []string{File, MarkFile} {
		check(t, os.Rename(filepath.Join(dir, name), filepath.Join(elsewhere, name)))
	}
	check(t, os.Symlink(filepath.Join(elsewhere, File), filepath.Join(dir, File)))
	s := open(t, dir)
	converse(t, s, 100)
	for _, path := range []string{filepath.Join(elsewhere, Log) + ".set-aside-1", filepath.Join(elsewhere, File) + ".copy", filepath.Join(dir, Log) + ".set-aside-1"} {
		check(t, os.WriteFile(path, []byte("zzsecret"), 0o600))
		var e *Error
		if _, err := s.Delete(ctx, Filter{}); !errors.Is(err, ErrResidue) || !errors.As(err, &e) || e.Path != path {
			t.Errorf("%s: %v", path, err)
		}
		check(t, os.Remove(path))
	}
	must[int64](t)(s.Delete(ctx, Filter{}))
}

// Copies of contacts are named when one of them is forgotten, and only then.
func TestForgetBesideTheDatabase(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, name := range []string{ContactsFile + ".set-aside-1", "." + ContactsFile + "-12345"} {
		hear(t, s, 1, "hello")
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, []byte(ana.Key.String()), 0o600))
		must[int64](t)(s.Delete(ctx, Filter{}))
		var e *Error
		if err := s.Forget(ctx, ana.Key); !errors.Is(err, ErrResidue) || !errors.As(err, &e) || e.Path != path || !strings.Contains(e.Remedy, path) {
			t.Errorf("%s: %v", name, err)
		}
		if people := must[[]Person](t)(s.People()); people != nil {
			t.Errorf("known: %v", people)
		}
		check(t, os.Remove(path))
		check(t, s.Forget(ctx, ana.Key))
	}
}

// Who deletes much lets others write, and can be interrupted.
func TestDeleteInPortions(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	size := 10_000
	if raced {
		size = 1500
	}
	count := converse(t, s, size)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	var longest time.Duration
	go func() {
		var err error
		for n := int64(0); ctx.Err() == nil && err == nil; n++ {
			began := time.Now()
			err = setView(other, View{Peer: bob.Key, Seen: n})
			longest = max(longest, time.Since(began))
			if len(must[[]Message](t)(other.Log(Filter{Peer: ana.Key}))) < count/2-200 {
				cancel()
			}
		}
		cancel()
		done <- err
	}()
	began := time.Now()
	n, err := s.Delete(ctx, Filter{Peer: ana.Key})
	took := time.Since(began)
	check(t, <-done)
	if !errors.Is(err, context.Canceled) || n < 200 || int(n) >= count/2 {
		t.Errorf("%d of %d deleted: %v", n, count/2, err)
	}
	t.Logf("a write waited %v at most; interrupted after %v", longest, took)
	if rest := must[int64](t)(s.Delete(t.Context(), Filter{Peer: ana.Key})); int(n+rest) != count/2 {
		t.Errorf("%d and %d of %d deleted", n, rest, count/2)
	}
}
