package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
)

// person makes the data directory of somebody new.
func person(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must[*chat.Identity](t)(chat.LoadIdentity(filepath.Join(dir, IdentityFile)))
	return dir
}

// restored restores a backup in a directory and opens it.
func restored(t *testing.T, dir, file string) *Store {
	t.Helper()
	_, _, err := Restore(context.Background(), dir, file, now)
	check(t, err)
	return open(t, dir)
}

// A backup is made while processes run, has what they have said and heard, and all else
// that makes a person; restored it is all there, and what was there before is set aside.
func TestBackup(t *testing.T) {
	dir := person(t)
	s, other := open(t, dir), open(t, dir)
	check(t, os.WriteFile(filepath.Join(dir, settingsFile), []byte("typing = false\n"), 0o600))
	must[bool](t)(s.Heard(ana, id(1), "heard", now, now))
	check(t, s.Flush())
	must[bool](t)(other.Said(chat.Saying{To: ana.Key, ID: id(2), Text: "said", Sent: now}))
	check(t, other.SetVerified(ana, true, now))
	check(t, s.SetName("me"))
	deleted := must[chat.MessageID](t)(s.Queue(ana, "secret plan", now))
	check(t, s.Cancel(deleted, Cancelled))
	must[int64](t)(s.Delete(ctx, Filter{After: 2}))
	must[bool](t)(s.Heard(ana, id(3), "later", now, now))
	file := filepath.Join(t.TempDir(), "saved")
	b, err := s.Backup(context.Background(), file, now)
	check(t, err)
	if b.Messages != 3 || b.People != 1 || b.Waiting != 1 || b.Bytes == 0 {
		t.Errorf("saved %+v", b)
	}
	content, err := os.ReadFile(file)
	check(t, err)
	if strings.Contains(string(content), "secret plan") {
		t.Error("what was deleted is in the backup")
	}
	if info, _ := os.Stat(file); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("beside it: %v", entries)
	}

	to := filepath.Join(t.TempDir(), "new", "place")
	if _, before, err := Restore(context.Background(), to, file, now); err != nil || before != "" {
		t.Fatalf("restored: %q %v", before, err)
	}
	for _, name := range []string{IdentityFile, settingsFile} {
		was, _ := os.ReadFile(filepath.Join(dir, name))
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || !bytes.Equal(got, was) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	key, _ := os.ReadFile(filepath.Join(dir, IdentityFile))
	if made, _ := os.ReadFile(filepath.Join(to, File)); strings.Contains(string(made), strings.Split(string(key), "\n")[1]) {
		t.Error("the private key is in the database")
	}
	r := open(t, to)
	if got := texts(must[[]Message](t)(r.Log(Filter{}))); !slices.Equal(got, []string{"heard", "said", "later"}) {
		t.Errorf("restored %q", got)
	}
	if found := texts(must[[]Message](t)(r.Log(Filter{Search: "heard"}))); len(found) != 1 {
		t.Errorf("found %q", found)
	}
	if people := must[[]Person](t)(r.People()); len(people) != 1 || !people[0].Verified {
		t.Errorf("known: %+v", people)
	}
	if names := must[Names](t)(r.Names()); names.Kept != "me" {
		t.Errorf("called %q", names.Kept)
	}
	if all := must[[]chat.Saying](t)(r.Outbox(ana.Key)); len(all) != 1 || all[0].ID != id(2) {
		t.Errorf("to be sent: %v", all)
	}
	if told := r.Damaged(); told != nil {
		t.Errorf("told of %v", told)
	}
}

