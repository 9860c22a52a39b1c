//go:build !linux

package store

import "time"

// uptime grows with the time that passes while the process runs. Windows counts the machine's sleep; elsewhere
// that is left out.
func uptime() time.Duration { return time.Since(began) }

var began = time.Now()
