package session

import "time"

// rtt estimates the round trip and from it the retransmission timeout
// (RFC 6298, with the bounds of SPEC §7).
type rtt struct {
	smoothed, deviation time.Duration
	backoff             uint // doublings since the last answer
}

// sample takes one measured round trip. Retransmitted fragments give none (Karn). What
// takes longer than any timeout is a machine that slept, and counts for no more.
func (r *rtt) sample(d time.Duration) {
	d = min(d, MaxRTO)
	if r.smoothed == 0 {
		r.smoothed, r.deviation = d, d/2
		return
	}
	off := r.smoothed - d
	if off < 0 {
		off = -off
	}
	r.deviation += (off - r.deviation) / 4
	r.smoothed += (d - r.smoothed) / 8
}

// timeout is how long to wait for an answer before sending again.
func (r *rtt) timeout() time.Duration {
	return min(r.interval()<<min(r.backoff, 16), MaxRTO)
}

// interval is the timeout before it doubles.
func (r *rtt) interval() time.Duration {
	if r.smoothed == 0 {
		return InitialRTO
	}
	return max(MinRTO, r.smoothed+4*r.deviation)
}
