package store

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"earshot/chat"
)

// starter is set in the environment of a process that opens, writes once, and ends.
const starter = "EARSHOT_TEST_STARTER"

// startOnce does what TestProcessesStartTogether asks for.
func startOnce(dir string) {
	var n int
	fmt.Sscan(os.Getenv("FIRST"), &n)
	s, err := Open(dir)
	if err == nil {
		_, err = s.Heard(chat.Person{Key: key(byte(n + 1)), Name: "ana"}, id(n), fmt.Sprint(n), now, now)
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		fmt.Println(err)
	}
}

// Many processes start at once where there is nothing yet.
func TestProcessesStartTogether(t *testing.T) {
	const processes = 8
	for range 3 {
		dir := t.TempDir()
		var wg sync.WaitGroup
		for n := range processes {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), starter+"="+dir, fmt.Sprint("FIRST=", n))
			wg.Go(func() {
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("process %d: %v %s", n, err, out)
				}
			})
		}
		wg.Wait()
		s := open(t, dir)
		if all := must[[]Message](t)(s.Log(Filter{})); len(all) != processes {
			t.Errorf("%d messages", len(all))
		}
		check(t, s.Close())
	}
}

// leaves leaves a journal as a killed process does that had slot n.
func leaves(t *testing.T, dir string, n int, records ...record) {
	t.Helper()
	s, err := openSlot(filepath.Join(dir, "running"), n)
	check(t, err)
	for _, r := range records {
		check(t, s.append(&r))
	}
	s.release()
}

// What a killed process had heard isn't taken again, and what it had said is sent, by
// those that run already and by those that start, whatever slots they have.
func TestKilledBesideOthers(t *testing.T) {
	dir := t.TempDir()
	running := open(t, dir)
	leaves(t, dir, 7,
		record{kind: heard, key: ana.Key, id: id(1), name: "ana", text: "heard", received: millis(now)},
		record{kind: said, own: true, key: ana.Key, id: id(2), text: "said", sent: millis(now)})
	if keys := must[[]chat.Key](t)(running.Waiting()); !slices.Equal(keys, []chat.Key{ana.Key}) {
		t.Errorf("waits for %v", keys)
	}
	if must[bool](t)(running.Heard(ana, id(1), "heard", now, now)) {
		t.Error("taken again")
	}
	leaves(t, dir, 5, record{kind: heard, key: ana.Key, id: id(3), name: "ana", text: "more", received: millis(now)})
	started := open(t, dir)
	if must[bool](t)(started.Heard(ana, id(3), "more", now, now)) {
		t.Error("taken again by one that starts")
	}
	if all := must[[]chat.Saying](t)(started.Outbox(ana.Key)); len(all) != 1 || all[0].ID != id(2) {
		t.Errorf("to be sent: %v", all)
	}
}

// What is deleted doesn't come back out of a journal, nor does who is forgotten.
func TestDeletedStays(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	leaves(t, dir, 7, record{kind: heard, key: ana.Key, id: id(1), name: "ana", text: "heard", received: millis(now)})
	if n := must[int64](t)(s.Delete(ctx, Filter{})); n != 1 {
		t.Errorf("%d deleted", n)
	}
	must[bool](t)(s.Said(chat.Saying{To: ana.Key, ID: id(2), Text: "said", Sent: now}))
	check(t, s.Flush())
	check(t, s.Forget(ctx, ana.Key))
	check(t, s.Delivered(ana.Key, id(2), now)) // it was under way
	check(t, s.Flush())
	if people := must[[]Person](t)(s.People()); people != nil {
		t.Errorf("known: %v", people)
	}
	if all := must[[]Message](t)(s.Log(Filter{})); all != nil {
		t.Errorf("kept: %v", all)
	}
	// Search doesn't take what comes after for what was there.
	must[bool](t)(s.Heard(ana, id(3), "hello", now, now))
	if found := must[[]Message](t)(s.Log(Filter{Search: "said"})); found != nil {
		t.Errorf("found: %v", found)
	}
}

// A half-written record at the end of a journal was told to nobody. Nor does it come
// to life when the disk was full and a shorter one took its place.
func TestHalfWritten(t *testing.T) {
	dir := t.TempDir()
	check(t, open(t, dir).Close())
	leaves(t, dir, 3, record{kind: heard, key: ana.Key, id: id(1), name: "ana", text: "whole"})
	f, err := os.OpenFile(filepath.Join(dir, "running", "3.a"), os.O_WRONLY|os.O_APPEND, 0)
	check(t, err)
	r := record{seq: 2, kind: heard, key: ana.Key, id: id(2), name: "ana", text: "half"}
	b := r.encode(nil)
	_, err = f.Write(b[:len(b)-1])
	check(t, err)
	check(t, f.Close())
	s := open(t, dir)
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, []string{"whole"}) {
		t.Errorf("kept %q", got)
	}
	if !must[bool](t)(s.Heard(ana, id(2), "half", now, now)) {
		t.Error("what was told to nobody isn't taken")
	}
}

