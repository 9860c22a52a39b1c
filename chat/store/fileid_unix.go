//go:build unix

package store

import (
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// fileID tells files apart.
type fileID struct{ device, inode uint64 }

// timesTell says that a write to a file shows in its time at once, also while it is open.
const timesTell = true

// identify returns which file a path names.
func identify(path string) (fileID, error) { return identifyBy(unix.Stat, "stat", path) }

// identifyItself is identify, of a link itself where the path names one.
func identifyItself(path string) (fileID, error) { return identifyBy(unix.Lstat, "lstat", path) }

func identifyBy(call func(string, *unix.Stat_t) error, op, path string) (fileID, error) {
	var st unix.Stat_t
	if err := call(path, &st); err != nil {
		return fileID{}, &fs.PathError{Op: op, Path: path, Err: err}
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}, nil //nolint:gosec,unconvert // their types differ from system to system
}

// timesOf returns when a file was last written, and when it was last changed: no program can set that.
func timesOf(path string) (written, changed time.Time, size int64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return written, changed, 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return time.Unix(st.Mtim.Unix()), time.Unix(st.Ctim.Unix()), st.Size, nil
}
