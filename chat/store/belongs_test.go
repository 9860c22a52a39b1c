package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
)

// hear has the store take a new message from ana.
func hear(t *testing.T, s *Store, n int, text string) {
	t.Helper()
	must[bool](t)(s.Heard(ana, id(n), text, now, now))
	check(t, s.Flush())
}

// withLog returns a directory as killed processes leave it, with 20 messages that are in
// the log alone, and a copy of the database file from before these.
func withLog(t *testing.T, base chat.Person) (dir, before string) {
	t.Helper()
	at := t.TempDir()
	s := open(t, at)
	must[bool](t)(s.Heard(base, id(0), "long ago", now, now))
	check(t, s.Flush())
	s.tidy()
	before = filepath.Join(t.TempDir(), "before")
	check(t, copyFile(s.path, before))
	for n := range 20 {
		must[bool](t)(s.Heard(base, id(n+1), fmt.Sprint("text ", n), now, now))
		check(t, s.Flush())
	}
	return asKilled(t, at), before
}

// aside returns the files in dir that were set aside.
func aside(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, pattern := range []string{"*.set-aside-*", "running/*.set-aside-*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		check(t, err)
		all = append(all, found...)
	}
	return all
}

// A log that doesn't belong to the database, or can't be read, isn't used, isn't deleted,
// and is told of. Nobody known becomes a stranger by that.
func TestLogs(t *testing.T) {
	flip := func(at int64) func(t *testing.T, dir, before string) {
		return func(t *testing.T, dir, _ string) {
			f, err := os.OpenFile(filepath.Join(dir, Log), os.O_RDWR, 0)
			check(t, err)
			defer f.Close()
			var b [1]byte
			_, err = f.ReadAt(b[:], at)
			check(t, err)
			b[0] ^= 0x10
			_, err = f.WriteAt(b[:], at)
			check(t, err)
		}
	}
	cut := func(part func(size int64) int64) func(t *testing.T, dir, before string) {
		return func(t *testing.T, dir, _ string) {
			info, err := os.Stat(filepath.Join(dir, Log))
			check(t, err)
			check(t, os.Truncate(filepath.Join(dir, Log), part(info.Size())))
		}
	}
	remove := func(t *testing.T, dir, _ string) { check(t, os.Remove(filepath.Join(dir, Log))) }
	for name, c := range map[string]struct {
		spoil     func(t *testing.T, dir, before string)
		kept      int  // messages; -1: some of them
		told      bool // of something
		untouched bool // the log, under whatever name
	}{
		"as it was":            {func(*testing.T, string, string) {}, 21, false, false},
		"header's magic":       {flip(1), 1, true, true},
		"header's salt":        {flip(17), 1, true, true},
		"header's checksum":    {flip(25), 1, true, true},
		"first frame's number": {flip(35), 1, true, true},
		"first frame's page":   {flip(32 + 24 + 99), 1, true, true},
		"first frame's salt":   {flip(32 + 8), 1, true, true},
		"later frame":          {flip(32 + 10*(24+4096) + 200), -1, true, true},
		"cut at a third":       {cut(func(n int64) int64 { return n / 3 }), -1, true, true},
		"cut at two thirds":    {cut(func(n int64) int64 { return n * 2 / 3 }), -1, true, true},
		"cut in the header":    {cut(func(int64) int64 { return 20 }), 1, true, true},
		"emptied":              {cut(func(int64) int64 { return 0 }), 1, true, false},
		"removed":              {remove, 1, true, false},
		"index garbled": {func(t *testing.T, dir, _ string) {
			check(t, os.WriteFile(filepath.Join(dir, File+"-shm"), []byte(strings.Repeat("rubbish ", 4096)), 0o600))
		}, 21, false, false},
		"of another database": {func(t *testing.T, dir, _ string) {
			other, _ := withLog(t, chat.Person{Key: key(9), Name: "eve"})
			remove(t, dir, "")
			check(t, copyFile(filepath.Join(other, Log), filepath.Join(dir, Log)))
		}, 1, true, true},
		"of an earlier state": {func(t *testing.T, dir, before string) {
			s := open(t, dir)
			hear(t, s, 100, "more")
			check(t, s.Close()) // and all is in the database
			s = open(t, dir)
			hear(t, s, 101, "and more")
			killed := asKilled(t, dir)
			check(t, s.Close())
			check(t, os.Rename(filepath.Join(killed, Log), filepath.Join(dir, Log)))
			check(t, os.Remove(filepath.Join(dir, File)))
			check(t, copyFile(before, filepath.Join(dir, File)))
		}, 1, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, before := withLog(t, ana)
			c.spoil(t, dir, before)
			log, _ := os.ReadFile(filepath.Join(dir, Log))
			s := open(t, dir)
			all := must[[]Message](t)(s.Log(Filter{}))
			if c.kept >= 0 && len(all) != c.kept || len(all) == 0 || all[0].Text != "long ago" {
				t.Errorf("%d messages, want %d", len(all), c.kept)
			}
			damaged := s.Damaged()
			if (len(damaged) > 0) != c.told {
				t.Errorf("told of %v", damaged)
			}
			for _, e := range damaged {
				if e.Remedy == "" || !strings.HasPrefix(e.Path, dir) {
					t.Errorf("told of %+v", e)
				}
			}
			files := aside(t, dir)
			kept := slices.ContainsFunc(files, func(path string) bool {
				b, err := os.ReadFile(path)
				return err == nil && bytes.Equal(b, log)
			})
			if c.untouched != kept {
				t.Errorf("set aside: %q", files)
			}
			s.examination.done.Wait()
			check(t, s.Err())
			must[bool](t)(s.Heard(ana, id(99), "goes on", now, now))
			check(t, s.Flush())
			check(t, s.Close())
			s = open(t, dir)
			if damaged := s.Damaged(); damaged != nil {
				t.Errorf("told again of %v", damaged)
			}
			if people := must[[]Person](t)(s.People()); len(people) != 1 {
				t.Errorf("known: %v", people)
			}
		})
	}
}

