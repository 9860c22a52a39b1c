package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"earshot/chat"
	"earshot/chat/room"
)

// Status says what has become of a message.
type Status int

// What can become of a message.
const (
	Queued    Status = iota // said, and not known to be delivered
	Done                    // delivered, or heard
	Failed                  // not delivered in time
	Cancelled               // taken back before it was delivered
)

// String returns the status in one word.
func (s Status) String() string {
	return [...]string{"queued", "delivered", "failed", "cancelled"}[s]
}

// Message is something said or heard.
type Message struct {
	N        int64 // counts up in the order they were kept
	ID       chat.MessageID
	Peer     chat.Key // who said it, or to whom; the zero Key: whoever has the name
	Name     string   // the peer's, unsanitised
	As       string   // what they were called when they said it; empty: it was said here, or isn't known
	Out      bool     // said here
	Text     string   // as it came
	Sent     time.Time
	Received time.Time // heard, or known to be delivered; zero: not yet
	Status   Status
	Failure  chat.Failure // of Failed
	Idle     bool         // queued, and no process is sending it
	Room     string       // handle of the room it was said in; empty: between two
	Clock    uint64       // its time there (SPEC §13.10)
	Late     bool         // with Filter.Follow: it stands before one kept before it
	Declined chat.Reason  // why the peer, the last time, hasn't taken it; 0: it wasn't declined

	at time.Time // what At returns
}

// At returns when a message was said here or heard, by our clock: that of others proves nothing. Where our clock was wrong,
// it is when the message was delivered, or about when it was kept, by the time that was seen to pass since.
func (m *Message) At() time.Time { return m.at }

// dates tells when messages were said or heard.
type dates struct {
	now    time.Time
	passed int64 // as of now, in ms
}

func (s *Store) dates(k *conn) (dates, error) {
	passed, _, err := s.look(k)
	s.elapsedMu.Lock()
	defer s.elapsedMu.Unlock()
	_, now := s.clock()
	return dates{now, passed}, err
}

// at returns what At does, of a message that was kept when so much had passed; 0: that wasn't counted yet.
func (d dates) at(m *Message, passed int64) time.Time {
	at := m.Received
	if m.Out {
		at = m.Sent
	}
	switch {
	case d.likely(at):
	case m.Out && d.likely(m.Received):
		return m.Received
	case passed > 0:
		return d.now.Add(-time.Duration(d.passed-passed) * time.Millisecond)
	}
	return at
}

// likely reports whether a time can be right (SPEC §13.6).
func (d dates) likely(t time.Time) bool {
	return room.Likely(uint64(max(0, t.UnixMilli()))) && !t.After(d.now.Add(room.MaxAhead))
}

// Filter picks messages. Its zero value picks all.
type Filter struct {
	Peer   chat.Key  // between this person and us; zero: all, those of rooms too
	Room   string    // said in the room with that handle, or name
	Since  time.Time // heard or said not before
	After  int64     // with a greater N
	Before int64     // with a smaller N; 0: any
	Above  int64     // that stand before the one with this N, in the order of one conversation; 0: any
	Below  int64     // behind it
	Follow bool      // in the order they were kept, in a room too
	Search string    // with all these words; a star stands for the rest of one
	Limit  int       // only the last so many, in a search the best; 0: all
	First  bool      // Limit keeps the first ones instead
}

const columns = `m.n, m.id, coalesce(p.key, x''), coalesce(p.name, m.name), CASE WHEN m.out THEN '' ELSE m.name END, m.out,
	CASE WHEN m.text = '' THEN coalesce((SELECT r.text FROM messages r WHERE r.peer = -1 AND r.id = m.id), '') ELSE m.text END,
	m.sent, m.received, m.status, m.status = 0 AND m.owner = 0, m.room, m.clock, m.declined, m.failure, m.passed
	FROM messages m LEFT JOIN people p ON p.n = m.peer`

// at is when a message was said or heard; there is an index of it.
const at = `(CASE WHEN out THEN sent ELSE received END)`

func (f *Filter) where() (string, []any) {
	conds, args := []string{"(m.room = '' OR m.out = 0 OR m.peer = -1)"}, []any(nil)
	if !f.Peer.IsZero() {
		conds, args = append(conds, "m.room = '' AND m.peer = (SELECT n FROM people WHERE key = ?)"), append(args, f.Peer[:])
	}
	if f.Room != "" {
		conds, args = append(conds, "(m.room = ? OR m.room GLOB ?)"), append(args, f.Room, f.Room+chat.RoomMark+"*")
	}
	if !f.Since.IsZero() {
		conds = append(conds, at+" >= ?")
		args = append(args, millis(f.Since))
	}
	if f.After > 0 {
		conds, args = append(conds, "m.n > ?"), append(args, f.After)
	}
	if f.Before > 0 {
		conds, args = append(conds, "m.n < ?"), append(args, f.Before)
	}
	return strings.Join(conds, " AND "), args
}

