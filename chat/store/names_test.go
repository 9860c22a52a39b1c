package store

import (
	"testing"

	"earshot/chat"
)

// A label follows its person's name unless they are verified or that mustn't be, a verified
// key stays verified, and what was heard keeps the name of that time.
func TestRenamed(t *testing.T) {
	s := open(t, t.TempDir())
	bob := chat.Person{Key: key(1), Name: "bob"}
	must[bool](t)(s.Heard(bob, id(1), "one", now, now))
	expect := func(name, label, petname string, verified bool) {
		t.Helper()
		p := must[[]Person](t)(s.People())[0]
		if p.Name != name || p.Label != label || p.Petname != petname || p.Verified != verified {
			t.Errorf("%q, label %q, petname %q, verified %v", p.Name, p.Label, p.Petname, p.Verified)
		}
	}
	check(t, s.Flush())
	expect("bob", "bob", "", false)
	check(t, s.Renamed(chat.Person{Key: bob.Key, Name: "robert"}, true))
	expect("robert", "robert", "", false)
	check(t, s.Renamed(chat.Person{Key: bob.Key, Name: "ana"}, false)) // it is another's
	expect("ana", "robert", "", false)
	check(t, s.SetVerified(bob, true, now))
	check(t, s.Renamed(chat.Person{Key: bob.Key, Name: "root"}, true))
	expect("root", "robert", "", true)
	check(t, s.Renamed(chat.Person{Key: bob.Key, Name: "root"}, true)) // no change
	check(t, s.SetVerified(bob, false, now))
	check(t, s.Renamed(chat.Person{Key: bob.Key, Name: "root"}, true))
	expect("root", "robert", "", false) // nor does it become one later
	check(t, s.SetPetname(bob, "Bobby", now))
	expect("root", "robert", "Bobby", false)
	check(t, s.SetPetname(bob, "", now))
	expect("root", "root", "", false)

	must[bool](t)(s.Heard(chat.Person{Key: bob.Key, Name: "alerts"}, id(2), "two", now, now))
	must[bool](t)(s.HeardIn(bob, chat.Saying{ID: id(3), Text: "three", Sent: now, Room: "#here"}, now))
	check(t, s.Flush())
	expect("root", "root", "", false) // as a node of theirs is called
	all := must[[]Message](t)(s.Log(Filter{}))
	for i, as := range []string{"bob", "alerts", "bob"} {
		if m := all[i]; m.As != as || m.Name != "root" {
			t.Errorf("%q was said by %q as %q", m.Text, m.Name, m.As)
		}
	}
}

// One name is kept, the first unless another is set. That of a running process is known to
// the others for as long as it runs, even if it is killed.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	expect := func(want Names) {
		t.Helper()
		if got := must[Names](t)(s.Names()); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	expect(Names{})
	check(t, other.Call("root", false))
	expect(Names{Running: "root"})
	if kept := must[string](t)(s.KeepName("bob")); kept != "bob" {
		t.Errorf("%q is kept", kept)
	}
	if kept := must[string](t)(other.KeepName("root")); kept != "bob" {
		t.Errorf("%q is kept", kept)
	}
	check(t, other.Call("alerts", true))
	expect(Names{Kept: "bob", Running: "alerts"})
	check(t, s.SetName("robert"))
	check(t, s.Call("robert", false))
	expect(Names{Kept: "robert", Running: "robert"})
	execute(t, s, `DELETE FROM callings WHERE slot = ?`, s.slot.number)
	other.slot.release() // it was killed
	expect(Names{Kept: "robert"})
}
