// Package lantest is a local network in memory, for tests: hosts with several
// interfaces, IPv4 and IPv6, UDP sockets for unicast and multicast, and links
// that lose, duplicate, delay, reorder or cut what is sent over them.
//
// It runs on the clock of a testing/synctest bubble: create the LAN inside the
// bubble. Every draw of chance depends only on the seed, the two hosts and the
// count of datagrams that went before between them, so a run isn't changed by
// the order in which goroutines happen to be scheduled at one instant.
//
// All methods are safe for concurrent use.
package lantest

import (
	"cmp"
	"container/heap"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Conditions is how badly a link treats what is sent over it. Loss and
// Duplicate are probabilities from 0 to 1, drawn for each receiving host. A
// copy takes Delay plus up to Jitter: a Jitter larger than the gap between two
// datagrams reorders them.
type Conditions struct {
	Loss, Duplicate float64
	Delay, Jitter   time.Duration
}

// soonest is the least a timer is set for: under a fake clock one that is due when it is
// set runs at once, which the race detector doesn't survive (go.dev/issue/78156).
const soonest = time.Nanosecond

// healthy is what a link is like until told otherwise.
var healthy = Conditions{Delay: 100 * time.Microsecond, Jitter: 50 * time.Microsecond}

// Counters counts what was put on a link: each datagram once, however many
// hosts a multicast reaches and whether or not it gets there.
type Counters struct {
	Packets, Bytes uint64 // all of them; Bytes is UDP payload
	Multicast      uint64 // packets among them sent to a group
	Lost           uint64 // copies dropped by loss, a cut or a full receive buffer
}

// Datagram is one UDP datagram on a link. Data is shared: never change it.
type Datagram struct {
	Src, Dst netip.AddrPort // without zones
	Data     []byte
}

// LAN is a set of links and the hosts on them.
type LAN struct {
	mu    sync.Mutex
	seed  uint64
	queue deliveries
	timer *time.Timer
	cut   map[[2]*Host]bool
	flows map[[2]*Host]*flow
}

type flow struct {
	rng   *rand.Rand
	count uint64
}

// New makes an empty network whose accidents follow from seed.
func New(seed uint64) *LAN {
	l := &LAN{seed: seed, cut: map[[2]*Host]bool{}, flows: map[[2]*Host]*flow{}}
	l.timer = time.AfterFunc(time.Hour, l.deliver)
	l.timer.Stop()
	return l
}

// Link is one multicast domain: an Ethernet segment or a Wi-Fi.
type Link struct {
	lan      *LAN
	cond     Conditions
	counters Counters
	tap      func(Datagram) bool
	ifaces   []*Interface
}

// Link adds a healthy link.
func (l *LAN) Link() *Link { return &Link{lan: l, cond: healthy} }

// SetConditions changes how the link treats what is sent from now on.
func (k *Link) SetConditions(c Conditions) {
	k.lan.mu.Lock()
	defer k.lan.mu.Unlock()
	k.cond = c
}

// Counters returns what was sent over the link so far.
func (k *Link) Counters() Counters {
	k.lan.mu.Lock()
	defer k.lan.mu.Unlock()
	return k.counters
}

// Tap shows f every datagram sent over the link, before any accident befalls
// it; one for which f returns false is dropped. f runs on the sender's
// goroutine and may call any method. A nil f removes the tap.
func (k *Link) Tap(f func(Datagram) bool) {
	k.lan.mu.Lock()
	defer k.lan.mu.Unlock()
	k.tap = f
}

// Inject puts a datagram on the link as if somebody there had sent it, from
// whatever source it claims. The tap doesn't see it and no accident befalls it.
func (k *Link) Inject(d Datagram) {
	d.Data = slices.Clone(d.Data)
	k.lan.mu.Lock()
	defer k.lan.mu.Unlock()
	k.count(d)
	for _, i := range k.ifaces {
		if i.hears(d.Dst.Addr()) {
			k.lan.enqueue(&delivery{at: time.Now().Add(healthy.Delay), to: i, Datagram: d})
		}
	}
}

// Cut stops what from sends to to, one way.
func (l *LAN) Cut(from, to *Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut[[2]*Host{from, to}] = true
}

// Partition stops everything between the hosts of one group and those of
// another, both ways. Hosts in no group are not touched.
func (l *LAN) Partition(groups ...[]*Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, from := range groups {
		for j, to := range groups {
			if i == j {
				continue
			}
			for _, a := range from {
				for _, b := range to {
					l.cut[[2]*Host{a, b}] = true
				}
			}
		}
	}
}

// Heal undoes every Cut and Partition.
func (l *LAN) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.cut)
}

