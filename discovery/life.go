package discovery

import (
	"net/netip"
	"time"
)

// life is how long a record heard may be kept, and when to ask for it again
// (RFC 6762 §5.2). The zero life is that of a record we don't have.
type life struct {
	heard   time.Time
	expires time.Time
	next    time.Time // of asking again, or expires
	asks    uint8     // made so far
	doubted bool      // it is being reconfirmed
}

func (f *life) alive() bool { return !f.heard.IsZero() }

// hear starts the life anew. jitter is 0 to 1.
func (f *life) hear(now time.Time, ttl time.Duration, jitter float64) {
	*f = life{heard: now, expires: now.Add(ttl)}
	f.schedule(jitter)
}

// end lets the record live for a moment more, in which nobody is asked: the
// grace of a goodbye or a cache flush (RFC 6762 §10.1, §10.2).
func (f *life) end(now time.Time, grace time.Duration) {
	if at := now.Add(grace); f.alive() && at.Before(f.expires) {
		f.expires, f.next = at, at
	}
}

// doubt gives the record a few seconds to be heard again, and keeps it out of
// the known answers meanwhile.
func (f *life) doubt(now time.Time) {
	if f.alive() {
		left := min(f.expires.Sub(now), doubtGrace)
		f.heard, f.expires = now.Add(-left), now.Add(left)
		f.asks, f.next = refreshTries, f.expires
	}
}

// reconfirm has the record asked for at once, and gone if that stays unanswered
// (RFC 6762 §10.4).
func (f *life) reconfirm(now time.Time) {
	if f.alive() && !f.doubted && now.Add(failureTime).Before(f.expires) {
		*f = life{heard: now, expires: now.Add(failureTime), next: now, doubted: true}
	}
}

func (f *life) schedule(jitter float64) {
	if f.asks >= refreshTries {
		f.next = f.expires
		return
	}
	ttl := f.expires.Sub(f.heard)
	percent := float64(refreshFirst+refreshStep*int(f.asks)) + refreshJitter*jitter
	if f.doubted {
		percent = reconfirmPercents[f.asks]
	}
	f.next = f.heard.Add(time.Duration(float64(ttl) * percent / 100))
}

// known reports whether the record belongs in a known-answer list: more than
// half its life is ahead (RFC 6762 §7.1).
func (f *life) known(now time.Time) bool {
	return f.alive() && f.expires.Sub(now) > now.Sub(f.heard)
}

// fresh reports whether the owner still answers for the record: it isn't past
// a question that went unanswered.
func (f *life) fresh() bool { return f.asks < 2 }

// address is an A or AAAA record.
type address struct {
	life
	addr    netip.Addr
	vouched bool // by the instance: what comes from this address is its own word
}
