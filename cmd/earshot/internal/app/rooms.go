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

// memberships returns the rooms to be in: those named, the lobby unless it was left, and those
// joined before, of which some are surplus where they are too many.
func memberships(named []chat.Membership, kept []store.Room) (all []chat.Membership, surplus []string) {
	all = slices.Clone(named)
	if !slices.ContainsFunc(kept, func(r store.Room) bool { return r.Name == room.Here }) {
		kept = append([]store.Room{{Membership: chat.Membership{Name: room.Here}, Joined: true}}, kept...)
	}
	count := map[bool]int{}
	for _, m := range all {
		count[m.Key.IsZero()]++
	}
	for _, r := range kept {
		open := r.Key.IsZero()
		i := slices.IndexFunc(all, func(m chat.Membership) bool { return m.Name == r.Name })
		switch {
		case !r.Joined:
		case i >= 0 && all[i].Key.IsZero():
			count[true]--
			count[open]++
			all[i].Key = r.Key
		case i >= 0:
		case open && count[open] >= room.MaxOpen, !open && count[open] >= room.MaxPrivate:
			surplus = append(surplus, r.Name)
		default:
			count[open]++
			all = append(all, r.Membership)
		}
	}
	return all, surplus
}

// Join makes all that runs of this person, and what will, be in a room.
func (a *App) Join(m chat.Membership) error {
	if a.Store == nil {
		return a.Node.Join(m)
	}
	err := a.Store.SetRoom(m, true)
	a.follow()
	return err
}

// Leave makes all that runs of this person, and what will, be in a room no more.
func (a *App) Leave(name string) error {
	if a.Store == nil {
		return a.Node.Leave(name)
	}
	err := a.Store.SetRoom(chat.Membership{Name: name}, false)
	a.follow()
	return err
}

// follow makes this process be in the rooms that this person is in.
func (a *App) follow() {
	a.following.Lock()
	defer a.following.Unlock()
	kept, err := a.Store.Rooms()
	if err != nil {
		return
	}
	in, _ := memberships(nil, kept)
	for _, r := range a.Node.Rooms() {
		if r.Joined && !slices.ContainsFunc(in, func(m chat.Membership) bool { return m.Name == r.Name }) {
			_ = a.Node.Leave(r.Name)
		}
	}
	for _, m := range in {
		_ = a.Node.Join(m)
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
