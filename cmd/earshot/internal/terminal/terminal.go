// Package terminal tells what a terminal is like: how large, and whether it is still there.
package terminal

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/term"
)

// What a terminal has that doesn't tell its size, as a serial line.
const (
	unknownWidth  = 80
	unknownHeight = 24
)

// ErrGone reports that the terminal has gone, without a hangup signal that would have ended
// the program.
var ErrGone = errors.New("the terminal has gone")

// Gone reports whether f, which was a terminal, is none any more.
func Gone(f *os.File) bool { return !term.IsTerminal(int(f.Fd())) }

// Size returns the columns and rows of the terminal that f is.
func Size(f *os.File) (width, height int) {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width, height = 0, 0
	}
	return Known(width, height)
}

// Known puts in the place of what a terminal doesn't know of its size what COLUMNS and LINES
// say, and without them 80 by 24.
func Known(width, height int) (int, int) {
	return known(width, "COLUMNS", unknownWidth), known(height, "LINES", unknownHeight)
}

func known(n int, variable string, unknown int) int {
	if n > 0 {
		return n
	}
	const most = 1000
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil && 0 < n && n <= most {
		return n
	}
	return unknown
}
