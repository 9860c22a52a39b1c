package chat

import (
	"net/netip"
	"time"

	"earshot/chat/internal/deque"
)

// Kind says what an Event tells and which of its fields are set.
type Kind uint8

// Kinds of Event.
const (
	Message     Kind = iota + 1 // somebody said Text
	Delivered                   // the peer has accepted message ID
	Met                         // a person was proven at Addr: first contact, or again after a restart
	Unreachable                 // nothing authentic has come back for UnreachableAfter
	Reachable                   // heard again after Unreachable
	Left                        // the person's last session ended with a goodbye
	Joined                      // the person is in Room from now on
	Parted                      // the person is in Room no more
	Excluded                    // the person, to whom message ID was said in Room, turns out not to be in it, and isn't waited for
	Typing                      // the person is writing to us
	Said                        // another node of ours has said Text to the person, or in Room
	Declined                    // the person hasn't taken message ID for Reason; it stays queued
	Named                       // a node that speaks for the person calls them so from now on (SPEC §8)
	Failed                      // message ID won't reach the person; Failure says why
)

// Event is something that happened. It is flat so that it costs no allocation.
type Event struct {
	Kind     Kind
	Person   Person         // whom it concerns: sender, recipient, who came or left
	ID       MessageID      // Message, Delivered, Excluded, Declined
	Alias    bool           // Met: no node that speaks for the person has told their name yet
	As       string         // Message: what the node that said it is called, which may be its alias
	Text     string         // Message, Said: as it came, at most MaxText bytes, perhaps not valid UTF-8
	Sent     time.Time      // Message, Said: by the sender's clock
	Received time.Time      // Message, Joined, Parted: by ours
	RTT      time.Duration  // Delivered: from first transmission to acknowledgement
	Addr     netip.AddrPort // Met
	Room     string         // Message, Delivered, and what is about a room: its name; empty: between two
	Clock    uint64         // Message, Said in a room: its time, by which messages that none names stand (SPEC §13.10)
	Late     bool           // Message, Said in a room: it precedes one that was reported before
	Kept     int64          // Message, Said: its number in the Store, from where it comes; 0: from the network
	Here     bool           // Message from the Store: this node may have heard it, and left it there while too many events waited
	Reason   Reason         // Declined
	Failure  Failure        // Failed
}

// Failure says why a message was given up. It is kept in stores: values are never reused.
type Failure uint8

// Reasons to give a message up.
const (
	NotInTime     Failure = iota // it waited too long
	TooBigForPath                // the path carries no fragment of its size, and the peer takes no parts of one (SPEC §7.20)
)

// Person is somebody proven by a handshake.
type Person struct {
	Key  Key
	Name string // what they call themselves (SPEC §8): unsanitised, and not unique
}

// eventQueue is what waits for the application, bounded (SPEC §10): a message that
// finds it full is not accepted, hence not acknowledged, and comes again later.
type eventQueue struct {
	deque.Deque[Event]
	texts int         // bytes of messages
	from  map[Key]int // how many messages of each person
	lost  uint64
	lossy bool // deliveries too can be had from the Store
}

// room reports whether a message of the person's may be accepted. Nobody takes all the
// room, so that others needn't wait long.
func (q *eventQueue) room(from Key) bool {
	return q.Len() < maxWaitingMessages && q.texts < maxWaitingTexts && q.from[from] < maxWaitingOfOne
}

// roomier reports whether a message that found no room is to be offered again.
func (q *eventQueue) roomier(from Key) bool {
	return q.Len() <= maxWaitingMessages/2 && q.texts <= maxWaitingTexts/2 && q.from[from] <= maxWaitingOfOne/2
}

// add queues e. What peers can cause at will is lost, and counted, beyond
// maxWaitingEvents; how many messages are delivered is bounded by core.send.
func (q *eventQueue) add(e Event) {
	if q.Len() >= maxWaitingEvents && (q.lossy || e.Kind != Delivered) {
		q.lost++
		return
	}
	if e.Kind == Message {
		if q.from == nil {
			q.from = map[Key]int{}
		}
		q.texts += len(e.Text)
		q.from[e.Person.Key]++
	}
	q.Push(e)
}

// take removes the event at the front.
func (q *eventQueue) take() Event {
	e := q.Pop()
	if e.Kind == Message {
		q.texts -= len(e.Text)
		if q.from[e.Person.Key]--; q.from[e.Person.Key] <= 0 {
			delete(q.from, e.Person.Key)
		}
	}
	return e
}
