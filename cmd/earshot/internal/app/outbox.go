package app

import (
	"earshot/chat"
	"earshot/chat/store"
)

// outbox follows what any process of this person leaves to be delivered.
type outbox struct {
	tell func(store.Message)     // what has come to wait, or has failed; nil: nobody wants to know
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
		now[p] = m.Status
		if o.told != nil && (!known || was != m.Status) && m.Status != store.Cancelled {
			o.tell(m)
		}
	}
	o.told = now
}
