package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// logState is what a write-ahead log holds. Its format is section 4 of
// https://sqlite.org/fileformat2.html.
type logState struct {
	size        int64 // of the file
	header      bool  // it can be read
	committed   int   // frames up to the last whole transaction
	changed     bool  // the first page of the database is among these
	first, last state // of it, in the first and the last of them
}

// state tells which state of a database its first page is of.
type state struct {
	stamp   stamp
	changes uint32 // "File change counter" at offset 24, which not every change counts up in a log
}

// stateOf reads the state from the first page of a database.
func stateOf(page []byte) state {
	return state{stamp(binary.BigEndian.Uint32(page[stampAt:])), binary.BigEndian.Uint32(page[24:])}
}

// readLog reads a write-ahead log as SQLite will: up to the first frame that doesn't
// verify, or is from an earlier use of the file.
func readLog(path string) (l logState, err error) {
	f, err := os.Open(path)
	if err != nil {
		return l, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return l, err
	}
	l.size = info.Size()
	in := bufio.NewReaderSize(f, 1<<16)
	var h [walHeader]byte
	if _, err := io.ReadFull(in, h[:]); err != nil {
		return l, short(err)
	}
	head, ok := readWALHeader(&h)
	if !ok {
		return l, nil
	}
	order, page, s0, s1 := head.order, head.page, head.s0, head.s1
	l.header = true
	frame := make([]byte, 24+page)
	var first, last state // with the transaction that is read
	changed := false
	for n := 1; ; n++ {
		if _, err := io.ReadFull(in, frame); err != nil {
			return l, short(err)
		}
		s0, s1 = logSum(order, s0, s1, frame[:8])
		s0, s1 = logSum(order, s0, s1, frame[24:])
		// "A frame is considered valid if and only if [...] the salt-1 and salt-2 values in
		// the frame-header match [...] and the checksum values [...] exactly match".
		if !bytes.Equal(frame[8:16], h[16:24]) || s0 != binary.BigEndian.Uint32(frame[16:]) || s1 != binary.BigEndian.Uint32(frame[20:]) {
			return l, nil
		}
		if binary.BigEndian.Uint32(frame) == 1 {
			if last = stateOf(frame[24:]); !changed {
				first, changed = last, true
			}
		}
		if binary.BigEndian.Uint32(frame[4:]) != 0 { // "For commit records, the size of the database file in pages"
			l.committed, l.changed, l.first, l.last = n, changed, first, last
		}
	}
}

// walHeader is how long the header of a log is.
const walHeader = 32

// walHead is what a log begins with.
type walHead struct {
	order  binary.ByteOrder // of the checksums
	page   uint32           // its size
	s0, s1 uint32           // the checksum so far
}

// readWALHeader reads the header of a log; ok is false where it doesn't verify.
func readWALHeader(h *[walHeader]byte) (head walHead, ok bool) {
	head.order = binary.LittleEndian
	switch binary.BigEndian.Uint32(h[:]) { // "The magic number is either 0x377f0682 or 0x377f0683"
	case 0x377f0682:
	case 0x377f0683:
		head.order = binary.BigEndian
	default:
		return head, false
	}
	head.page = binary.BigEndian.Uint32(h[8:])
	head.s0, head.s1 = logSum(head.order, 0, 0, h[:24])
	return head, binary.BigEndian.Uint32(h[4:]) == 3007000 && head.page >= 512 && head.page <= 65536 && head.page&(head.page-1) == 0 &&
		head.s0 == binary.BigEndian.Uint32(h[24:]) && head.s1 == binary.BigEndian.Uint32(h[28:])
}

// short takes the end of a file for what it is: nothing more follows.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// logSum continues the checksum of section 4.2: "s0 += x(i) + s1; s1 += x(i+1) + s0".
func logSum(order binary.ByteOrder, s0, s1 uint32, b []byte) (uint32, uint32) {
	for i := 0; i+8 <= len(b); i += 8 {
		s0 += order.Uint32(b[i:]) + s1
		s1 += order.Uint32(b[i+4:]) + s0
	}
	return s0, s1
}

// continues reports whether the log can be of a database whose file is in this state: the
// one before the log's first transaction, or one that the log has brought it to.
func (l *logState) continues(file state) bool {
	first, last := l.first, l.last
	switch {
	case !l.changed, file.stamp == 0 && first.stamp != 0: // that can't be told
		return true
	case file.stamp == 0: // both of an earlier earshot
		return file.changes-(first.changes-1) <= last.changes-(first.changes-1)
	}
	return file.stamp.next() == first.stamp || file.stamp-first.stamp <= last.stamp-first.stamp
}
