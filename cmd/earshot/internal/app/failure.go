package app

import (
	"earshot/chat"
	"earshot/chat/store"
)

// Why says why a message failed.
func Why(f chat.Failure) string {
	if f == chat.TooBigForPath {
		return "it is too long for the network between you, and their earshot is too old to take it in parts"
	}
	return "they weren't seen for 7 days"
}

// Remedy says what to do about a message that failed.
func Remedy(f chat.Failure) string {
	if f == chat.TooBigForPath {
		return "send it in messages of at most 250 bytes, or ask them to update earshot"
	}
	return "try again with: earshot outbox retry ID"
}

// Failed reports whether a message said to somebody has failed, by whatever process of this person's, and why.
func (a *App) Failed(to chat.Key, id chat.MessageID) (why chat.Failure, failed bool) {
	if a.Store == nil || to.IsZero() {
		return 0, false
	}
	return a.Store.Failure(to, id)
}

// failed takes the event that a message won't reach somebody.
func (s *Session) failed(c *contact, e chat.Event) {
	if e.Room == "" {
		s.settle(c, e.ID, Failed, Why(e.Failure))
		return
	}
	s.refuse(s.Label(c.conv) + " won't have what you said in " + e.Room + ": " + Why(e.Failure))
}

// fate is what is known of a message that may be on its way.
func (s *Session) fate(to chat.Key, id chat.MessageID) (State, string, error) {
	status, err := s.store.Fate(to, id)
	switch {
	case err != nil:
		return Queued, "", err
	case status == store.Done:
		return Delivered, "", nil
	case status == store.Failed:
		why, _ := s.store.Failure(to, id)
		return Failed, Why(why), nil
	case status == store.Cancelled:
		return Failed, takenBack, nil
	}
	return Queued, "", nil
}
