package session

import "time"

// Constants of pacing (RFC 9002 §7.7).
const (
	paceBurst = 16                   // datagrams that may follow each other at once
	paceFrom  = 5 * time.Millisecond // of round trip: what answers sooner needs no pacing
)

// pacer spreads a window over a round trip, so that a slow link is not given more at
// once than it can queue. It is a virtual clock: each datagram moves it on by its
// share of the round trip, and it may run ahead of the real one by a burst.
type pacer struct {
	clock time.Time
	until time.Time // when the next datagram may go, if one had to wait; else zero
}

// share is the time that each datagram of a window gets: a fifth less than an even
// spread, so that pacing itself never holds a window back.
func share(smoothed time.Duration, window int) time.Duration {
	return smoothed * 4 / 5 / time.Duration(window)
}

// may reports whether a datagram may go now; if not, until says when.
func (p *pacer) may(now time.Time, smoothed time.Duration, window int) bool {
	p.until = time.Time{}
	if smoothed < paceFrom {
		return true
	}
	if ahead, most := p.clock.Sub(now), paceBurst*share(smoothed, window); ahead > most {
		p.until = now.Add(ahead - most)
		return false
	}
	return true
}

// went notes that a datagram went.
func (p *pacer) went(now time.Time, smoothed time.Duration, window int) {
	if p.clock.Before(now) {
		p.clock = now
	}
	p.clock = p.clock.Add(share(smoothed, window))
}
