package store

import (
	"os"
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
}

type fileTime struct {
	path string
	at   time.Time // zero: the file can't be looked at
	size int64
}

// timesTick is longer than the time of a file takes to move on.
const timesTick = 100 * time.Millisecond

func newWrites(paths ...string) *writes {
	w := new(writes)
	for _, path := range paths {
		w.files = append(w.files, fileTime{path: path})
	}
	return w
}

// upTo returns a number that is another than before if something may have been written.
func (w *writes) upTo() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	same, settled := w.settled, timesTell
	for i, was := range w.files {
		f := fileTime{path: was.path}
		if info, err := os.Stat(f.path); err == nil {
			f.at, f.size = info.ModTime(), info.Size()
		}
		same = same && f.size == was.size && f.at.Equal(was.at)
		settled = settled && now.Sub(f.at) > timesTick
		w.files[i] = f
	}
	w.settled = settled
	if !same {
		w.count++
	}
	return w.count
}
