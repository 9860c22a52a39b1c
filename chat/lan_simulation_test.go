package chat

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"earshot/chat/wire"
	"earshot/discovery/lantest"
)

// lanWorld is a world of whole Nodes, with their goroutines and timers, on a LAN in
// memory under the fake clock of a synctest bubble. The people, their disks and what
// must hold are those of world.
type lanWorld struct {
	mu sync.Mutex // guards world
	*world
	lan      *lantest.LAN
	link     *lantest.Link
	machines []*machine
	recorded []lantest.Datagram // of late, to be replayed
	running  sync.WaitGroup
}

// machine is a host with the node that runs on it, if one does.
type machine struct {
	*simNode
	lw    *lanWorld
	host  *lantest.Host
	iface *lantest.Interface
	conn  *lantest.Conn
	node  *Node // nil between a crash and the restart
	busy  time.Time
}

// TestSimulationOfNodes is TestSimulation one floor higher. It can't let one clock jump,
// and it can't repeat the order of goroutines; what happens to each datagram follows from
// the seed.
func TestSimulationOfNodes(t *testing.T) {
	var said atomic.Int64
	everySeed(t, *simSeeds, func(t *testing.T, seed uint64, story *strings.Builder) {
		synctest.Test(t, func(t *testing.T) {
			lw := newLANWorld(t, seed)
			lw.story = story
			lw.conversation()
			said.Add(int64(lw.said))
		})
	})
	t.Logf("%d messages", said.Load())
}

func newLANWorld(t *testing.T, seed uint64) *lanWorld {
	lw := &lanWorld{world: newWorld(t, seed), lan: lantest.New(seed)}
	lw.now = time.Now()
	lw.link = lw.lan.Link()
	lw.link.Tap(func(d lantest.Datagram) bool {
		lw.mu.Lock()
		defer lw.mu.Unlock()
		lw.now = time.Now()
		lw.tell("%s -> %s %d bytes type %d", d.Src, d.Dst, len(d.Data), d.Data[0])
		if most := lw.most[[2]netip.Addr{d.Src.Addr(), d.Dst.Addr()}]; most != 0 && len(d.Data) > most {
			return false
		}
		if lw.recorded = append(lw.recorded, d); len(lw.recorded) > 64 {
			lw.recorded = lw.recorded[1:]
		}
		return true
	})
	r := lw.rng
	lw.link.SetConditions(lantest.Conditions{
		Loss: r.Float64() * 0.4, Duplicate: r.Float64() * 0.2,
		Delay: 200 * time.Microsecond, Jitter: time.Duration(r.Int64N(int64(20 * time.Millisecond))),
	})
	for i := range 2 + r.IntN(3) {
		n := lw.person(string(rune('a' + i)))
		m := &machine{simNode: n, lw: lw, host: lw.lan.Host(n.name)}
		m.iface = m.host.Attach(lw.link, n.addr.Addr().String()+"/16")
		lw.machines = append(lw.machines, m)
	}
	for _, m := range lw.machines {
		m.start()
	}
	return lw
}

// at returns where m is to be found.
func (m *machine) at() []netip.AddrPort {
	m.lw.mu.Lock()
	defer m.lw.mu.Unlock()
	return []netip.AddrPort{m.addr}
}

// start runs a node, as when the program is started.
func (m *machine) start() {
	conn, err := m.host.Listen(DefaultPort)
	if err != nil {
		m.lw.t.Fatal(err)
	}
	m.lw.mu.Lock()
	m.closed = false
	m.disk.disown()
	random := rand.New(rand.NewPCG(m.lw.rng.Uint64(), 2))
	m.lw.mu.Unlock()
	s := &seat{machine: m, conn: conn}
	n, err := newNode(s, Config{Identity: m.id, Name: m.name, Store: s}, random)
	if err != nil {
		m.lw.t.Fatal(err)
	}
	n.do(func(time.Time) {
		n.core.chooseID = func() MessageID {
			m.lw.mu.Lock()
			defer m.lw.mu.Unlock()
			return m.chooseID()
		}
	})
	m.lw.mu.Lock()
	m.node, m.conn = n, conn
	m.lw.mu.Unlock()
	for _, o := range m.lw.machines {
		if o != m {
			n.Hint(o.id.Key(), o.at())
		}
	}
	m.lw.running.Go(func() { m.listen(n) })
}

