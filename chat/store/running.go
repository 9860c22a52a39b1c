package store

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// Process is a process that has the data directory open.
type Process struct {
	Slot int // its number in the directory
	PID  int // 0: not known
}

// Running returns the processes that have the data directory dir open, this one
// included. It makes nothing there. Processes that keep no history aren't among them.
func Running(dir string) (all []Process) {
	held := locksHeld(filepath.Join(dir, runningDir))
	pids := lockHolders(held)
	for _, path := range held {
		n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".lock"))
		if err != nil {
			continue
		}
		all = append(all, Process{Slot: n, PID: pids[path]})
	}
	slices.SortFunc(all, func(a, b Process) int { return a.Slot - b.Slot })
	return all
}

// locksHeld returns the lock files of slots in dir that a process holds.
func locksHeld(dir string) (held []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), ".lock")
		if _, err := strconv.Atoi(name); err != nil || !is {
			continue
		}
		path := filepath.Join(dir, e.Name())
		lock := flock.New(path, flock.SetPermissions(0o600), flock.SetFlag(os.O_RDWR)) // it isn't made anew
		// A process that starts at this moment takes another slot.
		if got, err := lock.TryLock(); err == nil && !got {
			held = append(held, path)
		}
		_ = lock.Close()
	}
	return held
}
