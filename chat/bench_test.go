package chat

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"earshot/chat/wire"
)

// benchText is what one message of the benchmarks says: 200 bytes.
var benchText = strings.Repeat("earshot ", 25)

func loopback(b testing.TB) *net.UDPConn {
	b.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Skipf("no UDP on loopback: %v", err)
	}
	return conn
}

// OpenStore opens a real Store. It is set by a test outside of this package, which may
// import what imports this package.
var OpenStore func(dir string, clock func() (up time.Duration, wall time.Time)) (Store, error)

// storesIn is set in the environment to where nodes keep real stores.
const storesIn = "EARSHOT_BENCH_STORES"

// storeOf returns the store of a node of the benchmarks; nil where it has none.
func storeOf(name string) (Store, error) {
	dir := os.Getenv(storesIn)
	if dir == "" {
		return nil, nil
	}
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// With the million messages of store's BenchmarkMillion, where they are at hand.
	if kept, _ := filepath.Glob(filepath.Join(os.Getenv("EARSHOT_MILLION"), "version-*", "earshot.db")); len(kept) > 0 {
		b, err := os.ReadFile(kept[len(kept)-1])
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "earshot.db"), b, 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	return OpenStore(dir, nil)
}

// Both sides store what is said.
func BenchmarkRoundTripStored(b *testing.B) {
	b.Setenv(storesIn, b.TempDir())
	BenchmarkRoundTrip(b)
}

func BenchmarkThroughput64Stored(b *testing.B) {
	b.Setenv(storesIn, b.TempDir())
	BenchmarkThroughput64(b)
}

func loopbackNode(b testing.TB, name string) *Node {
	b.Helper()
	id, err := NewIdentity()
	if err != nil {
		b.Fatal(err)
	}
	s, err := storeOf(name)
	if err != nil {
		b.Fatal(err)
	}
	n, err := NewNode(loopback(b), Config{Identity: id, Name: name, Store: s})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.Close(context.Background()) })
	return n
}

// delivered takes events until a message is reported delivered.
func delivered(b testing.TB, n *Node) time.Duration {
	for {
		e, err := n.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if e.Kind == Delivered {
			return e.RTT
		}
	}
}

// BenchmarkRoundTrip times one message to its acknowledgement, and in turn with it the
// same bytes echoed over bare UDP and over TLS 1.3, all between two processes. It
// reports medians: ack is the round trip as the node measures it (Event.RTT), app is
// until the caller of Send has taken the Delivered event.
func BenchmarkRoundTrip(b *testing.B) {
	p := startPeer(b)
	out, in := []byte(benchText), make([]byte, len(benchText))
	var bare, tls, ack, app []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		p.udp.WriteToUDPAddrPort(out, p.echo)
		p.udp.ReadFromUDPAddrPort(in)
		bare = append(bare, time.Since(start))

		start = time.Now()
		p.tls.Write(out)
		io.ReadFull(p.tls, in)
		tls = append(tls, time.Since(start))

		start = time.Now()
		if _, err := p.node.Send(p.key, benchText); err != nil {
			b.Fatal(err)
		}
		ack = append(ack, delivered(b, p.node))
		app = append(app, time.Since(start))
	}
	unit := float64(median(bare))
	b.ReportMetric(unit, "bare-ns")
	b.ReportMetric(float64(median(tls))/unit, "tls-times-bare")
	b.ReportMetric(float64(median(ack))/unit, "ack-times-bare")
	b.ReportMetric(float64(median(app))/unit, "app-times-bare")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// inFlight is how many messages the throughput benchmark keeps unacknowledged.
const inFlight = 64

// BenchmarkThroughput64 times messages with 64 in flight, each acknowledged, and in
// turn with them the same over a bare UDP echo, one to a datagram, and over TLS 1.3.
// One operation is 6400 messages by each. CPU is of both processes together.
func BenchmarkThroughput64(b *testing.B) {
	const batch = 100 * inFlight
	p := startPeer(b)
	out, in := []byte(benchText), make([]byte, len(benchText))
	ways := []struct {
		name    string
		send    func()
		receive func()
		wall    []time.Duration
		cpu     []time.Duration
	}{
		{
			name: "bare", send: func() { p.udp.WriteToUDPAddrPort(out, p.echo) },
			receive: func() { p.udp.ReadFromUDPAddrPort(in) },
		},
		{name: "tls", send: func() { p.tls.Write(out) }, receive: func() { io.ReadFull(p.tls, in) }},
		{name: "earshot", send: func() {
			if _, err := p.node.Send(p.key, benchText); err != nil {
				b.Fatal(err)
			}
		}, receive: func() { delivered(b, p.node) }},
	}
	for b.Loop() {
		for i := range ways {
			w := &ways[i]
			cpu, start := p.cpu(b), time.Now()
			for sent, got := 0, 0; got < batch; got++ {
				for ; sent < batch && sent-got < inFlight; sent++ {
					w.send()
				}
				w.receive()
			}
			w.wall = append(w.wall, time.Since(start))
			w.cpu = append(w.cpu, p.cpu(b)-cpu)
		}
	}
	for i := range ways {
		w := &ways[i]
		wall, cpu := median(w.wall), median(w.cpu)
		b.ReportMetric(batch/wall.Seconds(), w.name+"-msg/s")
		if cpu > 0 {
			b.ReportMetric(float64(cpu)/batch, w.name+"-cpu-ns/msg")
		}
		if i > 0 {
			b.ReportMetric(float64(median(ways[0].wall))/float64(wall), w.name+"-times-bare")
		}
	}
}

