// Package deque holds the one queue that sessions and nodes are built on.
package deque

// Deque is a first-in first-out queue on a ring. It costs no allocation while its
// length swings within what it has held before. The zero Deque is empty.
type Deque[T any] struct {
	ring []T // its length is a power of two
	head int
	n    int
}

// keep is the largest ring that an empty Deque holds on to: what is idle is small.
const keep = 16

// Len returns the number of elements.
func (d *Deque[T]) Len() int { return d.n }

// At returns the i-th element from the front, good until the next Push or Pop.
func (d *Deque[T]) At(i int) *T { return &d.ring[(d.head+i)&(len(d.ring)-1)] }

// Push adds v at the back.
func (d *Deque[T]) Push(v T) {
	if d.n == len(d.ring) {
		ring := make([]T, max(4, 2*d.n))
		for i := range d.n {
			ring[i] = *d.At(i)
		}
		d.ring, d.head = ring, 0
	}
	d.n++
	*d.At(d.n - 1) = v
}

// Pop removes the front and returns it. It panics when d is empty.
func (d *Deque[T]) Pop() T {
	front := d.At(0)
	v := *front
	var zero T
	*front = zero
	d.head = (d.head + 1) & (len(d.ring) - 1)
	if d.n--; d.n == 0 && len(d.ring) > keep {
		*d = Deque[T]{}
	}
	return v
}
