//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// whenUnread calls f when nobody reads the pipe any more that out is.
func whenUnread(out *os.File, f func()) {
	info, err := out.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	fds := []unix.PollFd{{Fd: int32(out.Fd())}}
	go func() {
		for {
			_, err := unix.Poll(fds, -1)
			if err == unix.EINTR {
				continue
			}
			if err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
				f()
			}
			return
		}
	}()
}