// BenchmarkHandshake times a proven session from nothing, both sides in this process.
func BenchmarkHandshake(b *testing.B) {
	server := loopbackNode(b, "server")
	id, err := NewIdentity()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		n, err := NewNode(loopback(b), Config{Identity: id, Name: "client"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := n.Open(b.Context(), Target{Addrs: []netip.AddrPort{server.LocalAddr()}}); err != nil {
			b.Fatal(err)
		}
		n.Close(b.Context())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handshakes/s")
}

// BenchmarkFanOut500 times a message to each of 500 people with whom there are
// sessions, until all have acknowledged, everybody in this process.
func BenchmarkFanOut500(b *testing.B) {
	const people = 500
	from := loopbackNode(b, "from")
	keys := make([]Key, people)
	for i := range keys {
		n := loopbackNode(b, "to")
		p, err := from.Open(b.Context(), Target{Addrs: []netip.AddrPort{n.LocalAddr()}})
		if err != nil {
			b.Fatal(err)
		}
		keys[i] = p.Key
		go func() {
			for {
				if _, err := n.Next(b.Context()); err != nil {
					return
				}
			}
		}()
	}
	b.ResetTimer()
	for b.Loop() {
		for _, k := range keys {
			if _, err := from.Send(k, benchText); err != nil {
				b.Fatal(err)
			}
		}
		for range keys {
			delivered(b, from)
		}
	}
}

// BenchmarkFlood times messages one after the other while 50,000 hostile datagrams a
// second arrive at the receiver: rubbish, openings, some under keys of low order, replays
// and seals of its sessions that don't open, from 200 addresses. It reports the 99th percentile of the round trips and how
// much the heap of the process grew.
func BenchmarkFlood(b *testing.B) {
	const perSecond, bundle = 50_000, 50
	to, heard := loopbackNode(b, "to"), &overheard{UDPConn: loopback(b)}
	id, err := NewIdentity()
	if err != nil {
		b.Fatal(err)
	}
	from, err := NewNode(heard, Config{Identity: id, Name: "from"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { from.Close(context.Background()) })
	p, err := from.Open(b.Context(), Target{Addrs: []netip.AddrPort{to.LocalAddr()}})
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for {
			if _, err := to.Next(b.Context()); err != nil {
				return
			}
		}
	}()
	var sources []*net.UDPConn
	for i := range 200 {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, byte(1+i), 1)})
		if err != nil {
			b.Skipf("no more than one address on loopback: %v", err)
		}
		b.Cleanup(func() { conn.Close() })
		sources = append(sources, conn)
	}
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		rng := rand.New(rand.NewPCG(1, 1))
		sent := 0
		for next := time.Now(); ; next = next.Add(time.Second * bundle / perSecond) {
			for range bundle {
				sources[rng.IntN(len(sources))].WriteToUDPAddrPort(hostile(rng, heard.some(rng)), to.LocalAddr())
				sent++
			}
			select {
			case <-stop:
				stopped <- sent
				return
			case <-time.After(time.Until(next)):
			}
		}
	}()
	var trips []time.Duration
	heap := heapInUse()
	start := time.Now()
	for b.Loop() {
		if _, err := from.Send(p.Key, benchText); err != nil {
			b.Fatal(err)
		}
		delivered(b, from)
		sendEvery := time.Millisecond
		trips = append(trips, time.Since(start))
		time.Sleep(sendEvery)
		start = time.Now()
	}
	close(stop)
	sent := <-stopped
	grown := float64(heapInUse()) - float64(heap)
	slices.Sort(trips)
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "hostile/s")
	b.ReportMetric(trips[len(trips)*99/100].Seconds()*1e3, "p99-ms")
	b.ReportMetric(grown/(1<<20), "grown-MiB")
}

// overheard is a socket of which somebody copies what it sends.
type overheard struct {
	*net.UDPConn
	mu     sync.Mutex
	recent [64][]byte
	n      int
}

func (o *overheard) WriteToUDPAddrPort(d []byte, to netip.AddrPort) (int, error) {
	o.mu.Lock()
	o.recent[o.n%len(o.recent)] = bytes.Clone(d)
	o.n++
	o.mu.Unlock()
	return o.UDPConn.WriteToUDPAddrPort(d, to)
}

// some returns a datagram sent of late.
func (o *overheard) some(rng *rand.Rand) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.recent[rng.IntN(min(o.n, len(o.recent)))]
}

// hostile is one datagram of a flood by somebody who has overheard another.
func hostile(rng *rand.Rand, overheard []byte) []byte {
	switch rng.IntN(4) {
	case 0:
		return overheard
	case 1:
		return forge(rng, overheard)
	}
	size := [...]int{1 + rng.IntN(wire.MaxDatagram), wire.HelloSize, wire.FinalSize, wire.UnknownSize}
	b := make([]byte, size[rng.IntN(len(size))])
	if rng.IntN(8) > 0 { // else a hello's key, where it is one, is of low order
		for i := 0; i < len(b); i += 7 {
			b[i] = byte(rng.Uint32())
		}
	}
	b[0] = byte(1 + rng.IntN(6))
	if len(b) > 1 && rng.IntN(4) > 0 {
		b[1] = wire.Version
	}
	return b
}
