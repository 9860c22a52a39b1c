package session

import (
	"slices"
	"time"

	"earshot/chat/wire"
)

// sizes are the datagram sizes that a path is tried with (SPEC §7.18). The last is that of a hello: a path
// over which a session came about carries it.
var sizes = [...]int{wire.MaxDatagram, 1000, 768, 548, leastSize}

const (
	leastSize = wire.HelloSize
	leastRoom = leastSize - wire.SealedHeader - wire.Tag

	missedTimeouts = 2 // lost datagrams in a row that make the path suspect, when a timeout found the last
	missedPassed   = 3 // the same, when later datagrams arrived
	shrinkRounds   = 2 // rounds in which only smaller probes arrive, until the size goes down
	vainRounds     = 6 // rounds in a row without an answer, after which a search turns round
	certainRounds  = 10
	certainFor     = 10 * time.Second // how long the result of so many rounds holds
	raiseMax       = time.Minute      // between two rounds that look whether the path carries more again
	minRound       = 20 * time.Millisecond
	maxRound       = 500 * time.Millisecond

	probeToken = 1 << 63 // marks the token of a check that is a probe
)

// path finds the largest datagram that reaches the peer. It detects a black hole as RFC 8899 §4.3 does:
// large datagrams are lost while small ones arrive.
type path struct {
	size   int     // nothing larger is sent, except probes
	missed int     // datagrams above leastSize lost since one of their size arrived
	least  int     // size of the smallest of these
	last   uint64  // counter of the last of these
	round  uint64  // of the session's life
	search *search // nil while the path carries everything, as far as is known
}

// search sends rounds of probes, which are padded checks.
type search struct {
	shrinking bool // the size is in doubt; else it holds, and larger ones are tried
	before    uint64
	heard     int       // rounds in which only a probe within the size arrived
	counted   bool      // this round is among them
	vain      int       // rounds in a row in which no probe arrived
	best      int       // largest size that arrived while shrinking
	probes    []int     // sizes still to be sent in this round
	next      time.Time // when the next round is due
	certain   time.Time // when certainRounds or more had been heard last; zero: not yet
}

// lost notes that a datagram was lost.
func (p *path) lost(counter uint64, size int) {
	if size <= leastSize || size > p.size || p.missed > 0 && counter == p.last {
		return
	}
	if p.missed == 0 || size < p.least {
		p.least = size
	}
	p.missed, p.last = p.missed+1, counter
}

// arrived notes that a datagram of a size reached the peer.
func (p *path) arrived(size int) {
	if p.missed == 0 || size < p.least {
		return
	}
	p.missed = 0
	if p.search != nil && p.search.shrinking {
		p.hold(p.size)
	}
}

// suspect begins to search for a smaller size when so many large datagrams in a row are lost.
func (p *path) suspect(now time.Time, missed int) {
	if p.missed >= missed && (p.search == nil || !p.search.shrinking) {
		p.search = &search{shrinking: true, before: p.round, next: now}
	}
}

// hold has size be what the path carries, and looks for more from then on.
func (p *path) hold(size int) {
	p.size, p.missed = size, 0
	if size == wire.MaxDatagram {
		p.search = nil
	} else if s := p.search; s == nil {
		p.search = &search{before: p.round}
	} else {
		*s = search{before: s.before, probes: s.probes[:0], next: s.next}
	}
}

// verify has the size of the path be found out anew when that was done long ago.
func (p *path) verify(now time.Time) {
	if s := p.search; s != nil && !s.urgent(p) && !p.certain(now) {
		*s = search{before: p.round, probes: s.probes[:0], next: now}
	}
}

// certain reports whether the path carries no more than its size beyond doubt: ordinary loss hardly takes
// all larger probes of so many rounds.
func (p *path) certain(now time.Time) bool {
	return p.search != nil && !p.search.certain.IsZero() && now.Sub(p.search.certain) < certainFor
}

// grown notes that a fragment larger than what the path was taken to carry arrived.
func (p *path) grown(size int) {
	for _, known := range sizes {
		if known <= size && known > p.size {
			p.hold(known)
		}
	}
}

// passes notes that a probe arrived.
func (p *path) passes(token uint64) {
	s, round, size := p.search, token&^probeToken>>16, int(token&0xffff)
	switch {
	case s == nil, round <= s.before, round > p.round, !slices.Contains(sizes[:], size):
		return
	case size > p.size, size == p.size && s.shrinking:
		p.hold(size)
		return
	case s.shrinking:
		s.best = max(s.best, size)
	}
	if !s.counted {
		s.counted = true
		s.heard++
		s.vain = 0
	}
}

// due begins a round when it is time, and first decides what the rounds before it have shown. It reports
// whether the size has gone down. Rounds that only look for a larger size wait for other traffic.
func (p *path) due(now time.Time, interval time.Duration, traffic bool) (shrunk bool) {
	s := p.search
	if s == nil || now.Before(s.next) || !traffic && !s.urgent(p) {
		return false
	}
	switch {
	case s.shrinking && s.heard >= shrinkRounds:
		shrunk = true
		p.hold(s.best)
	case s.vain < vainRounds:
	case s.shrinking: // nothing arrives, of whatever size
		p.hold(p.size)
		if p.search == nil {
			return false
		}
	default: // the path carries less than it did: what is sent may all be larger, so only this tells
		*s = search{shrinking: true, before: s.before, probes: s.probes[:0]}
	}
	interval = min(max(interval, minRound), maxRound)
	if s.heard >= certainRounds {
		if s.counted {
			s.certain = now
		}
		interval = min(interval<<min(s.heard-certainRounds+1, 16), raiseMax)
	}
	p.round++
	s.counted, s.next = false, now.Add(interval)
	s.vain++
	for _, size := range sizes {
		asked := size > p.size
		if s.shrinking {
			asked = size == p.size
		}
		switch {
		case asked:
			s.probes = append(s.probes, size, size) // ordinary loss takes both less often
		case size < p.size == s.shrinking:
			s.probes = append(s.probes, size)
		}
	}
	return shrunk
}

// postpone puts off a round that is due, since no probe may be sent now.
func (p *path) postpone(now time.Time) {
	if s := p.search; s != nil && !now.Before(s.next) {
		s.next = now.Add(maxRound)
	}
}

// urgent reports whether rounds follow each other whatever else is said: something may depend on them.
func (s *search) urgent(p *path) bool {
	return s.shrinking || s.certain.IsZero() && p.round-s.before < 4*certainRounds
}

// wake is when due is to be called although there is nothing else to send; zero: never.
func (p *path) wake() time.Time {
	if p.search == nil || !p.search.urgent(p) {
		return time.Time{}
	}
	return p.search.next
}
