package session

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"earshot/chat/wire"
)

// declines declines what is next.
func (s *side) declines(reason wire.Reason) Message {
	s.t.Helper()
	m, ok := s.Incoming()
	if !ok || !s.MayDecline() {
		s.t.Fatalf("nothing can be declined: %v, %v", ok, s.MayDecline())
	}
	s.Decline(reason)
	return m
}

// What is declined ends for the stream, and isn't taken for delivered; what follows isn't held up.
func TestDeclined(t *testing.T) {
	a, b, _ := dialogue(t)
	for i, text := range []string{"one", strings.Repeat("two", 1000), "three"} {
		a.Push(Message{ID: [16]byte{byte(i)}, Text: text})
	}
	for range 3 { // until all fragments have come
		b.gets(a.sends()...)
		a.gets(b.sends()...)
	}
	for _, reason := range []wire.Reason{wire.NotInRoom, 77} {
		b.declines(reason)
	}
	expect(t, "heard", b.hears(), "[three]")
	a.gets(b.sends()...)
	for i, want := range []wire.Reason{wire.NotInRoom, wire.NotNow, 0} {
		r, ok := a.Receipt()
		if !ok || r.ID != [16]byte{byte(i)} || r.Declined != want {
			t.Errorf("message %d: %v, declined for %d, want %d", i, ok, r.Declined, want)
		}
	}
	expect(t, "unconfirmed", len(b.recv.declines), 2)
	b.gets(a.sends()...)
	expect(t, "unconfirmed", len(b.recv.declines), 0)
	expect(t, "datagrams afterwards", len(a.sends())+len(b.sends()), 0)
	if !a.Wake().IsZero() || !b.Wake().IsZero() {
		t.Errorf("something is still due: %v, %v", a.Wake(), b.Wake())
	}
}

// An ack that comes alone carries the declines that it rests on.
func TestDeclinesRideWithEveryAck(t *testing.T) {
	a, b, clock := dialogue(t)
	a.says("one")
	b.gets(a.sends()...)
	b.declines(wire.Quota)
	b.sends() // lost
	a.says("two")
	b.gets(a.sends()...)
	b.hears()
	a.gets(b.sends()...)
	if r, _ := a.Receipt(); r.Declined != wire.Quota {
		t.Errorf("the first was taken for %d", r.Declined)
	}
	a.sends() // the confirmation is lost
	a.says("three")
	*clock = clock.Add(time.Second)
	b.gets(a.sends()...)
	b.hears()
	a.gets(b.sends()...)
	b.gets(a.sends()...)
	expect(t, "unconfirmed", len(b.recv.declines), 0)
	expect(t, "receipts", a.receipts(), 2)
}

// The same id can be sent again, and old declines of it mean nothing then.
func TestDeclinedAndAcceptedLater(t *testing.T) {
	a, b, _ := dialogue(t)
	a.says("one")
	b.gets(a.sends()...)
	b.declines(wire.NotNow)
	a.gets(b.sends()...)
	a.receipts()
	a.sends() // the confirmation is lost
	a.says("one")
	b.gets(a.sends()...)
	expect(t, "heard", b.hears(), "[one]")
	a.gets(b.sends()...)
	if r, ok := a.Receipt(); !ok || r.Declined != 0 {
		t.Errorf("accepted, and told %v, %d", ok, r.Declined)
	}
}

// A datagram without room for all declines acknowledges no more than those in it say (SPEC §7.13).
func TestDeclinesWithoutRoom(t *testing.T) {
	a, b, clock := dialogue(t)
	for i := range byte(MaxDeclines + 1) {
		a.Push(Message{ID: [16]byte{i}, Text: "x"})
	}
	b.gets(a.sends()...)
	for range MaxDeclines {
		b.declines(wire.NotInRoom)
	}
	expect(t, "may decline", b.MayDecline(), false)
	for limit := leastLimit; a.Pending() > 1; limit = min(limit+declinedSize/2, wire.MaxDatagram) {
		if d := b.Next(*clock, &b.w, limit); d != nil {
			a.gets(bytes.Clone(d))
		}
		for r, ok := a.Receipt(); ok; r, ok = a.Receipt() {
			if r.Declined != wire.NotInRoom {
				t.Fatalf("with %d bytes, %v was taken for delivered", limit, r.ID)
			}
		}
		if limit > leastSize { // the rest goes once these are confirmed
			b.gets(a.sends()...)
		}
		b.Confirm() // as when a fragment comes again
	}
	b.gets(a.sends()...)
	expect(t, "may decline", b.MayDecline(), true)
	expect(t, "heard", b.hears(), "[x]")
}

