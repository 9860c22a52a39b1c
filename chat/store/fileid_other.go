//go:build !unix

package store

import (
	"os"
	"time"
)

// fileID tells files apart. Where files that are open can't be replaced, as on Windows,
// it is enough that there is one.
type fileID struct{ device, inode uint64 }

// timesTell says that a write to a file shows in its time at once, also while it is open: on
// Windows it needn't before the file is closed.
const timesTell = false

// identify returns which file a path names.
func identify(path string) (fileID, error) {
	_, err := os.Stat(path)
	return fileID{}, err
}

// identifyItself is identify, of a link itself where the path names one.
func identifyItself(path string) (fileID, error) {
	_, err := os.Lstat(path)
	return fileID{}, err
}

// timesOf returns when a file was last written, twice: there is no other time.
func timesOf(path string) (written, changed time.Time, size int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return written, changed, 0, err
	}
	return info.ModTime(), info.ModTime(), info.Size(), nil
}
