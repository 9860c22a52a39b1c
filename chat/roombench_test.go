package chat

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"time"

	"earshot/chat/room"
)

// inLobby starts a node that is in the lobby.
func inLobby(b *testing.B, name string, store Store) *Node {
	id, err := NewIdentity()
	if err != nil {
		b.Fatal(err)
	}
	n, err := NewNode(loopback(b), Config{Identity: id, Name: name, Store: store, Rooms: []Membership{{Name: room.Here}}})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkLobby200Stored is the same with a speaker who keeps what they say.
func BenchmarkLobby200Stored(b *testing.B) {
	b.Setenv(storesIn, b.TempDir())
	BenchmarkLobby200(b)
}

// BenchmarkLobby200 times something said in the lobby to each of 200 people until all have
// acknowledged it, everybody in this process: cold when there is no session with any of
// them, warm when there are. Its CPU is of all 201.
func BenchmarkLobby200(b *testing.B) {
	const people = 200
	nodes := make([]*Node, people)
	for i := range nodes {
		n := inLobby(b, "to", nil)
		nodes[i] = n
		b.Cleanup(func() { n.Close(context.Background()) })
		go func() {
			for {
				if _, err := n.Next(context.Background()); err != nil {
					return
				}
			}
		}()
	}
	say := func(b *testing.B, from *Node) time.Duration {
		start := time.Now()
		id, to, err := from.SendRoom(room.Here, benchText)
		if err != nil || len(to) != people {
			b.Fatalf("said to %d: %v", len(to), err)
		}
		for range people {
			delivered(b, from)
		}
		took := time.Since(start)
		if n, of, _ := from.Delivery(id); n != people || of != people {
			b.Fatalf("%d of %d have it", n, of)
		}
		return took
	}
	var cold, warm, cpu []time.Duration
	for b.Loop() {
		store, err := storeOf("from")
		if err != nil {
			b.Fatal(err)
		}
		from := inLobby(b, "from", store)
		for _, n := range nodes {
			from.Hint(n.core.key, []netip.AddrPort{n.LocalAddr()})
		}
		before := cpuTime()
		cold = append(cold, say(b, from))
		cpu = append(cpu, cpuTime()-before)
		for range 5 {
			warm = append(warm, say(b, from))
		}
		from.Close(context.Background())
		if c, ok := store.(io.Closer); ok {
			c.Close()
		}
	}
	b.ReportMetric(median(cold).Seconds()*1e3, "cold-ms")
	b.ReportMetric(median(cpu).Seconds()*1e3, "cold-cpu-ms")
	b.ReportMetric(median(warm).Seconds()*1e3, "warm-ms")
}
