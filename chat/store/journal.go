package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"earshot/chat"
)

const (
	maxSlots   = 1000                  // how many processes one data directory can have at once
	catchUpFor = time.Second           // how long to wait for one that may stand still
	carryAfter = 50 * time.Millisecond // after which its journal is read, where that can be
)

// slot is a place among the running processes of one data directory: a number, a lock
// that tells whether its process lives, and its journal.
//
// The journal is two files. One is written to; what the other holds is on its way
// into the database, and when it is there the file is emptied and they change places.
type slot struct {
	number int64
	lock   *flock.Flock
	heart  *heart // nil: it has none
	files  [2]*os.File
	active int
	size   int64      // of the active file
	seq    uint64     // of the last record
	origin databaseID // of what the records are for
	tally  *tally
	mark   *mark // nil: of a process that has ended
	marked bool  // it says that there are records
	buf    []byte
}

// runningDir is the name of the directory of the slots in the data directory.
const runningDir = "running"

// running is the directory of the slots.
func (s *Store) running() string { return filepath.Join(filepath.Dir(s.path), runningDir) }

// takeSlot takes the first slot in dir that is free.
func takeSlot(dir string) (*slot, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for n := 1; n <= maxSlots; n++ {
		s, err := openSlot(dir, n)
		if s != nil {
			s.heart = newHeart(dir, s.number)
			s.seq = firstRecord()
		}
		if s != nil || err != nil {
			return s, err
		}
	}
	return nil, errors.New("too many processes use the data directory")
}

// openSlot locks slot n and opens its journal. It returns nil when a process has it.
func openSlot(dir string, n int) (*slot, error) {
	base := filepath.Join(dir, strconv.Itoa(n))
	s := &slot{number: int64(n), lock: flock.New(base+".lock", flock.SetPermissions(0o600))}
	got, err := s.lock.TryLock()
	if err != nil || !got {
		_ = s.lock.Close()
		return nil, err
	}
	for i, end := range []string{".a", ".b"} {
		if s.files[i], err = os.OpenFile(base+end, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			s.release()
			return nil, err
		}
	}
	if s.tally, err = openTally(base + ".tally"); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// written returns the numbers of the slots in dir with something in their journals.
func written(dir string) map[int]bool {
	all := map[int]bool{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		name, end, _ := strings.Cut(e.Name(), ".")
		n, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		switch end {
		case "a", "b":
			if info, err := e.Info(); err == nil && info.Size() > 0 {
				all[n] = true
			}
		case "tally": // of which there should be something
			if t, err := openTally(filepath.Join(dir, e.Name())); err == nil {
				if carried, wrote := t.read(); wrote > carried {
					all[n] = true
				}
				t.close()
			}
		}
	}
	return all
}

// CatchUp waits until what other processes have said and heard up to now can be seen here:
// some milliseconds. What one that stands still has written is taken from its journal; for one of
// an earlier version it waits no more than a second.
func (s *Store) CatchUp() {
	dir := s.running()
	behind := begins(dir)
	for began := time.Now(); len(behind) > 0 && time.Since(began) < carryAfter; {
		time.Sleep(time.Millisecond) // nothing tells of it
		now := begins(dir)
		maps.DeleteFunc(behind, func(file string, first uint64) bool { return now[file] != first })
	}
	if len(behind) > 0 && s.CarryOver() == nil {
		maps.DeleteFunc(behind, func(_ string, first uint64) bool { return run(first) != 0 })
	}
	for end := time.Now().Add(catchUpFor); len(behind) > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // nothing tells of it
		now := begins(dir)
		maps.DeleteFunc(behind, func(file string, first uint64) bool { return now[file] != first })
	}
}

// begins returns, for every journal file in dir with something in it, the number of its
// first record.
func begins(dir string) map[string]uint64 {
	all := map[string]uint64{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".a" && ext != ".b" {
			continue
		}
		if info, err := e.Info(); err != nil || info.Size() == 0 {
			continue
		}
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		var b [recordHead + 8]byte
		if _, err := f.ReadAt(b[:], 0); err == nil {
			all[e.Name()] = binary.BigEndian.Uint64(b[recordHead:])
		}
		f.Close()
	}
	return all
}

func (s *slot) release() {
	for _, f := range s.files {
		if f != nil {
			f.Close()
		}
	}
	s.heart.stop()
	s.tally.close()
	_ = s.lock.Close()
}

