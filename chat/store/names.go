package store

import "slices"

// Names is how the person is called whose data directory it is.
type Names struct {
	Kept    string // empty: none is kept
	Earlier bool   // none is, since an earlier version used the directory
	Running string // what a process that runs calls them; empty: none does, or each the kept name
}

// Names reads them.
func (s *Store) Names() (n Names, err error) {
	alive := Running(s.Dir())
	err = s.reading(func(k *conn) error {
		n = Names{}
		err := k.get(`SELECT name FROM self`, nil, &n.Kept)
		if n.Earlier = err == nil && n.Kept == ""; err != nil && !none(err) {
			return err
		}
		return k.each(`SELECT slot, name FROM callings ORDER BY kept DESC, slot`, nil, func(scan func(...any) error) error {
			var slot int
			var name string
			err := scan(&slot, &name)
			// One that was killed has left its name behind.
			if n.Running == "" && slices.ContainsFunc(alive, func(p Process) bool { return p.Slot == slot }) {
				n.Running = name
			}
			return err
		})
	})
	return n, err
}

// Name returns the name that is kept; empty: none is.
func (s *Store) Name() (name string, err error) {
	err = s.reading(func(k *conn) error { return k.get(`SELECT name FROM self`, nil, &name) })
	if none(err) {
		err = nil
	}
	return name, err
}

// SetName keeps a name.
func (s *Store) SetName(name string) error {
	return s.writing(func() error {
		_, err := s.write.exec(`DELETE FROM self`)
		if err == nil {
			_, err = s.write.exec(`INSERT INTO self VALUES (?)`, name)
		}
		return err
	})
}

// KeepName keeps a name where none is kept, and returns the one that is then.
func (s *Store) KeepName(name string) (kept string, err error) {
	if kept, err = s.Name(); err != nil || kept != "" {
		return kept, err
	}
	err = s.writing(func() error {
		if _, err := s.write.exec(`DELETE FROM self WHERE name = ''`); err != nil {
			return err
		}
		if _, err := s.write.exec(`INSERT INTO self SELECT ? WHERE NOT EXISTS (SELECT 1 FROM self)`, name); err != nil {
			return err
		}
		return s.write.get(`SELECT name FROM self`, nil, &kept)
	})
	return kept, err
}

// Call notes what this process calls us while it runs, and whether that is for itself alone.
func (s *Store) Call(name string, alias bool) error {
	return s.writing(func() error {
		_, err := s.write.exec(`INSERT OR REPLACE INTO callings VALUES (?, ?, ?)`, s.slot.number, name, !alias)
		return err
	})
}
