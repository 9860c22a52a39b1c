package main

import (
	"cmp"
	"net/netip"
	"time"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/discovery"
)

// The JSON that the commands print: keys are stable, null is "not known". The README
// documents it.

// stamp is a time in RFC 3339, UTC, with milliseconds; null where that has no year for it.
type stamp time.Time

func (s stamp) MarshalJSON() ([]byte, error) { //nolint:unparam // as json.Marshaler has it
	t := time.Time(s).UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		return []byte("null"), nil
	}
	return t.AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`), nil
}

type peerJSON struct {
	ID       *string          `json:"id"`
	Name     string           `json:"name"`
	Petname  *string          `json:"petname"`
	Addrs    []netip.AddrPort `json:"addrs"`
	Since    stamp            `json:"since"`
	Status   string           `json:"status"`
	Verified bool             `json:"verified"`
	Self     bool             `json:"self"`
	Label    string           `json:"label,omitempty"` // the name they are known by, where it is another
}

// What is known of a visible peer's identity.
const (
	unproven = "unproven" // only announced
	proven   = "proven"   // by a handshake with this process
)

// newPeerJSON takes from book what is known of the one whom p claims to be.
func newPeerJSON(p discovery.Peer, status string, book *app.Book) peerJSON {
	j := peerJSON{Name: p.Name, Addrs: p.Addrs, Since: stamp(p.Since), Status: status}
	if p.ID != "" {
		j.ID = &p.ID
	}
	if key, err := chat.ParseKey(p.ID); err == nil {
		known, _ := book.Get(key)
		if known.Petname != "" {
			j.Petname = &known.Petname
		}
		if j.Verified = known.Verified; known.Label != p.Name {
			j.Label = known.Label
		}
	}
	if j.Addrs == nil {
		j.Addrs = []netip.AddrPort{}
	}
	return j
}

type personJSON struct {
	ID       *string `json:"id"`
	Name     string  `json:"name"`
	Verified bool    `json:"verified"`
	Label    string  `json:"label,omitempty"` // petname or name they are known by, where it is another
}

// newPersonJSON takes from book, which may be nil, how somebody is known.
func newPersonJSON(p chat.Person, book *app.Book) personJSON {
	j := personJSON{Name: p.Name}
	if p.Key.IsZero() {
		return j
	}
	id := p.Key.String()
	if j.ID = &id; book != nil {
		j.Verified, j.Label = book.Verified(p.Key), book.LabelOf(p.Key, p.Name)
	}
	return j
}

type readyJSON struct {
	Event string           `json:"event"`
	Time  stamp            `json:"time"`
	ID    string           `json:"id"`
	Name  string           `json:"name"`
	Port  uint16           `json:"port"`
	Addrs []netip.AddrPort `json:"addrs"`
}

type peerEventJSON struct {
	Event string   `json:"event"`
	Time  stamp    `json:"time"`
	Peer  peerJSON `json:"peer"`
}

// peerEvents are the names of the roster's changes.
var peerEvents = map[discovery.Change]string{
	discovery.Up: "peer-up", discovery.Changed: "peer-changed", discovery.Down: "peer-down",
}

func newPeerEventJSON(e discovery.Event, status string, book *app.Book) peerEventJSON {
	return peerEventJSON{peerEvents[e.Change], stamp(time.Now()), newPeerJSON(e.Peer, status, book)}
}

type messageJSON struct {
	Event    string     `json:"event"`
	Time     stamp      `json:"time"`
	ID       string     `json:"id"`
	From     personJSON `json:"from"`
	Room     *string    `json:"room"`
	Text     string     `json:"text"`
	Sent     stamp      `json:"sent"`
	Received stamp      `json:"received"`
	Mention  bool       `json:"mention,omitempty"` // of me, in a room
	Late     bool       `json:"late,omitempty"`    // in a room: it precedes one that was told of before
}

func newMessageJSON(e chat.Event, book *app.Book, me string) messageJSON {
	from := chat.Person{Key: e.Person.Key, Name: cmp.Or(e.As, e.Person.Name)}
	j := messageJSON{
		Event: "message", Time: stamp(time.Now()), ID: e.ID.String(), From: newPersonJSON(from, book),
		Text: e.Text, Sent: stamp(e.Sent), Received: stamp(e.Received),
	}
	if e.Room != "" {
		j.Late = e.Late
		j.Room, j.Mention = &e.Room, room.Mentions(e.Text, me)
	}
	return j
}

// outboxEventJSON tells what has become of something said before.
type outboxEventJSON struct {
	Event string     `json:"event"`
	Time  stamp      `json:"time"`
	ID    string     `json:"id"`
	To    personJSON `json:"to"`
	Room  *string    `json:"room"`

	Reason string `json:"reason,omitempty"` // of failed
}

func newOutboxEventJSON(status store.Status, id chat.MessageID, to chat.Person, book *app.Book, roomName string) outboxEventJSON {
	j := outboxEventJSON{Event: status.String(), Time: stamp(time.Now()), ID: id.String(), To: newPersonJSON(to, book)}
	if roomName != "" {
		j.Room = &roomName
	}
	return j
}

// logJSON is a message of the past.
type logJSON struct {
	Event         string      `json:"event"`
	Time          stamp       `json:"time"`
	ID            string      `json:"id"`
	From          personJSON  `json:"from"`
	Room          *string     `json:"room"`
	Text          string      `json:"text"`
	Sent          stamp       `json:"sent"`
	Received      *stamp      `json:"received"` // for what was said: when it was acknowledged
	Direction     string      `json:"direction"`
	Status        string      `json:"status"`
	Reason        string      `json:"reason,omitempty"` // why they haven't taken it, or why it has failed
	To            *personJSON `json:"to,omitempty"`     // of what was said to one
	*deliveryJSON             // of what was said in a room
	Late          bool        `json:"late,omitempty"` // with --follow, in a room: it precedes one that was printed before
}

func newLogJSON(a *archive, m store.Message) (logJSON, error) {
	them := newPersonJSON(chat.Person{Key: m.Peer, Name: cmp.Or(m.As, m.Name)}, a.book)
	j := logJSON{
		Event: "message", Time: stamp(m.At()), ID: m.ID.String(), From: them, Text: m.Text, Sent: stamp(m.Sent),
		Direction: "in", Status: m.Status.String(), Reason: reasonJSON(m.Declined), Late: m.Late,
	}
	if !m.Received.IsZero() {
		at := stamp(m.Received)
		j.Received = &at
	}
	if m.Room != "" {
		name := chat.RoomName(m.Room)
		j.Room = &name
	}
	if m.Status == store.Failed {
		j.Reason = app.Why(m.Failure)
	}
	if m.Out {
		j.Direction, j.From = "out", newPersonJSON(a.me, nil)
		if !m.Peer.IsZero() || m.Room == "" {
			j.To = &them
			return j, nil
		}
		n, of, _, err := a.store.Delivery(m.ID)
		if j.deliveryJSON = (&deliveryJSON{n, of}); n < of {
			j.Status = store.Queued.String()
		}
		return j, err
	}
	j.Time = stamp(m.Received)
	return j, nil
}

// deliveryJSON says how many of the members whom something said in a room is for have it.
type deliveryJSON struct {
	Delivered int `json:"delivered"`
	Total     int `json:"total"`
}

// sentRoomJSON is what has become of something said in a room.
type sentRoomJSON struct {
	ID     string `json:"id"`
	Room   string `json:"room"`
	Status string `json:"status"`
	deliveryJSON
	Missing []missingJSON `json:"missing"`
	RTT     *float64      `json:"rtt_ms"`  // of the last
	Visible int           `json:"visible"` // people in the room or not, when it was said
}

type missingJSON struct {
	personJSON
	Reason string `json:"reason,omitempty"` // why they haven't taken it
}

// reasonJSON returns the name of a reason; empty: there is none.
func reasonJSON(r chat.Reason) string {
	return map[chat.Reason]string{chat.NotInRoom: "not-in-room", chat.Quota: "quota", chat.NotNow: "not-now"}[r]
}

type roomJSON struct {
	Room    string `json:"room"`
	Members int    `json:"members"`
	Private bool   `json:"private"`
	Joined  bool   `json:"joined"`
}

// renamedJSON tells that somebody known calls themselves otherwise.
type renamedJSON struct {
	Event  string     `json:"event"`
	Time   stamp      `json:"time"`
	Was    string     `json:"was"`
	Person personJSON `json:"person"`
}

type roomEventJSON struct {
	Event  string     `json:"event"`
	Time   stamp      `json:"time"`
	Room   string     `json:"room"`
	Person personJSON `json:"person"`
}

func newRoomEventJSON(e chat.Event, book *app.Book) roomEventJSON {
	name := "room-joined"
	if e.Kind == chat.Parted {
		name = "room-left"
	}
	return roomEventJSON{name, stamp(e.Received), e.Room, newPersonJSON(e.Person, book)}
}

type sentJSON struct {
	ID     *string    `json:"id"`
	To     personJSON `json:"to"`
	Status string     `json:"status"`
	Reason string     `json:"reason,omitempty"` // why they haven't taken it, or why it can't be delivered
	RTT    *float64   `json:"rtt_ms"`
}

type selfJSON struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Short string `json:"short"`
	Dir   string `json:"dir"`
}
