package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"earshot/chat"
)

var stalledFor = flag.Int("stalled", 5000, "messages that a reader stands still for")

// A reader that stands still stops nobody: all is kept and acknowledged. When it goes on it is given all of it,
// once and in order, what is said between two and in a room. -stalled says for how many messages.
func TestReaderStandsStill(t *testing.T) {
	t.Run("and goes on", func(t *testing.T) { standStill(t, *stalledFor, false) })
	t.Run("until the end", func(t *testing.T) { standStill(t, 1500, true) })
}

func standStill(t *testing.T, count int, end bool) {
	cfg := Config{Name: "bob", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Rooms: []chat.Membership{{Name: "#dev"}}}
	a, err := Start(cfg, false)
	if err != nil {
		t.Fatal(err)
	}
	a.Deliver(cfg)
	ana, met := newTalker(t, "ana", a.Me.Key, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute+time.Duration(count)*5*time.Millisecond)
	defer cancel()
	room := min(count/10, 500)
	delivered := make(chan error, 1)
	go func() {
		for n := 0; n < count+room; {
			e, err := ana.Next(ctx)
			if err != nil {
				delivered <- fmt.Errorf("%d are delivered: %w", n, err)
				return
			}
			if e.Kind == chat.Delivered {
				n++
			}
		}
		delivered <- nil
	}()
	<-met
	say := func(send func() error) {
		for {
			err := send()
			if err == nil {
				return
			}
			if !errors.Is(err, chat.ErrBacklog) {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond) // as who writes into a pipe waits
		}
	}
	begun := time.Now()
	for i := range count {
		say(func() error { _, err := ana.Send(a.Me.Key, fmt.Sprint(i)); return err })
		if i%10 == 0 && i/10 < room {
			say(func() error { _, _, err := ana.SendRoom("#dev", fmt.Sprint(i/10)); return err })
		}
	}
	if err := <-delivered; err != nil {
		t.Fatal(err)
	}
	stalled := time.Since(begun)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	begun = time.Now()
	next := map[string]int{}
	take := func(e chat.Event) {
		if e.Kind == chat.Message && e.Text != fmt.Sprint(next[e.Room]) {
			t.Fatalf("%q came in %q, not %d", e.Text, e.Room, next[e.Room])
		} else if e.Kind == chat.Message {
			next[e.Room]++
		}
	}
	for !end && (next[""] < count || next["#dev"] < room) {
		select {
		case e := <-a.Chat:
			take(e)
		case <-ctx.Done():
			t.Fatalf("%v of %d and %d have come", next, count, room)
		}
	}
	t.Logf("%d messages acknowledged in %v while nobody read, %d MiB of heap; read in %v",
		count+room, stalled.Round(time.Millisecond), m.HeapAlloc>>20, time.Since(begun).Round(time.Millisecond))
	_ = ana.Close(ctx)
	a.Close(take)
	if next[""] != count || next["#dev"] != room {
		t.Errorf("%v of %d and %d have come", next, count, room)
	}
}

// newTalker starts a node without a store that is in #dev and has met the one at an address.
func newTalker(t *testing.T, name string, key chat.Key, at netip.AddrPort) (*chat.Node, <-chan struct{}) {
	t.Helper()
	id, err := chat.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n, err := chat.NewNode(conn, chat.Config{Identity: id, Name: name, Rooms: []chat.Membership{{Name: "#dev"}}})
	if err != nil {
		t.Fatal(err)
	}
	met := make(chan struct{})
	go func() {
		defer close(met)
		limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := n.Open(limited, chat.Target{Key: key, Addrs: []netip.AddrPort{at}}); err != nil {
			t.Error(err)
		}
		for len(n.Members("#dev")) == 0 && limited.Err() == nil {
			time.Sleep(time.Millisecond) // until they have told their rooms
		}
	}()
	return n, met
}
