package app

import (
	"context"
	"time"

	"earshot/discovery"
)

const (
	// quietFor is how long nobody may have come before all who are there count as seen.
	quietFor = 250 * time.Millisecond
	// aloneFor is how long to look for the first, as for somebody whose name was given.
	aloneFor = 2 * time.Second
	// busyAfter is how late a timer may be: a machine too busy for more doesn't show in time who comes.
	busyAfter = 50 * time.Millisecond
)

// AwaitCrowd waits until everybody present has had the time to answer, and nobody has come for a
// while: no longer than limit. It consumes Seen meanwhile.
func (a *App) AwaitCrowd(ctx context.Context, limit time.Duration) error {
	if a.Presence == nil {
		return a.NoLAN
	}
	patience := quietFor
	if len(a.Peers()) == 0 {
		patience = aloneFor
	}
	return awaitCrowd(ctx, a.Seen, a.Presence.Counted(), patience, limit)
}

// awaitCrowd is AwaitCrowd, with how long to wait for the first who comes.
func awaitCrowd(ctx context.Context, seen <-chan discovery.Event, counted <-chan struct{}, patience, limit time.Duration) error {
	over := time.NewTimer(limit)
	defer over.Stop()
	quiet := time.NewTimer(patience)
	defer quiet.Stop()
	due, isQuiet := time.Now().Add(patience), false
	again := func() {
		quiet.Reset(quietFor)
		due, isQuiet = time.Now().Add(quietFor), false
	}
	for !isQuiet || counted != nil {
		select {
		case e := <-seen:
			if e.Change == discovery.Up {
				again()
			}
		case <-quiet.C:
			if isQuiet = true; time.Since(due) > busyAfter {
				again()
			}
		case <-counted:
			counted = nil
		case <-over.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
