package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"earshot/chat"
	"earshot/chat/store"
)

const (
	keepAfter    = time.Second           // of the first change of what is kept, when it can wait
	keepTogether = 20 * time.Millisecond // what can't
)

// keeping is what is to be kept of how conversations stand, and what of that other processes have
// changed.
type keeping struct {
	unkept      map[Conv]bool // whose view has changed
	newTyped    []string
	keepAt      time.Time
	busyKeeping bool
	hurried     bool         // there is more to be kept at once
	written     func() error // what is being kept; nil: nothing was

	change            int64 // the last of a view that was taken in
	taking, takeAgain bool  // what has changed in views is being read, and more has changed since
}

// touch notes that a view has changed.
func (s *Session) touch(c *contact) {
	if s.store != nil {
		s.unkept[c.conv] = true
		s.due()
	}
}

func (s *Session) due() {
	if s.keepAt.IsZero() {
		s.keepAt = s.now.Add(keepAfter)
	}
}

// keep writes what has changed, as a job, after a delay.
func (s *Session) keep(delay time.Duration) {
	write := sync.OnceValue(s.unwritten())
	s.busyKeeping, s.written = true, write
	s.job(func(ctx context.Context) func(time.Time) {
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-ctx.Done():
			}
		}
		err := write()
		return func(time.Time) {
			if s.busyKeeping = false; err != nil {
				s.refuse(s.explain(err))
			}
			if s.hurried {
				s.keepSoon()
			}
		}
	})
}

// keepSoon writes what has changed at once, for other processes to take it in.
func (s *Session) keepSoon() {
	if s.hurried = s.busyKeeping; s.store != nil && !s.busyKeeping {
		s.keep(keepTogether)
	}
}

// change is what has changed in a view.
type change struct {
	view        store.View
	drafts      map[string]string // by handle
	seen, muted bool
	last        Line // read
	author      chat.Key
}

// unwritten returns what writes all that has changed.
func (s *Session) unwritten() func() error {
	var changes []change
	for conv := range s.unkept {
		c := s.contacts[conv]
		if c == nil {
			continue
		}
		l := c.lastRead()
		drafts := map[string]string{}
		for handle, d := range c.drafts {
			if d.text != d.stored {
				drafts[handle], d.stored = d.text, d.text
			}
		}
		changes = append(changes, change{c.view, drafts, c.view.Seen != c.stored.Seen, c.view.Muted != c.stored.Muted, l, c.author(&l)})
		c.stored = c.view
	}
	typed := s.newTyped
	clear(s.unkept)
	s.newTyped, s.keepAt, s.hurried = nil, time.Time{}, false
	return func() error {
		err := s.store.Flush()
		for _, o := range changes {
			err = errors.Join(err, o.write(s.store))
		}
		if len(typed) > 0 {
			err = errors.Join(err, s.store.AddTyped(typed))
		}
		return err
	}
}

// write writes the fields that have changed, and leaves the others to other processes.
func (o *change) write(s *store.Store) (err error) {
	v := &o.view
	for handle, draft := range o.drafts {
		err = errors.Join(err, s.SetDraft(v.Peer, handle, draft))
	}
	if o.muted {
		err = errors.Join(err, s.SetMuted(v.Peer, v.Room, v.Muted))
	}
	if o.seen {
		n := v.Seen
		if n >= liveN { // the store has another number
			var bad error
			n, bad = s.Number(o.author, o.last.Out, o.last.ID)
			err = errors.Join(err, bad)
		}
		err = errors.Join(err, s.SetSeen(v.Peer, v.Room, n))
	}
	return err
}

// lastRead returns the last line seen that has an id.
func (c *contact) lastRead() Line {
	for _, l := range slices.Backward(c.tail.all()) {
		if l.number() <= c.view.Seen && l.ID != (chat.MessageID{}) {
			return l
		}
	}
	return Line{}
}

// Close writes what isn't written yet.
func (s *Session) Close() error {
	if s.store == nil {
		return nil
	}
	var err error
	if s.written != nil { // its job may be to come yet
		err = s.written()
	}
	if len(s.unkept) > 0 || len(s.newTyped) > 0 {
		err = errors.Join(err, s.unwritten()())
	}
	return err
}
