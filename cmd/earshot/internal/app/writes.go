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

// watch returns what tells of writes in a directory; nil where there is no such thing.
// Looking for them often instead would cost more than all else of a program that waits.
func watch(dir string) *fsnotify.Watcher {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil
	}
	if err := w.Add(dir); err != nil {
		_ = w.Close()
		return nil
	}
	return w
}

// Writes waits for what other processes write into a store.
type Writes struct {
	watcher *fsnotify.Watcher // nil: nothing tells
	events  <-chan fsnotify.Event
	missed  <-chan error // events, since they were too many
	every   time.Duration
}

// WatchWrites begins to notice what is written in a data directory.
func WatchWrites(dir string) *Writes {
	w := &Writes{watcher: watch(dir), every: lookEvery}
	if w.watcher != nil {
		w.events, w.missed, w.every = w.watcher.Events, w.watcher.Errors, glance
	}
	return w
}

// Wait returns once something may have been written since the last call, or with the cause of ctx's end.
func (w *Writes) Wait(ctx context.Context) error {
	now := time.Now()
	tick := time.NewTimer(now.Truncate(w.every).Add(w.every).Sub(now)) // with what else is done every second
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
