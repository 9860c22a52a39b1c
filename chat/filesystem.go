package chat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/gofrs/flock"
)

// FileSystemError says what a file system lacks that a data directory needs.
type FileSystemError struct {
	Dir  string
	Lack string
}

func (e *FileSystemError) Error() string {
	return fmt.Sprintf("%s: this file system can't keep earshot's data (%s)", e.Dir, e.Lack)
}

// Remedy says what to do.
func (*FileSystemError) Remedy() string { return "use --dir on a local disk" }

// What a file system can lack.
const (
	lacksModes  = "it keeps no file modes, so that others could read the private key"
	lacksLocks  = "it has no file locks, so that two processes would spoil each other's data"
	lacksMaps   = "it can't map files into memory that processes share"
	lacksRename = "it can't replace one file by another"
)

// CheckFileSystem tries on a file in dir, which it removes again, what a data directory needs of a file
// system: modes, locks, shared maps and renaming. Its error is a [*FileSystemError] where that lacks
// something, and else why the file can't be made.
func CheckFileSystem(dir string) error { return systemCalls.check(dir) }

// fileCalls are the system calls that CheckFileSystem makes. Tests have some fail as on file systems that
// can't be mounted everywhere.
type fileCalls struct {
	mode   func(f *os.File) (fs.FileMode, error)
	lock   func(f *os.File) error                   // as SQLite does
	flock  func(path string) (held bool, err error) // while it is locked already
	share  func(f *os.File) error                   // maps it
	rename func(from, to string) error
}

var systemCalls = fileCalls{
	mode: func(f *os.File) (fs.FileMode, error) {
		info, err := f.Stat()
		if err != nil {
			return 0, err
		}
		return info.Mode(), nil
	},
	lock: lockRange, flock: lockedTwice, share: shareMap, rename: os.Rename,
}

// lockedTwice locks a file, and reports whether it is then locked for others.
func lockedTwice(path string) (held bool, err error) {
	first, second := flock.New(path, flock.SetFlag(os.O_RDWR)), flock.New(path, flock.SetFlag(os.O_RDWR))
	defer func() { _, _ = first.Close(), second.Close() }()
	if got, err := first.TryLock(); err != nil || !got {
		return false, err
	}
	got, err := second.TryLock()
	return !got, err
}

func (c fileCalls) check(dir string) (err error) {
	lacks := func(what string) error { return &FileSystemError{dir, what} }
	defer func() { // the name of the file that is tried tells nothing
		if e, is := errors.AsType[*fs.PathError](err); is {
			err = &fs.PathError{Op: e.Op, Path: dir, Err: e.Err}
		}
	}()
	f, err := os.CreateTemp(dir, ".try-*") // mode 0600
	if err != nil {
		return err
	}
	name, other := f.Name(), f.Name()+"-2"
	defer func() {
		f.Close()
		_, _ = os.Remove(name), os.Remove(other)
	}()
	mode, err := c.mode(f)
	switch {
	case err != nil:
		return err
	case modesCount && mode.Perm()&0o077 != 0:
		return lacks(lacksModes)
	}
	switch err := c.lock(f); {
	case unsupported(err):
		return lacks(lacksLocks)
	case err != nil:
		return &fs.PathError{Op: "lock", Path: dir, Err: err}
	}
	switch held, err := c.flock(name); {
	case unsupported(err), err == nil && !held:
		return lacks(lacksLocks)
	case err != nil:
		return &fs.PathError{Op: "lock", Path: dir, Err: err}
	}
	if _, err := f.Write(make([]byte, mapSize)); err != nil {
		return err
	}
	switch err := c.share(f); {
	case unsupported(err):
		return lacks(lacksMaps)
	case err != nil:
		return &fs.PathError{Op: "mmap", Path: dir, Err: err}
	}
	old, err := os.OpenFile(other, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	old.Close()
	f.Close() // or Windows lets nothing be done with it
	switch err := c.rename(name, other); {
	case unsupported(err):
		return lacks(lacksRename)
	default:
		return err
	}
}

// mapSize is how much of a file SQLite maps to share its index of the log.
const mapSize = 32 << 10

// unsupported reports whether a file system can't do what it was asked for.
func unsupported(err error) bool {
	for _, is := range []error{
		syscall.ENOLCK, syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.ENOTSUP, syscall.EINVAL, syscall.ENODEV, syscall.ENOTTY, syscall.EXDEV, errors.ErrUnsupported,
	} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}
