// Package discovery shows who is on the same network and makes oneself visible,
// by multicast DNS and DNS-SD (RFC 6762, RFC 6763). SPEC.md says what is on the
// wire and which rules are kept where.
//
// github.com/hashicorp/mdns answers those who ask for a unicast reply and asks
// so itself. Announcing, leaving, listening, answering by multicast, and keeping
// what was heard is done here.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	pollInterval = 2 * time.Second // how often interfaces are looked at
	clockJump    = 5 * time.Second // a poll later than this by either clock means the machine slept

	// The least a timer is set for. Under a test's fake clock one that is due when it is
	// set runs at once, which the race detector doesn't survive (go.dev/issue/78156).
	soonest = time.Nanosecond

	// Since everybody was asked (SPEC §9).
	settleUnicast   = 50 * time.Millisecond  // the answers come at once
	settleMulticast = 250 * time.Millisecond // they come after a random delay
	settleAir       = 80 * time.Millisecond  // after the last of such delays
)

// Config says who to be and where.
type Config struct {
	ID         string       // own identity key, lower-case base32; peers with this ID are left out
	Name       string       // human name to advertise; cut to 63 bytes
	Port       uint16       // UDP port of the chat socket
	Hidden     bool         // browse, don't advertise
	Twin       bool         // another process of this identity is advertised on this machine: "-<port>" keeps the label unique
	Interfaces []string     // names of those to use; empty: every usable one
	Log        *slog.Logger // nil: discard

	Domain string         // DNS domain in which to look for people too; empty: none. See ValidDomain
	DNS    netip.AddrPort // the server to ask for it; invalid: the system's (/etc/resolv.conf)

	// Trouble, if not nil, is called once when something is wrong that keeps people from
	// being seen, or with who is: with a *SendError, a *DomainError or a *CopiedError. It
	// must neither block nor call the Presence. If it is nil that is logged, as a warning.
	Trouble func(error)

	// Knocked, if not nil, is called when somebody visible can't reach us: a datagram
	// from our port to each address, those they announce on their link, opens a firewall
	// of ours to them. It must neither block nor call the Presence.
	Knocked func([]netip.AddrPort)
}

// Presence is being on the network: advertised, unless hidden, and listening.
// Its methods are safe for concurrent use.
type Presence struct {
	cfg     Config
	log     *slog.Logger
	net     network
	changed chan struct{} // there may be events
	settled chan struct{}
	counted chan struct{}
	copied  chan netip.Addr
	ctx     context.Context // ends with Leave
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	core    *core
	timer   *time.Timer
	links   map[int]*attachment
	skipped []Skipped
	first   *sync.WaitGroup // questions asked on joining; nil after
	left    bool
	warned  bool // of a copy
}

// Join makes oneself visible and starts to listen. It returns a
// *NoInterfaceError when no interface can be used; those that come up later are
// found if there was one to begin with.
func Join(cfg Config) (*Presence, error) { return join(cfg, system{}) }

func join(cfg Config, n network) (*Presence, error) {
	if !cfg.Hidden && (!validID(cfg.ID) || cfg.Port == 0) {
		return nil, errors.New("discovery: to be visible takes an identity and a port")
	}
	if cfg.Domain != "" && !ValidDomain(cfg.Domain) {
		return nil, errors.New("discovery: no domain to look for people in: " + cfg.Domain)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Presence{
		cfg: cfg, log: cfg.Log, net: n,
		changed: make(chan struct{}, 1), settled: make(chan struct{}), counted: make(chan struct{}), copied: make(chan netip.Addr, 1),
		core:  newCore(cfg, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))),
		links: map[int]*attachment{},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(time.Hour, p.tick)
	first := new(sync.WaitGroup)
	p.first = first
	err := p.refresh(false)
	p.first = nil
	if err == nil && len(p.links) == 0 {
		err = &NoInterfaceError{p.skipped}
	}
	if err != nil {
		p.timer.Stop()
		p.cancel()
		return nil, fmt.Errorf("discovery: %w", err)
	}
	p.startDomain(first)
	p.running.Go(p.poll)
	p.running.Go(func() { p.settle(first) })
	return p, nil
}

// Peers returns who is visible now, by name, then ID: one row per identity, and
// one per instance that claims none.
func (p *Presence) Peers() []Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.peers()
}

// Next waits for the next change of the roster; at first there is an Up for
// each of those already there. Changes that nobody fetched are merged, so that
// never more wait than there are rows. One goroutine at a time may call it. It
// returns ctx's error, or net.ErrClosed after Leave.
func (p *Presence) Next(ctx context.Context) (Event, error) {
	for {
		p.mu.Lock()
		event, ok := p.core.event()
		left := p.left
		p.mu.Unlock()
		switch {
		case left:
			return Event{}, net.ErrClosed
		case ok:
			return event, nil
		}
		select {
		case <-ctx.Done():
			return Event{}, ctx.Err()
		case <-p.ctx.Done():
		case <-p.changed:
		}
	}
}

