package store

import (
	"cmp"
	"slices"
	"time"

	"earshot/chat"
)

// View is how somebody here stands in a conversation with a person, or in a room.
type View struct {
	Peer   chat.Key
	Room   string    // its name; empty: with Peer
	Handle string    // of ViewChanges: that of the room in which Draft is begun
	Draft  string    // begun, and not yet said; of a room see RoomDraft
	Seen   int64     // the N of the last message that was before their eyes
	Muted  bool      // nothing from there is to disturb
	Unread int       // messages heard after Seen, as far as MaxUnread
	Last   time.Time // of the last message; zero: there is none
	Newest int64     // the N of the last message of all by then
}

// MaxUnread is as far as unread messages are counted.
const MaxUnread = 999

// Views returns the view of every person known, and of those never met in whose conversation
// something is begun.
func (s *Store) Views() (all []View, err error) {
	people, err := s.People()
	if err != nil {
		return nil, err
	}
	err = s.reading(func(k *conn) error {
		all = nil
		var newest int64
		if err := k.get(newestMessage, nil, &newest); err != nil {
			return err
		}
		var before int64 // what was there when views began to be kept is read
		if err := k.get(`SELECT seen FROM views WHERE conversation = ''`, nil, &before); err != nil && !none(err) {
			return err
		}
		for _, p := range people {
			v := View{Peer: p.Key, Seen: before, Newest: newest}
			err := k.get(`SELECT draft, seen, muted FROM views WHERE conversation = ?`, []any{p.Key.String()}, &v.Draft, &v.Seen, &v.Muted)
			if err != nil && !none(err) {
				return err
			}
			err = k.get(`SELECT count(*) FROM (SELECT 1 FROM messages WHERE peer = (SELECT n FROM people WHERE key = ?)
				AND out = 0 AND room = '' AND n > ? LIMIT ?)`, []any{p.Key[:], v.Seen, MaxUnread}, &v.Unread)
			if err != nil {
				return err
			}
			var last int64
			err = k.get(`SELECT CASE WHEN out THEN sent ELSE received END FROM messages
				WHERE peer = (SELECT n FROM people WHERE key = ?) AND room = '' ORDER BY n DESC LIMIT 1`, []any{p.Key[:]}, &last)
			if err != nil && !none(err) {
				return err
			}
			v.Last = moment(last)
			all = append(all, v)
		}
		return k.each(`SELECT conversation, draft, seen, muted FROM views WHERE draft <> ''`, nil, func(scan func(...any) error) error {
			v, with := View{Newest: newest}, ""
			if err := scan(&with, &v.Draft, &v.Seen, &v.Muted); err != nil {
				return err
			}
			var bad error
			v.Peer, bad = chat.ParseKey(with)
			known := slices.ContainsFunc(people, func(p Person) bool { return p.Key == v.Peer })
			if bad == nil && !known { // else a room, or listed already
				all = append(all, v)
			}
			return nil
		})
	})
	return all, err
}

// newestMessage is the number of the last message.
const newestMessage = `SELECT coalesce(max(n), 0) FROM messages`

// inTheRoom picks the rows of messages said in the room ?1, by whatever handle, so that an index serves.
const inTheRoom = `room <> '' AND (out = 0 OR peer = -1) AND (room = ?1 OR room GLOB ?1 || '` + chat.RoomMark + `*')`

// RoomView returns the view of a room, without what is begun there: several rooms can have the name.
func (s *Store) RoomView(name string) (View, error) {
	v := View{Room: name}
	err := s.reading(func(k *conn) error {
		v = View{Room: name}
		err := k.get(newestMessage, nil, &v.Newest)
		if err != nil {
			return err
		}
		err = k.get(`SELECT seen, muted FROM views WHERE conversation = ?`, []any{name}, &v.Seen, &v.Muted)
		if none(err) { // what was there when views began to be kept is read
			err = k.get(`SELECT seen FROM views WHERE conversation = ''`, nil, &v.Seen)
		}
		if err != nil && !none(err) {
			return err
		}
		err = k.get(`SELECT count(*) FROM (SELECT 1 FROM messages WHERE `+inTheRoom+` AND out = 0 AND n > ?2 LIMIT ?3)`,
			[]any{name, v.Seen, MaxUnread}, &v.Unread)
		if err != nil {
			return err
		}
		var last int64
		err = k.get(`SELECT coalesce(max(CASE WHEN out THEN sent ELSE received END), 0) FROM messages WHERE `+inTheRoom, []any{name}, &last)
		v.Last = moment(last)
		return err
	})
	return v, err
}