// listen takes events as an application does, until the node is closed.
func (m *machine) listen(n *Node) {
	for {
		m.lw.mu.Lock()
		busy := time.Until(m.busy)
		m.lw.mu.Unlock()
		time.Sleep(busy) // of the fake clock
		e, err := n.Next(context.Background())
		if err != nil {
			return
		}
		m.lw.mu.Lock()
		m.takes(e)
		m.lw.mu.Unlock()
	}
}

// crashed lets a node that has just died be gone at once, and its program start again
// a while later. The world is locked.
func (m *machine) crashed(s *seat) {
	if s.dead {
		return
	}
	s.dead = true
	n := m.node
	m.node = nil
	wait := time.Duration(m.lw.rng.Int64N(int64(3 * time.Second)))
	m.lw.running.Go(func() {
		_ = s.conn.Close() // nothing comes out of it, a goodbye least of all
		_ = n.Close(context.Background())
		time.Sleep(wait)
		m.start()
	})
}

// seat is what a node has of its machine until it crashes: the socket and the disk.
type seat struct {
	*machine
	conn  *lantest.Conn
	dead  bool
	Store // for what it lacks: nobody is in a room
}

// on runs f on the disk, unless the node is dead.
func (s *seat) on(f func(d *disk) error) error {
	s.lw.mu.Lock()
	defer s.lw.mu.Unlock()
	if s.dead {
		return errCrashed
	}
	s.lw.now = time.Now()
	err := f(s.disk)
	if s.closed {
		s.crashed(s)
	}
	return err
}

func (s *seat) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	return s.conn.ReadFromUDPAddrPort(b)
}