// Settled is closed once everybody present on a healthy link must have
// answered: 50 ms after joining, or 250 ms where nobody could be asked to
// answer at once, or nobody did; on Leave at the latest.
func (p *Presence) Settled() <-chan struct{} { return p.settled }

// Counted is closed once those must have been heard too who answer later than that,
// whatever somebody else does: by multicast, because a firewall of theirs or a crowd, a
// real one or an attacker's, makes them. It takes 250 ms, 630 ms if there are dozens of
// people, and longer among hundreds; on Leave it is closed at the latest.
func (p *Presence) Counted() <-chan struct{} { return p.counted }

func (p *Presence) settle(first *sync.WaitGroup) {
	defer close(p.counted)
	asked := time.Now()
	if first.Wait(); !p.askedEverywhere() || len(p.Peers()) == 0 {
		p.sleep(settleMulticast - time.Since(asked))
	}
	close(p.settled)
	for {
		p.mu.Lock()
		wait := time.Until(p.core.answered())
		p.mu.Unlock()
		if wait <= 0 || !p.sleep(wait) {
			return
		}
	}
}

// Reconfirm is for when somebody can't be reached though they are visible: it
// asks for them, and if nothing is heard for 10 s they are gone. It does nothing
// for an ID that nobody has, and nothing more while it is at work.
func (p *Presence) Reconfirm(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.left {
		p.core.reconfirm(id, time.Now())
		p.flush()
	}
}

// Confirm notes that somebody has just proven to be there, as by an authentic
// message. For a minute from then goodbyes for them, which anybody can forge,
// count only if they don't object within 2 s.
func (p *Presence) Confirm(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.confirm(id, time.Now())
}

// Rename changes the name advertised, which is cut to 63 bytes.
func (p *Presence) Rename(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.left {
		p.core.rename(p.cfg.ID, name, time.Now())
		p.flush()
	}
}

// Copied gives once an address at which somebody else announces our own identity:
// another machine with a copy of our key, or an impostor. Config.Trouble tells it too.
func (p *Presence) Copied() <-chan netip.Addr { return p.copied }

func (p *Presence) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.ctx.Done():
		return false
	}
}

// Interfaces returns the names of the interfaces in use, and the others.
func (p *Presence) Interfaces() (used []string, skipped []Skipped) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.links {
		used = append(used, a.name)
	}
	return sorted(used), append(skipped, p.skipped...)
}

// Leave says goodbye and stops. Further calls do nothing.
func (p *Presence) Leave() {
	p.mu.Lock()
	if p.left {
		p.mu.Unlock()
		return
	}
	p.core.goodbye()
	p.flush()
	p.left = true
	p.timer.Stop()
	p.cancel()
	for index := range p.links {
		p.detach(index)
	}
	p.log.Debug("left the network", "packets dropped", p.core.dropped, "records refused", p.core.refused)
	p.mu.Unlock()
	p.running.Wait()
}

// tick is run by the timer.
func (p *Presence) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.left {
		p.core.advance(time.Now())
		p.flush()
	}
}

// flush follows up any call of the core: sends what is to be sent, sets the
// timer, and wakes Next. p.mu is held.
func (p *Presence) flush() {
	for _, out := range p.core.take() {
		if a := p.links[out.link]; a != nil {
			p.send(a, out)
		}
	}
	for _, addrs := range p.core.takeKnocks() {
		if p.cfg.Knocked != nil {
			p.cfg.Knocked(addrs)
		}
	}
	if at := p.core.wake(); at.IsZero() {
		p.timer.Stop()
	} else {
		p.timer.Reset(max(soonest, time.Until(at)))
	}
	if addr := p.core.copied; addr.IsValid() && !p.warned {
		p.warned = true
		p.copied <- addr // its only value
		p.trouble(&CopiedError{addr})
	}
	if len(p.core.dirty) > 0 {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
}

// poll looks at the interfaces now and then. If the machine slept, everything
// is joined anew.
func (p *Presence) poll() {
	for last := time.Now(); p.sleep(last.Truncate(pollInterval).Add(pollInterval).Sub(last)); { // with what else is done every second
		now := time.Now()
		rejoin := slept(last, now)
		last = now
		p.mu.Lock()
		if !p.left {
			if err := p.refresh(rejoin); err != nil {
				p.log.Debug("can't look at the interfaces", "error", err)
			}
		}
		p.mu.Unlock()
	}
}

// slept reports whether the machine slept between two polls. Some systems stop
// the monotonic clock meanwhile, which Sub goes by; Round strips it.
func slept(last, now time.Time) bool {
	return max(now.Sub(last), now.Round(0).Sub(last.Round(0))) > pollInterval+clockJump
}
