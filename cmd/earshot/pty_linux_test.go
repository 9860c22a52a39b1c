package main_test

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newPTY makes a terminal of that size, seen from its other end, and from the program's.
func newPTY(columns, rows uint16) (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	raw, err := master.SyscallConn() // Fd would make an end of deadlines
	if err != nil {
		return nil, nil, err
	}
	var number int
	bad := raw.Control(func(fd uintptr) {
		if number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err == nil {
			err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		}
		if err == nil {
			err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
		}
	})
	if err := errors.Join(err, bad); err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	return master, slave, err
}

// resize gives the terminal another size, of which the program gets a signal.
func (p *pty) resize(columns, rows uint16) error {
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	bad := raw.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
	return errors.Join(err, bad)
}