// SetDraft keeps what is begun in a conversation, with a person or in the room with that handle.
func (s *Store) SetDraft(peer chat.Key, handle, draft string) error {
	return s.setView(peer, handle, "draft", "excluded.draft", draft, 0, false)
}

// SetSeen keeps up to which message a conversation was before somebody's eyes; it doesn't go back.
func (s *Store) SetSeen(peer chat.Key, room string, n int64) error {
	return s.setView(peer, room, "seen", "max(seen, excluded.seen)", "", n, false)
}

// SetMuted keeps whether nothing from a conversation is to disturb.
func (s *Store) SetMuted(peer chat.Key, room string, muted bool) error {
	return s.setView(peer, room, "muted", "excluded.muted", "", 0, muted)
}

// setView changes one field of a view, and leaves the others as they are: other processes write them.
func (s *Store) setView(peer chat.Key, room, field, value, draft string, seen int64, muted bool) error {
	return s.writing(func() error {
		_, err := s.write.exec(`INSERT INTO views (conversation, draft, seen, muted)
			VALUES (?, ?, max(?, (SELECT seen FROM views WHERE conversation = '')), ?)
			ON CONFLICT DO UPDATE SET `+field+` = `+value, cmp.Or(room, peer.String()), draft, seen, muted)
		return err
	})
}

// ViewChanges returns the views that were changed after a change, and the last change of all. Of
// them only Peer, Room, Handle, Draft, Seen and Muted are set.
func (s *Store) ViewChanges(after int64) (all []View, last int64, err error) {
	last = after
	err = s.reading(func(k *conn) error {
		all = nil
		return k.each(`SELECT v.conversation, v.draft, coalesce(o.seen, v.seen), coalesce(o.muted, v.muted), v.change
			FROM views v LEFT JOIN views o ON o.conversation <> '' AND o.conversation = substr(v.conversation, 1, instr(v.conversation, '`+chat.RoomMark+`') - 1)
			WHERE v.change > ? AND v.conversation <> '' ORDER BY v.change`, []any{after},
			func(scan func(...any) error) error {
				var v View
				var name string
				if err := scan(&name, &v.Draft, &v.Seen, &v.Muted, &last); err != nil {
					return err
				}
				if key, err := chat.ParseKey(name); err == nil {
					v.Peer = key
				} else {
					v.Room, v.Handle = chat.RoomName(name), name
				}
				all = append(all, v)
				return nil
			})
	})
	return all, last, err
}

// Number returns the N of a message said to or heard from somebody, with the zero Key of one
// said here in a room; 0 when it isn't there, or not yet: see Flush.
func (s *Store) Number(peer chat.Key, out bool, id chat.MessageID) (n int64, err error) {
	err = s.reading(func(k *conn) error {
		return k.get(`SELECT n FROM messages WHERE id = ? AND out = ? AND peer = coalesce((SELECT n FROM people WHERE key = ?), -1)`,
			[]any{id[:], out, peer[:]}, &n)
	})
	if none(err) {
		err = nil
	}
	return n, err
}

// maxTyped is how many typed lines are kept.
const maxTyped = 500

// Typed returns the lines typed last, the oldest first.
func (s *Store) Typed() (all []string, err error) {
	err = s.reading(func(k *conn) error {
		all = nil
		return k.each(`SELECT text FROM typed ORDER BY n`, nil, func(scan func(...any) error) error {
			var text string
			err := scan(&text)
			all = append(all, text)
			return err
		})
	})
	return all, err
}

// AddTyped keeps lines that were typed, in order.
func (s *Store) AddTyped(lines []string) error {
	return s.writing(func() error {
		for _, text := range lines {
			if _, err := s.write.exec(`INSERT INTO typed (text) VALUES (?)`, text); err != nil {
				return err
			}
		}
		_, err := s.write.exec(`DELETE FROM typed WHERE n <= (SELECT max(n) FROM typed) - ?`, maxTyped)
		return err
	})
}
