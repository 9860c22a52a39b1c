package store

import "time"

// maxGap is how much of the time between two runs counts. A clock that was set meanwhile can't be told from
// a machine that was off, so that a jump of years counts as a day.
const maxGap = 24 * time.Hour

// Elapsed counts time that was seen to pass, whatever the clock is set to: all of the time during which a
// process runs, the machine's sleep included, and at most maxGap of each time between. What is kept for a
// certain time is kept by this count and not by the clock.
type Elapsed struct {
	Passed time.Duration // in all; kept
	Wall   time.Time     // the latest that the clock has shown; kept

	up      time.Duration // at the last look
	running bool          // there was one
}

// Look counts the time since the last look. Up is how long the machine has been up, which no setting of the
// clock changes; wall is what the clock shows.
func (e *Elapsed) Look(up time.Duration, wall time.Time) time.Duration {
	if e.running {
		e.Passed += max(0, up-e.up)
	} else {
		e.Passed += min(max(0, wall.Sub(e.Wall)), maxGap)
	}
	e.up, e.running = up, true
	if wall.After(e.Wall) {
		e.Wall = wall
	}
	return e.Passed
}

// Merge takes over what another process has counted.
func (e *Elapsed) Merge(passed time.Duration, wall time.Time) {
	e.Passed = max(e.Passed, passed)
	if wall.After(e.Wall) {
		e.Wall = wall
	}
}

// Clock tells how long the machine has been up, its sleep included, and what its clock shows.
type Clock func() (up time.Duration, wall time.Time)

func systemClock() (up time.Duration, wall time.Time) { return uptime(), time.Now() }

// SetClock makes the store go by another clock, as if the process had just begun. It is for tests.
func (s *Store) SetClock(c Clock) {
	s.elapsedMu.Lock()
	defer s.elapsedMu.Unlock()
	s.clock, s.elapsed = c, Elapsed{}
}

// counted is what has passed, as of the beginning of the transaction that writes it.
const counted = `(SELECT passed FROM elapsed)`

// keptAt is what had passed when message m was kept. Of what is from before it was counted there is only the
// time by the clock.
const keptAt = `(CASE m.passed WHEN 0 THEN min(CASE WHEN m.out THEN m.sent ELSE m.received END, (SELECT began FROM elapsed)) ELSE m.passed END)`

// look returns what has passed, in ms, and by how much that is more than what is written.
func (s *Store) look(k *conn) (passed, more int64, err error) {
	s.elapsedMu.Lock()
	defer s.elapsedMu.Unlock()
	var kept, wall int64
	if err := k.get(`SELECT passed, wall FROM elapsed`, nil, &kept, &wall); err != nil {
		return 0, 0, err
	}
	s.elapsed.Merge(time.Duration(kept)*time.Millisecond, time.UnixMilli(wall))
	passed = s.elapsed.Look(s.clock()).Milliseconds()
	return passed, passed - kept, nil
}

// count writes what has passed, inside a transaction, and returns how much that is, in ms.
func (s *Store) count() (more int64, err error) {
	passed, more, err := s.look(s.write)
	if err != nil || more == 0 {
		return more, err
	}
	s.elapsedMu.Lock()
	defer s.elapsedMu.Unlock()
	_, err = s.write.exec(`UPDATE elapsed SET passed = ?, wall = ?`, passed, s.elapsed.Wall.UnixMilli())
	return more, err
}

// maxUncounted is how far what is written may be behind, in ms. The next run knows of it only by the clock.
const maxUncounted = 3_600_000
