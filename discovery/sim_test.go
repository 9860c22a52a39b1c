package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"earshot/discovery/lantest"
)

func TestLeavingIsSeenByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := lantest.New(1)
		link := lan.Link()
		var people []person
		for n := range 10 {
			people = append(people, joinLAN(t, lan, link, n, nil))
		}
		awaitEveryone(t, people, 2*time.Second)
		people[9].Leave()
		people[9].Leave()
		awaitEveryone(t, people[:9], 100*time.Millisecond)
		if _, err := people[9].Next(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Next after Leave: %v", err)
		}
		<-people[9].Settled()
		// And one who comes back is seen again.
		people[9] = joinLAN(t, lan, link, 9, nil)
		awaitEveryone(t, people, 100*time.Millisecond)
	})
}

// Killed: nobody says goodbye.
func TestTheKilledAreGoneInHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := lantest.New(1)
		link := lan.Link()
		var people []person
		for n := range 50 {
			people = append(people, joinLAN(t, lan, link, n, nil))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(47 * time.Second)
		awaitEveryone(t, people, 0)
		people[49].iface.SetAddrs() // unplugged
		awaitEveryone(t, people[:49], 30*time.Second)
	})
}

func TestPartitionAndHeal(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			t.Log("seed", seed)
			lan := lantest.New(seed)
			link := lan.Link()
			var people []person
			var hosts []*lantest.Host
			for n := range 10 {
				people = append(people, joinLAN(t, lan, link, n, nil))
				hosts = append(hosts, people[n].host)
			}
			awaitEveryone(t, people, 2*time.Second)
			lan.Partition(hosts[:5], hosts[5:])
			time.Sleep(35 * time.Second)
			for n, p := range people {
				side := others(n, 5)
				if n >= 5 {
					side = slices.DeleteFunc(others(n, 10), func(name string) bool { return name < "person 0005" })
				}
				if got := names(p.Presence); !slices.Equal(got, side) {
					t.Errorf("person %d sees %q", n, got)
				}
			}
			lan.Heal()
			// Whichever question comes first makes all answer.
			awaitEveryone(t, people, 30*time.Second)
		})
	}
}

// SPEC §5: traffic grows with the number of people, not with its square.
func TestSteadyTraffic(t *testing.T) {
	for _, count := range []int{10, 30} {
		synctest.Test(t, func(t *testing.T) {
			lan := lantest.New(1)
			link := lan.Link()
			var people []person
			for n := range count {
				people = append(people, joinLAN(t, lan, link, n, nil))
				time.Sleep(30 * time.Millisecond)
			}
			time.Sleep(30 * time.Second)
			before := link.Counters()
			const span = 2 * time.Minute
			time.Sleep(span)
			after := link.Counters()
			rate := float64(after.Packets-before.Packets) / span.Seconds()
			t.Logf("%d people: %.2f packets per second, %.0f bytes", count, rate, float64(after.Bytes-before.Bytes)/span.Seconds())
			if rate > 10 {
				t.Errorf("%d people: %.2f packets per second", count, rate)
			}
			awaitEveryone(t, people, 0)
		})
	}
}

// One person on two links is one row with all addresses.
func TestTwoInterfaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := lantest.New(1)
		wire, wifi := lan.Link(), lan.Link()
		both := func(n int) *Presence {
			h := lan.Host(fmt.Sprint("both", n))
			a := h.Attach(wire, fmt.Sprintf("198.18.1.%d/24", n))
			b := h.Attach(wifi, fmt.Sprintf("198.19.1.%d/24", n))
			p, err := join(Config{ID: testID(n), Name: fmt.Sprint("both ", n), Port: 41027}, newLANNetwork(h, a, b))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Leave)
			return p
		}
		one, two := both(1), both(2)
		onWire := joinLAN(t, lan, wire, 3, nil)
		onWiFi := joinLAN(t, lan, wifi, 4, nil)
		time.Sleep(2 * time.Second)
		if got := names(one); !slices.Equal(got, []string{"both 2", "person 0003", "person 0004"}) {
			t.Errorf("one sees %q", got)
		}
		if p := two.Peers()[0]; fmt.Sprint(p.Addrs) != "[198.18.1.1:41027 198.19.1.1:41027]" {
			t.Errorf("two sees one at %v", p.Addrs)
		}
		if p := onWire.Peers()[0]; fmt.Sprint(p.Addrs) != "[198.18.1.1:41027]" { // each link has its own addresses
			t.Errorf("the wired one sees one at %v", p.Addrs)
		}
		if got := names(onWiFi.Presence); !slices.Equal(got, []string{"both 1", "both 2"}) {
			t.Errorf("the wireless one sees %q", got)
		}
		if used, _ := one.Interfaces(); !slices.Equal(used, []string{"eth0", "eth1"}) {
			t.Errorf("uses %v", used)
		}
	})
}

