package app

import (
	"context"
	"errors"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
)

// What another process writes is told at once, not by the next glance, and nothing keeps who waits
// from ending.
func TestWrites(t *testing.T) {
	d := newDesk(t)
	w := WatchWrites(d.dir)
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	if w.watcher != nil {
		w.every = time.Hour
	}
	err := d.store.SetMuted(ana.Key, "", true)
	if err = errors.Join(err, w.Wait(ctx)); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("the end")
	w.every = time.Hour
	if cancel(cause); !errors.Is(w.Wait(ctx), cause) {
		t.Error("the end isn't told")
	}
}

// What has become of a line that waits is asked once something was written, and not every second.
func TestFateIsAskedAfterWrites(t *testing.T) {
	d := newDesk(t)
	d.Turn(Conv{Key: ana.Key}, d.now)
	var ids []chat.MessageID
	for range 15 { // more than are asked for at once
		d.Say(d.Current(), "hello", d.now)
		ids = append(ids, d.Lines(d.Current())[len(ids)].ID)
	}
	d.work()
	d.store.Release(ana.Key)
	asks := func() bool {
		d.now = d.now.Add(glanceEvery)
		d.Tick(d.now)
		jobs := d.Jobs()
		for _, job := range jobs {
			job(t.Context())(d.now)
		}
		return len(jobs) > 0
	}
	for limit := time.Now().Add(10 * time.Second); asks(); time.Sleep(10 * time.Millisecond) { // until file times tell
		if time.Now().After(limit) {
			t.Fatal("it is asked again and again")
		}
	}
	for _, id := range ids {
		if err := d.store.Cancel(id, store.Failed); err != nil {
			t.Fatal(err)
		}
	}
	asks()
	asks()
	for _, l := range d.Lines(d.Current()) {
		if !l.Notice && l.State != Failed {
			t.Errorf("%q is %v", l.Text, l.State)
		}
	}
}
