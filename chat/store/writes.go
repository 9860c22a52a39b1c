package store

import (
	"sync"
	"time"
)

// writes notices, by the sizes and times of files, that nothing was written to them: what they
// hold need not be read again then, every second of a program that waits.
type writes struct {
	mu      sync.Mutex
	files   []fileTime
	settled bool // at the last look all times were in the past: what is written later shows
	count   uint64
	now     func() time.Time // time.Now, but in tests
}

type fileTime struct {
	path    string
	written time.Time // zero: the file can't be looked at
	changed time.Time // a program that sets the other, as touch does, moves this one
	size    int64
}

// How long the times of a file take to move on, at most.
const (
	timesTick  = 100 * time.Millisecond
	coarseTick = 2*time.Second + timesTick // on file systems that keep full seconds
)

func newWrites(paths ...string) *writes {
	w := &writes{now: time.Now}
	for _, path := range paths {
		w.files = append(w.files, fileTime{path: path})
	}
	return w
}

// upTo returns a number that is another than before if something may have been written.
func (w *writes) upTo() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	same, settled := w.settled, timesTell
	for i, was := range w.files {
		f := fileTime{path: was.path}
		if written, changed, size, err := timesOf(f.path); err == nil {
			f.written, f.changed, f.size = written, changed, size
		}
		same = same && f.size == was.size && f.written.Equal(was.written) && f.changed.Equal(was.changed)
		settled = settled && over(f.written, now) && over(f.changed, now)
		w.files[i] = f
	}
	w.settled = settled
	if !same {
		w.count++
	}
	return w.count
}

// over reports whether what is written to a file from now on gives it a later time.
func over(at, now time.Time) bool {
	tick := timesTick
	if at.Nanosecond() == 0 {
		tick = coarseTick
	}
	return now.Sub(at) > tick
}
