//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"earshot/cmd/earshot/internal/terminal"
)

// whenUnread calls f, with the reason, when the pipe that out is has no reader any more, or the
// terminal that it is has gone.
func whenUnread(out *os.File, f func(error)) {
	info, err := out.Stat()
	why := error(unix.EPIPE)
	switch {
	case err != nil:
		return
	case term.IsTerminal(int(out.Fd())):
		why = terminal.ErrGone
	case info.Mode()&os.ModeNamedPipe == 0:
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
				f(why)
			}
			return
		}
	}()
}
