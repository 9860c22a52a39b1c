//go:build !windows

package chat

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// modesCount is whether files have modes here.
const modesCount = true

// lockRange locks a part of a file and lets it go.
func lockRange(f *os.File) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: 0, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		return err
	}
	lock.Type = unix.F_UNLCK
	return unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock)
}

// shareMap maps a file and checks that what is written there is in the file.
func shareMap(f *os.File) error {
	m, err := unix.Mmap(int(f.Fd()), 0, mapSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	text := []byte("shared")
	copy(m, text)
	got := make([]byte, len(text))
	_, err = f.ReadAt(got, 0)
	if bad := unix.Munmap(m); err == nil {
		err = bad
	}
	if err == nil && !bytes.Equal(got, text) {
		return unix.ENODEV
	}
	return err
}
