package store

import (
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// What a running process has put into its journal, others can write to the database in its stead.
// Records are numbered, and with them goes, in the same transaction, up to which number they are
// there: so each is written once, and none comes back that was deleted since.
//
// The number of a record has the run of the process in its upper half, at random, and counts up
// from one in the lower half. Runs of an earlier version are 0: what these write is left to them.

// firstRecord returns the number that precedes the first of a new run.
func firstRecord() uint64 { return uint64(rand.Uint32N(math.MaxInt32)+1) << 32 }

// run is the run that a record is of.
func run(seq uint64) uint64 { return seq >> 32 }

// upto returns the number of the last record of a slot that is in the database.
func (s *Store) upto(n int64) (uint64, error) {
	var last int64
	err := s.write.get(`SELECT seq FROM journals WHERE slot = ?`, []any{n}, &last)
	if none(err) {
		err = nil
	}
	return uint64(last), err
}

// uncarried returns those of records of a slot, in order, that aren't in the database yet.
func (s *Store) uncarried(n int64, records []record) ([]record, error) {
	upto, err := s.upto(n)
	i := slices.IndexFunc(records, func(r record) bool { return run(r.seq) == 0 || run(r.seq) != run(upto) || r.seq > upto })
	if i < 0 {
		i = len(records)
	}
	return records[i:], err
}

// carried notes that the records of a slot are in the database, inside the transaction that brings
// them there.
func (s *Store) carried(n int64, records []record) error {
	if len(records) == 0 || run(records[len(records)-1].seq) == 0 {
		return nil
	}
	_, err := s.write.exec(`INSERT OR REPLACE INTO journals (slot, seq) VALUES (?, ?)`, n, int64(records[len(records)-1].seq))
	return err
}

// carry writes what a running process has in its journal, inside a transaction: the process itself
// writes nothing meanwhile.
func (s *Store) carry(n int64) error {
	records, err := s.uncarried(n, s.readJournal(n))
	if err != nil || len(records) == 0 || run(records[0].seq) == 0 {
		return err
	}
	upto, err := s.upto(n)
	if err != nil {
		return err
	}
	next := upto + 1
	if run(upto) != run(records[0].seq) {
		next = run(records[0].seq)<<32 + 1
	}
	for i, r := range records {
		if r.seq != next+uint64(i) { // written while both files were read: the process will
			records = records[:i]
			break
		}
	}
	if err := s.apply(records, n); err != nil {
		return err
	}
	return s.carried(n, records)
}

// readJournal returns the records for this database in the journal of a running process, in
// order.
func (s *Store) readJournal(n int64) (all []record) {
	for _, end := range []string{".a", ".b"} {
		f, err := os.Open(filepath.Join(s.running(), strconv.FormatInt(n, 10)+end))
		if err != nil {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(f, 2*maxBehind))
		f.Close()
		if err == nil {
			records, _ := salvage(b)
			if of, known := originOf(records); !known || of == s.id {
				all = append(all, records...)
			}
		}
	}
	slices.SortFunc(all, func(a, b record) int { return int(int64(a.seq - b.seq)) })
	return all
}

// CarryOver writes to the database what other processes have said and heard, in their stead. What
// an earlier version has written is left to it.
func (s *Store) CarryOver() error {
	dir := s.running()
	for n := range written(dir) {
		if int64(n) == s.slot.number {
			continue
		}
		if records := s.readJournal(int64(n)); len(records) == 0 || run(records[0].seq) == 0 {
			continue
		}
		s.writeMu.Lock()
		err := s.write.transact(func() error { return s.carry(int64(n)) })
		s.writeMu.Unlock()
		if err != nil {
			return s.explain(err)
		}
	}
	return nil
}

// trimLock returns the number of the slot whose lock file that is.
func trimLock(path string) string { return strings.TrimSuffix(filepath.Base(path), ".lock") }