// A copy of the file that was put back is told of, whether or not its log is there.
func TestOlderCopy(t *testing.T) {
	for _, log := range []bool{true, false} {
		dir, _ := withLog(t, ana)
		s := open(t, dir)
		hear(t, s, 100, "more")
		check(t, s.Close())
		old, err := os.ReadFile(filepath.Join(dir, File))
		check(t, err)
		s = open(t, dir)
		hear(t, s, 101, strings.Repeat("later ", 2000))
		execute(t, s, "PRAGMA wal_checkpoint (RESTART)") // the log begins anew with what follows
		hear(t, s, 102, "last")
		killed := asKilled(t, dir)
		check(t, s.Close())
		if !log {
			check(t, os.Remove(filepath.Join(killed, Log)))
		}
		check(t, os.WriteFile(filepath.Join(killed, File), old, 0o600))
		s = open(t, killed)
		if n := len(must[[]Message](t)(s.Log(Filter{}))); n != 22 {
			t.Errorf("%d messages", n)
		}
		if s.Damaged() == nil {
			t.Error("not told of")
		}
		s.examination.done.Wait()
		check(t, s.Err())
	}
}

// When the database is moved away to begin anew, what was in its log is kept, and whom
// the person knows, with what was decided about them.
func TestMovedAway(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	bob := chat.Person{Key: key(2), Name: "bob"}
	fill(t, s, "one")
	check(t, s.SetVerified(ana, true, now))
	check(t, s.SetBlocked(bob, true, now))
	check(t, s.SetPetname(bob, "Robert", now))
	check(t, s.SetVerified(chat.Person{Key: key(3), Name: "carol"}, true, now))
	check(t, s.Forget(ctx, key(3)))
	s.tidy()
	for n := range 20 {
		must[bool](t)(s.Heard(ana, id(n+50), "text", now, now))
	}
	check(t, s.Flush())
	killed := asKilled(t, dir)
	log, err := os.ReadFile(filepath.Join(killed, Log))
	check(t, err)
	check(t, os.Rename(filepath.Join(killed, File), filepath.Join(killed, "away")))
	s = open(t, killed)
	if files := aside(t, killed); len(files) != 1 {
		t.Errorf("set aside: %q", files)
	} else if b, _ := os.ReadFile(files[0]); !bytes.Equal(b, log) {
		t.Error("what is set aside isn't the log")
	}
	if all := s.Damaged(); len(all) != 2 {
		t.Errorf("told of %v", all)
	}
	people := must[[]Person](t)(s.People())
	slices.SortFunc(people, func(a, b Person) int { return strings.Compare(a.Name, b.Name) })
	if len(people) != 2 || !people[0].Verified || people[0].Key != ana.Key || !people[1].Blocked || people[1].Petname != "Robert" {
		t.Errorf("known: %+v", people)
	}
	check(t, s.Close())
	if all := open(t, killed).Damaged(); all != nil {
		t.Errorf("told again of %v", all)
	}
}

