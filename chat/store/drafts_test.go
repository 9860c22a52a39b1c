package store

import (
	"fmt"
	"slices"
	"testing"

	"earshot/chat"
	"earshot/chat/room"
)

// What is begun in a room is kept for it, not for others of its name.
func TestRoomDrafts(t *testing.T) {
	s := open(t, t.TempDir())
	private := chat.Membership{Name: "#dev", Key: room.Key{1}}
	check(t, s.SetMuted(chat.Key{}, "#dev", true))
	_, last, err := s.ViewChanges(0)
	check(t, err)
	check(t, s.SetDraft(chat.Key{}, private.Handle(), "secret"))
	changes, _, err := s.ViewChanges(last)
	check(t, err)
	if want := []View{{Room: "#dev", Handle: private.Handle(), Draft: "secret", Muted: true}}; !slices.Equal(changes, want) {
		t.Errorf("changed: %+v", changes)
	}
	for handle, want := range map[string]string{"#dev": "", private.Handle(): "secret", UnknownRoom("#dev"): "", "#devs": ""} {
		if got := must[string](t)(s.RoomDraft(handle)); got != want {
			t.Errorf("in %s %q is begun", handle, got)
		}
	}
	if v := must[View](t)(s.RoomView("#dev")); v.Draft != "" || !v.Muted {
		t.Errorf("%+v", v)
	}
	check(t, s.SetDraft(chat.Key{}, "#devs", "of another"))
	must[int64](t)(s.Delete(ctx, Filter{Room: "#dev"}))
	if a, b := must[string](t)(s.RoomDraft(private.Handle())), must[string](t)(s.RoomDraft("#devs")); a != "" || b != "of another" {
		t.Errorf("after all was deleted: %q, %q", a, b)
	}
}

// A draft that was kept under the name of a room never comes to stand in an open one, where it may
// be of a private one.
func TestDraftsOfOlder(t *testing.T) {
	private := chat.Membership{Name: "#dev", Key: room.Key{1}}
	unknown := UnknownRoom("#dev")
	joined := func(key []byte, joined int) string {
		return fmt.Sprintf(`INSERT INTO rooms VALUES ('#dev', x'%x', %d)`, key, joined)
	}
	said := func(handle string) string {
		return fmt.Sprintf(`INSERT INTO messages (peer, id, out, name, text, sent, received, status, owner, room)
			VALUES (-1, randomblob(16), 1, '', 'x', 1, 1, 1, 0, '%s')`, handle)
	}
	for _, tt := range []struct {
		name    string
		queries []string
		in      string
	}{
		{"in the private one", []string{joined(private.Key[:], 1), said("#dev")}, private.Handle()},
		{"in the open one", []string{joined(nil, 1), said("#dev"), said("#devs·00")}, "#dev"},
		{"in the open one, in a private one before", []string{joined(nil, 1), said("#dev·00"), said("#dev")}, "#dev·00"},
		{"left, in private ones before", []string{joined(nil, 0), said("#dev·00"), said("#dev·01"), said("#dev")}, "#dev·01"},
		{"left", []string{joined(nil, 0), said("#dev")}, unknown},
		{"visited", nil, "#dev"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			older(t, dir, handleDrafts, append(tt.queries, `INSERT INTO views (conversation, draft, seen, muted) VALUES ('#dev', 'half', 7, 1), ('#here', 'lobby', 0, 0)`)...)
			s := open(t, dir)
			for _, handle := range []string{"#dev", private.Handle(), "#dev·00", "#dev·01", unknown} {
				want := ""
				if handle == tt.in {
					want = "half"
				}
				if got := must[string](t)(s.RoomDraft(handle)); got != want {
					t.Errorf("in %s %q is begun", handle, got)
				}
			}
			if got := must[string](t)(s.RoomDraft("#here")); got != "lobby" {
				t.Errorf("in the lobby %q is begun", got)
			}
			if v := must[View](t)(s.RoomView("#dev")); v.Seen != 7 || !v.Muted {
				t.Errorf("%+v", v)
			}
		})
	}
}
