package chat

import "time"

// bucket bounds how often something is done: burst at once, and so many a second in the long run.
type bucket struct {
	burst, perSecond float64
	used             float64
	at               time.Time
}

// take takes n, or none when there aren't as many left.
func (b *bucket) take(now time.Time, n int) bool {
	b.used = max(0, b.used-max(0, now.Sub(b.at).Seconds())*b.perSecond)
	b.at = now
	if b.used+float64(n) > b.burst {
		return false
	}
	b.used += float64(n)
	return true
}
