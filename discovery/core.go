package discovery

import (
	"encoding/binary"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// family is IPv4 or IPv6.
type family uint8

const (
	v4 family = iota
	v6
)

// families is a set of them.
type families uint8

// each goes over what is in both sets.
func (f families) each(within families) iter.Seq[family] {
	return func(yield func(family) bool) {
		for _, fam := range [...]family{v4, v6} {
			if f&within&(1<<fam) != 0 && !yield(fam) {
				return
			}
		}
	}
}

// arrival says where a packet came from.
type arrival struct {
	link    int // index of the interface
	family  family
	source  netip.AddrPort
	unicast bool // not sent to the group
}

// packet is one to send. to is invalid for the family's group.
type packet struct {
	link   int
	family family
	to     netip.AddrPort
	data   []byte
}

// core holds the rules: what is answered, asked, kept and forgotten. It does no
// I/O and isn't safe for concurrent use. After any call, take says what to send
// and wake when to call advance.
type core struct {
	own    identity
	self   string // our ID, left out of the roster
	hidden bool
	// Of somebody else with our identity: where they were first heard, on which link and
	// when to ask for them, whether that was done, and where they are; invalid as long as
	// nobody is.
	copySeen  netip.Addr
	copyLink  int
	copyAskAt time.Time
	copyAsked bool
	copied    netip.Addr
	rng       *rand.Rand
	now       time.Time // of the call at hand
	jitter    float64   // 0 to 1, the same for all it hears, so that records heard together are refreshed together

	links map[int]*link
	dues  dues
	rows  map[string]*row
	dirty map[string]struct{} // rows to tell of; always rows that exist or were told
	told  map[string]Peer
	out   []packet

	knocks knocking

	dropped, refused uint64 // packets that made no sense; records beyond a cap
}

func newCore(cfg Config, rng *rand.Rand) *core {
	return &core{
		own: newIdentity(cfg), self: cfg.ID, hidden: cfg.Hidden, rng: rng,
		links: map[int]*link{}, rows: map[string]*row{}, dirty: map[string]struct{}{}, told: map[string]Peer{},
	}
}

// sharedDelay is that of an answer which others give too, and of a question
// which others ask too.
func (c *core) sharedDelay(l *link) time.Duration {
	return c.between(sharedDelayMin, max(sharedDelayMax, l.crowdDelay()))
}

func (c *core) between(a, b time.Duration) time.Duration {
	return a + time.Duration(c.rng.Int64N(int64(b-a)))
}

// take returns the packets to send and forgets them.
func (c *core) take() []packet {
	out := c.out
	c.out = nil
	return out
}

// wake is when advance has something to do; zero if never.
func (c *core) wake() (at time.Time) {
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if len(c.dues) > 0 {
		earlier(c.dues[0].due)
	}
	if !c.copyAsked {
		earlier(c.copyAskAt)
	}
	for _, l := range c.links {
		for fam := range l.families.each(l.families) {
			e := &l.ends[fam]
			if e.announces > 0 {
				earlier(e.announceAt)
			}
			if e.asks > 0 {
				earlier(e.askAt)
			}
			if e.answer != 0 {
				earlier(e.answerAt)
			}
			if e.wantPTR {
				earlier(e.ownAskAt.Add(askInterval))
			}
			if len(e.questions) > 0 {
				earlier(e.questionsAt.Add(questionInterval))
			}
		}
	}
	return at
}

// advance does all that is due by now.
func (c *core) advance(now time.Time) {
	c.now, c.jitter = now, c.rng.Float64()
	for len(c.dues) > 0 && !c.dues[0].due.After(now) {
		c.step(c.dues[0])
	}
	if !c.copyAskAt.IsZero() && !c.copyAsked && !c.copyAskAt.After(now) {
		c.askCopy()
	}
	for _, l := range c.links {
		for fam := range l.families.each(l.families) {
			e := &l.ends[fam]
			if e.announces > 0 && !e.announceAt.After(now) {
				c.announce(l, fam)
			}
			if e.asks > 0 && !e.askAt.After(now) {
				c.askJoining(l, fam)
			}
			if e.wantPTR && now.Sub(e.ownAskAt) >= askInterval {
				c.askPTR(l, fam)
			}
			if len(e.questions) > 0 && now.Sub(e.questionsAt) >= questionInterval {
				c.send(l, fam, netip.AddrPort{}, &dns.Msg{Question: e.questions, Compress: true})
				e.questions, e.questionsAt = nil, now
			}
			if e.answer != 0 && !e.answerAt.After(now) {
				c.answer(l, fam)
			}
		}
	}
}

func (c *core) send(l *link, fam family, to netip.AddrPort, msg *dns.Msg) {
	data, err := msg.Pack()
	if err != nil { // it repeats a name heard, which then was none
		c.dropped++
		return
	}
	c.out = append(c.out, packet{link: l.index, family: fam, to: to, data: data})
}

// receive takes in a packet from the network. One that makes no sense is
// counted and dropped (RFC 6762 §18).
func (c *core) receive(in arrival, data []byte, now time.Time) {
	if msg, ok := parse(data); ok {
		c.hear(in, msg, now)
	} else {
		c.dropped++
	}
}

// parse reads a packet (RFC 6762 §17, §18.3, §18.11).
func parse(data []byte) (msg *dns.Msg, ok bool) {
	const opcodeMask, rcodeMask = 0x78, 0x0f
	if len(data) < headerSize || len(data) > maxPacket || data[2]&opcodeMask != 0 || data[3]&rcodeMask != 0 {
		return nil, false
	}
	msg = new(dns.Msg)
	if msg.Unpack(data) == nil {
		return msg, true
	}
	return salvage(data)
}

// salvage reads what can be read of a packet: records whose contents make no sense are left
// out. Some versions of python3-zeroconf add such an NSEC record to every answer.
func salvage(data []byte) (msg *dns.Msg, ok bool) {
	msg = new(dns.Msg)
	if msg.Unpack(append(slices.Clone(data[:4]), make([]byte, headerSize-4)...)) != nil {
		return nil, false
	}
	count := func(section int) int { return int(binary.BigEndian.Uint16(data[4+2*section:])) }
	off := headerSize
	for range count(0) {
		name, next, err := dns.UnpackDomainName(data, off)
		if err != nil || next+4 > len(data) {
			return nil, false
		}
		msg.Question = append(msg.Question, dns.Question{
			Name: name, Qtype: binary.BigEndian.Uint16(data[next:]), Qclass: binary.BigEndian.Uint16(data[next+2:]),
		})
		off = next + 4
	}
	for section, records := range []*[]dns.RR{&msg.Answer, &msg.Ns, &msg.Extra} {
		for range count(1 + section) {
			const fixed = 10 // type, class, TTL, length
			_, next, err := dns.UnpackDomainName(data, off)
			if err != nil || next+fixed > len(data) {
				return nil, false
			}
			end := next + fixed + int(binary.BigEndian.Uint16(data[next+fixed-2:]))
			if end > len(data) {
				return nil, false
			}
			if rr, _, err := dns.UnpackRR(data[:end], off); err == nil {
				*records = append(*records, rr)
			}
			off = end
		}
	}
	return msg, true
}

// hear takes in a parsed packet, which it doesn't change.
func (c *core) hear(in arrival, msg *dns.Msg, now time.Time) {
	c.now, c.jitter = now, c.rng.Float64()
	l := c.links[in.link]
	if l == nil {
		return
	}
	switch {
	case !msg.Response:
		c.question(l, in, msg)
	case in.source.Port() != mdnsPort || in.unicast && !l.onLink(in.source.Addr()):
		c.dropped++ // RFC 6762 §6, §11
	default:
		c.response(l, in, slices.Concat(msg.Answer, msg.Extra))
	}
	c.advance(now)
}

// hint takes in what a browse of hashicorp/mdns found. Its entries have no TTL:
// ours is assumed. They don't bring back somebody who just said goodbye.
func (c *core) hint(index int, fam family, rrs []dns.RR, now time.Time) {
	c.now, c.jitter = now, c.rng.Float64()
	l := c.links[index]
	if l == nil {
		return
	}
	for _, rr := range rrs {
		rr.Header().Ttl = uint32(l.ttl() / time.Second)
		if ptr, ok := rr.(*dns.PTR); ok {
			if i := l.instances[canonical(ptr.Ptr)]; i != nil && i.leaving {
				return
			}
		}
	}
	c.response(l, arrival{link: index, family: fam}, rrs)
	c.advance(now)
}

// response takes in the records of a response: first which instances there are,
// then where they listen, then the addresses of those hosts.
func (c *core) response(l *link, in arrival, rrs []dns.RR) {
	for _, rr := range rrs {
		h := rr.Header()
		if h.Class&^topBit != dns.ClassINET {
			continue
		}
		c.defend(l, in.family, rr)
		if ptr, ok := rr.(*dns.PTR); ok && canonical(h.Name) == serviceName {
			c.hearPTR(l, in, ptr.Ptr, ttlOf(h))
		}
	}
	for _, rr := range rrs {
		switch h := rr.Header(); rr := rr.(type) {
		case *dns.SRV:
			c.hearSRV(l, in, h.Name, rr.Target, rr.Port, ttlOf(h))
		case *dns.TXT:
			c.hearTXT(l, in, h.Name, rr.Txt, ttlOf(h))
		}
	}
	for _, rr := range rrs {
		if addr, h := addrOf(rr), rr.Header(); addr.IsValid() {
			c.hearAddr(l, in, h.Name, addr, ttlOf(h), h.Class&topBit != 0)
		}
	}
}

func ttlOf(h *dns.RR_Header) time.Duration {
	return min(time.Duration(h.Ttl)*time.Second, maxTTL)
}
