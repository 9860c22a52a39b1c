package chat

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	b := bucket{burst: 4, perSecond: 2}
	now := time.Unix(1000, 0)
	for _, step := range []struct {
		after time.Duration
		n     int
		taken bool
	}{
		{0, 3, true},
		{0, 2, false},
		{0, 1, true},
		{0, 1, false},
		{500 * time.Millisecond, 1, true},
		{499 * time.Millisecond, 1, false},
		{time.Hour, 5, false},
		{0, 4, true},
		{-time.Hour, 1, false},
		{time.Second, 2, true},
	} {
		now = now.Add(step.after)
		if b.take(now, step.n) != step.taken {
			t.Errorf("%v later, %d: want %v", step.after, step.n, step.taken)
		}
	}
}
