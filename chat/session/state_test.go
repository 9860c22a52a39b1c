package session

import (
	"testing"
	"time"

	"earshot/chat/wire"
)

// A state is told until it is taken, and only the latest.
func TestStateIsToldUntilTaken(t *testing.T) {
	a, b, clock := dialogue(t)
	a.Tell([]byte("one"))
	a.sends() // lost
	expect(t, "telling", a.Telling(), true)
	a.Tell([]byte("two"))
	*clock = a.Wake()
	sent := a.sends()
	b.gets(sent...)
	expect(t, "heralds", b.Heralds(), true)
	state, version := b.News()
	expect(t, "news", string(state), "two")
	expect(t, "version", version, uint64(2))
	expect(t, "heralds again", b.Heralds(), false)
	b.sends() // the answer is lost too
	*clock = clock.Add(2 * InitialRTO)
	again := a.sends()
	b.gets(again...)
	expect(t, "heralds what it knows", b.Heralds(), false)
	a.gets(b.sends()...)
	expect(t, "telling", a.Telling(), false)
	expect(t, "datagrams afterwards", len(a.sends()), 0)
	expect(t, "wake", a.Wake(), time.Time{})
	expect(t, "pending", a.Pending(), 0)
}

// The longest state and the first fragment of a message of a form find room.
func TestLongState(t *testing.T) {
	a, b, _ := dialogue(t)
	a.Tell(make([]byte, wire.MaxState))
	a.Push(Message{ID: [16]byte{1}, Text: string(make([]byte, MaxText+wire.MaxRoomHead)), Form: wire.FormRoom})
	for range 20 {
		b.gets(a.sends()...)
		b.Incoming()
		a.gets(b.sends()...)
	}
	state, _ := b.News()
	expect(t, "state", len(state), wire.MaxState)
	m, ok := b.Incoming()
	expect(t, "complete", ok, true)
	expect(t, "form", m.Form, uint8(wire.FormRoom))
	expect(t, "length", len(m.Text), MaxText+wire.MaxRoomHead)
	expect(t, "telling", a.Telling(), false)
}

// Who leaves tells nothing more.
func TestGoodbyeEndsTelling(t *testing.T) {
	a, b, _ := dialogue(t)
	a.Tell([]byte("state"))
	a.Close()
	b.gets(a.sends()...)
	expect(t, "heralds", b.Heralds(), false)
	expect(t, "left", b.PeerLeft(), true)
}
