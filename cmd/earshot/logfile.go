package main

import (
	"io"
	"os"
	"path/filepath"
	"sync"
)

// logName is the log in the data directory: what can't be written on the terminal while
// a conversation is shown there.
const logName = "earshot.log"

// mostLog is how large it may grow, in bytes; then its older half goes.
const mostLog = 1 << 20

// logFile is a log of bounded size. Several processes may write to one.
type logFile struct {
	mu   sync.Mutex
	f    *os.File
	path string
}

func openLog(dir string) (*logFile, error) {
	path, err := filepath.Abs(filepath.Join(dir, logName))
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &logFile{f: f, path: path}, nil
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if info, err := l.f.Stat(); err == nil && info.Size() > mostLog {
		late, err := io.ReadAll(io.NewSectionReader(l.f, info.Size()-mostLog/2, mostLog/2))
		if err == nil && l.f.Truncate(0) == nil {
			_, _ = l.f.Write(late)
		}
	}
	return l.f.Write(b)
}

func (l *logFile) Close() error { return l.f.Close() }
