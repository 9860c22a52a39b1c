package store

import "time"

// afterFlush brings the copy of contacts up to date, once a second at most.
func (s *Store) afterFlush() {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if time.Since(s.copiedAt) > idleFor {
		s.copyContacts()
	}
}

// tidy brings all that is in the log into the database file, so that a copy of that file
// alone has it, as far as nobody still reads what was there before.
func (s *Store) tidy() {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	s.copyContacts()
	var now int64
	if s.write.get("PRAGMA application_id", nil, &now) != nil || stamp(now) == s.tidied { //nolint:gosec // as SQLite has it
		return
	}
	var busy, log, done int
	if s.write.get("PRAGMA wal_checkpoint (PASSIVE)", nil, &busy, &log, &done) == nil && busy == 0 && log == done {
		s.tidied = stamp(now) //nolint:gosec // as above
	}
}
