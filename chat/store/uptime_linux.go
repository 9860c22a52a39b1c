package store

import (
	"time"

	"golang.org/x/sys/unix"
)

// uptime is how long the machine has been up, its sleep included.
func uptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return time.Since(began)
	}
	return time.Duration(t.Nano())
}

var began = time.Now()
