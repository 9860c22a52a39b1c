//go:build !unix

package chat

import "time"

// cpuTime can't be had here.
func cpuTime() time.Duration { return 0 }