// What is damaged in a journal takes nothing with it that can be read, and stays in a file that
// is told of; what only looks like a record doesn't count.
func TestDamagedJournal(t *testing.T) {
	heardOf := func(n int) record {
		return record{seq: uint64(n), kind: heard, key: ana.Key, id: id(n), name: "ana", text: fmt.Sprint("text ", n)}
	}
	var file []byte
	var at []int // where each begins
	for n := 1; n <= 5; n++ {
		r := heardOf(n)
		if n == 3 { // whoever says a record
			inner := heardOf(99)
			r.text = string(inner.encode(nil))
		}
		at = append(at, len(file))
		file = append(file, r.encode(nil)...)
	}
	for name, c := range map[string]struct {
		offset int
		want   string
	}{
		"a text":       {at[1] - 1, "[2 3 4 5]"},
		"a length":     {at[0] + 1, "[2 3 4 5]"},
		"a checksum":   {at[1] + 4, "[1 3 4 5]"},
		"said records": {at[2] + recordHead + 8, "[1 2 4 5]"},
		"the last":     {at[4] + recordHead + recordFixed, "[1 2 3 4]"},
	} {
		b := slices.Clone(file)
		b[c.offset] ^= 0x55
		records, whole := salvage(b)
		var got []uint64
		for _, r := range records {
			got = append(got, r.seq)
		}
		if fmt.Sprint(got) != c.want || whole {
			t.Errorf("%s: %v, whole is %v", name, got, whole)
		}
	}

	dir := t.TempDir()
	s := open(t, dir)
	file[at[1]+recordHead+recordFixed] ^= 1
	check(t, os.WriteFile(filepath.Join(dir, "running", "3.b"), file, 0o600))
	if n := len(must[[]Message](t)(open(t, dir).Log(Filter{}))); n != 4 {
		t.Errorf("%d messages", n)
	}
	check(t, s.Close())
	check(t, os.WriteFile(filepath.Join(dir, "running", "1.a"), []byte(strings.Repeat("rubbish ", 1<<17)), 0o600))
	s = open(t, dir)
	files := s.Damaged()
	if len(files) != 1 || s.Damaged() != nil {
		t.Fatalf("told of %v", files)
	}
	b, err := os.ReadFile(files[0].Path)
	if check(t, err); len(b) != 1<<20 || !strings.HasPrefix(files[0].Path, filepath.Join(dir, "running", "1.a.")) {
		t.Errorf("%s has %d bytes", files[0].Path, len(b))
	}
	must[bool](t)(s.Heard(ana, id(7), "fresh", now, now))
	check(t, s.Flush())
}

// When the database can't grow, what is in the journal is kept, nothing more is taken
// and the reason is said; with room again all goes on.
func TestDatabaseFull(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	limit := func(n int) { execute(t, s, fmt.Sprintf("PRAGMA max_page_count = %d", n)) }
	limit(ask[int](t, s, "PRAGMA page_count") + 10)
	text := strings.Repeat("x", 2000)
	kept := 0
	var err error
	for ; kept < 10_000; kept++ {
		if _, err = s.Heard(ana, id(kept), text, now, now); err != nil {
			break
		}
	}
	var e *Error
	if !errors.As(err, &e) || e.Path != filepath.Join(dir, File) || !strings.Contains(e.Error(), "the disk is full") || e.Remedy != "make room on it" {
		t.Fatalf("after %d: %v", kept, err)
	}
	if _, err := s.Said(chat.Saying{To: ana.Key, ID: id(20_000), Text: "said", Sent: now}); err == nil {
		t.Error("something is said that can't be kept")
	}
	if s.Err() == nil {
		t.Error("no reason is given")
	}
	// A process that starts now has what the journal holds, once it is taken over.
	limit(1 << 30)
	check(t, s.Flush())
	if !must[bool](t)(s.Heard(ana, id(kept), text, now, now)) {
		t.Error("what was refused doesn't come again")
	}
	check(t, s.Close())
	s = open(t, dir)
	if all := must[[]Message](t)(s.Log(Filter{})); len(all) != kept+1 {
		t.Errorf("%d messages of %d", len(all), kept+1)
	}
}

// While another process keeps the database busy, messages are taken all the same.
func TestBusy(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	execute(t, s, "PRAGMA busy_timeout = 10")
	execute(t, other, "BEGIN IMMEDIATE")
	if err := s.Flush(); err != nil {
		t.Error(err) // there is nothing to be written
	}
	must[bool](t)(s.Heard(ana, id(1), "one", now, now))
	if err := s.Flush(); !busy(err) {
		t.Errorf("flushed: %v", err)
	}
	must[bool](t)(s.Heard(ana, id(2), "two", now, now))
	if err := s.Err(); err != nil {
		t.Errorf("not taken: %v", err)
	}
	execute(t, other, "ROLLBACK")
	check(t, s.Flush())
	if got := texts(must[[]Message](t)(other.Log(Filter{}))); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("kept %q", got)
	}
}