// An interface that is renumbered, goes and comes is noticed within 3 s.
func TestInterfaceChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := lantest.New(1)
		link := lan.Link()
		a, b := joinLAN(t, lan, link, 1, nil), joinLAN(t, lan, link, 2, nil)
		next := func(want Change) Peer {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
			defer cancel()
			e, err := a.Next(ctx)
			if err != nil || e.Change != want {
				t.Fatalf("%v %+v, %v", e.Change, e.Peer, err)
			}
			return e.Peer
		}
		if p := next(Up); len(p.Addrs) != 2 {
			t.Errorf("addresses %v", p.Addrs)
		}
		time.Sleep(10 * time.Second)
		b.iface.SetAddrs("198.18.7.7/15")
		for at := time.Now(); ; {
			p := next(Changed)
			if slices.Equal(p.Addrs, []netip.AddrPort{netip.MustParseAddrPort("198.18.7.7:41027")}) {
				break
			}
			if time.Since(at) > 5*time.Second {
				t.Fatalf("still at %v", p.Addrs)
			}
		}
		time.Sleep(10 * time.Second)
		a.iface.SetAddrs()
		next(Down)
		if used, skipped := a.Interfaces(); len(used) != 0 || len(skipped) != 1 || skipped[0].Reason != "no address" {
			t.Errorf("uses %v, skips %v", used, skipped)
		}
		a.iface.SetAddrs("198.18.9.9/15")
		next(Up)
		if _, err := a.Next(canceled(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("Next: %v", err)
		}
	})
}

func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestNoInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := lantest.New(1)
		h := lan.Host("h")
		_, err := join(Config{ID: testID(1), Port: 1}, newLANNetwork(h, h.Attach(lan.Link())))
		var none *NoInterfaceError
		if !errors.As(err, &none) || len(none.Tried) != 1 || none.Tried[0] != (Skipped{"eth0", "no address"}) {
			t.Fatalf("joined with %v", err)
		}
		if got := err.Error(); got != "discovery: no usable network interface (eth0: no address)" {
			t.Error(got)
		}
	})
	if _, err := Join(Config{ID: "nobody", Port: 1}); err == nil {
		t.Error("joined without an identity")
	}
	_, err := Join(Config{ID: testID(1), Port: 1, Interfaces: []string{"no such"}})
	var none *NoInterfaceError
	if !errors.As(err, &none) || !slices.Contains(none.Tried, Skipped{"no such", "no such interface"}) {
		t.Errorf("joined with %v", err)
	}
}

// SPEC §9.
func TestSettlesLaterWhereOnlyMulticastAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := lantest.New(1)
		link := lan.Link()
		joinLAN(t, lan, link, 1, nil)
		time.Sleep(5 * time.Second)
		start := time.Now()
		p := joinLAN(t, lan, link, 2, func(_ *Config, l *lanNetwork) { l.noAsker = true })
		<-p.Settled()
		if took := time.Since(start); took != settleMulticast {
			t.Errorf("settled after %v", took)
		}
		if got := names(p.Presence); !slices.Equal(got, []string{"person 0001"}) {
			t.Errorf("sees %q", got)
		}
	})
}

// SPEC §11: what can't send at first is tried again.
func TestRetriesWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := lantest.New(1)
		link := lan.Link()
		a := joinLAN(t, lan, link, 1, nil)
		var fails atomic.Bool
		fails.Store(true)
		b := joinLAN(t, lan, link, 2, func(_ *Config, l *lanNetwork) { l.noSend = &fails })
		time.Sleep(9 * time.Second)
		if got := names(a.Presence); len(got) != 0 {
			t.Errorf("a sees %q", got)
		}
		fails.Store(false)
		time.Sleep(3 * time.Second)
		if got := append(names(a.Presence), names(b.Presence)...); !slices.Equal(got, []string{"person 0002", "person 0001"}) {
			t.Errorf("they see %q", got)
		}
	})
}

// SPEC §11.
func TestSlept(t *testing.T) {
	start := time.Now()
	for d, want := range map[time.Duration]bool{pollInterval: false, pollInterval + clockJump: false, 10 * time.Second: true, time.Hour: true, -time.Hour: false} {
		if got := slept(start, start.Add(d)); got != want {
			t.Errorf("%v later: %v", d, got)
		}
		if got := slept(start.Round(0), start.Round(0).Add(d)); got != want {
			t.Errorf("%v later by the wall clock: %v", d, got)
		}
	}
}

// That nothing can be multicast is said once: at once where it is forbidden, else when it
// has been tried again.
func TestSaysThatNothingCanBeSent(t *testing.T) {
	for name, tc := range map[string]struct {
		err   error
		after time.Duration
	}{
		"forbidden": {os.ErrPermission, time.Second},
		"no route":  {errors.New("network is unreachable"), pollInterval + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lan := lantest.New(1)
				told := make(chan error, 9)
				var fails atomic.Bool
				fails.Store(true)
				start := time.Now()
				joinLAN(t, lan, lan.Link(), 1, func(cfg *Config, l *lanNetwork) {
					cfg.Trouble = func(err error) { told <- err }
					l.noSend, l.sendErr = &fails, tc.err
				})
				err := <-told
				if took := time.Since(start); took > tc.after || err.Error() != "nothing can be sent by multicast on eth0: "+tc.err.Error() {
					t.Errorf("after %v: %v", took, err)
				}
				time.Sleep(time.Minute)
				fails.Store(false)
				time.Sleep(10 * time.Second)
				if len(told) != 0 {
					t.Error("said again:", <-told)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // as long as an IPv6 address can't be used yet
		lan := lantest.New(1)
		var fails atomic.Bool
		fails.Store(true)
		joinLAN(t, lan, lan.Link(), 1, func(cfg *Config, l *lanNetwork) {
			cfg.Trouble = func(err error) { t.Error(err) }
			l.noSend = &fails
		})
		time.Sleep(pollInterval / 2)
		fails.Store(false)
		time.Sleep(time.Minute)
	})
}