// A journal that was cut off, emptied or removed is told of, with how much is missing.
func TestJournalCut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.writeMu.Lock()
	_, err := s.write.exec("BEGIN IMMEDIATE") // nothing leaves the journal
	check(t, err)
	for n := range 201 {
		must[bool](t)(s.Heard(ana, id(n), "text", now, now))
	}
	killed := asKilled(t, dir)
	_, err = s.write.exec("ROLLBACK")
	s.writeMu.Unlock()
	check(t, err)
	check(t, s.Close())
	journal := filepath.Join("running", "1.a")
	info, err := os.Stat(filepath.Join(killed, journal))
	check(t, err)
	for part, size := range map[string]int64{"a third": info.Size() / 3, "half": info.Size() / 2, "all but a byte": info.Size() - 1, "nothing": 0, "no file": -1} {
		at := asKilled(t, killed)
		if size < 0 {
			check(t, os.Remove(filepath.Join(at, journal)))
		} else {
			check(t, os.Truncate(filepath.Join(at, journal), size))
		}
		s := open(t, at)
		n := len(must[[]Message](t)(s.Log(Filter{})))
		told := s.Damaged()
		text := fmt.Sprint(told)
		if n > 200 || !strings.Contains(text, fmt.Sprint(201-n)) && !strings.Contains(text, fmt.Sprint(202-n)) { // its first record is of no message
			t.Errorf("%s: %d messages, told of %v", part, n, told)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if told := open(t, at).Damaged(); told != nil {
			t.Errorf("%s: told again of %v", part, told)
		}
	}
	if s := open(t, killed); s.Damaged() != nil || len(must[[]Message](t)(s.Log(Filter{}))) != 201 {
		t.Error("as it was, it isn't whole")
	}
}

// A journal from another data directory isn't used, isn't deleted, and is told of, by one
// that starts and by one that runs.
func TestJournalOfAnother(t *testing.T) {
	other := t.TempDir()
	s := open(t, other)
	s.writeMu.Lock()
	must[bool](t)(s.Heard(chat.Person{Key: key(9), Name: "eve"}, id(7), "from elsewhere", now, now))
	journal, err := os.ReadFile(filepath.Join(other, "running", "1.a"))
	check(t, err)
	s.writeMu.Unlock()
	for _, slot := range []string{"1.a", "1.b", "7.b"} {
		dir := t.TempDir()
		s := open(t, dir)
		fill(t, s, "one")
		if slot != "7.b" {
			check(t, s.Close())
		}
		check(t, os.WriteFile(filepath.Join(dir, "running", slot), journal, 0o600))
		if slot != "7.b" {
			s = open(t, dir)
		}
		must[[]chat.Key](t)(s.Waiting())
		if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, []string{"one"}) {
			t.Errorf("%s: %q", slot, got)
		}
		files, told := aside(t, dir), s.Damaged()
		if len(files) != 1 || len(told) != 1 || told[0].Path != files[0] {
			t.Fatalf("%s: set aside %q, told of %v", slot, files, told)
		}
		if b, _ := os.ReadFile(files[0]); !bytes.Equal(b, journal) {
			t.Errorf("%s: what is set aside isn't the journal", slot)
		}
	}
}

// After a process was killed the database is checked, and nothing is taken when that
// finds it damaged. What is cut short is done by the next.
func TestExamined(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for n := range 500 {
		must[bool](t)(s.Heard(ana, id(n), strings.Repeat("word ", 50), now, now))
	}
	check(t, s.Flush())
	s.tidy()
	killed, unfinished := asKilled(t, dir), asKilled(t, dir)
	check(t, s.Close())
	check(t, os.Truncate(filepath.Join(killed, Log), 0)) // of which all is in the database
	path := filepath.Join(killed, File)
	b, err := os.ReadFile(path)
	check(t, err)
	at := strings.LastIndex(string(b), "word word") // a page of messages
	at -= at % 4096
	copy(b[at:at+64], make([]byte, 64))
	check(t, os.WriteFile(path, b, 0o600))
	s = open(t, killed)
	s.examination.done.Wait()
	var e *Error
	if err := s.Err(); !errors.As(err, &e) || !strings.Contains(e.Error(), "the database is damaged") || !strings.Contains(e.Remedy, "earshot restore") {
		t.Errorf("%v", err)
	}
	if _, err := s.Heard(ana, id(1000), "hello", now, now); err == nil {
		t.Error("taken by a damaged database")
	}
	if !s.mark.doubt() {
		t.Error("it isn't doubted any more")
	}

	s = open(t, unfinished)
	s.examination.cancel()
	s.examination.done.Wait()
	check(t, s.Close())
	s = open(t, unfinished)
	s.examination.done.Wait()
	if check(t, s.Err()); s.mark.doubt() {
		t.Error("it is doubted after it was checked")
	}
}

// When nothing is written for a moment, the database file alone has all.
func TestTidy(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for n := range 30 {
		must[bool](t)(s.Heard(ana, id(n), "text", now, now))
	}
	check(t, s.Flush())
	to := t.TempDir()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s.writeMu.Lock()
		tidied := s.tidied
		s.writeMu.Unlock()
		if tidied != 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the log stays")
		}
	}
	check(t, copyFile(filepath.Join(dir, File), filepath.Join(to, File)))
	if n := len(must[[]Message](t)(open(t, to).Log(Filter{}))); n != 30 {
		t.Errorf("%d messages", n)
	}
}
