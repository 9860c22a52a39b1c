package store

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"earshot/chat"
)

// ExhaustedRemedy says what to do where the process or the system has no more of something, whatever it was
// needed for; empty: that isn't so.
func ExhaustedRemedy(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "raise the limit of open files: ulimit -n 256"
	case errors.Is(err, syscall.ENFILE):
		return "end other programs, or raise the system's limit of open files"
	case errors.Is(err, syscall.ENOMEM):
		return "end other programs: there is no memory left"
	}
	return ""
}

// FileRemedy says what to do where a file in the data directory can't be used; empty: not known.
func FileRemedy(err error) string {
	if remedy := ExhaustedRemedy(err); remedy != "" {
		return remedy
	}
	for _, known := range []struct {
		remedy string
		errs   []error
	}{
		{"make room on the disk, or use another data directory: --dir", []error{syscall.ENOSPC}},
		{"have your quota or limit of file size raised, or use another data directory: --dir", []error{syscall.EDQUOT, syscall.EFBIG}},
		{"make the disk writable, or use another data directory: --dir", []error{syscall.EROFS}},
		{"look after the disk, or use another data directory: --dir", []error{syscall.EIO}},
		{"name a data directory with a shorter path: --dir", []error{syscall.ENAMETOOLONG}},
		{"its links lead in a circle: mend them, or use another data directory: --dir", []error{syscall.ELOOP}},
		{"a part of the path is a file: move that away, or use another data directory: --dir", []error{syscall.ENOTDIR}},
		{"move it away: a file belongs there", []error{syscall.EISDIR}},
		{"let yourself write there, or use another data directory: --dir; without any history: --no-history", []error{syscall.EACCES, syscall.EPERM}},
	} {
		for _, is := range known.errs {
			if errors.Is(err, is) {
				return known.remedy
			}
		}
	}
	return ""
}

// cause finds out why the database couldn't be opened, where SQLite doesn't tell: what the file system of
// the directory lacks, or what the system said. It returns an [*Error].
func (s *Store) cause(err error) error {
	explained := s.waited(err)
	found := chat.CheckFileSystem(s.Dir())
	if lack, is := errors.AsType[*chat.FileSystemError](found); is {
		return &Error{s.Dir(), lack, lack.Remedy()}
	}
	lite, is := errors.AsType[*sqlite.Error](err)
	if !is {
		return explained
	}
	switch lite.Code() & 0xff {
	case lib.SQLITE_CANTOPEN, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_NOMEM:
		if found == nil {
			found = spareFiles()
		}
		if found != nil {
			return s.explain(found)
		}
	}
	return explained
}

// refusal finds out what the system said where SQLite only tells that reading or writing failed: it tries to
// write a file that is larger than those of the database. Its error is an [*fs.PathError]; nil: that isn't known.
func (s *Store) refusal() error {
	const more = 64 << 10
	size := int64(more)
	for _, path := range []string{s.path, s.real} {
		for _, file := range beginning(path) {
			if info, err := os.Stat(file); path != "" && err == nil {
				size = max(size, info.Size()+more)
			}
		}
	}
	f, err := os.CreateTemp(filepath.Dir(cmp.Or(s.real, s.path)), ".try-*")
	if err == nil {
		err = tryWriting(f, size)
		f.Close()
		_ = os.Remove(f.Name())
	}
	if e, is := errors.AsType[*fs.PathError](err); is {
		return &fs.PathError{Op: e.Op, Path: s.path, Err: e.Err}
	}
	return nil
}

// tryWriting tries whether a file may have a size, and whether there is anything left to write to it.
func tryWriting(f *os.File, size int64) error {
	if err := f.Truncate(size); err != nil {
		return err
	}
	_, err := f.WriteAt(make([]byte, 4096), 0)
	return err
}

// refusesSize reports whether the system lets no file be so large.
func refusesSize(err error) bool {
	return errors.Is(err, syscall.EFBIG) || errors.Is(err, syscall.EDQUOT)
}

// spareFiles returns why no more files can be opened, of which a database takes several.
func spareFiles() error {
	var all [8]*os.File
	defer func() {
		for _, f := range all {
			_ = f.Close() // nil, too
		}
	}()
	for i := range all {
		var err error
		if all[i], err = os.Open(os.DevNull); err != nil {
			return err
		}
	}
	return nil
}