// A backup is restored beside no process, over what is there, and not at all where it
// isn't whole; then nothing has changed.
func TestRestore(t *testing.T) {
	dir := person(t)
	s := open(t, dir)
	must[bool](t)(s.Heard(ana, id(1), "in it", now, now))
	file := filepath.Join(t.TempDir(), "saved")
	_, err := s.Backup(context.Background(), file, now)
	check(t, err)
	must[bool](t)(s.Heard(chat.Person{Key: key(5), Name: "eve"}, id(2), "since", now, now))
	check(t, s.Flush())
	var e *Error
	if _, _, err := Restore(context.Background(), dir, file, now); !errors.As(err, &e) || !strings.Contains(e.Error(), "earshot runs in this data directory") {
		t.Errorf("beside one that runs: %v", err)
	} else if runtime.GOOS == "linux" && !strings.Contains(e.Error(), "pid") {
		t.Errorf("which one? %v", err)
	}
	check(t, s.Close())

	whole, err := os.ReadFile(file)
	check(t, err)
	flipped := slices.Clone(whole)
	for i := len(flipped) / 2; i < len(flipped)/2+4096; i++ {
		flipped[i] ^= 0xff
	}
	newer := filepath.Join(t.TempDir(), "newer")
	check(t, os.WriteFile(newer, whole, 0o600))
	k := must[*conn](t)(connect(newer))
	_, err = k.c.ExecContext(ctx, "PRAGMA user_version = 99")
	check(t, err)
	k.close()
	reseal(t, newer)
	future, err := os.ReadFile(newer)
	check(t, err)
	plain, err := os.ReadFile(filepath.Join(dir, File))
	check(t, err)
	for name, content := range map[string][]byte{
		"a third": whole[:len(whole)/3], "two thirds": whole[:len(whole)*2/3], "empty": {}, "flipped": flipped,
		"rubbish": []byte(strings.Repeat("rubbish ", 1000)), "newer": future, "no backup": plain,
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		check(t, os.WriteFile(bad, content, 0o600))
		if _, _, err := Restore(context.Background(), dir, bad, now); !errors.As(err, &e) || e.Path != bad || !strings.Contains(e.Remedy, "nothing was changed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := Restore(context.Background(), dir, file+"-none", now); !errors.As(err, &e) {
		t.Errorf("no file: %v", err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, File)); !bytes.Equal(got, plain) {
		t.Error("the data were changed")
	}

	_, before, err := Restore(context.Background(), dir, file, now)
	check(t, err)
	if old, err := os.ReadFile(filepath.Join(before, File)); err != nil || !bytes.Equal(old, plain) {
		t.Errorf("set aside: %v", err)
	}
	s = open(t, dir)
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, []string{"in it"}) {
		t.Errorf("restored %q", got)
	}
	// Who has come to be known since is no first contact, and that is told.
	if people := must[[]Person](t)(s.People()); len(people) != 2 {
		t.Errorf("known: %+v", people)
	}
	if told := s.Damaged(); len(told) != 1 || told[0].Path != filepath.Join(dir, ContactsFile) {
		t.Errorf("told of %v", told)
	}
	if got, _ := os.ReadFile(file); !bytes.Equal(got, whole) {
		t.Error("the backup was changed")
	}
	check(t, s.Close())

	// One that was interrupted keeps all else from starting, and is done again.
	check(t, os.Mkdir(filepath.Join(dir, restoring), 0o700))
	if _, err := Open(dir); !errors.As(err, &e) || !strings.Contains(e.Remedy, "earshot restore") {
		t.Errorf("opened in the midst: %v", err)
	}
	_, again, err := Restore(context.Background(), dir, file, now.Add(time.Minute))
	check(t, err)
	if again == before {
		t.Error("set aside over what was")
	}
	check(t, open(t, dir).Err())
}

