package session

// replayWords is the ring of the replay window. One word more than the window
// needs, so that a word can be cleared while the window still covers the others
// (RFC 6479).
const replayWords = ReplayWindow/64 + 1

// replay remembers which counters have been seen (SPEC §5, RFC 6479). Check
// before opening a datagram, mark after: only authentic datagrams move it.
type replay struct {
	next  uint64 // one above the highest counter seen
	seen  [replayWords]uint64
	slack uint64 // 0, but in tests of tests
}

// fresh reports whether counter n has not been seen and is not too old to know.
func (r *replay) fresh(n uint64) bool {
	if n+r.slack >= r.next {
		return true
	}
	if r.next-n > ReplayWindow+1 {
		return false
	}
	return r.seen[n/64%replayWords]&(1<<(n%64)) == 0
}

// mark records counter n and reports whether it is the highest so far.
func (r *replay) mark(n uint64) (highest bool) {
	if n >= r.next {
		highest = true
		// Words between the old and the new top belong to older counters.
		if first, last := (r.next+63)/64, n/64; last >= first {
			if last-first >= replayWords {
				first = last - replayWords + 1
			}
			for w := first; w <= last; w++ {
				r.seen[w%replayWords] = 0
			}
		}
		r.next = n + 1
	}
	r.seen[n/64%replayWords] |= 1 << (n % 64)
	return highest
}

// WeakenReplay makes the replay window wrong by one, so that tests can show that a
// simulation notices. Nothing else may call it.
func (s *Session) WeakenReplay() { s.window.slack = 1 }