func (k *Link) count(d Datagram) {
	k.counters.Packets++
	k.counters.Bytes += uint64(len(d.Data))
	if d.Dst.Addr().IsMulticast() {
		k.counters.Multicast++
	}
}

// send carries d from an interface to every interface that hears its
// destination. The sender's own host hears its multicasts too, unharmed.
func (k *Link) send(from *Interface, d Datagram) {
	k.lan.mu.Lock()
	tap := k.tap
	k.lan.mu.Unlock()
	pass := tap == nil || tap(d)

	l := k.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	k.count(d)
	if !pass {
		k.counters.Lost++
		return
	}
	for _, to := range k.ifaces {
		if !to.hears(d.Dst.Addr()) {
			continue
		}
		pair := [2]*Host{from.host, to.host}
		f := l.flow(pair)
		copies := 1
		if from.host != to.host {
			lost := f.rng.Float64() < k.cond.Loss
			if f.rng.Float64() < k.cond.Duplicate {
				copies = 2
			}
			if lost || l.cut[pair] {
				k.counters.Lost++
				copies = 0
			}
		}
		for range copies {
			f.count++
			at := time.Now().Add(k.cond.Delay)
			if k.cond.Jitter > 0 {
				at = at.Add(time.Duration(f.rng.Int64N(int64(k.cond.Jitter))))
			}
			l.enqueue(&delivery{at: at, from: from.host.name, count: f.count, to: to, Datagram: d})
		}
	}
}

func (l *LAN) flow(pair [2]*Host) *flow {
	f := l.flows[pair]
	if f == nil {
		h := fnv.New64a()
		h.Write([]byte(pair[0].name + "\x00" + pair[1].name))
		f = &flow{rng: rand.New(rand.NewPCG(l.seed, h.Sum64()))}
		l.flows[pair] = f
	}
	return f
}

// delivery is a copy of a datagram on its way to one interface.
type delivery struct {
	at    time.Time
	from  string
	count uint64
	to    *Interface
	Datagram
}

// deliveries is a heap of them, the next to arrive first. Ties are broken by
// what doesn't depend on scheduling.
type deliveries []*delivery

func (q deliveries) Len() int      { return len(q) }
func (q deliveries) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *deliveries) Push(x any)   { *q = append(*q, x.(*delivery)) }
func (q deliveries) Less(i, j int) bool {
	a, b := q[i], q[j]
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.from, b.from),
		cmp.Compare(a.to.host.name, b.to.host.name), cmp.Compare(a.count, b.count)) < 0
}

func (q *deliveries) Pop() any {
	old := *q
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return d
}

func (l *LAN) enqueue(d *delivery) {
	heap.Push(&l.queue, d)
	if l.queue[0] == d {
		l.timer.Reset(max(soonest, time.Until(d.at)))
	}
}

// deliver hands over whatever has arrived by now.
func (l *LAN) deliver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for now := time.Now(); len(l.queue) > 0; {
		if wait := l.queue[0].at.Sub(now); wait > 0 {
			l.timer.Reset(wait)
			return
		}
		d := heap.Pop(&l.queue).(*delivery)
		d.to.receive(d.Datagram)
	}
}
