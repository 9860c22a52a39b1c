package chat

import (
	"bytes"
	"net/netip"
	"testing"
)

// A hello that nobody could answer is dropped without a word, and before anything is
// computed: while cookies are asked for, too.
func TestLowOrderHellos(t *testing.T) {
	w := newWorld(t, 1)
	b := w.node("bob")
	sent := 0
	b.core.out = func([]byte, netip.AddrPort) { sent++ }
	low := rawHello(w, [16]byte{})
	clear(low[24:56])
	for range 2 * cookiesFrom {
		b.core.receive(w.now, netip.MustParseAddrPort("198.19.0.1:1000"), bytes.Clone(low))
	}
	for i := range byte(cookiesFrom) {
		b.core.receive(w.now, netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 19, 1, i}), 1000), rawHello(w, [16]byte{}))
	}
	answered := sent
	b.core.receive(w.now, netip.MustParseAddrPort("198.19.0.2:1000"), low)
	if sent != answered || len(b.core.halves) != cookiesFrom || b.core.stats.Forged != 2*cookiesFrom+1 {
		t.Errorf("%d answers, %d halves, %d forged", sent-answered, len(b.core.halves), b.core.stats.Forged)
	}
}