// A frame that can't be meant ends the reading of its datagram.
func TestDeclinedMalformed(t *testing.T) {
	for what, f := range map[string]wire.Frame{
		"nothing was sent": {Seq: 2, ID: make([]byte, 16)},
		"no number":        {ID: make([]byte, 16)},
		"a short id":       {Seq: 1, ID: make([]byte, 8)},
	} {
		a, _, clock := dialogue(t)
		a.says("x")
		a.sends()
		f.Type, f.Reason = wire.FrameDeclined, wire.Quota
		if err := a.frame(*clock, &f, false); err == nil || a.notedDue {
			t.Errorf("%s: taken", what)
		}
	}
	a, _, clock := dialogue(t)
	a.says("x")
	a.sends()
	other := wire.Frame{Type: wire.FrameDeclined, Seq: 1, ID: bytes.Repeat([]byte{9}, 16), Reason: wire.Quota}
	if err := a.frame(*clock, &other, false); err != nil || a.send.queue.At(0).declined != 0 {
		t.Errorf("another message's decline: %v, taken for %d", err, a.send.queue.At(0).declined)
	}
}

// Over a network that loses, doubles and reorders, through datagrams of any size, every message is
// either kept or known to be declined, in the order sent, and the streams never stall.
func TestDeclinedProperty(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, b, clock := dialogue(t)
		loss, dup := rng.Float64()*0.5, rng.Float64()*0.3
		type flying struct {
			to *side
			at time.Time
			d  []byte
		}
		var air []flying
		send := func(from, to *side) {
			limit := wire.MaxDatagram
			if rng.IntN(4) == 0 {
				limit = leastLimit + rng.IntN(wire.MaxDatagram-leastLimit)
			}
			for d := from.Next(*clock, &from.w, limit); d != nil; d = from.Next(*clock, &from.w, limit) {
				for copies := 1; copies > 0; copies-- {
					if rng.Float64() >= loss {
						air = append(air, flying{to, clock.Add(time.Duration(rng.Int64N(int64(20 * time.Millisecond)))), bytes.Clone(d)})
					}
					if rng.Float64() < dup {
						copies++
					}
				}
			}
		}
		const messages = 120
		said, kept, took, declined := 0, map[[16]byte]bool{}, 0, 0
		receipts := 0
		decline := rng.Float64()
		for range 100_000 {
			if receipts == messages {
				break
			}
			for said < messages && rng.IntN(3) > 0 {
				said++
				a.Push(Message{ID: [16]byte{byte(said)}, Text: strings.Repeat("x", 1+rng.IntN(3)*1100)})
			}
			send(a, b)
			send(b, a)
			next := clock.Add(5 * time.Millisecond)
			for _, s := range []*side{a, b} {
				if at := s.Wake(); !at.IsZero() && at.Before(next) {
					next = at
				}
			}
			*clock = next.Add(time.Microsecond)
			var still []flying
			for _, f := range air {
				if f.at.After(*clock) {
					still = append(still, f)
				} else {
					_, _ = f.to.Open(*clock, f.d, &f.to.w)
				}
			}
			air = still
			for m, ok := b.Incoming(); ok; m, ok = b.Incoming() {
				if rng.IntN(8) == 0 {
					break // can't take it at the moment
				}
				reason := wire.Reason(0)
				if rng.Float64() < decline {
					reason = wire.NotInRoom
				}
				if reason != 0 && !b.MayDecline() {
					break
				}
				if took++; m.ID != [16]byte{byte(took)} {
					t.Fatalf("seed %d: %v came as the %dth", seed, m.ID, took)
				}
				if reason == 0 {
					kept[m.ID] = true
					b.Accept()
				} else {
					declined++
					b.Decline(reason)
				}
			}
			for r, ok := a.Receipt(); ok; r, ok = a.Receipt() {
				receipts++
				if want := [16]byte{byte(receipts)}; r.ID != want || kept[r.ID] != (r.Declined == 0) {
					t.Fatalf("seed %d: receipt %d is of %v; declined for %d, kept %v", seed, receipts, r.ID, r.Declined, kept[r.ID])
				}
			}
		}
		if receipts != messages || b.Violated() {
			t.Fatalf("seed %d: %d of %d known, %d kept, %d declined", seed, receipts, messages, len(kept), declined)
		}
	}
}
