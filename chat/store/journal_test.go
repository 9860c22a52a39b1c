package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The journal of a killed process that isn't there any more, or cut off where nothing counts its records,
// is told of where it had something that may not be in the database: at the next start, and once.
func TestJournalMissing(t *testing.T) {
	slot := "" // that of the process
	journals := func(dir string) []string {
		return []string{filepath.Join(dir, "running", slot+".a"), filepath.Join(dir, "running", slot+".b")}
	}
	uncount := func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "running", slot+".tally"))) }
	halve := func(t *testing.T, dir string) {
		for _, path := range journals(dir) {
			info, err := os.Stat(path)
			check(t, err)
			check(t, os.Truncate(path, info.Size()/2))
		}
	}
	for name, c := range map[string]struct {
		lose func(t *testing.T, dir string)
		told string // empty: nothing is
		kept int
	}{
		"nothing":              {func(*testing.T, string) {}, "", 4},
		"directory removed":    {func(t *testing.T, dir string) { check(t, os.RemoveAll(filepath.Join(dir, "running"))) }, "is missing", 1},
		"count removed":        {uncount, "it had 3 records", 4},
		"cut off, and removed": {func(t *testing.T, dir string) { halve(t, dir); uncount(t, dir) }, "may be lost", 2},
		"all removed": {func(t *testing.T, dir string) {
			uncount(t, dir)
			for _, path := range journals(dir) {
				check(t, os.Remove(path))
			}
		}, "is missing", 1},
	} {
		try := func(t *testing.T) {
			dir := t.TempDir()
			if slot == "2" {
				open(t, dir)
			}
			s := open(t, dir)
			hear(t, s, 0, "in the database")
			quiet := asKilled(t, dir)
			writer, err := connect(s.path)
			check(t, err)
			defer writer.close()
			_, err = writer.exec("BEGIN IMMEDIATE")
			check(t, err)
			for n := 1; n <= 3; n++ {
				must[bool](t)(s.Heard(ana, id(n), "in the journal", now, now))
			}
			killed := asKilled(t, dir)
			_, err = writer.exec("ROLLBACK")
			check(t, err)
			check(t, s.Close())
			c.lose(t, killed)
			s = open(t, killed)
			told := s.Damaged()
			if c.told == "" && told != nil || c.told != "" && !slices.ContainsFunc(told, func(e *Error) bool { return strings.Contains(e.Error(), c.told) }) {
				t.Errorf("told of %v", told)
			}
			if all := must[[]Message](t)(s.Log(Filter{})); len(all) != c.kept {
				t.Errorf("%d are kept", len(all))
			}
			check(t, s.Close())
			s = open(t, killed)
			if told := s.Damaged(); told != nil {
				t.Errorf("told again: %v", told)
			}
			check(t, s.Close())
			if slot == "2" {
				return
			}
			for _, ended := range []string{dir, quiet} { // where there was nothing in a journal
				check(t, os.RemoveAll(filepath.Join(ended, "running")))
				s = open(t, ended)
				if told := s.Damaged(); told != nil {
					t.Errorf("told without a reason: %v", told)
				}
				check(t, s.Close())
			}
		}
		slot = "1" // which the next process takes
		t.Run(name, try)
		slot = "2"
		t.Run(name+", beside another", try)
	}
}
