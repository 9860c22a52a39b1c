//go:build !windows

package tui

import "golang.org/x/sys/unix"

// hasShell reports whether there is a shell to go back to: job control gives each of its
// jobs a process group of its own. Where the terminal was opened for this program the
// system ignores the stop, and nothing would ever end the wait for being resumed.
func hasShell() bool {
	session, err := unix.Getsid(0)
	return err == nil && session != unix.Getpgrp()
}
