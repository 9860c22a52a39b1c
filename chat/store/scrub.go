package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"earshot/chat"
)

// ErrResidue reports a file that still holds copies of what was deleted.
var ErrResidue = errors.New("it may still hold copies of what was deleted")

const (
	// smallDatabase is how large a database may be, in bytes, to be written anew while other
	// processes use it: they can't write meanwhile.
	smallDatabase = 8 << 20
	// truncateFor is how long the end of those who read the log is awaited.
	truncateFor = 3 * time.Second
)

// scrub leaves nothing of what was removed in the files, and gives its space back to the disk. journals
// are those in which some of it was, as of begins; besides are other files that hold copies of it.
func (s *Store) scrub(ctx context.Context, journals map[string]uint64, besides ...string) error {
	for _, step := range []func(context.Context) error{s.forgetWords, s.giveBack, s.zeroUnused, s.truncateLog} {
		if err := step(ctx); err != nil {
			return s.explain(err)
		}
	}
	now := begins(s.running())
	maps.DeleteFunc(journals, func(file string, first uint64) bool { return now[file] != first })
	for file := range journals {
		return &Error{
			filepath.Join(s.running(), file), fmt.Errorf("%w, since an earshot that is stopped has it open", ErrResidue),
			"let it go on, or end it, and do the same again",
		}
	}
	if aside := append(s.setAside(), besides...); len(aside) > 0 {
		return &Error{
			aside[0], fmt.Errorf("%w, since it was set aside or copied", ErrResidue),
			"remove it when you don't need it: " + strings.Join(aside, ", "),
		}
	}
	return nil
}

// setAside returns the files in the data directory, and beside the database where that is a link, that are
// made of those in use.
func (s *Store) setAside() (files []string) {
	for _, path := range slices.Compact([]string{s.path, s.real}) {
		used := []string{path, path + "-wal", path + "-shm", path + "-mark"}
		for _, file := range beginning(path) {
			if !slices.Contains(used, file) {
				files = append(files, file)
			}
		}
	}
	for _, file := range beginning(s.running() + string(filepath.Separator)) {
		if _, end, _ := strings.Cut(filepath.Base(file), "."); strings.HasPrefix(end, "a.") || strings.HasPrefix(end, "b.") {
			files = append(files, file)
		}
	}
	for _, dir := range beginning(filepath.Join(s.Dir(), beforeRestore)) {
		files = append(files, beginning(dir+string(filepath.Separator))...)
	}
	return holdingAny(files)
}

// contactsAside returns the files with copies of contacts besides the database: those set aside, and
// the copy in use where it couldn't be written anew without somebody.
func (s *Store) contactsAside(key chat.Key) []string {
	files := append(beginning(s.contactsPath()+"."), beginning(filepath.Join(s.Dir(), "."+ContactsFile+"-"))...)
	if b, err := os.ReadFile(s.contactsPath()); err == nil && bytes.Contains(b, []byte(key.String())) {
		files = append(files, s.contactsPath())
	}
	return holdingAny(files)
}

// beginning returns the files whose paths begin with one, in whose last part no character has a meaning.
func beginning(path string) (files []string) {
	dir, base := filepath.Split(path)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), base) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

// holdingAny leaves out those that are empty or gone.
func holdingAny(files []string) []string {
	return slices.DeleteFunc(files, func(file string) bool {
		info, err := os.Stat(file)
		return err != nil || info.Size() == 0
	})
}

// alone runs f on the writing connection, by whose statements f makes transactions of its own.
func (s *Store) alone(f func() error) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	return f()
}

// forgetWords takes what was removed out of the index, where only a mark says so until it is merged.
func (s *Store) forgetWords(ctx context.Context) error {
	first := true
	return portions(ctx, 64, func(size int) (more bool, err error) {
		var before, after int64
		// "merge" with a negative number merges all parts of the index into one, in as many steps as it takes:
		// https://www.sqlite.org/fts5.html#the_merge_command
		if first {
			size, first = -size, false
		}
		if err := s.write.get(`SELECT total_changes()`, nil, &before); err != nil {
			return false, err
		}
		if _, err := s.write.exec(`INSERT INTO search (search, rank) VALUES ('merge', ?)`, size); err != nil {
			return false, err
		}
		err = s.write.get(`SELECT total_changes()`, nil, &after)
		return after-before >= 2, err
	}, s.alone)
}

// giveBack gives pages that aren't used back to the disk.
func (s *Store) giveBack(ctx context.Context) error {
	var mode, pages, size int64
	err := s.alone(func() error {
		if err := s.write.get(`SELECT auto_vacuum, page_count, page_size FROM pragma_auto_vacuum, pragma_page_count, pragma_page_size`, nil, &mode, &pages, &size); err != nil {
			return err
		}
		// One that an earlier version made can't be made smaller but by writing it anew.
		if mode != 0 || pages*size > smallDatabase && len(Running(s.Dir())) > 1 {
			return nil
		}
		_, err := s.write.c.ExecContext(ctx, `PRAGMA auto_vacuum = INCREMENTAL; VACUUM`)
		return err
	})
	if err != nil || mode == 0 {
		return err
	}
	return portions(ctx, 64, func(size int) (bool, error) {
		var left int64
		err := s.write.each(fmt.Sprintf(`PRAGMA incremental_vacuum (%d)`, size), nil, func(func(...any) error) error { return nil })
		if err == nil {
			err = s.write.get(`PRAGMA freelist_count`, nil, &left)
		}
		return left > 0, err
	}, s.alone)
}

