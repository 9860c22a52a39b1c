package app

import (
	"earshot/chat"
	"earshot/chat/store"
)

// outbox follows what any process of this person leaves to be delivered.
type outbox struct {
	// tell is given what has come to wait, or has failed, and reports whether it takes that now. Else it
	// is given what has become of it later. Nil: nobody wants to know.
	tell func(store.Message) (taken bool)
	left bool                    // something wasn't taken
	told map[parcel]store.Status // nil: not looked yet; what is there at first is no news
}

// parcel is a message on its way to one person.
type parcel struct {
	id chat.MessageID
	to chat.Key // of one said in a room
}

// look tells what has changed. What a process is sending doesn't wait.
func (o *outbox) look(s *store.Store) {
	if o.tell == nil {
		return
	}
	all, err := s.Undelivered()
	if err != nil {
		return // the next look will tell
	}
	o.left = false
	now := make(map[parcel]store.Status, len(all))
	for _, m := range all {
		p := parcel{id: m.ID}
		if m.Room != "" {
			p.to = m.Peer
		}
		was, known := o.told[p]
		if m.Status == store.Queued && !m.Idle {
			if known {
				now[p] = was
			}
			continue
		}
		if o.told != nil && (!known || was != m.Status) && m.Status != store.Cancelled && !o.tell(m) {
			if o.left = true; known {
				now[p] = was
			}
			continue
		}
		now[p] = m.Status
	}
	o.told = now
}
