package session

import (
	"time"

	"earshot/chat/wire"
)

// What a session has to do with the size of its path (SPEC §7.17 to §7.20).

// checkHead is what a check adds to its padding, which has a length of two bytes.
const checkHead = 17

// Divide lets fragments and states go in parts where the path carries no more: the peer takes these.
func (s *Session) Divide() { s.send.divides = true }

// PathSize is the size of the largest datagram that the path to the peer carries, as far as is known.
func (s *Session) PathSize() int { return s.send.path.size }

// StartPath begins with a PathSize that was found before.
func (s *Session) StartPath(now time.Time, size int) {
	p := &s.send.path
	if size < p.size {
		p.search = &search{before: p.round, next: now}
		p.size = max(size, leastSize)
	}
}

// Alone reports whether datagrams to this peer should go to the system one by one: what it may send in one
// piece must not be larger than what the path carries.
func (s *Session) Alone() bool { return s.send.path.search != nil }

// Carries reports whether a message of n bytes can reach the peer.
func (s *Session) Carries(n int) bool {
	return s.send.divides || min(n, FragmentSize)+frameHead <= s.send.path.size-wire.SealedHeader-wire.Tag
}

// CarriesState is how many bytes a state may have to reach the peer.
func (s *Session) CarriesState() int {
	if s.send.divides {
		return wire.MaxState
	}
	return min(wire.MaxState, s.send.path.size-wire.SealedHeader-wire.Tag-frameHead)
}

// TooBig reports whether a message of n bytes can't reach the peer beyond doubt.
func (s *Session) TooBig(now time.Time, n int) bool {
	return s.send.path.search != nil && !s.Carries(n) && s.send.path.certain(now)
}

// Stuck reports whether a message pushed can't reach the peer beyond doubt, and keeps what comes after it
// from being taken.
func (s *Session) Stuck(now time.Time) bool { return s.send.path.certain(now) && s.oversize() }

// oversize reports whether some message doesn't fit the path.
func (s *Session) oversize() bool {
	if s.send.divides || s.send.path.size == wire.MaxDatagram {
		return false
	}
	for i := range s.send.queue.Len() {
		if !s.Carries(len(s.send.queue.At(i).Text)) {
			return true
		}
	}
	return false
}

// probe returns the next probe of the path's size, which goes alone; nil when none is due.
func (s *Session) probe(now time.Time, w *Scratch) []byte {
	p := &s.send.path
	if s.oversize() {
		p.verify(now)
	}
	if p.due(now, s.send.rtt.interval(), s.Pending() > 0 || s.telling) {
		s.send.shrunk(now)
		if s.telling {
			s.tellAgain()
		}
	}
	if p.search == nil || len(p.search.probes) == 0 {
		return nil
	}
	size := p.search.probes[0]
	p.search.probes = p.search.probes[1:]
	w.plain.Reset()
	w.frame = wire.Frame{Type: wire.FrameCheck, Seq: probeToken | p.round<<16 | uint64(size)}
	w.text = append(w.text[:0], make([]byte, size-wire.SealedHeader-wire.Tag-checkHead)...)
	w.frame.Data = w.text
	wire.AppendFrame(&w.plain, &w.frame)
	return s.seal(w)
}
