//go:build unix

package store

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// fileID tells files apart.
type fileID struct{ device, inode uint64 }

// identify returns which file a path names.
func identify(path string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileID{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}, nil //nolint:gosec,unconvert // their types differ from system to system
}
