package chat

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"earshot/chat/room"
	"earshot/chat/wire"
)

// another adds one more node of a person, which introduces itself by a name of its own.
func (n *simNode) another(name string, set func(*core)) *simNode {
	o := n.w.person(name)
	o.id, o.rooms = n.id, []Membership{{Name: room.Here}}
	o.start()
	set(o.core)
	if err := o.core.introduce(nil); err != nil {
		n.w.t.Fatal(err)
	}
	return o
}

// asEarlier has a node introduce itself as the first release does.
func asEarlier(c *core) {
	var err error
	i := wire.Introduction{Name: c.name, Instance: c.instance[:]}
	if c.intro, err = wire.MarshalIntroduction(&i); err != nil {
		panic(err)
	}
}

// names are those that n was told a person is called, by which events.
func (n *simNode) names(of Key) (all []string) {
	for _, e := range n.events {
		if e.Person.Key == of && (e.Kind == Met && !e.Alias || e.Kind == Named) {
			all = append(all, e.Person.Name)
		}
	}
	return slices.Compact(all)
}

// A node with an alias, or one of an earlier version that is only passing, renames nobody
// (SPEC §8.1).
func TestAliases(t *testing.T) {
	for _, kind := range []string{"alias", "earlier, passing", "earlier, staying"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, 1)
			ana := w.node("ana")
			here := []Membership{{Name: room.Here}}
			if err := ana.core.join(w.now, here[0]); err != nil {
				t.Fatal(err)
			}
			bob := w.node("bob")
			ana.opens(time.Second, Target{Addrs: bob.at()})
			w.run(time.Second)
			other := bob.another("root", func(c *core) {
				switch kind {
				case "alias":
					c.alias = true
				case "earlier, passing":
					c.rooms.passing = true
				}
			})
			if kind != "alias" {
				asEarlier(other.core)
			}
			if _, err := other.opens(time.Second, Target{Addrs: ana.at()}); err != nil {
				t.Fatal(err)
			}
			w.run(time.Second)
			want := []string{"bob"}
			if kind == "earlier, staying" {
				want = append(want, "root")
			}
			if got := ana.names(bob.id.Key()); !slices.Equal(got, want) {
				t.Errorf("bob is called %q, want %q", got, want)
			}
			other.core.close(w.now)
			w.run(renameEvery)
			if got := ana.core.people[bob.id.Key()].Name; got != "bob" {
				t.Errorf("in the end bob is called %q", got)
			}
		})
	}
}

// Nodes that disagree about their person's name don't take turns, though their sessions are
// renewed, and a storm of names is taken slowly, the last of them for good (SPEC §8.2, §8.3).
func TestNamesDisagree(t *testing.T) {
	w := newWorld(t, 1)
	ana, bob := w.node("ana"), w.node("bob")
	ana.opens(time.Second, Target{Addrs: bob.at()})
	w.run(time.Minute)
	root := bob.another("root", func(*core) {})
	if _, err := root.opens(time.Second, Target{Addrs: ana.at()}); err != nil {
		t.Fatal(err)
	}
	ana.core.watch(w.now, bob.id.Key(), true)
	w.run(5*rekeyAfter + time.Minute)
	if got, want := ana.names(bob.id.Key()), []string{"bob", "root"}; !slices.Equal(got, want) {
		t.Errorf("bob is called %q, want %q", got, want)
	}

	before := len(ana.events)
	for i := range 600 { // a minute of them
		if err := root.core.rename(w.now, fmt.Sprint("name ", i)); err != nil {
			t.Fatal(err)
		}
		w.run(100 * time.Millisecond)
	}
	w.run(renameEvery)
	named := 0
	for _, e := range ana.events[before:] {
		if e.Kind == Named {
			named++
		}
	}
	if named == 0 || named > 8 {
		t.Errorf("%d names were taken in 70 s", named)
	}
	if got := ana.core.people[bob.id.Key()].Name; got != "name 599" {
		t.Errorf("in the end bob is called %q", got)
	}
}
