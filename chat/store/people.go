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
	Petname  string // what they are called here; empty: as they call themselves
	First    time.Time
	Last     time.Time
	Named    int64 // counts up: who came by their name later has a greater one
	Verified bool  // their safety words were compared, and their name is the same since
	Blocked  bool
}

// People returns everybody known, those last there first.
func (s *Store) People() (all []Person, err error) {
	err = s.reading(func(k *conn) error {
		all = nil
		return k.each(`SELECT key, name, petname, first, last, named, verified, blocked FROM people WHERE NOT faint ORDER BY last DESC, n DESC`, nil,
			func(scan func(...any) error) error {
				var p Person
				var key []byte
				var first, last int64
				err := scan(&key, &p.Name, &p.Petname, &first, &last, &p.Named, &p.Verified, &p.Blocked)
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

// SetPetname says what somebody is called here; empty: as they call themselves.
func (s *Store) SetPetname(p chat.Person, name string, now time.Time) error {
	return s.decide(p, now, "petname", name)
}

// SetVerified says whether somebody's safety words were compared.
func (s *Store) SetVerified(p chat.Person, yes bool, now time.Time) error {
	return s.decide(p, now, "verified", yes)
}

// SetBlocked says whether to have nothing to do with somebody.
func (s *Store) SetBlocked(p chat.Person, yes bool, now time.Time) error {
	return s.decide(p, now, "blocked", yes)
}
