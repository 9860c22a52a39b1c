package app

import (
	"errors"
	"slices"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/discovery"
)

// Mark and warning stand wherever somebody is named, and no two who are shown are
// called alike.
func TestBookLabels(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.UnixMilli(1_700_000_000_000)
	know := func(prefix, name string) chat.Person {
		t.Helper()
		id, err := chat.ParseKey(key(t, prefix))
		if err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Hour)
		if _, err := s.Heard(chat.Person{Key: id, Name: name}, chat.MessageID{prefix[0]}, "hello", at, at); err != nil {
			t.Fatal(err)
		}
		return chat.Person{Key: id, Name: name}
	}
	blocked, ana := know("aaaaaa", "ana"), know("bbbbbb", "ana")
	second, third := know("cccccc", "ana"), know("dddddd", "ana")
	bob, eve := know("eeeeee", "bob"), know("ffffff", "eve")
	for _, err := range []error{
		s.SetBlocked(blocked, true, at), s.SetVerified(ana, true, at), s.SetVerified(second, true, at),
		s.SetVerified(bob, true, at), s.SetPetname(eve, "Bob", at), s.SetVerified(eve, true, at),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	b := &Book{}
	if err := b.Read(s); err != nil {
		t.Fatal(err)
	}
	everybody := []chat.Person{ana, second, third, bob, eve, {Key: ana.Key, Name: "anna"}}
	alone := []string{"ana✔", "ana·cccccc✔", "ana·dddddd (not the ana you know)", "bob·eeeeee✔", "Bob✔", "ana✔"}
	visible := []string{"ana·bbbbbb✔", "ana·cccccc✔", "ana·dddddd (not the ana you know)", "bob·eeeeee✔", "Bob·ffffff✔"}
	var peers []discovery.Peer
	for i, p := range everybody {
		if got := b.Label(p, nil, "me"); got != alone[i] {
			t.Errorf("alone: %q, want %q", got, alone[i])
		}
		if i < len(visible) {
			peers = append(peers, discovery.Peer{ID: p.Key.String(), Name: p.Name})
		}
	}
	if got, err := b.Match(Query{Arg: "Eve"}, b.Peers(slices.Clone(peers)), false); err != nil || got.ID != eve.Key.String() {
		t.Errorf("eve, as she calls herself: %v, %v", got.Name, err)
	}
	peers = b.Peers(append(peers, discovery.Peer{ID: blocked.Key.String(), Name: "ana"}))
	if got := b.Labels(peers, "me"); !slices.Equal(got, visible) {
		t.Errorf("visible: %q, want %q", got, visible)
	}
	for i, p := range everybody[:len(visible)] {
		if got := b.Label(p, peers, "me"); got != visible[i] {
			t.Errorf("among those visible: %q, want %q", got, visible[i])
		}
		q, err := ParsePeer(b.Pick(p))
		if err != nil {
			t.Fatal(err)
		}
		if found, err := b.Find(q); err != nil || found.Key != p.Key {
			t.Errorf("%s means %s, %v", b.Pick(p), found.Key.Short(), err)
		}
	}
}

// A name means whom it has meant longest, unless another's words were compared under it;
// who takes it later doesn't come by what is said to it, however long they are known.
func TestHolder(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := &Book{}
	at := time.UnixMilli(1_700_000_000_000)
	know := func(k byte, name string) chat.Person {
		t.Helper()
		p := chat.Person{Key: chat.Key{k}, Name: name}
		at = at.Add(-time.Hour) // the clock is no help
		_, err := s.Heard(p, chat.MessageID{k}, "hello", at, at)
		if err == nil {
			err = s.Renamed(p, true)
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	expect := func(want chat.Person) {
		t.Helper()
		if err := b.Read(s); err != nil {
			t.Fatal(err)
		}
		if got, _ := b.Holder("ana"); got.Key != want.Key {
			t.Errorf("ana is %s, want %s", got.Key.Short(), want.Key.Short())
		}
	}
	know(1, "mallory")
	ana := know(2, "ana")
	third := know(3, "ana")
	expect(ana)
	mallory := know(1, "ana")
	expect(ana)
	if err := s.SetVerified(mallory, true, at); err != nil {
		t.Fatal(err)
	}
	expect(mallory)
	if err := s.SetPetname(third, "Ana", at); err != nil {
		t.Fatal(err)
	}
	expect(third)
}

// What is said to a name waits for its holder, though an impostor is known as well; who
// calls themselves like the beginning of another's id doesn't come by what is for that one.
func TestFind(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.UnixMilli(1_700_000_000_000)
	var people []chat.Person
	for _, p := range []struct{ prefix, name string }{{"bbbbbb", "bob"}, {"cccccc", "Bob"}, {"dddddd", "bbbbbb"}} {
		id, err := chat.ParseKey(key(t, p.prefix))
		if err == nil {
			people = append(people, chat.Person{Key: id, Name: p.name})
			err = s.SetVerified(people[len(people)-1], false, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b := &Book{}
	if err := b.Read(s); err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{"bob", "BOB", "bob-bbbbbb", people[0].Key.String()} {
		if got, err := b.Find(Query{Arg: arg}); err != nil || got.Key != people[0].Key {
			t.Errorf("%s is %s, %v", arg, got.Key.Short(), err)
		}
	}
	if got, err := b.Find(Query{Arg: "bob-cccccc"}); err != nil || got.Key != people[1].Key {
		t.Errorf("the other one is %s, %v", got.Key.Short(), err)
	}
	var vague *AmbiguousError
	if got, err := b.Find(Query{Arg: "bbbbbb"}); !errors.As(err, &vague) {
		t.Errorf("the beginning of an id is %s, %v", got.Key.Short(), err)
	}
	if got, err := b.Known(Query{Arg: "BOB"}); !errors.As(err, &vague) {
		t.Errorf("to be changed is %s, %v", got.Key.Short(), err)
	}

	// What waits for the name is for nobody else, not even while they alone are there.
	peers := []discovery.Peer{{ID: people[1].Key.String(), Name: "Bob"}, {ID: key(t, "eeeeee"), Name: "eve"}}
	if got := b.awaited("bob", peers); got != nil {
		t.Errorf("what waits for bob is for %v", got)
	}
	if got := b.awaited("bob", append(peers, discovery.Peer{ID: people[0].Key.String(), Name: "bob"})); len(got) != 1 || got[0].Name != "bob" {
		t.Errorf("what waits for bob is for %v", got)
	}
	if got := b.awaited("Eve", peers); len(got) != 1 || got[0].Name != "eve" {
		t.Errorf("what waits for eve is for %v", got)
	}
}
