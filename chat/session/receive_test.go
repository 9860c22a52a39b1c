package session

import (
	"math"
	"testing"

	"earshot/chat/wire"
)

// Room for a long message is made as it comes, not on the word of its first fragment.
func TestPromisedFragmentsTakeNoRoom(t *testing.T) {
	r := receiver{next: 1}
	f := wire.Frame{Type: wire.FrameMessage, Seq: 1, ID: make([]byte, 16), Count: MaxFragments, Data: []byte("x")}
	if err := r.fragment(&f); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := r.peek(); ok || err != nil || r.next != 2 {
		t.Fatalf("complete %v, %v, next is %d", ok, err, r.next)
	}
	if n := cap(r.partial.text); n > FragmentSize {
		t.Errorf("%d bytes of room for 1", n)
	}
}

// An ack takes no longer however much was accepted since a decline that the peer never confirms.
func TestUnconfirmedDeclinesAreCheap(t *testing.T) {
	r := receiver{next: 1 << 50, declines: make([]decline, MaxDeclines)}
	if a := r.ack(1); a.Seq != 1 || a.Sack != math.MaxUint64 || a.Sack2 != math.MaxUint64 {
		t.Errorf("%+v", a)
	}
}

// A message is taken whatever time it was written by its sender's clock.
func TestAnyTimeIsTaken(t *testing.T) {
	for sent, want := range map[uint64]int64{0: 0, 1: 1, 1 << 62: 1 << 62, math.MaxInt64: math.MaxInt64, 1 << 63: math.MaxInt64, math.MaxUint64: math.MaxInt64} {
		r := receiver{next: 1}
		f := wire.Frame{Type: wire.FrameMessage, Seq: 1, ID: make([]byte, 16), Sent: sent, Data: []byte("x")}
		if err := r.fragment(&f); err != nil {
			t.Fatal(err)
		}
		if m, ok, err := r.peek(); !ok || err != nil || m.Sent.UnixMilli() != want {
			t.Errorf("%d: %v, %v, sent at %d", sent, ok, err, m.Sent.UnixMilli())
		}
	}
}
