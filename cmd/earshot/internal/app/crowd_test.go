package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"earshot/discovery"
)

// Whoever says something to everybody waits while newcomers appear, for a while after the last of
// them, and not for ever.
func TestAwaitCrowd(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		what    string
		alone   bool            // nobody was seen before
		comes   []time.Duration // when somebody does
		changes []time.Duration // when somebody who is there has another name
		counted time.Duration
		limit   time.Duration
		want    time.Duration
	}{
		{"nobody", false, nil, nil, 250 * ms, 2 * time.Second, 250 * ms},
		{"a few at once", false, []time.Duration{5 * ms, 6 * ms, 20 * ms}, nil, 250 * ms, 2 * time.Second, 270 * ms},
		{"a crowd that is counted late", false, []time.Duration{5 * ms, 100 * ms}, nil, 630 * ms, 2 * time.Second, 630 * ms},
		{"one after the other", false, []time.Duration{200 * ms, 400 * ms, 600 * ms, 800 * ms}, nil, 250 * ms, 2 * time.Second, 1050 * ms},
		{"without end", false, []time.Duration{200 * ms, 400 * ms, 600 * ms, 800 * ms}, nil, 250 * ms, 700 * ms, 700 * ms},
		{"no newcomers", false, []time.Duration{5 * ms}, []time.Duration{200 * ms, 400 * ms}, 250 * ms, 2 * time.Second, 255 * ms},
		{"alone", true, nil, nil, 250 * ms, 5 * time.Second, 2 * time.Second},
		{"alone, and little time", true, nil, nil, 250 * ms, time.Second, time.Second},
		{"the first comes late", true, []time.Duration{900 * ms, 1000 * ms}, nil, 250 * ms, 5 * time.Second, 1250 * ms},
		{"no wait", false, []time.Duration{5 * ms}, nil, 250 * ms, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			seen, counted := make(chan discovery.Event), make(chan struct{})
			time.AfterFunc(tt.counted, func() { close(counted) })
			ctx, cancel := context.WithCancel(t.Context())
			tell := func(at time.Duration, change discovery.Change) {
				time.Sleep(at)
				select {
				case seen <- discovery.Event{Change: change}:
				case <-ctx.Done():
				}
			}
			for _, at := range tt.comes {
				go tell(at, discovery.Up)
			}
			for _, at := range tt.changes {
				go tell(at, discovery.Changed)
			}
			patience := quietFor
			if tt.alone {
				patience = aloneFor
			}
			begun := time.Now()
			if err := awaitCrowd(ctx, seen, counted, patience, tt.limit); err != nil {
				t.Errorf("%s: %v", tt.what, err)
			}
			if got := time.Since(begun); got != tt.want {
				t.Errorf("%s: waited for %v, want %v", tt.what, got, tt.want)
			}
			cancel()
			time.Sleep(2 * time.Second)
		})
	}
}
