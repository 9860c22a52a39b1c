package app

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/store"
)

// What was decided about rooms counts for who keeps nothing, too.
func TestKeepNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	here := chat.Membership{Name: room.Here}
	if err := errors.Join(s.SetRoom(here, false), s.SetName("ana"), s.Close()); err != nil {
		t.Fatal(err)
	}
	a := &App{Book: &Book{}, trouble: func(error) {}}
	m, err := a.remembering(Config{Dir: dir, NoHistory: true})
	if a.Store != nil || err != nil || !slices.Equal(m.rooms, []store.Room{{Membership: here}}) || m.names.Kept != "ana" {
		t.Errorf("%v %v %v", a.Store, m, err)
	}
}

func TestMemberships(t *testing.T) {
	m := func(name string, key byte) chat.Membership { return chat.Membership{Name: name, Key: room.Key{key}} }
	in := func(all ...chat.Membership) (kept []store.Room) {
		for _, m := range all {
			kept = append(kept, store.Room{Membership: m, Joined: true})
		}
		return kept
	}
	left := store.Room{Membership: m("#here", 0)}
	var many, secret []chat.Membership
	for i := range room.MaxOpen {
		many = append(many, m(fmt.Sprintf("#r%02d", i), 0))
	}
	for i := range room.MaxPrivate + 1 {
		secret = append(secret, m(fmt.Sprint("#s", i), 1))
	}
	for _, tt := range []struct {
		what    string
		named   []chat.Membership
		kept    []store.Room
		want    []chat.Membership
		surplus []string
	}{
		{"nothing is known", nil, nil, []chat.Membership{m("#here", 0)}, nil},
		{"the lobby was left", nil, []store.Room{left}, nil, nil},
		{"it is named", []chat.Membership{m("#here", 0)}, []store.Room{left}, []chat.Membership{m("#here", 0)}, nil},
		{"the key is known", []chat.Membership{m("#a", 0)}, in(m("#a", 1), m("#b", 2)), []chat.Membership{m("#a", 1), m("#here", 0), m("#b", 2)}, nil},
		{"with another key", []chat.Membership{m("#a", 2)}, in(m("#a", 1)), []chat.Membership{m("#a", 2), m("#here", 0)}, nil},
		{"one too many", nil, in(many...), append([]chat.Membership{m("#here", 0)}, many[:15]...), []string{"#r15"}},
		{"what is named goes first", []chat.Membership{m("#x", 0)}, append(in(many...), left), append([]chat.Membership{m("#x", 0)}, many[:15]...), []string{"#r15"}},
		{"one private one too many", nil, append(in(secret...), left), secret[:8], []string{"#s8"}},
	} {
		all, surplus := memberships(tt.named, tt.kept)
		if !slices.Equal(all, tt.want) || !slices.Equal(surplus, tt.surplus) {
			t.Errorf("%s: in %v, surplus %v", tt.what, all, surplus)
		}
	}
}