func (s *seat) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	err := s.on(func(*disk) error {
		if s.strikes() {
			return errCrashed
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return s.conn.WriteToUDPAddrPort(b, to)
}

func (s *seat) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }
func (s *seat) LocalAddr() net.Addr               { return s.conn.LocalAddr() }
func (s *seat) Close() error                      { return s.conn.Close() }

func (s *seat) Waits(to Key) (waits bool) {
	_ = s.on(func(d *disk) error { waits = d.Waits(to); return nil })
	return waits
}

func (s *seat) Outbox(to Key) (all []Saying, err error) {
	err = s.on(func(d *disk) error { all, err = d.Outbox(to); return err })
	return all, err
}

func (s *seat) Redeliver(to Key, rooms []string) (all []Saying, err error) {
	err = s.on(func(d *disk) error { all, err = d.Redeliver(to, rooms); return err })
	return all, err
}

func (s *seat) Said(m Saying) (own bool, err error) {
	err = s.on(func(d *disk) error { own, err = d.Said(m); return err })
	return own, err
}

func (s *seat) Release(to Key) (done bool) {
	_ = s.on(func(d *disk) error { done = d.Release(to); return nil })
	return done
}

func (s *seat) Lapsed() bool { return false }

func (s *seat) Delivered(to Key, id MessageID, now time.Time) error {
	return s.on(func(d *disk) error { return d.Delivered(to, id, now) })
}

func (s *seat) Heard(from Person, id MessageID, text string, sent, received time.Time) (fresh bool, err error) {
	err = s.on(func(d *disk) error { fresh, err = d.Heard(from, id, text, sent, received); return err })
	return fresh, err
}

// conversation lets people talk while the network and their machines have trouble.
func (lw *lanWorld) conversation() {
	r := rand.New(rand.NewPCG(lw.rng.Uint64(), 3)) // not shared with what goes on meanwhile
	up := func(m *machine) *Node {
		lw.mu.Lock()
		defer lw.mu.Unlock()
		return m.node
	}
	for i := range *simMessages {
		who := r.Perm(len(lw.machines))
		from, to := lw.machines[who[0]], lw.machines[who[1]]
		size := 1 + r.IntN(200)
		if r.IntN(20) == 0 {
			size = 1 + r.IntN(MaxText-10)
		}
		if n := up(from); n != nil {
			_, err := n.Send(to.id.Key(), fmt.Sprintf("%d ", i)+strings.Repeat("x", size))
			if err != nil && up(from) == n {
				lw.t.Fatalf("%s says to %s: %v", from.name, to.name, err)
			}
			lw.said++
		}
		lw.trouble(r, from, to)
		time.Sleep(time.Duration(r.Int64N(int64(30 * time.Millisecond))))
	}
	settled := func() bool {
		lw.mu.Lock()
		defer lw.mu.Unlock()
		for _, m := range lw.machines {
			m.doom = 0
			if m.node == nil {
				return false
			}
		}
		return lw.settled()
	}
	for began := time.Now(); !settled(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 5*time.Minute {
			lw.t.Fatal("messages are never known to be delivered")
		}
	}
	time.Sleep(10 * time.Second) // stragglers
	for _, m := range lw.machines {
		m.node.do(func(time.Time) {
			if c := m.node.core; len(c.links) > maxLinks || len(c.halves) > maxHalves || c.events.Len() > maxWaitingEvents {
				lw.t.Errorf("%s holds %d sessions, %d handshakes, %d events", m.name, len(c.links), len(c.halves), c.events.Len())
			}
		})
		_ = m.node.Close(context.Background())
	}
	lw.running.Wait()
	lw.check()
}

// trouble lets something happen now and then.
func (lw *lanWorld) trouble(r *rand.Rand, from, to *machine) {
	pause := func(most time.Duration) { time.Sleep(time.Duration(r.Int64N(int64(most)))) }
	switch r.IntN(60) {
	case 0: // a one-way partition for a while
		lw.lan.Cut(from.host, to.host)
		pause(8 * time.Second)
		lw.lan.Heal()
	case 1: // an address change
		addr := netip.AddrFrom4([4]byte{198, 18, byte(r.IntN(200)), byte(10 + r.IntN(200))})
		from.iface.SetAddrs(addr.String() + "/16")
		lw.mu.Lock()
		from.addr = netip.AddrPortFrom(addr, DefaultPort)
		var others []*Node
		for _, o := range lw.machines {
			if o != from && o.node != nil {
				others = append(others, o.node)
			}
		}
		lw.mu.Unlock()
		for _, n := range others {
			n.Hint(from.id.Key(), from.at())
		}
	case 2: // an application that is busy elsewhere
		lw.mu.Lock()
		to.busy = time.Now().Add(time.Duration(r.Int64N(int64(time.Second))))
		lw.mu.Unlock()
	case 3: // rubbish, as if from somebody who talks with them
		for range 20 {
			b := make([]byte, 1+r.IntN(1300))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			b[0] = byte(r.IntN(8))
			lw.link.Inject(lantest.Datagram{Src: from.at()[0], Dst: to.at()[0], Data: b})
		}
	case 7: // the path carries less, or more again
		lw.mu.Lock()
		lw.most[[2]netip.Addr{from.addr.Addr(), to.addr.Addr()}] = r.IntN(2) * (wire.HelloSize + r.IntN(wire.MaxDatagram-wire.HelloSize))
		lw.mu.Unlock()
	case 4, 5: // a crash, soon, in the middle of something
		lw.mu.Lock()
		from.doom = 1 + r.IntN(20)
		lw.mu.Unlock()
	case 6: // what was sent of late comes again, later
		lw.mu.Lock()
		again := slices.Clone(lw.recorded)
		lw.mu.Unlock()
		wait := time.Duration(r.Int64N(int64(3 * time.Second)))
		lw.running.Go(func() {
			time.Sleep(wait)
			for _, d := range again {
				lw.link.Inject(d)
			}
		})
	}
}