// conversation is the one to which the messages belong; empty: to any.
func (f *Filter) conversation() string {
	if f.Room == "" && !f.Peer.IsZero() {
		return f.Peer.String()
	}
	return f.Room
}

// fewSince is up to how many messages since a time are looked for by their times.
const fewSince = 10_000

// bounded is where for a query that goes through messages from the newest on: it ends
// early where few are new enough.
func (f *Filter) bounded(k *conn) (string, []any, error) {
	where, args := f.where()
	if f.Since.IsZero() {
		return where, args, nil
	}
	var count, first int64
	err := k.get(`SELECT count(*), coalesce(min(n), 0) FROM (SELECT n FROM messages WHERE `+at+` >= ? LIMIT ?)`,
		[]any{millis(f.Since), fewSince}, &count, &first)
	if err == nil && count < fewSince {
		where, args = where+" AND m.n >= ?", append(args, first)
	}
	return where, args, err
}

// Log returns messages, the oldest first, those of one room in its order (SPEC §13.10); in a search the best last.
func (s *Store) Log(f Filter) (all []Message, err error) {
	if f.Search != "" {
		all, err = s.find(&f)
	} else {
		all, err = s.pick(&f)
	}
	if f.Limit > 0 && len(all) > f.Limit {
		all = all[:f.Limit]
	}
	if !f.First || f.Search != "" {
		slices.Reverse(all)
	}
	return all, err
}

// pick returns the messages that a filter without a search picks, in order with First, else the other way around.
func (s *Store) pick(f *Filter) (all []Message, err error) {
	var handles []string
	ordered := f.Room != "" && !f.Follow
	if ordered {
		if handles, err = s.rooms(f.Room); err != nil || len(handles) == 0 {
			return nil, err
		}
	}
	err = s.reading(func(k *conn) error {
		all = nil
		where, args, err := f.bounded(k)
		if err != nil {
			return err
		}
		d, err := s.dates(k)
		if err != nil {
			return err
		}
		order := []string{"m.n"}
		if ordered {
			order = []string{"m.bound", "m.clock", "m.ref"}
		}
		if len(handles) == 1 { // a piece of an index
			where, args = where+` AND m.room <> '' AND (m.out = 0 OR m.peer = -1) AND m.room = ?`, append(args, handles[0])
		}
		for _, edge := range []struct {
			n  int64
			op string
		}{{f.Above, "<"}, {f.Below, ">"}} {
			if edge.n == 0 {
				continue
			}
			names := strings.Join(order, ", ")
			where, args = where+" AND ("+names+") "+edge.op+" (SELECT "+names+" FROM messages m WHERE n = ?)", append(args, edge.n)
		}
		last := " DESC"
		if f.First {
			last = ""
		}
		query := `SELECT ` + columns + ` WHERE ` + where + ` ORDER BY ` + strings.Join(order, last+", ") + last
		if f.Limit > 0 {
			query += fmt.Sprintf(" LIMIT %d", f.Limit)
		}
		err = k.each(query, args, func(scan func(...any) error) error {
			m, err := scanMessage(scan, d)
			all = append(all, m)
			return err
		})
		for i := range all {
			if err == nil && f.Follow && all[i].Room != "" {
				err = k.get(late, []any{all[i].N}, &all[i].Late)
			}
		}
		return err
	})
	return all, err
}

// late is true of a message of a room that stands before one kept before it.
const late = `SELECT EXISTS (SELECT 1 FROM messages m WHERE m.room <> '' AND (m.out = 0 OR m.peer = -1) AND m.room = o.room
	AND (m.bound, m.clock, m.ref) > (o.bound, o.clock, o.ref) AND m.n < o.n) FROM messages o WHERE o.n = ?`

func scanMessage(scan func(...any) error, d dates) (m Message, err error) {
	var id, key []byte
	var sent, received, passed int64
	err = scan(&m.N, &id, &key, &m.Name, &m.As, &m.Out, &m.Text, &sent, &received, &m.Status, &m.Idle, &m.Room, &m.Clock, &m.Declined, &m.Failure, &passed)
	copy(m.ID[:], id)
	copy(m.Peer[:], key)
	m.Sent, m.Received = time.UnixMilli(sent), moment(received)
	m.at = d.at(&m, passed)
	return m, err
}
