package session

import (
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
