package chat

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"earshot/discovery/lantest"
)

// lanNode is a whole Node on a LAN in memory.
func lanNode(t *testing.T, lan *lantest.Link, l *lantest.LAN, name, addr string) (*Node, netip.AddrPort) {
	t.Helper()
	h := l.Host(name)
	h.Attach(lan, addr+"/24")
	conn, err := h.Listen(DefaultPort)
	if err != nil {
		t.Fatal(err)
	}
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewNode(conn, Config{Identity: id, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return n, netip.AddrPortFrom(netip.MustParseAddr(addr), DefaultPort)
}

// take returns the next event of a kind.
func take(t *testing.T, n *Node, k Kind) Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		e, err := n.Next(ctx)
		if err != nil {
			t.Fatalf("waiting for an event of kind %d: %v", k, err)
		}
		if e.Kind == k {
			return e
		}
	}
}

// On a LAN that loses, doubles and reorders, and is cut for a while, all comes in order,
// and the speaker is told when the other can't be reached and when they are back.
func TestNodesOnBadLANs(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			l := lantest.New(seed)
			link := l.Link()
			link.SetConditions(lantest.Conditions{
				Delay: time.Millisecond, Jitter: 4 * time.Millisecond, Loss: 0.03 * float64(seed), Duplicate: 0.1,
			})
			a, _ := lanNode(t, link, l, "ana", "198.18.0.1")
			b, at := lanNode(t, link, l, "bob", "198.18.0.2")
			p, err := a.Open(t.Context(), Target{Addrs: []netip.AddrPort{at}})
			if err != nil || p.Name != "bob" {
				t.Fatalf("got %+v, %v", p, err)
			}
			const n = 200
			go func() {
				for i := range n {
					if i == n/2 { // the link is cut for longer than it takes to be unreachable
						link.SetConditions(lantest.Conditions{Loss: 1})
						time.AfterFunc(2*UnreachableAfter, func() {
							link.SetConditions(lantest.Conditions{Delay: time.Millisecond})
						})
					}
					if _, err := a.Send(p.Key, fmt.Sprint(i)); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Millisecond) // of the fake clock
				}
			}()
			for i := range n {
				if e := take(t, b, Message); e.Text != fmt.Sprint(i) || e.Person.Name != "ana" {
					t.Fatalf("seed %d: message %d is %q from %q", seed, i, e.Text, e.Person.Name)
				}
			}
			var told []Kind
			for delivered := 0; delivered < n; {
				e, err := a.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if e.Kind == Delivered {
					delivered++
				} else {
					told = append(told, e.Kind)
				}
			}
			if !slices.Equal(told, []Kind{Met, Unreachable, Reachable}) && !slices.Equal(told, []Kind{Met, Unreachable, Met, Reachable}) {
				t.Errorf("seed %d: told of %v", seed, told)
			}
			a.Close(t.Context())
			b.Close(t.Context())
		})
	}
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lantest.New(1)
		a, _ := lanNode(t, l.Link(), l, "ana", "198.18.0.1")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := a.Open(ctx, Target{Addrs: []netip.AddrPort{netip.MustParseAddrPort("198.18.0.9:1")}})
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("got %v, want ErrUnreachable", err)
		}
		a.Close(t.Context())
	})
}

func TestClosedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lantest.New(1)
		link := l.Link()
		a, _ := lanNode(t, link, l, "ana", "198.18.0.1")
		b, at := lanNode(t, link, l, "bob", "198.18.0.2")
		p, err := a.Open(t.Context(), Target{Addrs: []netip.AddrPort{at}})
		if err != nil {
			t.Fatal(err)
		}
		take(t, b, Met)
		waiting := make(chan error)
		go func() {
			for {
				if _, err := a.Next(t.Context()); err != nil {
					waiting <- err
					return
				}
			}
		}()
		began := time.Now()
		a.Close(t.Context())
		if d := time.Since(began); d > 50*time.Millisecond {
			t.Errorf("a goodbye that is answered took %v", d)
		}
		if err := <-waiting; !errors.Is(err, ErrClosed) {
			t.Errorf("Next: got %v, want ErrClosed", err)
		}
		if _, err := a.Send(p.Key, "x"); !errors.Is(err, ErrClosed) {
			t.Errorf("Send: got %v, want ErrClosed", err)
		}
		if _, err := a.Open(t.Context(), Target{Addrs: []netip.AddrPort{at}}); !errors.Is(err, ErrClosed) {
			t.Errorf("Open: got %v, want ErrClosed", err)
		}
		take(t, b, Left)

		// With nobody to answer, Close ends all the same.
		began = time.Now()
		b.Hint(p.Key, nil)
		b.Close(t.Context())
		if d := time.Since(began); d > byeFor {
			t.Errorf("closing without sessions took %v", d)
		}
	})
}

// Two nodes on real sockets, both talking at once.
func TestNodesOnLoopback(t *testing.T) {
	a, b := loopbackNode(t, "ana"), loopbackNode(t, "bob")
	pb, err := a.Open(t.Context(), Target{Addrs: []netip.AddrPort{b.LocalAddr()}})
	if err != nil {
		t.Fatal(err)
	}
	pa := take(t, b, Met).Person
	texts := []string{"hello", "ünïcode ✓", "\x1b[31m and \xff", strings.Repeat("long ", MaxText/5)}
	for _, text := range texts {
		if _, err := a.Send(pb.Key, text); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Send(pa.Key, text); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []*Node{a, b} {
		var got []string
		for range texts {
			got = append(got, take(t, n, Message).Text)
		}
		if !slices.Equal(got, texts) {
			t.Errorf("heard %.100q", got)
		}
	}
}
