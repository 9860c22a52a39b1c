package app

import (
	"context"
	"slices"
	"strings"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/store"
)

// IsRoom reports whether an argument means a room rather than a person.
func IsRoom(arg string) bool { return strings.HasPrefix(arg, "#") }

// RoomName returns the name of the room with that handle.
func RoomName(handle string) string {
	name, _, _ := strings.Cut(handle, "·")
	return name
}

// memberships returns the rooms to be in: those that cfg names, those joined before, and the lobby
// unless it was left.
func memberships(cfg Config, s *store.Store) ([]chat.Membership, error) {
	all := slices.Clone(cfg.Rooms)
	have := func(name string) int {
		return slices.IndexFunc(all, func(m chat.Membership) bool { return m.Name == name })
	}
	here := true
	if s != nil {
		kept, err := s.Rooms()
		if err != nil {
			return nil, err
		}
		for _, r := range kept {
			switch i := have(r.Name); {
			case !r.Joined && r.Name == room.Here:
				here = false
			case !r.Joined:
			case i < 0:
				all = append(all, r.Membership)
			case all[i].Key.IsZero():
				all[i].Key = r.Key
			}
		}
	}
	if here && have(room.Here) < 0 {
		all = append(all, chat.Membership{Name: room.Here})
	}
	return all, nil
}

// Join makes this process, and those to come, be in a room.
func (a *App) Join(m chat.Membership) error {
	if err := a.Node.Join(m); err != nil || a.Store == nil {
		return err
	}
	return a.Store.SetRoom(m, true)
}

// Leave makes this process, and those to come, be in a room no more.
func (a *App) Leave(name string) error {
	if err := a.Node.Leave(name); err != nil || a.Store == nil {
		return err
	}
	return a.Store.SetRoom(chat.Membership{Name: name}, false)
}

// follow joins and leaves what another process of this person has.
func (a *App) follow() {
	kept, err := a.Store.Rooms()
	if err != nil {
		return
	}
	for _, r := range kept {
		switch {
		case slices.ContainsFunc(a.rooms, func(m chat.Membership) bool { return m.Name == r.Name }):
		case r.Joined:
			_ = a.Node.Join(r.Membership)
		default:
			_ = a.Node.Leave(r.Name)
		}
	}
}

// Look tells the node of everybody visible at this moment, of whom it may not know yet.
func (a *App) Look() {
	if a.Presence == nil {
		return
	}
	for _, p := range a.Presence.Peers() {
		if key, err := chat.ParseKey(p.ID); err == nil && !a.Book.Blocked(key) {
			a.Node.Hint(key, p.Addrs)
		}
	}
}

// Survey waits until everybody visible has told which rooms they are in, or ctx ends.
func (a *App) Survey(ctx context.Context) {
	a.Look()
	a.Node.Survey(ctx)
}

// Named returns people with the names that they announce, where they haven't told any yet.
func (a *App) Named(people []chat.Person) []chat.Person {
	announced := map[string]string{}
	for _, p := range a.Peers() {
		announced[p.ID] = p.Name
	}
	for i, p := range people {
		if p.Name == "" {
			people[i].Name = announced[p.Key.String()]
		}
	}
	return people
}
