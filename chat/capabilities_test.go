package chat

import (
	"testing"
	"time"

	"earshot/chat/wire"
)

// introducesWith changes the capabilities of the running node.
func (n *simNode) introducesWith(c wire.Capabilities) {
	n.core.capabilities = c
	if err := n.core.introduce(n.core.told); err != nil {
		n.w.t.Fatal(err)
	}
}

// Capabilities belong to the session, whichever side opens it; those of an older node are none (SPEC §6).
func TestCapabilitiesBelongToTheSession(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	const unknown = wire.Capabilities(1 << 40)
	for i, cs := range [][2]wire.Capabilities{{wire.CanDecline | unknown, 0}, {0, wire.CanDecline | wire.SmallFragments}, {0, 0}} {
		a.introducesWith(cs[0])
		b.introducesWith(cs[1])
		from, to := a, b
		if i == 1 {
			from, to = b, a
		}
		if _, err := from.opens(time.Second, Target{Addrs: to.at()}); err != nil {
			t.Fatal(err)
		}
		if got := a.only().capabilities; got != cs[1] {
			t.Errorf("bob introduced himself with %b, ana has %b", cs[1], got)
		}
		if got := b.only().capabilities; got != cs[0] {
			t.Errorf("ana introduced herself with %b, bob has %b", cs[0], got)
		}
		a.start()
		b.start()
	}
}
