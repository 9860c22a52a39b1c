package console

import (
	"bytes"
	"io"
	"sync"
)

// mostAhead is how many bytes are read ahead of the lines they make.
const mostAhead = 1 << 20

// ahead is what was typed and isn't edited yet. It is read the moment it comes, whatever the
// lines before it wait for: then it is known at what time it was typed, an interrupt gets
// through, and it shows when the terminal has gone.
type ahead struct {
	mu    sync.Mutex
	more  sync.Cond
	runs  []run
	bytes int
	err   error // the terminal has gone
	gone  chan struct{}
}

// run is what came at once.
type run struct {
	text  []byte
	stamp int64
}

func newAhead() *ahead {
	a := &ahead{gone: make(chan struct{})}
	a.more.L = &a.mu
	return a
}

// read reads in to its end. Interrupts take with them what came at once before them.
func (a *ahead) read(in io.Reader, stamp func() int64, interrupt func()) {
	var buf [256]byte
	for {
		n, err := in.Read(buf[:])
		at := stamp()
		text := buf[:n]
		for i := bytes.IndexByte(text, ctrlC); i >= 0; i = bytes.IndexByte(text, ctrlC) {
			interrupt()
			text = text[i+1:]
		}
		a.mu.Lock()
		for a.bytes >= mostAhead {
			a.more.Wait()
		}
		if len(text) > 0 {
			a.runs = append(a.runs, run{bytes.Clone(text), at})
			a.bytes += len(text)
		}
		if a.err = err; err != nil {
			close(a.gone)
		}
		a.more.Broadcast()
		a.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// next returns what was typed next, once it is.
func (a *ahead) next() (run, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.runs) == 0 {
		if a.err != nil {
			return run{}, a.err
		}
		a.more.Wait()
	}
	r := a.runs[0]
	a.runs = a.runs[1:]
	a.bytes -= len(r.text)
	a.more.Broadcast()
	return r, nil
}
