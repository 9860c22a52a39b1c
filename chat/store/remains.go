package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"

	"earshot/chat"
)

// remains is what a process that was killed has left behind.
type remains struct {
	records []record // in order
	damaged []*Error
	foreign []int // which files are of another database
}

// left returns what a process that was killed has left behind for a database, which has
// its records up to a number, and expects more from another on; 0: it doesn't know of any. A file with
// something that can't be read, or from which something is missing, is kept under another
// name.
func (s *slot) left(origin databaseID, upto, expected uint64) (r remains, err error) {
	var files [2][]byte
	var broken [2]bool
	untallied := false
	for i, f := range s.files {
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
		if err != nil {
			return r, err
		}
		records, whole := salvage(b)
		of, known := originOf(records)
		if known && of != origin {
			r.foreign = append(r.foreign, i)
			continue
		}
		untallied = untallied || len(records) > 0 && !known // an earlier earshot has written it
		files[i], broken[i] = b, !whole
		r.records = append(r.records, records...)
	}
	missing := 0
	if !untallied {
		missing = s.tally.missing(origin, upto, r.records)
	}
	for i, b := range files {
		if !broken[i] && (missing == 0 || len(b) == 0) {
			continue
		}
		name := fmt.Sprintf("%s.damaged-%08x", s.files[i].Name(), crc32.ChecksumIEEE(b))
		if err := os.WriteFile(name, b, 0o600); err != nil {
			return r, err
		}
		r.damaged = append(r.damaged, &Error{
			name, errors.New("part of what was said or heard can't be read"),
			"all else is in the history; remove the file when you don't need it",
		})
	}
	if missing > 0 {
		r.damaged = append(r.damaged, &Error{
			strings.TrimSuffix(s.lock.Path(), ".lock") + ".a",
			fmt.Errorf("the journal was cut off or removed: %d records of what was said, heard or delivered are missing", missing),
			"all else is in the history",
		})
	}
	if expected != 0 && !untallied && r.foreign == nil && !s.tally.counts(origin) {
		why := "the journal of an earshot that was killed is missing: what was said, heard or delivered just before may be lost"
		n := 0
		for i := range r.records {
			if !r.records[i].begins() {
				n++
			}
		}
		if n > 0 {
			why = fmt.Sprintf("the count beside the journal of an earshot that was killed is missing: it had %d records, and what was said, heard or delivered after these may be lost", n)
		}
		r.damaged = append(r.damaged, &Error{strings.TrimSuffix(s.lock.Path(), ".lock") + ".a", errors.New(why), "all else is in the history"})
	}
	slices.SortFunc(r.records, func(a, b record) int { return int(int64(a.seq - b.seq)) })
	return r, nil
}

// begins reports whether the record says which database those of a file are for.
func (r *record) begins() bool {
	return r.kind == met && r.key.IsZero() && r.id != (chat.MessageID{})
}

// originOf returns the database that the records of a file are for, where it says so.
func originOf(records []record) (id databaseID, known bool) {
	for i := range records {
		if r := &records[i]; r.begins() {
			return databaseID(r.id), true
		}
	}
	return id, false
}

// cede sets aside one of the files, which is then empty.
func (s *slot) cede(i int, putAside func(path string) error) (err error) {
	path := s.files[i].Name()
	if err := s.files[i].Close(); err != nil {
		return err
	}
	if err := putAside(path); err != nil {
		return err
	}
	s.files[i], err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	return err
}

// salvage returns the records in a journal file, where some may be damaged, and whether that
// is all that anybody was told is kept.
func salvage(b []byte) (all []record, whole bool) {
	var last uint64
	for whole = true; len(b) > 0; {
		r, skipped, n := following(b, last)
		if n == 0 {
			return all, whole && unfinished(b, last)
		}
		all = append(all, r)
		last, b, whole = r.seq, b[skipped+n:], whole && skipped == 0
	}
	return all, whole
}

// following finds the first record in b that can come after last, how many bytes precede it
// and how many it has; 0: there is none. In a file records are numbered through: what else looks
// like one is part of one, or the rest of an older one.
func following(b []byte, last uint64) (r record, skipped, n int) {
	for ; skipped < len(b); skipped++ {
		lost := uint64(skipped / (recordHead + recordFixed))
		r, n = decode(b[skipped:])
		if n > 0 && r.seq > last && (last == 0 || r.seq-last-1 <= lost) {
			return r, skipped, n
		}
	}
	return r, skipped, 0
}

// unfinished reports whether b may be the beginning of the record after last, which was being
// written when the process was killed or the disk was full.
func unfinished(b []byte, last uint64) bool {
	if len(b) <= recordHead+8 {
		return true
	}
	size, seq, k := int(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint64(b[recordHead:]), kind(b[recordHead+8])
	return len(b) < recordHead+size && size < maxBehind && said <= k && k <= lastKind && (last == 0 || seq == last+1)
}

// inherit carries over what the process in a slot has left behind. The caller has the
// slot, and the writing connection.
func (s *Store) inherit(dead *slot) error {
	upto, err := s.upto(dead.number)
	if err != nil {
		return err
	}
	expected := s.mark.journals()[int(dead.number)]
	left, err := dead.left(s.id, upto, expected)
	if err != nil {
		return err
	}
	for _, i := range left.foreign {
		err := dead.cede(i, func(path string) error {
			return s.putAside(path, "it belongs to another database, so what it holds isn't in the history",
				"to use it, end earshot and put it back together with that database")
		})
		if err != nil {
			return err
		}
	}
	var owns bool
	if err := s.write.get(`SELECT EXISTS (SELECT 1 FROM messages WHERE status = 0 AND owner = ?1) OR EXISTS (SELECT 1 FROM visits WHERE slot = ?1)
		OR EXISTS (SELECT 1 FROM callings WHERE slot = ?1)`,
		[]any{dead.number}, &owns); err != nil {
		return err
	}
	if len(left.records) > 0 || owns {
		err = s.write.transact(func() error {
			records, err := s.uncarried(dead.number, left.records)
			if err == nil {
				err = s.apply(records, 0)
			}
			if err == nil {
				err = s.carried(dead.number, records)
			}
			if err != nil {
				return err
			}
			return s.disown(dead.number)
		})
		if err != nil {
			return err
		}
	}
	for _, e := range left.damaged {
		s.tell(e)
	}
	if expected != 0 {
		s.mark.setJournal(dead.number, 0)
	}
	return dead.empty() // of what was being written, too
}
