package app

import (
	"context"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"earshot/chat/store"
)

const (
	lookAfter = 20 * time.Millisecond // something was written: more may follow
	lookEvery = 50 * time.Millisecond // where it isn't told that something was
	glance    = time.Second           // where it is, but may not be of all
)

// Writes waits for what other processes write into a store.
type Writes struct {
	watcher *fsnotify.Watcher // nil: nothing tells
	events  <-chan fsnotify.Event
	missed  <-chan error // events, since they were too many
	every   time.Duration
}

// WatchWrites begins to notice what is written in a data directory. To look for it often, as where nothing tells,
// costs more than all else of a program that waits.
func WatchWrites(dir string) *Writes {
	w := &Writes{every: lookEvery}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return w
	}
	if err := watcher.Add(dir); err != nil {
		_ = watcher.Close()
		return w
	}
	return &Writes{watcher, watcher.Events, watcher.Errors, glance}
}

// untilLook is how long to wait until it is looked for writes that nothing tells of, with what else is done every second.
func (w *Writes) untilLook(now time.Time) time.Duration {
	return now.Truncate(w.every).Add(w.every).Sub(now)
}

// Wait returns once something may have been written since the last call, or with the cause of ctx's end.
func (w *Writes) Wait(ctx context.Context) error {
	tick := time.NewTimer(w.untilLook(time.Now()))
	defer tick.Stop()
	var soon <-chan time.Time
	for {
		select {
		case e := <-w.events:
			if soon == nil && strings.HasSuffix(e.Name, store.Log) {
				soon = time.After(lookAfter)
			}
			continue
		case <-w.missed: //nolint:errcheck // that there was one says enough
		case <-soon:
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return nil
	}
}

// Close ends the notice.
func (w *Writes) Close() {
	if w.watcher != nil {
		_ = w.watcher.Close()
	}
}
