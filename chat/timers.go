package chat

import (
	"container/heap"
	"time"
)

// timer is one thing's next appointment. Its owner sets run once and moves it about.
type timer struct {
	run func(now time.Time)
	at  time.Time
	pos int // in the heap; meaningful while at is not zero
}

// timers is every appointment of a core, the earliest first.
type timers []*timer

// set moves t to at; the zero time cancels it.
func (q *timers) set(t *timer, at time.Time) {
	switch {
	case at.Equal(t.at):
	case t.at.IsZero():
		t.at = at
		heap.Push(q, t)
	case at.IsZero():
		heap.Remove(q, t.pos)
		t.at = at
	default:
		t.at = at
		heap.Fix(q, t.pos)
	}
}

// next is the earliest appointment; zero when there is none.
func (q timers) next() time.Time {
	if len(q) == 0 {
		return time.Time{}
	}
	return q[0].at
}

// fire runs what is due at now, no more often than there are appointments: one that
// does not advance can't keep the caller from everything else.
func (q *timers) fire(now time.Time) {
	for range *q {
		if len(*q) == 0 || (*q)[0].at.After(now) {
			return
		}
		t := (*q)[0]
		q.set(t, time.Time{})
		t.run(now)
	}
}

func (q timers) Len() int           { return len(q) }
func (q timers) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q timers) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].pos, q[j].pos = i, j
}

// Push implements heap.Interface.
func (q *timers) Push(x any) {
	t := x.(*timer)
	t.pos = len(*q)
	*q = append(*q, t)
}

// Pop implements heap.Interface.
func (q *timers) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return t
}
