package store

import (
	"time"

	"earshot/chat"
)

// Person is somebody known: who has said something, or to whom, or about whom
// something was decided.
type Person struct {
	Key      chat.Key
	Name     string // what they last called themselves: unsanitised, and not unique
	Petname  string // what they are called here; empty: by their label
	Label    string // the name they are known by: Name, unless a later one wasn't to become it
	First    time.Time
	Last     time.Time
	Named    int64 // counts up: who came by their label later has a greater one
	Verified bool  // their safety words were compared
	Blocked  bool
}

// People returns everybody known, those last there first.
func (s *Store) People() (all []Person, err error) {
	err = s.reading(func(k *conn) error {
		all = nil
		return k.each(`SELECT key, name, petname, coalesce(nullif(label, ''), name), first, last, named, verified, blocked FROM people WHERE NOT faint ORDER BY last DESC, n DESC`, nil,
			func(scan func(...any) error) error {
				var p Person
				var key []byte
				var first, last int64
				err := scan(&key, &p.Name, &p.Petname, &p.Label, &first, &last, &p.Named, &p.Verified, &p.Blocked)
				copy(p.Key[:], key)
				p.First, p.Last = moment(first), moment(last)
				all = append(all, p)
				return err
			})
	})
	return all, err
}

// nextNamed is the next of [Person.Named].
const nextNamed = `(SELECT coalesce(max(named), 0) + 1 FROM people)`

// decide changes what is recorded about somebody, who is known from then on.
func (s *Store) decide(p chat.Person, now time.Time, change string, value any) error {
	return s.writing(func() error {
		if _, err := s.know(p, now); err != nil {
			return err
		}
		_, err := s.write.exec(`UPDATE people SET `+change+` = ? WHERE key = ?`, value, p.Key[:])
		return err
	})
}

// know returns the number of somebody, made if need be, inside a transaction.
func (s *Store) know(p chat.Person, now time.Time) (n int64, err error) {
	_, err = s.write.exec(`INSERT INTO people (key, name, petname, first, last, verified, blocked, named)
		VALUES (?, ?, '', ?, ?, 0, 0, `+nextNamed+`) ON CONFLICT DO NOTHING`, p.Key[:], p.Name, millis(now), millis(now))
	if err == nil {
		_, err = s.write.exec(`UPDATE people SET faint = 0, named = `+nextNamed+` WHERE key = ? AND faint`, p.Key[:])
	}
	if err == nil {
		err = s.write.get(`SELECT n FROM people WHERE key = ?`, []any{p.Key[:]}, &n)
	}
	return n, err
}

// SetPetname says what somebody is called here; empty: as they call themselves now.
func (s *Store) SetPetname(p chat.Person, name string, now time.Time) error {
	return s.writing(func() error {
		if _, err := s.know(p, now); err != nil {
			return err
		}
		_, err := s.write.exec(`UPDATE people SET petname = ?1, named = CASE WHEN ?1 <> '' OR label IN ('', name) THEN named ELSE `+nextNamed+` END,
			label = CASE ?1 WHEN '' THEN '' ELSE label END WHERE key = ?2`, name, p.Key[:])
		return err
	})
}

// Renamed notes that somebody known calls themselves otherwise now. The name becomes their
// label if it may and they aren't verified.
func (s *Store) Renamed(p chat.Person, mayLabel bool) error {
	return s.writing(func() error {
		_, err := s.write.exec(`UPDATE people SET
			named = CASE WHEN ?3 AND NOT verified THEN `+nextNamed+` ELSE named END,
			label = CASE WHEN ?3 AND NOT verified THEN ?2 ELSE coalesce(nullif(label, ''), name) END, name = ?2
			WHERE key = ?1 AND name <> ?2`, p.Key[:], p.Name, mayLabel)
		return err
	})
}

// SetVerified says whether somebody's safety words were compared.
func (s *Store) SetVerified(p chat.Person, yes bool, now time.Time) error {
	return s.decide(p, now, "verified", yes)
}

// SetBlocked says whether to have nothing to do with somebody.
func (s *Store) SetBlocked(p chat.Person, yes bool, now time.Time) error {
	return s.decide(p, now, "blocked", yes)
}
