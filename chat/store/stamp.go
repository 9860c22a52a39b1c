package store

import (
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
)

// Every transaction that changes something counts up a number in the first page of the
// database, the application id of its header. It begins at random, so it tells two
// databases apart as well as two states of one. The log has the page of every
// transaction: whether a log continues a database can be seen without opening either,
// and by the number in a mark beside them, whether something is missing.

// stampAt is where the stamp is in a database, and in its first page in the log.
const stampAt = 68

// stamp is the number. 0: an earlier earshot made the database.
type stamp uint32

// next returns the stamp of the next transaction.
func (s stamp) next() stamp {
	if s == 0 {
		var b [4]byte
		_, _ = rand.Read(b[:])
		s = stamp(binary.BigEndian.Uint32(b[:]))
	}
	if s++; s == 0 {
		s++
	}
	return s
}

// newer reports whether a is of a later state than b, where both have a stamp.
func newer(a, b stamp) bool { return a != 0 && b != 0 && int32(a-b) > 0 } //nolint:gosec // it wraps around

// setBack reports whether a database that had a stamp has an older one now, or none, as one of an earlier earshot.
func setBack(was, now stamp) bool { return was != 0 && now == 0 || newer(was, now) }

// readStamp reads the stamp of a database file, without its log.
func readStamp(f io.ReaderAt) (stamp, error) {
	var b [4]byte
	if _, err := f.ReadAt(b[:], stampAt); err != nil {
		return 0, err
	}
	return stamp(binary.BigEndian.Uint32(b[:])), nil
}

// databaseID tells databases apart. A copy has that of its original.
type databaseID [16]byte

// MarkFile is the name of the file beside the database that says what it is expected to
// hold.
const MarkFile = File + "-mark"

// mark is that file: which database is there, which state of it was last written, and
// whether it is still to be checked after a process was killed. It is written without
// waiting for the disk. A nil *mark keeps nothing.
type mark struct{ f *os.File }

// Where the parts of a mark are. Each is written by itself: processes share the file.
const (
	markedDatabase = 0   // id, the file's device and inode, and a checksum of these
	markedStamp    = 64  // and its complement
	markedInFile   = 80  // the stamp that was last seen in the database file itself, likewise
	markedDoubt    = 128 // one byte
	markedJournals = 256 // for each slot, 8 bytes: see setJournal
)

// openMark opens the mark at path. Where that can't be done, it is done without.
func openMark(path string) *mark {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil
	}
	return &mark{f}
}

func (m *mark) close() {
	if m != nil {
		_ = m.f.Close()
	}
}

// database returns which database is expected, and which file it was; ok is false where
// nothing is.
func (m *mark) database() (id databaseID, file fileID, ok bool) {
	var b [36]byte
	if m == nil {
		return id, file, false
	}
	if _, err := m.f.ReadAt(b[:], markedDatabase); err != nil || crc32.ChecksumIEEE(b[:32]) != binary.BigEndian.Uint32(b[32:]) {
		return id, file, false
	}
	return databaseID(b[:16]), fileID{binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])}, true
}

func (m *mark) setDatabase(id databaseID, file fileID) {
	if m == nil {
		return
	}
	b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(id[:], file.device), file.inode)
	_, _ = m.f.WriteAt(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)), markedDatabase)
}

// stamp returns the last state that was written; 0: not known.
func (m *mark) stamp() stamp { return m.stampAt(markedStamp) }

func (m *mark) setStamp(s stamp) { m.setStampAt(markedStamp, s) }

// inFile returns the last state that was seen in the file, without the log; 0: not known.
func (m *mark) inFile() stamp { return m.stampAt(markedInFile) }

func (m *mark) setInFile(s stamp) { m.setStampAt(markedInFile, s) }

func (m *mark) stampAt(at int64) stamp {
	var b [8]byte
	if m == nil {
		return 0
	}
	if _, err := m.f.ReadAt(b[:], at); err != nil || binary.BigEndian.Uint32(b[:]) != ^binary.BigEndian.Uint32(b[4:]) {
		return 0
	}
	return stamp(binary.BigEndian.Uint32(b[:]))
}

func (m *mark) setStampAt(at int64, s stamp) {
	if m == nil {
		return
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(s))
	_, _ = m.f.WriteAt(binary.BigEndian.AppendUint32(b, ^uint32(s)), at)
}

// doubt reports whether the database is still to be checked.
func (m *mark) doubt() bool {
	var b [1]byte
	if m == nil {
		return false
	}
	_, err := m.f.ReadAt(b[:], markedDoubt)
	return err == nil && b[0] != 0
}

func (m *mark) setDoubt(yes bool) {
	b := [1]byte{0}
	if yes {
		b[0] = 1
	}
	if m != nil {
		_, _ = m.f.WriteAt(b[:], markedDoubt)
	}
}

// setJournal says that the journal of a slot has records that may not be in the database yet, the first of
// which has that number; 0: there are none.
func (m *mark) setJournal(slot int64, first uint64) {
	if m != nil {
		_, _ = m.f.WriteAt(binary.BigEndian.AppendUint64(nil, first), markedJournals+8*slot)
	}
}

// journals returns what setJournal has said, of slots where there are records.
func (m *mark) journals() map[int]uint64 {
	all := map[int]uint64{}
	if m == nil {
		return all
	}
	b := make([]byte, 8*(maxSlots+1))
	n, _ := m.f.ReadAt(b, markedJournals)
	for slot := range n / 8 {
		if first := binary.BigEndian.Uint64(b[8*slot:]); first != 0 {
			all[slot] = first
		}
	}
	return all
}