// append writes a record, in a file that was empty after one that says which database it
// is for. When that fails, neither is there.
func (s *slot) append(r *record) error {
	seq := s.seq
	s.buf = s.buf[:0]
	if s.size == 0 && s.origin != (databaseID{}) {
		seq++
		s.buf = (&record{seq: seq, kind: met, id: chat.MessageID(s.origin)}).encode(s.buf)
	}
	if !s.marked {
		s.mark.setJournal(s.number, seq+1)
		s.marked = true
	}
	seq++
	r.seq = seq
	s.buf = r.encode(s.buf)
	if _, err := s.files[s.active].WriteAt(s.buf, s.size); err != nil {
		_ = s.files[s.active].Truncate(s.size) // a shorter record comes before no rest of this one
		return err
	}
	s.size += int64(len(s.buf))
	s.seq = seq
	return s.tally.wrote(seq)
}

// swap makes the other file, which is empty, the one written to.
func (s *slot) swap() { s.active, s.size = 1-s.active, 0 }

// flushed empties the file that isn't written to, whose last record is in the database.
func (s *slot) flushed(last uint64) error {
	if err := s.tally.carried(last); err != nil {
		return err
	}
	return s.files[1-s.active].Truncate(0)
}

// settled says that all its records are in the database.
func (s *slot) settled() {
	if s.marked {
		s.mark.setJournal(s.number, 0)
		s.marked = false
	}
}

// empty empties both.
func (s *slot) empty() error {
	s.size = 0
	return errors.Join(s.files[0].Truncate(0), s.files[1].Truncate(0), s.tally.clear())
}

// begin has the slot take records for a database. It is empty.
func (s *slot) begin(origin databaseID) error {
	s.origin = origin
	return s.tally.begin(origin, s.seq)
}

// record is something to be written to the database.
type record struct {
	seq      uint64
	kind     kind
	own      bool // said: this process sends it
	key      chat.Key
	id       chat.MessageID
	sent     int64 // ms since 1970
	received int64
	name     string
	text     string
	in       *inRoom // of what was said or heard in a room
	deferred bool    // it made no event here; not written
}

type kind uint8

const (
	said kind = iota + 1
	heard
	delivered
	met
	saidIn
	heardIn
	excluded
	declined // sent is the reason

	lastKind = declined
)

// comes reports whether the record is of a message from somebody else.
func (r *record) comes() bool { return r.kind == heard || r.kind == heardIn }

const recordHead = 8 // length and checksum of what follows

func (r *record) encode(b []byte) []byte {
	begin := len(b)
	b = append(b, make([]byte, recordHead)...)
	b = binary.BigEndian.AppendUint64(b, r.seq)
	own := byte(0)
	if r.own {
		own = 1
	}
	b = append(b, byte(r.kind), own)
	b = append(b, r.key[:]...)
	b = append(b, r.id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.sent))
	b = binary.BigEndian.AppendUint64(b, uint64(r.received))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.name)))
	b = append(b, r.name...)
	if r.in != nil {
		b = r.in.encode(b)
	}
	b = append(b, r.text...)
	size, sum := b[begin:], b[begin+recordHead:]
	binary.BigEndian.PutUint32(size, uint32(len(sum)))
	binary.BigEndian.PutUint32(size[4:], crc32.ChecksumIEEE(sum))
	return b
}

// recordFixed is how much of a record precedes its name.
const recordFixed = 8 + 2 + 32 + 16 + 8 + 8 + 2

// decode reads the record that b begins with, and how long it is: 0 when it isn't whole.
func decode(b []byte) (r record, n int) {
	if len(b) < recordHead+recordFixed {
		return r, 0
	}
	n = recordHead + int(binary.BigEndian.Uint32(b))
	if k := kind(b[recordHead+8]); k < said || k > lastKind {
		return r, 0 // and at every byte of a damaged file the sum would take long
	}
	if n < recordHead+recordFixed || n > len(b) || crc32.ChecksumIEEE(b[recordHead:n]) != binary.BigEndian.Uint32(b[4:]) {
		return r, 0
	}
	b = b[recordHead:n]
	r.seq, r.kind, r.own = binary.BigEndian.Uint64(b), kind(b[8]), b[9] == 1
	r.key, r.id = chat.Key(b[10:42]), chat.MessageID(b[42:58])
	r.sent, r.received = int64(binary.BigEndian.Uint64(b[58:])), int64(binary.BigEndian.Uint64(b[66:]))
	name := int(binary.BigEndian.Uint16(b[74:]))
	if b = b[recordFixed:]; name > len(b) {
		return r, 0
	}
	r.name, b = string(b[:name]), b[name:]
	if r.kind == saidIn || r.kind == heardIn {
		if r.in, b = decodeIn(b); r.in == nil {
			return r, 0
		}
	}
	r.text = string(b)
	return r, n
}

// millis is how times are kept.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
