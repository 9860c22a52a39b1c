package chat

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"earshot/chat/wire"
)

// Who takes part in a handshake under a false address can't have what is said to them sent
// there: no more than the final and its repeats, and three times what came.
func TestNewSessionCannotBeAimed(t *testing.T) {
	victim := netip.MustParseAddrPort("198.18.6.6:53")
	for _, tc := range []struct {
		name  string
		false byte // type of the datagram that seems to come from the victim
		most  int  // bytes for each of those
		opens func(a, m *simNode)
	}{
		{
			"responder", wire.TypeReply, (finalTries + 1 + uncheckedFactor) * wire.FinalSize,
			func(a, m *simNode) { a.say(m, "hello") },
		},
		{
			"initiator", wire.TypeFinal, uncheckedFactor * wire.FinalSize,
			func(a, m *simNode) { m.say(a, "hello") },
		},
		{ // the first hello came from the victim, too, which got the reply
			"initiator from both", wire.TypeFinal, uncheckedFactor*wire.FinalSize + wire.ReplySize,
			func(a, m *simNode) {
				send := m.core.out
				m.core.out = func(d []byte, to netip.AddrPort) {
					if d[0] == wire.TypeHello {
						a.core.receive(a.w.now, victim, bytes.Clone(d))
					}
					send(d, to)
				}
				m.say(a, "hello")
			},
		},
	} {
		w := newWorld(t, 1)
		a, m := w.node("ana"), w.node("mallory")
		w.announce(a)
		w.announce(m)
		aimed, forged := 0, 0
		a.core.out = func(d []byte, to netip.AddrPort) {
			if to == victim {
				aimed += len(d)
				return
			}
			a.send(d, to)
		}
		m.core.out = func(d []byte, to netip.AddrPort) {
			switch d[0] {
			case tc.false:
				forged++
				a.core.receive(w.now, victim, bytes.Clone(d))
			case wire.TypeHello, wire.TypeReply, wire.TypeFinal:
				m.send(d, to)
			}
		}
		tc.opens(a, m)
		w.run(100 * time.Millisecond)
		for range 10 {
			a.say(m, strings.Repeat("x", MaxText))
			w.run(time.Second)
		}
		if forged == 0 || aimed > forged*tc.most {
			t.Errorf("%s: %d bytes went to the victim for %d datagrams", tc.name, aimed, forged)
		}
	}
}
