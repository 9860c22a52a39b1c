package chat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"earshot/discovery/lantest"
)

// Whoever calls Next now and then, for a while or not at all, keeps nobody waiting: each
// message is acknowledged in hardly more than absent on both sides, and nothing is missed.
func TestReadingByTurns(t *testing.T) {
	const messages = 300
	const soon = 2*absent + 3*time.Millisecond // acks of full datagrams wait for 1 ms
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			l := lantest.New(seed)
			link := l.Link()
			link.SetConditions(lantest.Conditions{Delay: 100 * time.Microsecond, Jitter: 100 * time.Microsecond})
			a, _ := lanNode(t, link, l, "ana", "198.18.0.1")
			b, at := lanNode(t, link, l, "bob", "198.18.0.2")
			pb, err := a.Open(t.Context(), Target{Addrs: []netip.AddrPort{at}})
			if err != nil {
				t.Fatal(err)
			}
			pa := take(t, b, Met).Person
			var talking sync.WaitGroup
			for i, n := range []*Node{a, b} {
				to := []Key{pb.Key, pa.Key}[i]
				says, hears := rand.New(rand.NewPCG(seed, uint64(i))), rand.New(rand.NewPCG(seed, uint64(2+i)))
				talking.Go(func() {
					for m := range messages {
						time.Sleep(time.Duration(says.Int64N(int64(4 * time.Millisecond))))
						if _, err := n.Send(to, fmt.Sprint(m)); err != nil {
							t.Error(err)
						}
					}
				})
				talking.Go(func() {
					for heard, delivered := 0, 0; heard < messages || delivered < messages; {
						if hears.IntN(3) == 0 {
							time.Sleep(time.Duration(hears.Int64N(int64(5 * time.Millisecond))))
						}
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+hears.Int64N(int64(5*time.Millisecond))))
						e, err := n.Next(ctx)
						cancel()
						switch {
						case errors.Is(err, context.DeadlineExceeded):
						case err != nil:
							t.Error(err)
							return
						case e.Kind == Message:
							if e.Text != fmt.Sprint(heard) {
								t.Errorf("seed %d: message %d is %q", seed, heard, e.Text)
							}
							heard++
						case e.Kind == Delivered:
							delivered++
							if e.RTT > soon {
								t.Errorf("seed %d: delivered after %v", seed, e.RTT)
							}
						}
					}
				})
			}
			talking.Wait()
			a.Close(t.Context())
			b.Close(t.Context())
		})
	}
}

// What is said between two calls of Next goes out with the second, in full datagrams, if
// enough is under way already; and if there is no second, when the caller is relieved.
func TestSaidTogether(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.node("ana"), w.node("bob")
	w.announce(b)
	a.say(b, "hello")
	w.run(time.Second)
	text := strings.Repeat("x", 300) // three fill a datagram
	say := func(count int) (datagrams int) {
		before := w.counter
		for range count {
			a.say(b, text)
		}
		return w.counter - before
	}

	a.core.corking = true
	if got := say(4); got != 4 {
		t.Errorf("4 messages over a quiet line are %d datagrams", got)
	}
	if got := say(8); got != 0 {
		t.Errorf("of those that can wait %d datagrams go at once", got)
	}
	before := w.counter
	if a.core.uncork(w.now); w.counter != before+2 {
		t.Errorf("8 messages that waited are %d full datagrams", w.counter-before)
	}
	if got := say(60); got == 0 {
		t.Error("a stream waits")
	}
	a.core.uncork(w.now)
	a.core.corking = false
	if !w.await(time.Second, w.settled) {
		t.Error("not all is delivered")
	}
	w.check()

	synctest.Test(t, func(t *testing.T) {
		l := lantest.New(1)
		link := l.Link()
		a, _ := lanNode(t, link, l, "ana", "198.18.0.1")
		b, at := lanNode(t, link, l, "bob", "198.18.0.2")
		p, err := a.Open(t.Context(), Target{Addrs: []netip.AddrPort{at}})
		if err != nil {
			t.Fatal(err)
		}
		take(t, a, Met)
		go func() {
			for e, err := b.Next(t.Context()); err == nil && e.Kind != Left; e, err = b.Next(t.Context()) {
			}
		}()
		for range 2 { // then a's caller of Next reads the socket itself
			if _, err := a.Send(p.Key, text); err != nil {
				t.Fatal(err)
			}
			take(t, a, Delivered)
		}
		var left []time.Duration
		start := time.Now()
		link.Tap(func(d lantest.Datagram) bool {
			if d.Src.Addr() == netip.MustParseAddr("198.18.0.1") {
				left = append(left, time.Since(start))
			}
			return true
		})
		link.SetConditions(lantest.Conditions{Delay: 50 * time.Millisecond}) // no answer hurries them
		for range 10 {
			if _, err := a.Send(p.Key, text); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Millisecond) // before any is sent again
		synctest.Wait()
		// Four at once, three when the caller of Next is relieved, and three that don't fill
		// a datagram 1 ms later at most.
		if len(left) != 6 || left[3] > 0 || left[4] < absent || left[5] > absent+time.Millisecond+10*soonest {
			t.Errorf("datagrams left after %v", left)
		}
		for range 10 {
			take(t, a, Delivered)
		}
		a.Close(t.Context())
		b.Close(t.Context())
	})
}

// Who reads the socket in Next is called back by the end of the context, and by what no
// datagram tells.
func TestCalledBackFromReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lantest.New(1)
		link := l.Link()
		a, _ := lanNode(t, link, l, "ana", "198.18.0.1")
		b, at := lanNode(t, link, l, "bob", "198.18.0.2")
		p, err := a.Open(t.Context(), Target{Addrs: []netip.AddrPort{at}})
		if err != nil {
			t.Fatal(err)
		}
		next := make(chan Event)
		go func() {
			for {
				e, err := a.Next(t.Context())
				if err != nil {
					close(next)
					return
				}
				next <- e
			}
		}()
		reads := func(n *Node) bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.reading.inside
		}
		<-next // Met
		if _, err := a.Send(p.Key, "hello"); err != nil {
			t.Fatal(err)
		}
		<-next // Delivered
		if synctest.Wait(); !reads(a) {
			t.Fatal("the caller of Next doesn't read")
		}

		// A timer tells, and nothing comes.
		a.Watch(p.Key, true)
		link.SetConditions(lantest.Conditions{Loss: 1})
		began := time.Now()
		if e := <-next; e.Kind != Unreachable || time.Since(began) > 10*time.Second {
			t.Errorf("told of %v after %v", e.Kind, time.Since(began))
		}
		link.SetConditions(lantest.Conditions{})
		for e := range next {
			if e.Kind == Reachable {
				break
			}
		}

		// The context ends.
		take(t, b, Message)
		time.AfterFunc(time.Second, func() { // when b waits for it
			if _, err := a.Send(p.Key, "again"); err != nil {
				t.Error(err)
			}
		})
		take(t, b, Message)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		time.AfterFunc(time.Second/2, func() {
			if !reads(b) {
				t.Error("the caller of Next doesn't read")
			}
		})
		if _, err := b.Next(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		go func() {
			for range next {
			}
		}()
		a.Close(t.Context())
		b.Close(t.Context())
	})
}
