package store

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"earshot/chat"
)

// ContactsFile is the name of the file in the data directory with a second copy of whom
// the person knows. Whatever else is lost, nobody known becomes a first contact again.
const ContactsFile = "contacts.json"

// contactsHead is the first line of the file. A line for each contact follows.
type contactsHead struct {
	Database string `json:"database"`
	Version  int64  `json:"version"` // of origin.contacts
}

// contact is what the file has of somebody.
type contact struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Petname  string `json:"petname,omitempty"`
	Label    string `json:"label,omitempty"`
	Verified bool   `json:"verified,omitempty"`
	Blocked  bool   `json:"blocked,omitempty"`
	First    int64  `json:"first"`
	Last     int64  `json:"last"`
	Named    int64  `json:"named"`
}

func (s *Store) contactsPath() string { return filepath.Join(s.Dir(), ContactsFile) }

// recallContacts brings back whom the file knows and the database doesn't, where that is
// new or has lost something. made says that it is new.
func (s *Store) recallContacts(made bool) error {
	b, err := os.ReadFile(s.contactsPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var version int64
	if err := s.write.get("SELECT contacts FROM origin", nil, &version); err != nil {
		return err
	}
	first, rest, _ := bytes.Cut(b, []byte("\n"))
	var head contactsHead
	err = json.Unmarshal(first, &head)
	if s.copied = head.Version; err == nil && head.Database == hex.EncodeToString(s.id[:]) && head.Version <= version {
		return nil
	}
	s.copied = 0 // to be written anew
	var all []contact
	for line := range bytes.Lines(rest) {
		var c contact
		if bad := json.Unmarshal(line, &c); bad != nil {
			err = errors.Join(err, bad)
			continue
		}
		all = append(all, c)
	}
	if err != nil {
		if bad := s.copyAside(s.contactsPath(), "some of the contacts in it can't be read", "compare it with: earshot people"); bad != nil {
			return bad
		}
	}
	var missing, marked int
	err = s.write.transact(func() error {
		missing, marked = 0, 0
		for _, c := range all {
			is, changed, err := s.recall(c)
			if err != nil {
				return err
			}
			missing, marked = missing+is, marked+changed
		}
		_, err := s.write.exec("UPDATE origin SET contacts = max(contacts, ?) + 1", head.Version)
		return err
	})
	if err != nil || missing+marked == 0 {
		return err
	}
	why := fmt.Sprintf("the database has lost %d contacts, and %d marks or petnames; contacts.json has given them back", missing, marked)
	if made {
		why = fmt.Sprintf("the database is new, and what was said is not in it; %d people are known as before", missing)
	}
	s.tell(&Error{s.contactsPath(), errors.New(why), "to forget one of them: earshot people forget PEER; to forget all, end earshot and remove that file and earshot.db"})
	return nil
}

// recall brings back a contact inside a transaction, and reports how many were missing,
// and how many have got their marks back: 0 or 1.
func (s *Store) recall(c contact) (missing, marked int, err error) {
	key, err := chat.ParseKey(c.ID)
	if err != nil {
		return 0, 0, nil //nolint:nilerr // a line that was damaged and can be read all the same
	}
	n, err := s.write.exec(`INSERT INTO people (key, name, petname, label, first, last, verified, blocked, named) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, key[:], c.Name, c.Petname, c.Label, c.First, c.Last, c.Verified, c.Blocked, c.Named)
	if err != nil || n > 0 {
		return int(n), 0, err
	}
	n, err = s.write.exec(`UPDATE people SET faint = 0, petname = CASE petname WHEN '' THEN ?2 ELSE petname END,
		label = CASE label WHEN '' THEN ?3 ELSE label END, verified = verified OR ?4, blocked = blocked OR ?5
		WHERE key = ?1 AND (faint OR petname = '' AND ?2 <> '' OR label = '' AND ?3 <> '' OR NOT verified AND ?4 OR NOT blocked AND ?5)`,
		key[:], c.Petname, c.Label, c.Verified, c.Blocked)
	return 0, int(n), err
}

// copyContacts writes the file anew when somebody has come to be known, or is no more, or
// what counts of them has changed. The caller has writeMu. An error shows another time:
// it is a second copy.
func (s *Store) copyContacts() {
	var version int64
	if s.write.get("SELECT contacts FROM origin", nil, &version) != nil || version == s.copied {
		return
	}
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	err := lines.Encode(contactsHead{hex.EncodeToString(s.id[:]), version})
	if err == nil {
		err = s.write.each(`SELECT key, name, petname, label, verified, blocked, first, last, named FROM people WHERE NOT faint ORDER BY n`, nil,
			func(scan func(...any) error) error {
				var key []byte
				var c contact
				if err := scan(&key, &c.Name, &c.Petname, &c.Label, &c.Verified, &c.Blocked, &c.First, &c.Last, &c.Named); err != nil {
					return err
				}
				c.ID, c.Name = chat.Key(key).String(), strings.ToValidUTF8(c.Name, "\ufffd")
				return lines.Encode(c)
			})
	}
	if err == nil {
		err = replaceFile(s.contactsPath(), b.Bytes())
	}
	if err == nil {
		s.copied, s.copiedAt = version, time.Now()
	}
}

// replaceFile writes a file for its owner alone, whole or not at all.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
