package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"earshot/chat"
)

// A backup is a database like the one it was made of, with one table more: the other
// files of the data directory that a person would miss.

// backupTable makes that table. Under the name "about" it has a [Backup] as JSON.
const backupTable = `CREATE TABLE backup (name TEXT PRIMARY KEY, content BLOB NOT NULL)`

// settingsFile is the name of the configuration in the data directory.
const settingsFile = "config.toml"

// Backup says what a backup holds.
type Backup struct {
	Format   int       `json:"format"`
	ID       string    `json:"id"` // of the identity
	Made     time.Time `json:"made"`
	Messages int64     `json:"messages"`
	People   int64     `json:"people"`
	Waiting  int64     `json:"waiting"` // messages to be sent
	Bytes    int64     `json:"-"`
}

// backupFormat is the present format of backups.
const backupFormat = 1

// Backup writes a consistent copy of all that is kept, with the identity and the
// configuration, to a file for its owner alone: whole, or not at all. It takes the place
// of what is at path. Processes that run may go on, and what they have said and heard is in it.
func (s *Store) Backup(ctx context.Context, path string, now time.Time) (b Backup, err error) {
	s.CatchUp()
	if err := errors.Join(s.Flush(), s.Err()); err != nil {
		return b, err
	}
	identityPath := filepath.Join(s.Dir(), IdentityFile)
	identity, err := chat.LoadIdentity(identityPath)
	if err != nil {
		return b, err
	}
	files := map[string][]byte{}
	for _, name := range []string{IdentityFile, settingsFile} {
		content, err := os.ReadFile(filepath.Join(s.Dir(), name))
		if err == nil {
			files[name] = content
		} else if !errors.Is(err, os.ErrNotExist) {
			return b, s.explain(err)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return b, s.explain(err)
	}
	defer func() {
		for _, end := range []string{"", "-wal", "-shm", "-journal"} {
			_ = os.Remove(f.Name() + end)
		}
	}()
	defer f.Close()
	s.writeMu.Lock()
	_, err = s.write.c.ExecContext(ctx, "VACUUM INTO ?", f.Name()) // without what was deleted
	s.writeMu.Unlock()
	if err != nil {
		return b, s.explain(err)
	}
	b = Backup{Format: backupFormat, ID: identity.Key().String(), Made: now}
	if err := b.fill(f.Name(), files); err != nil {
		return b, s.explain(err)
	}
	if err := f.Sync(); err != nil {
		return b, s.explain(err)
	}
	info, err := f.Stat()
	if err != nil {
		return b, s.explain(err)
	}
	b.Bytes = info.Size()
	return b, s.explain(os.Rename(f.Name(), path))
}

// fill adds to a copy of the database what else belongs to a backup.
func (b *Backup) fill(path string, files map[string][]byte) error {
	k, err := connect(path)
	if err != nil {
		return err
	}
	defer k.close()
	if _, err := k.c.ExecContext(ctx, "PRAGMA journal_mode = MEMORY"); err != nil { // there is no other file
		return err
	}
	return k.transact(func() error {
		if err := k.still(); err != nil {
			return err
		}
		err := k.get(`SELECT (SELECT count(*) FROM messages WHERE room = '' OR out = 0 OR peer = -1),
			(SELECT count(*) FROM people WHERE NOT faint), (SELECT count(*) FROM messages WHERE status = 0)`, nil, &b.Messages, &b.People, &b.Waiting)
		if err != nil {
			return err
		}
		if files["about"], err = json.Marshal(b); err != nil {
			return err
		}
		if _, err := k.exec(backupTable); err != nil {
			return err
		}
		for name, content := range files {
			if _, err := k.exec(`INSERT INTO backup VALUES (?, ?)`, name, content); err != nil {
				return err
			}
		}
		return nil
	})
}

// still takes from a database what is only of processes that run.
func (k *conn) still() error {
	if _, err := k.exec(`UPDATE messages SET owner = 0 WHERE owner <> 0`); err != nil {
		return err
	}
	for _, table := range []string{"visits", "journals", "callings"} {
		var is bool
		if err := k.get(`SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?)`, []any{table}, &is); err != nil {
			return err
		}
		if !is {
			continue
		}
		if _, err := k.exec("DELETE FROM " + table); err != nil {
			return err
		}
	}
	return nil
}

// Kept reports whether a data directory has anything to back up.
func Kept(dir string) bool {
	for _, name := range []string{File, IdentityFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// Ours reports whether a path names a file of a data directory.
func Ours(dir, path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	for _, name := range keptFiles {
		if own, err := os.Stat(filepath.Join(dir, name)); err == nil && os.SameFile(info, own) {
			return true
		}
	}
	return false
}

// keptFiles are the files of a data directory, but for journals, locks and the log of
// the program.
var keptFiles = []string{File + "-wal", File + "-shm", MarkFile, ContactsFile, settingsFile, IdentityFile, File}

// readBackup checks a backup wholly and returns what it says of itself, and its files.
func readBackup(ctx context.Context, path string) (b Backup, files map[string][]byte, err error) {
	bad := func(why string, err error) error {
		if err != nil {
			why = fmt.Sprintf("%s (%v)", why, err)
		}
		return &Error{path, errors.New(why), "nothing was changed; name a file that earshot backup has made"}
	}
	info, err := os.Stat(path)
	if err != nil {
		return b, nil, bad("the backup can't be read", err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return b, nil, bad("it isn't a backup: it is empty, or no file", nil)
	}
	k, err := connectTo(path, "mode=ro&immutable=1") // so that nothing is made beside it
	if err != nil {
		return b, nil, bad("it isn't a backup, or damaged", err)
	}
	defer k.close()
	version, err := k.version()
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return b, nil, bad(e.Err.Error(), nil)
		}
		return b, nil, bad("it isn't a backup, or damaged", err)
	}
	if err := k.unchanged(ctx, version); err != nil {
		return b, nil, bad("it isn't a backup, or damaged", err)
	}
	var found string
	if err := k.c.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil || found != "ok" {
		if err == nil {
			err = errors.New(found) //nolint:err113 // said by SQLite
		}
		return b, nil, bad("the backup is damaged", err)
	}
	if err := k.shapely(version); err != nil {
		return b, nil, bad("the backup is damaged", err)
	}
	files = map[string][]byte{}
	err = k.each(`SELECT name, content FROM backup WHERE name IN ('about', ?, ?) AND length(content) <= ?`, []any{IdentityFile, settingsFile, maxBackupFile}, func(scan func(...any) error) error {
		var name string
		var content []byte
		err := scan(&name, &content)
		files[name] = content
		return err
	})
	if err == nil {
		err = json.Unmarshal(files["about"], &b)
	}
	switch {
	case err != nil:
		return b, nil, bad("it isn't a backup, though a database of earshot", nil)
	case b.Format > backupFormat:
		return b, nil, bad(fmt.Sprintf("it was made by a newer earshot (backup format %d, here %d)", b.Format, backupFormat), nil)
	case files[IdentityFile] == nil:
		return b, nil, bad("there is no identity in it", nil)
	}
	delete(files, "about")
	b.Bytes = info.Size()
	return b, files, nil
}
