package chat

import "time"

// Store keeps what must outlive a node, so that a message that was shown as sent is
// delivered once whatever happens to either side. A call that returns no error has
// put it where a crash of the process can't take it away. The node calls it with its
// lock held, one call at a time. Several nodes of one person, in several processes,
// can share what is kept: each message is then one node's to send at any time.
type Store interface {
	// Waits reports whether anything may wait for the person that no node is sending. What they have
	// declined doesn't count, here and for Outbox and Said.
	Waits(to Key) bool
	// Outbox returns what waits for the person, in the order it was said, and makes it
	// this node's to send. While another node has something for them it is empty.
	Outbox(to Key) ([]Saying, error)
	// Said keeps a message before it is sent for the first time, and reports whether it
	// is this node's to send at once: not while something said before still waits.
	Said(Saying) (own bool, err error)
	// Release gives back, for any node to send, what this node has of the person's. It
	// returns false where nobody else could: then the node keeps it.
	Release(to Key) bool
	// Delivered notes that a message is acknowledged.
	Delivered(to Key, id MessageID, now time.Time) error
	// SaidIn keeps a message said in a room before it is sent for the first time, and reports
	// of each of those it goes to whether it is this node's to send to them at once.
	SaidIn(s Saying, to []Person) (own []bool, err error)
	// HeardIn is Heard for what was said in a room.
	HeardIn(from Person, s Saying, received time.Time) (fresh bool, err error)
	// Share returns what was said here in a room in the last [room.Recent], at most room.MaxRecent messages, that
	// hasn't been said to the person, and makes it this node's to say to them.
	Share(room string, to Person, now time.Time) ([]Saying, error)
	// Exclude notes that a person for whom a message said in a room was isn't in it, and so
	// hasn't been told it.
	Exclude(to Key, id MessageID, now time.Time) error
	// Decline notes that a person hasn't taken a message, which waits from then on for Redeliver.
	Decline(s Saying, reason Reason, now time.Time) error
	// Redeliver returns what the person has declined for NotInRoom in one of these rooms, or with no
	// rooms for another reason, in the order it was said, and makes it this node's to send.
	Redeliver(to Key, rooms []string) ([]Saying, error)
	// Fail notes that a message of this node's is given up for one person. Nobody sends it any more.
	Fail(to Key, id MessageID, why Failure) error
	// Spoke reports whether something was said here in a room in the last [room.Recent].
	Spoke(room string, now time.Time) bool
	// Tail returns the messages of a room of the last [room.Recent] in the order they were kept, at most 1000, and before
	// them some that are older and that none names.
	Tail(room string, now time.Time) ([]Trace, error)
	// Defer says whether what is heard from now on makes no event here, and so is to be had like what other
	// nodes have heard. It returns false where it couldn't be had.
	Defer(on bool) bool
	// Lapsed reports, once, whether the process has stood still for so long that other nodes may
	// have taken over what was this node's to send.
	Lapsed() bool
	// Heard keeps a message before it is acknowledged, and reports whether it is new.
	Heard(from Person, id MessageID, text string, sent, received time.Time) (fresh bool, err error)
}

// Saying is a message that somebody here said.
type Saying struct {
	To   Key
	Name string // what they call themselves, as far as is known
	ID   MessageID
	Text string
	Sent time.Time

	Room  string // handle of the room it was said in; empty: none, as with the next three
	From  Key    // who said it; zero: not known
	Head  string // what precedes the text on the wire
	Clock uint64 // the sender's
}

// Kept is a message that another node of ours has put into the Store.
type Kept struct {
	Saying // To and Name: of whom it is from, or to; zero: said in a room
	N      int64
	As     string    // what the node that said it called itself; empty: it was said here, or isn't known
	Out    bool      // it was said
	At     time.Time // when it was heard
}

// Trace is what is known of a message of a room besides what it says.
type Trace struct {
	ID    MessageID
	From  Key    // zero: us
	Clock uint64 // its time (SPEC §13.10)
	Head  string // what preceded its text on the wire
	Old   bool   // it is older than [room.Recent]
}