// A backup that somebody has crafted brings no statements that run later, writes no other files, and has no keys
// that break what reads them. The same is true of a file that was given another table.
func TestCraftedBackup(t *testing.T) {
	from, to := person(t), person(t)
	s := open(t, from)
	must[bool](t)(s.Heard(ana, id(1), "text", now, now))
	file := filepath.Join(t.TempDir(), "saved")
	must[Backup](t)(s.Backup(context.Background(), file, now))
	check(t, s.Close())
	plain, err := os.ReadFile(file)
	check(t, err)
	for _, statement := range []string{
		`CREATE TRIGGER evil AFTER INSERT ON people BEGIN UPDATE people SET verified = 1; END`,
		`DROP TRIGGER contact_changed; CREATE TRIGGER contact_changed AFTER UPDATE ON people BEGIN DELETE FROM messages; END`,
		`CREATE VIEW evil AS SELECT randomblob(1000000000)`,
		`DROP TABLE backup; CREATE VIEW backup AS SELECT 'about' AS name, randomblob(1000000000) AS content`,
		`CREATE TABLE evil (x)`,
		`CREATE INDEX evil ON messages (abs(n))`,
		`ALTER TABLE people ADD COLUMN evil DEFAULT 1`,
		`DROP TRIGGER views_made`,
		`UPDATE people SET key = x'01'`,
		`UPDATE people SET key = 'twenty-two and ten more letters.'`,
		`UPDATE messages SET id = x''`,
		`UPDATE origin SET id = x'01'`,
		`DELETE FROM origin`,
		`INSERT INTO origin SELECT * FROM origin`,
		`UPDATE backup SET content = zeroblob(2000000)`,
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		check(t, os.WriteFile(bad, plain, 0o600))
		k := must[*conn](t)(connect(bad))
		_, err = k.c.ExecContext(ctx, statement)
		check(t, err)
		k.close()
		reseal(t, bad)
		var e *Error
		if _, _, err := Restore(context.Background(), to, bad, now); !errors.As(err, &e) || e.Path != bad {
			t.Errorf("%s: %v", statement, err)
		}
	}

	k := must[*conn](t)(connect(file))
	for _, name := range []string{"../evil", "evil", File + "-wal", File + "-mark", "running", ContactsFile} {
		_, err = k.exec(`INSERT INTO backup VALUES (?, 'x')`, name)
		check(t, err)
	}
	k.close()
	reseal(t, file)
	_, _, err = Restore(context.Background(), to, file, now)
	check(t, err)
	for _, name := range []string{"../evil", "evil", File + "-mark", ContactsFile} {
		if _, err := os.Lstat(filepath.Join(to, name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	if got := texts(must[[]Message](t)(open(t, to).Log(Filter{}))); !slices.Equal(got, []string{"text"}) {
		t.Errorf("restored %q", got)
	}
}

// reseal makes the seal of a backup that was changed fit.
func reseal(t *testing.T, file string) {
	t.Helper()
	whole, err := os.ReadFile(file)
	check(t, err)
	if i := bytes.LastIndex(whole, backupEnd); i > 0 {
		whole = whole[:i]
	}
	check(t, os.WriteFile(file, whole, 0o600))
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	check(t, err)
	check(t, seal(f))
	check(t, f.Close())
}

// What was waiting when the backup was made and has been delivered since is sent again
// after it is restored, and known where it arrives. What has waited too long has failed.
func TestRestoredOutbox(t *testing.T) {
	dir, there := person(t), open(t, t.TempDir())
	bob := chat.Person{Key: key(2), Name: "bob"}
	me := chat.Person{Key: key(9), Name: "me"}
	s := open(t, dir)
	must[chat.MessageID](t)(s.Queue(bob, "long ago", now.Add(-Expiry-time.Hour)))
	must[chat.MessageID](t)(s.Queue(bob, "lately", now))
	file := filepath.Join(t.TempDir(), "saved")
	_, err := s.Backup(context.Background(), file, now)
	check(t, err)
	deliver := func(s *Store) (fresh int) {
		for _, m := range must[[]chat.Saying](t)(s.Outbox(bob.Key)) {
			if must[bool](t)(there.Heard(me, m.ID, m.Text, m.Sent, now)) {
				fresh++
			}
			check(t, s.Delivered(bob.Key, m.ID, now))
		}
		return fresh
	}
	if n := deliver(s); n != 2 {
		t.Errorf("%d delivered", n)
	}
	check(t, s.Close())
	s = restored(t, dir, file)
	if all := must[[]Message](t)(s.Undelivered()); len(all) != 2 || all[0].Status != Failed || all[1].Status != Queued {
		t.Errorf("undelivered: %v", all)
	}
	if n := deliver(s); n != 0 {
		t.Errorf("%d heard again", n)
	}
	if got := texts(must[[]Message](t)(there.Log(Filter{}))); !slices.Equal(got, []string{"long ago", "lately"}) {
		t.Errorf("heard %q", got)
	}
}

// A backup replaces files alone, also where a link leads to one, and none that earshot uses.
func TestBackupTarget(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links take rights here")
	}
	dir, at := person(t), t.TempDir()
	s := open(t, dir)
	path := func(name string) string { return filepath.Join(at, name) }
	check(t, os.WriteFile(path("old"), []byte("old"), 0o644))
	check(t, os.Symlink("old", path("link")))
	check(t, os.Symlink("nowhere", path("dangling")))
	check(t, os.Mkdir(path("directory"), 0o700))
	for _, to := range []string{path("dangling"), path("directory"), os.DevNull} {
		var e *Error
		if _, err := s.Backup(context.Background(), to, now); !errors.As(err, &e) || e.Path != to || e.Remedy == "" {
			t.Errorf("%s: %v", to, err)
		}
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Fatalf("%s is replaced", os.DevNull)
	}
	_, err := s.Backup(context.Background(), path("link"), now)
	check(t, err)
	if to, err := os.Readlink(path("link")); err != nil || to != "old" {
		t.Errorf("the link is replaced: %q %v", to, err)
	}
	if info, err := os.Stat(path("old")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("what it leads to: %v %v", info, err)
	}
	check(t, os.Symlink(dir, path("data")))
	for _, name := range []string{
		File, Log, File + "-shm", IdentityFile, ContactsFile, settingsFile, AdvertiseLock, "running/1.a", "running/7.b", "running/new.lock",
		"earshot.log", File + ".set-aside-1", File + ".new-wal", ContactsFile + ".set-aside-1", ".identity-1", ".try-1", "running", restoring + "/" + File,
		beforeRestore + "1", beforeRestore + "1/" + File,
	} {
		if !Ours(dir, filepath.Join(dir, name), "earshot.log") || !Ours(dir, filepath.Join(at, "data", name), "earshot.log") {
			t.Errorf("%s isn't held for a file of the data directory", name)
		}
	}
	for _, other := range []string{path("old"), path("new"), filepath.Join(dir, "saved"), filepath.Join(dir, "saved", "earshot.db"), "/x", "x"} {
		if Ours(dir, other) {
			t.Errorf("%s is held for a file of the data directory", other)
		}
	}
	check(t, os.Link(filepath.Join(dir, IdentityFile), path("linked")))
	check(t, os.Rename(filepath.Join(dir, File), path("moved")))
	check(t, os.Symlink(path("moved"), filepath.Join(dir, File)))
	for _, name := range []string{"linked", "moved", "moved-wal", "moved-wal.set-aside-1"} {
		if !Ours(dir, path(name)) {
			t.Errorf("%s isn't held for a file of the data directory", name)
		}
	}
}

// Whatever is changed of a backup is noticed, where SQLite finds nothing wrong, too.
func TestBackupChanged(t *testing.T) {
	s := open(t, person(t))
	must[bool](t)(s.Heard(ana, id(1), "the original words", now, now))
	file := filepath.Join(t.TempDir(), "saved")
	_, err := s.Backup(context.Background(), file, now)
	check(t, err)
	whole, err := os.ReadFile(file)
	check(t, err)
	for name, content := range map[string][]byte{
		"a word":     bytes.Replace(whole, []byte("original"), []byte("replaced"), 1),
		"more":       append(slices.Clone(whole), make([]byte, 4096)...),
		"one less":   whole[:len(whole)-1],
		"no seal":    whole[:len(whole)-len(backupEnd)-32],
		"seal alone": whole[len(whole)-len(backupEnd)-32:],
	} {
		check(t, os.WriteFile(file, content, 0o600))
		dir := t.TempDir()
		var e *Error
		if _, _, err := Restore(context.Background(), dir, file, now); !errors.As(err, &e) || e.Path != file {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, File)); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}

// Backups can be restored one after the other in one second, and what each set aside stays.
func TestRestoreAtOnce(t *testing.T) {
	dir := person(t)
	s := open(t, dir)
	file := filepath.Join(t.TempDir(), "saved")
	_, err := s.Backup(context.Background(), file, now)
	check(t, err)
	check(t, s.Close())
	aside := map[string]bool{}
	for range 3 {
		_, before, err := Restore(context.Background(), dir, file, now)
		check(t, err)
		aside[before] = true
	}
	if len(aside) != 3 {
		t.Errorf("set aside in %v", aside)
	}
	check(t, open(t, dir).Err())
}

// Nothing is restored while a process that keeps nothing goes by the identity there.
func TestRestoreWhilePresent(t *testing.T) {
	dir := person(t)
	s := open(t, dir)
	file := filepath.Join(t.TempDir(), "saved")
	must[Backup](t)(s.Backup(context.Background(), file, now))
	check(t, s.Close())
	first, second := Present(dir), Present(dir)
	first()
	var e *Error
	if _, _, err := Restore(context.Background(), dir, file, now); !errors.As(err, &e) || !strings.Contains(e.Remedy, "end it first") {
		t.Errorf("restored: %v", err)
	}
	second()
	_, _, err := Restore(context.Background(), dir, file, now)
	check(t, err)
}
