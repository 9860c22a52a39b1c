package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"earshot/chat"
)

// A backup is a database like the one it was made of, with one table more: the other
// files of the data directory that a person would miss. Behind the database come backupEnd and
// the SHA-256 of all before, since SQLite notices no damage to what is in a page.

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

	size int64 // of the database in it
}

// backupFormat is the present format of backups.
const backupFormat = 1

// backupEnd follows the database in a backup.
var backupEnd = []byte("earshot-backup-1")

// BackupTarget returns the file that a backup to path would replace or make: where path is a
// link, the file it leads to. It fails where that is no regular file: a device or a directory
// is never replaced.
func BackupTarget(path string) (string, error) {
	const remedy = "name another file"
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(path); err == nil {
			return "", &Error{path, errors.New("it is a link to a file that doesn't exist"), remedy}
		}
		return path, nil
	case err != nil:
		return "", &Error{path, err, remedy}
	case info.IsDir():
		return "", &Error{path, errors.New("it is a directory"), "name a file in it"}
	case !info.Mode().IsRegular():
		return "", &Error{path, errors.New("it is a device or a pipe, not a file"), remedy}
	}
	return filepath.EvalSymlinks(path)
}

// unsaved explains why a backup couldn't be written to path.
func (s *Store) unsaved(path string, err error) error {
	if err == nil {
		return nil
	}
	if lite, is := errors.AsType[*sqlite.Error](err); is {
		switch lite.Code() & 0xff {
		case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PERM:
		default: // of the database
			return s.explain(err)
		}
	}
	if link, is := errors.AsType[*os.LinkError](err); is {
		err = link.Err
	}
	if e, is := errors.AsType[*Error](s.explain(err)); is {
		err = e.Err
	}
	remedy := "no backup was made: make room there, or name a file where you may write"
	if refusesSize(err) {
		remedy = "no backup was made: have your quota or limit of file size raised, or name a file on another disk"
	}
	return &Error{path, err, remedy}
}

// Backup writes a consistent copy of all that is kept, with the identity and the
// configuration, to a file for its owner alone: whole, or not at all. It takes the place
// of [BackupTarget]. Processes that run may go on, and what they have said and heard is in it.
func (s *Store) Backup(ctx context.Context, path string, now time.Time) (b Backup, err error) {
	if path, err = BackupTarget(path); err != nil {
		return b, err
	}
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
		return b, s.unsaved(path, err)
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
		return b, s.unsaved(path, s.refused(f, err))
	}
	b = Backup{Format: backupFormat, ID: identity.Key().String(), Made: now}
	if err := b.fill(f.Name(), files); err != nil {
		return b, s.unsaved(path, s.refused(f, err))
	}
	if err := seal(f); err != nil {
		return b, s.unsaved(path, err)
	}
	if err := f.Sync(); err != nil {
		return b, s.unsaved(path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return b, s.unsaved(path, err)
	}
	b.Bytes = info.Size()
	return b, s.unsaved(path, os.Rename(f.Name(), path))
}

// refused returns what the system said of writing a backup, where SQLite doesn't tell.
func (s *Store) refused(f *os.File, err error) error {
	lite, is := errors.AsType[*sqlite.Error](err)
	if !is || lite.Code()&0xff != lib.SQLITE_IOERR {
		return err
	}
	var size int64
	for _, of := range []*os.File{f, s.file} {
		if info, err := of.Stat(); err == nil {
			size = max(size, info.Size())
		}
	}
	return cmp.Or(tryWriting(f, size+1), err)
}

// seal ends a backup with what tells whether it is whole.
func seal(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sum, err := sumOf(f, info.Size())
	if err == nil {
		_, err = f.WriteAt(append(slices.Clone(backupEnd), sum...), info.Size())
	}
	return err
}

// sumOf returns the SHA-256 of the first size bytes of a file.
func sumOf(f io.ReaderAt, size int64) ([]byte, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, io.NewSectionReader(f, 0, size))
	return sum.Sum(nil), err
}

// sealed returns how long the database in a backup is. Without a seal that is the whole
// file, and damaged reports a seal that is of something else.
func sealed(path string) (size int64, whole, damaged bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, false, false, err
	}
	end := make([]byte, len(backupEnd)+sha256.Size)
	size = info.Size() - int64(len(end))
	if size <= 0 {
		return info.Size(), false, false, nil
	}
	if _, err := f.ReadAt(end, size); err != nil {
		return 0, false, false, err
	}
	is, found := bytes.CutPrefix(end, backupEnd)
	if !found {
		return info.Size(), false, false, nil
	}
	sum, err := sumOf(f, size)
	return size, bytes.Equal(sum, is), !bytes.Equal(sum, is), err
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

// Ours reports whether a path names a file that earshot uses or makes in a data directory, there or not,
// or one that it has set aside. Others are more names of such files.
func Ours(dir, path string, others ...string) bool {
	ours := func(name string) bool {
		if slices.Contains(keptFiles, name) || slices.Contains(others, name) {
			return true
		}
		for _, begins := range []string{File, IdentityFile + ".", ContactsFile + ".", AdvertiseLock, beforeRestore, ".try-", ".identity-", "." + ContactsFile + "-"} {
			if strings.HasPrefix(name, begins) {
				return true
			}
		}
		return name == runningDir || name == restoring
	}
	if info, err := os.Stat(path); err == nil {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if own, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && ours(e.Name()) && os.SameFile(info, own) {
				return true
			}
		}
	}
	for at, name := filepath.Split(path); ; at, name = filepath.Split(filepath.Clean(at)) {
		switch {
		case sameDir(at, dir):
			return ours(name)
		case name == "" || filepath.Clean(at) == filepath.Clean(filepath.Join(at, name)):
			return beside(dir, path)
		}
	}
}

// beside reports whether a path names a file beside the database, where that is a link, which SQLite or the
// store makes of its name.
func beside(dir, path string) bool {
	file, err := filepath.EvalSymlinks(filepath.Join(dir, File))
	return err == nil && sameDir(filepath.Dir(path), filepath.Dir(file)) && strings.HasPrefix(filepath.Base(path), filepath.Base(file)+"-")
}

// sameDir reports whether two paths name one directory.
func sameDir(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
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
	size, whole, damaged, err := sealed(path)
	switch {
	case err != nil:
		return b, nil, bad("the backup can't be read", err)
	case damaged:
		return b, nil, bad("the backup is damaged: it isn't what was written", nil)
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
	case !whole:
		return b, nil, bad("the backup isn't whole: its end is missing", nil)
	case files[IdentityFile] == nil:
		return b, nil, bad("there is no identity in it", nil)
	}
	delete(files, "about")
	b.Bytes, b.size = info.Size(), size
	return b, files, nil
}