// When the clock is set back, the order is that in which things were kept, nothing
// expires, and people were last there when the clock says so now.
func TestClockSetBack(t *testing.T) {
	s := open(t, t.TempDir())
	back := now.Add(-365 * 24 * time.Hour)
	must[bool](t)(s.Heard(ana, id(1), "one", now, now))
	must[chat.MessageID](t)(s.Queue(ana, "two", now))
	must[bool](t)(s.Heard(ana, id(3), "three", back, back))
	waits := must[chat.MessageID](t)(s.Queue(ana, "four", back))
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, []string{"one", "two", "three", "four"}) {
		t.Errorf("in the order %q", got)
	}
	if got := texts(must[[]Message](t)(s.Log(Filter{Since: now}))); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("since then: %q", got)
	}
	if p := must[[]Person](t)(s.People()); !p[0].Last.Equal(back) || !p[0].First.Equal(now) {
		t.Errorf("%+v", p[0])
	}
	if n := must[int64](t)(s.Expire()); n != 0 {
		t.Errorf("%d expired", n)
	}
	if all := must[[]chat.Saying](t)(s.Outbox(ana.Key)); len(all) != 2 || all[0].Text != "two" || all[1].ID != waits {
		t.Errorf("to be sent: %v", all)
	}
	if must[bool](t)(s.Heard(ana, id(1), "one", back, back)) {
		t.Error("taken again")
	}
}

// A database of the first version is brought to this one with all that is in it.
func TestMigrated(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, File))
	check(t, err)
	for _, query := range []string{
		migrations[0], "PRAGMA user_version = 1",
		`INSERT INTO people VALUES (1, zeroblob(32), 'ana', '', 1, 1, 1, 0)`,
		`INSERT INTO messages VALUES (1, 1, zeroblob(16), 0, '', 'an old word', 1, 1, 1, 0)`,
		`INSERT INTO search (rowid, text) VALUES (1, 'an old word')`, `UPDATE searchable SET n = 1`,
	} {
		_, err := db.Exec(query)
		check(t, err)
	}
	check(t, db.Close())
	s := open(t, dir)
	if got := texts(must[[]Message](t)(s.Log(Filter{Search: "old"}))); !slices.Equal(got, []string{"an old word"}) {
		t.Errorf("found %q", got)
	}
	if n := ask[int](t, s, `SELECT count(*) FROM search WHERE search MATCH 'old'`); n != 1 {
		t.Errorf("the index has it %d times", n)
	}
	if p := must[[]Person](t)(s.People()); len(p) != 1 || p[0].Name != "ana" || !p[0].Verified || p[0].Named != 1 {
		t.Errorf("known: %+v", p)
	}
}

// older makes the database of an earshot before the migration that has some text in it, and runs queries there.
func older(t *testing.T, dir, migration string, queries ...string) {
	t.Helper()
	version := slices.IndexFunc(migrations, func(m string) bool { return strings.Contains(m, migration) })
	old := must[*conn](t)(connect(filepath.Join(dir, File)))
	defer old.close()
	for _, query := range slices.Concat(migrations[:version], []string{fmt.Sprintf(`PRAGMA user_version = %d`, version)}, queries) {
		_, err := old.c.ExecContext(ctx, query)
		check(t, err)
	}
}

// knowAna makes ana the first of an older database's people.
var knowAna = fmt.Sprintf(`INSERT INTO people (key, name, petname, first, last, verified, blocked) VALUES (x'%x', 'ana', '', 0, 0, 0, 0)`, ana.Key[:])

// What an older earshot made search know is learnt anew, as search folds now.
func TestLearntAnew(t *testing.T) {
	dir := t.TempDir()
	older(t, dir, "'delete-all'", knowAna, `INSERT INTO messages (peer, id, out, name, text, sent, received, status, owner)
		VALUES (1, x'01', 0, '', 'straße', 1, 1, 1, 0)`,
		`INSERT INTO search (rowid, text, peer) VALUES (1, 'straße', 'p1')`, `UPDATE searchable SET n = 1`)
	s := open(t, dir)
	_, err := s.index()
	check(t, err)
	for word, want := range map[string]int{"strasse": 1, "straße": 0} {
		if n := ask[int](t, s, `SELECT count(*) FROM search WHERE search MATCH ?`, word); n != want {
			t.Errorf("the index has %s %d times", word, n)
		}
	}
}

// Whoever still asks when the store is closed gets an answer or none, and no more than that.
func TestCloseWhileAsked(t *testing.T) {
	for range 10 {
		s := open(t, t.TempDir())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Waits(key(1))
		}()
		check(t, s.Close())
		<-done
		if _, err := s.Rooms(); err == nil {
			t.Error("what is closed still answers")
		}
		if s.Waits(key(1)) {
			t.Error("somebody waits at a store that is closed")
		}
	}
}
