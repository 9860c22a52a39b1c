//go:build !unix

package store

import "os"

// fileID tells files apart. Where files that are open can't be replaced, as on Windows,
// it is enough that there is one.
type fileID struct{ device, inode uint64 }

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