// zeroUnused overwrites what isn't used of the pages of the database. SQLite does so with what is removed
// (secure_delete), but not with the copies that are left where pages were rearranged.
func (s *Store) zeroUnused(ctx context.Context) error {
	const atOnce = 256
	for next, last := int64(1), int64(1); next <= last; next += atOnce {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var unclean []int64
		err := s.reading(func(k *conn) error {
			if err := k.get(`PRAGMA page_count`, nil, &last); err != nil {
				return err
			}
			return k.each(`SELECT pgno, data FROM sqlite_dbpage WHERE pgno BETWEEN ? AND ?`, []any{next, next + atOnce - 1}, func(scan func(...any) error) error {
				var n int64
				var page []byte
				err := scan(&n, &page)
				if err == nil && zeroSlack(page, n == 1) {
					unclean = append(unclean, n)
				}
				return err
			})
		})
		if err != nil {
			return err
		}
		err = portions(ctx, 64, func(size int) (more bool, err error) {
			size = min(size, len(unclean))
			err = s.zero(unclean[:size])
			unclean = unclean[size:]
			return len(unclean) > 0, err
		}, s.writing)
		if err != nil {
			return err
		}
	}
	return nil
}

// zero overwrites what isn't used of some pages, inside a transaction.
func (s *Store) zero(numbers []int64) error {
	list, err := json.Marshal(numbers)
	if err != nil {
		return err
	}
	pages := map[int64][]byte{}
	err = s.write.each(`SELECT pgno, data FROM sqlite_dbpage WHERE pgno IN (SELECT value FROM json_each(?))`, []any{string(list)}, func(scan func(...any) error) error {
		var n int64
		var page []byte
		err := scan(&n, &page)
		if err == nil && zeroSlack(page, n == 1) {
			pages[n] = page
		}
		return err
	})
	for n, page := range pages {
		if err == nil {
			_, err = s.write.exec(`UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?`, page, n)
		}
	}
	return err
}

// zeroSlack overwrites what isn't used of a leaf of a table or an index, and reports whether there was
// something. See section 1.6 of https://sqlite.org/fileformat2.html. Other pages are left as they are: their
// first byte is another one, in files of less than 64 GiB.
func zeroSlack(page []byte, first bool) (found bool) {
	const indexLeaf, tableLeaf, headSize, blockHead = 10, 13, 8, 4
	at := 0
	if first {
		at = 100 // "The 100-byte database file header"
	}
	if len(page) < at+headSize || page[at] != indexLeaf && page[at] != tableLeaf {
		return false
	}
	word := func(at int) int { return int(binary.BigEndian.Uint16(page[at:])) }
	used := at + headSize + 2*word(at+3) // "the number of cells", of 2 bytes each
	content := (word(at+5)-1)&0xffff + 1 // "the start of the cell content area. A zero value is interpreted as 65536"
	if used > content || content > len(page) {
		return false // damaged: left as it is
	}
	type span struct{ from, to int }
	spans := []span{{used, content}}
	for block := word(at + 1); block != 0; { // "the start of the first freeblock"
		if block+blockHead > len(page) || block < content {
			return false
		}
		next, size := word(block), word(block+2)
		if size < blockHead || block+size > len(page) || next != 0 && next < block+size {
			return false
		}
		spans = append(spans, span{block + blockHead, block + size})
		block = next
	}
	for _, s := range spans {
		for i, b := range page[s.from:s.to] {
			found = found || b != 0
			page[s.from+i] = 0
		}
	}
	return found
}

// owedName is a file in the directory of the slots that says that the log holds what was deleted.
const owedName = "residue"

// truncateLog empties the log, where removed pages are until then.
func (s *Store) truncateLog(ctx context.Context) error {
	const look = 50 * time.Millisecond
	if err := os.WriteFile(filepath.Join(s.running(), owedName), nil, 0o600); err != nil {
		return err
	}
	for end := time.Now().Add(truncateFor); ; {
		var done bool
		err := s.alone(func() (err error) {
			done, err = s.tryTruncate(ctx)
			return err
		})
		switch {
		case done || err != nil:
			return err
		case time.Now().After(end):
			return &Error{
				s.real + "-wal", fmt.Errorf("%w, since another program reads the database", ErrResidue),
				"the next earshot command after that has ended removes them, as: earshot log",
			}
		}
		timer := time.NewTimer(look)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// tryTruncate empties the log unless somebody reads it.
func (s *Store) tryTruncate(ctx context.Context) (done bool, err error) {
	const patient = 20 * time.Millisecond // while it waits nobody can write
	if _, err := s.write.c.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", patient.Milliseconds())); err != nil {
		return false, err
	}
	var busy, frames, copied int
	err = s.write.get(`PRAGMA wal_checkpoint (TRUNCATE)`, nil, &busy, &frames, &copied)
	_, bad := s.write.c.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA busy_timeout = %d", patience.Milliseconds()))
	if err = errors.Join(err, bad); err == nil && busy == 0 {
		return true, os.Remove(filepath.Join(s.running(), owedName))
	}
	return false, err
}

// finishScrub empties the log if a deletion couldn't. The caller has the writing connection.
func (s *Store) finishScrub() {
	if _, err := os.Stat(filepath.Join(s.running(), owedName)); err == nil {
		_, _ = s.tryTruncate(ctx)
	}
}
