package store

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// original tells whether a database file still holds the database that was opened. Another program may
// write a copy over it: an older one, which the stamp in its header shows, or one of another database, whose
// stamp tells nothing. So the page is looked at that has the id of the database.
type original struct {
	file   *os.File
	id     databaseID
	page   int64 // the size of one
	at     int64 // where that with the id begins
	isIn   bool  // it was seen there: what was written not long ago is in the log alone
	stamp  stamp // as last seen
	mark   *mark // where to say that
	writes *writes
	sound  uint64 // of writes, when all was right
}

// replaced reports whether the file holds something else. It reads only what was written since.
func (o *original) replaced() bool {
	if o.file == nil {
		return false
	}
	upTo := o.writes.upTo()
	if upTo == o.sound {
		return false
	}
	switch stamp, err := readStamp(o.file); {
	case errors.Is(err, io.EOF): // emptied
		return true
	case err != nil:
		return false // what reads it will say so
	case setBack(o.stamp, stamp):
		return true
	case stamp != o.stamp:
		o.stamp = stamp
		o.mark.setInFile(stamp)
	}
	switch {
	case o.isHere(), o.isIn && o.find():
		o.isIn, o.sound = true, upTo
	case o.isIn:
		return true
	default:
		o.sound = upTo
	}
	return false
}

// isHere reports whether the id is in the page where it is expected.
func (o *original) isHere() bool {
	page := make([]byte, o.page)
	n, _ := o.file.ReadAt(page, o.at)
	return bytes.Contains(page[:n], o.id[:])
}

// find looks for the id in the whole file: when the database is written anew, its pages change places.
func (o *original) find() bool {
	const atOnce = 1 << 20
	b := make([]byte, atOnce+len(o.id)-1)
	for from := int64(0); ; from += atOnce {
		n, err := o.file.ReadAt(b, from)
		if i := bytes.Index(b[:n], o.id[:]); i >= 0 {
			o.at = (from + int64(i)) / o.page * o.page
			return true
		}
		if err != nil {
			return false
		}
	}
}
