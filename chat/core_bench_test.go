package chat

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"earshot/chat/wire"
)

// wired are cores whose datagrams reach each other at once, with nothing between.
type wired struct {
	cores map[netip.AddrPort]*core
	queue []wiredDatagram
	made  int
}

type wiredDatagram struct {
	from, to netip.AddrPort
	size     int
	b        [wire.MaxDatagram]byte
}

func (w *wired) add(b testing.TB) (*core, []netip.AddrPort) {
	id, err := NewIdentity()
	if err != nil {
		b.Fatal(err)
	}
	w.made++
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(w.made >> 8), byte(w.made)}), DefaultPort)
	c, err := newCore(Config{Identity: id, Name: fmt.Sprint("node", w.made)}, newRandom(), func(d []byte, to netip.AddrPort) {
		w.queue = append(w.queue, wiredDatagram{from: addr, to: to, size: len(d)})
		copy(w.queue[len(w.queue)-1].b[:], d)
	})
	if err != nil {
		b.Fatal(err)
	}
	if w.cores == nil {
		w.cores = map[netip.AddrPort]*core{}
	}
	w.cores[addr] = c
	return c, []netip.AddrPort{addr}
}

// pump passes on what is to be sent until nothing is.
func (w *wired) pump(now time.Time) {
	for i := 0; i < len(w.queue); i++ { //nolint:intrange // the queue grows meanwhile
		d := &w.queue[i]
		if c := w.cores[d.to]; c != nil {
			c.receive(now, d.from, d.b[:d.size])
		}
	}
	w.queue = w.queue[:0]
}

// meet makes a session between a new core and the hub.
func (w *wired) meet(b testing.TB, now time.Time, hub *core, at []netip.AddrPort) (*core, []netip.AddrPort) {
	c, addrs := w.add(b)
	c.open(now, Target{Addrs: at}, func(Person, error) {})
	w.pump(now)
	if len(hub.next(now, nil)) != 1 {
		b.Fatal("nobody was met")
	}
	return c, addrs
}

// BenchmarkCore is what one message to its acknowledgement costs both sides in
// computing alone: no socket, no goroutine.
func BenchmarkCore(b *testing.B) {
	w := &wired{}
	to, at := w.add(b)
	now := time.Now()
	from, _ := w.meet(b, now, to, at)
	var events []Event
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(10 * time.Microsecond)
		if _, err := from.send(now, to.key, benchText); err != nil {
			b.Fatal(err)
		}
		w.pump(now)
		events = to.next(now, events[:0])
		events = from.next(now, events[:0])
	}
}

// BenchmarkFirstMessage is what the first message to somebody costs both sides
// together in computing, from nothing to its acknowledgement.
func BenchmarkFirstMessage(b *testing.B) {
	for b.Loop() {
		w := &wired{}
		to, at := w.add(b)
		now := time.Now()
		from, _ := w.meet(b, now, to, at)
		if _, err := from.send(now, to.key, benchText); err != nil {
			b.Fatal(err)
		}
		w.pump(now)
		if len(to.next(now, nil)) != 1 {
			b.Fatal("not heard")
		}
	}
}

// BenchmarkIdleSessions is what 10,000 sessions in which nothing is said cost in
// computing, both sides together, as a part of one core, when all are watched: one
// side pings and the other answers. Those that are not watched cost nothing.
func BenchmarkIdleSessions(b *testing.B) {
	const sessions, step = 10_000, 10 * time.Millisecond
	w := &wired{}
	hub, at := w.add(b)
	now := time.Now()
	for range sessions {
		c, _ := w.meet(b, now, hub, at)
		hub.watch(now, c.key, true)
		now = now.Add(pingAfter / sessions)
	}
	var passed time.Duration
	b.ResetTimer()
	for b.Loop() {
		for range pingAfter / step {
			now = now.Add(step)
			hub.tick(now)
			w.pump(now)
		}
		passed += pingAfter
	}
	if len(hub.links) < sessions {
		b.Fatalf("%d sessions left", len(hub.links))
	}
	b.ReportMetric(100*b.Elapsed().Seconds()/passed.Seconds(), "%-of-a-core")
}

// BenchmarkSessionMemory reports the heap that one idle session with one person
// costs a node, person included, after a few messages each way.
func BenchmarkSessionMemory(b *testing.B) {
	const sessions = 1000
	var per float64
	for b.Loop() {
		w := &wired{}
		hub, at := w.add(b)
		now := time.Now()
		before := heapInUse()
		for range sessions {
			c, addrs := w.meet(b, now, hub, at)
			for range 3 {
				c.send(now, hub.key, benchText)
				hub.send(now, c.key, benchText)
				w.pump(now)
			}
			for len(hub.next(now, nil)) > 0 {
			}
			delete(w.cores, addrs[0]) // the other side's memory is not to be counted
		}
		per = float64(heapInUse()-before) / sessions
		if len(hub.links) != sessions {
			b.Fatalf("%d sessions", len(hub.links))
		}
	}
	b.ReportMetric(per, "bytes/session")
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
