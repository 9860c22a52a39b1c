package store

import (
	"encoding/binary"
	"os"
)

// tally counts, beside a journal, its records: which was the last that was written, and
// the last that is in the database. Those between must be in the journal after a process
// was killed. Each number is written at once, so a kill leaves it whole.
type tally struct{ f *os.File }

// Where the parts are.
const (
	tallyOrigin  = 0 // the database
	tallyCarried = 16
	tallyWrote   = 24
	tallySize    = 32
)

func openTally(path string) (*tally, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	return &tally{f}, err
}

func (t *tally) close() {
	if t != nil && t.f != nil {
		_ = t.f.Close()
	}
}

// begin starts anew, for a database, after a record.
func (t *tally) begin(origin databaseID, seq uint64) error {
	b := binary.BigEndian.AppendUint64(origin[:], seq)
	_, err := t.f.WriteAt(binary.BigEndian.AppendUint64(b, seq), tallyOrigin)
	return err
}

// clear says that nothing is in the journal.
func (t *tally) clear() error { return t.f.Truncate(0) }

func (t *tally) wrote(seq uint64) error   { return t.set(tallyWrote, seq) }
func (t *tally) carried(seq uint64) error { return t.set(tallyCarried, seq) }

func (t *tally) set(at int64, seq uint64) error {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], seq)
	_, err := t.f.WriteAt(b[:], at)
	return err
}

// read returns the numbers of the last record in the database, and in the journal.
func (t *tally) read() (carried, wrote uint64) {
	var b [tallySize]byte
	if _, err := t.f.ReadAt(b[:], 0); err != nil {
		return 0, 0
	}
	return binary.BigEndian.Uint64(b[tallyCarried:]), binary.BigEndian.Uint64(b[tallyWrote:])
}

// counts reports whether it is of records for a database.
func (t *tally) counts(origin databaseID) bool {
	var b [tallySize]byte
	_, err := t.f.ReadAt(b[:], 0)
	return err == nil && databaseID(b[:len(origin)]) == origin
}

// missing returns how many records, of those for a database, should be in the journal
// and aren't among these, nor in the database, which has those up to a number.
func (t *tally) missing(origin databaseID, upto uint64, records []record) (n int) {
	var id databaseID
	carried, wrote := t.read()
	if run(upto) == run(wrote) {
		carried = max(carried, upto)
	}
	if _, err := t.f.ReadAt(id[:], tallyOrigin); err != nil || id != origin || wrote <= carried || run(wrote) != run(carried) {
		return 0
	}
	there := make(map[uint64]bool, len(records))
	for i := range records {
		if seq := records[i].seq; carried < seq && seq <= wrote {
			there[seq] = true
		}
	}
	return int(wrote-carried) - len(there) //nolint:gosec // no journal has so many
}
