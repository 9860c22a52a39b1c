package store

import (
	"earshot/chat"
	"earshot/chat/room"
)

// UnknownRoom returns what stands for the handle of a room of that name where it isn't known
// which one is meant. No room has it.
func UnknownRoom(name string) string { return name + chat.RoomMark }

// ofName picks the views of a conversation ?1, of a room with what is begun in private ones of the name.
const ofName = `(conversation = ?1 OR conversation GLOB ?1 || '` + chat.RoomMark + `*')`

// handleDrafts is the migration that moves what is begun in rooms to their handles; placeDrafts does it.
const handleDrafts = `
-- Of a room, draft is that of the open one; the row of a private one's handle has its draft alone.
DELETE FROM views WHERE conversation GLOB '#*` + chat.RoomMark + `*';
`

// placeDrafts gives drafts that were kept under the name of a room to the room in which they were
// written. A draft must not come to be shown in an open room by mistake: where one may be of
// either kind, it counts for the private one.
func (k *conn) placeDrafts() error {
	moves := map[string]string{}
	err := k.each(`SELECT v.conversation, coalesce(r.key, x''), coalesce(r.joined, 1),
			coalesce((SELECT room FROM messages WHERE room GLOB v.conversation || '`+chat.RoomMark+`*' ORDER BY n DESC LIMIT 1), '')
		FROM views v LEFT JOIN rooms r ON r.name = v.conversation WHERE v.draft <> '' AND v.conversation GLOB '#*'`, nil,
		func(scan func(...any) error) error {
			var m chat.Membership
			var key []byte
			var joined bool
			var private string // in which something was said last
			err := scan(&m.Name, &key, &joined, &private)
			copy(m.Key[:], key)
			switch {
			case m.Name == room.Here: // which is open
			case !m.Key.IsZero():
				moves[m.Name] = m.Handle()
			case private != "":
				moves[m.Name] = private
			case !joined: // leaving a room forgets its key
				moves[m.Name] = UnknownRoom(m.Name)
			}
			return err
		})
	for name, handle := range moves {
		if err == nil {
			_, err = k.exec(`INSERT INTO views (conversation, draft, seen, muted) SELECT ?, draft, seen, 0 FROM views WHERE conversation = ?`, handle, name)
		}
		if err == nil {
			_, err = k.exec(`UPDATE views SET draft = '' WHERE conversation = ?`, name)
		}
	}
	return err
}

// RoomDraft returns what is begun in the room with that handle.
func (s *Store) RoomDraft(handle string) (draft string, err error) {
	err = s.reading(func(k *conn) error {
		return k.get(`SELECT draft FROM views WHERE conversation = ?`, []any{handle}, &draft)
	})
	if none(err) {
		err = nil
	}
	return draft, err
}
