package chat

import (
	"crypto/hmac"
	cryptorand "crypto/rand"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/blake2s"

	"earshot/chat/handshake"
	"earshot/chat/session"
	"earshot/chat/wire"
)

// half is a handshake that we have answered and whose end is awaited.
type half struct {
	core  *core
	index uint32
	opening
	counts  netip.Addr // whom it counts for
	proven  bool       // source has shown a cookie
	machine *handshake.Responder
	timer   timer
}

// opening is how a hello that comes again is known. Its index is part of it: whoever has
// seen a hello could send it under another, and that isn't what its sender is waiting for.
// So is its source: who ends the handshake has had the reply that went there.
type opening struct {
	ephemeral [32]byte
	sender    uint32
	source    netip.AddrPort
}

// hello takes message 1 and answers it, within the caps of SPEC §10.
func (c *core) hello(now time.Time, src netip.AddrPort, b []byte) {
	h, err := wire.ParseHello(b)
	if err != nil || h.Sender == 0 {
		c.stats.Malformed++
		return
	}
	if c.closing {
		return
	}
	o := opening{[32]byte(h.Noise), h.Sender, src}
	f := c.hellos[o]
	if f == nil {
		if f = c.answer(now, o, &h); f == nil {
			return
		}
	}
	// A hello that comes again has lost its reply, and gets the same.
	reply := wire.Answer{Type: wire.TypeReply, Sender: f.index, Receiver: f.sender, Noise: f.machine.Reply()}
	c.out(reply.Append(c.buf()), src)
}

// answer makes the handshake that a hello asks for, or nil when it must not be.
func (c *core) answer(now time.Time, o opening, h *wire.Hello) *half {
	src := o.source
	if handshake.CheckHello(h.Noise) != nil {
		c.stats.Forged++
		return nil
	}
	counts := c.source(src.Addr())
	has := c.sources[counts]
	want := c.cookies.make(now, src)
	proven := hmac.Equal(want[:], h.Cookie[:]) || c.cookies.was(src, h.Cookie)
	if !proven && (len(c.halves) >= cookiesFrom || has.unproven >= cookiesFromSource || !c.unproven.take(now, 1)) {
		k := wire.Cookie{Receiver: h.Sender, Cookie: want}
		c.out(k.Append(c.buf()), src)
		c.stats.Refused++
		return nil
	}
	if len(c.halves) >= maxHalves || has.proven >= maxHalvesPerSource {
		c.stats.Refused++
		return nil
	}
	index := c.newIndex()
	machine, err := handshake.Respond(c.identity.private, newEphemeral(), index, c.intro, h.Noise)
	if err != nil {
		c.stats.Forged++
		return nil
	}
	f := &half{core: c, index: index, opening: o, counts: counts, proven: proven, machine: machine}
	f.timer.run = func(time.Time) { f.end() }
	c.halves[f.index], c.hellos[f.opening] = f, f
	f.count(1)
	c.timers.set(&f.timer, now.Add(halfLife))
	return f
}

// end forgets the handshake.
func (f *half) end() {
	c := f.core
	c.timers.set(&f.timer, time.Time{})
	delete(c.halves, f.index)
	delete(c.hellos, f.opening)
	f.count(-1)
}

// tally is how many handshakes with one source are answered and unfinished.
type tally struct{ proven, unproven int }

func (f *half) count(n int) {
	t := f.core.sources[f.counts]
	if f.proven {
		t.proven += n
	} else {
		t.unproven += n
	}
	if f.core.sources[f.counts] = t; t == (tally{}) {
		delete(f.core.sources, f.counts)
	}
}

// source is whom an address counts for: in IPv6 a network, since whoever has one address
// there has all. Where the whole LAN shares it, it is the address (SPEC §10.2).
func (c *core) source(a netip.Addr) netip.Addr {
	if a.Is4() || a.IsLinkLocalUnicast() {
		return a
	}
	net, err := a.Prefix(sourceBits)
	if err != nil || slices.ContainsFunc(c.told, func(own netip.AddrPort) bool { return net.Contains(own.Addr()) }) {
		return a
	}
	return net.Addr()
}

// final takes message 3, with which the peer is proven.
func (c *core) final(now time.Time, src netip.AddrPort, b []byte) {
	a, err := wire.ParseAnswer(b)
	if err != nil {
		c.stats.Malformed++
		return
	}
	if l := c.links[a.Receiver]; l != nil && !l.initiator && a.Sender == l.session.Remote() {
		// It came again, so the peer has not heard us yet.
		l.session.Confirm()
		l.flush(now)
		return
	}
	f := c.halves[a.Receiver]
	if f == nil || f.sender != a.Sender || c.closing {
		c.stats.Unknown++
		return
	}
	result, err := f.machine.ReadFinal(a.Noise, a.Sender)
	if err != nil {
		c.stats.Forged++
		return
	}
	for _, o := range c.halves { // the same hello comes from each address of its sender
		if o.ephemeral == f.ephemeral && o.sender == f.sender {
			o.end()
		}
	}
	if c.refuse(result.Peer) {
		c.shun(now, result.Peer, f.source)
		return
	}
	intro, err := wire.ParseIntroduction(result.Intro)
	if err != nil {
		c.stats.Malformed++
		return
	}
	if !c.makeRoom(now, src.Addr()) {
		return
	}
	s := session.New(now, result.Send, result.Recv, f.index, a.Sender)
	result.Wipe()
	if src != f.source {
		s.Check(c.random.Uint64())
	}
	l := c.establish(now, src, s, result.Peer, result.Binding, intro, nil)
	s.Confirm()
	l.flush(now)
	l.person.found()
}

// cookies makes proofs of address that cost no memory (SPEC §10): a keyed hash of
// the address under a secret that changes every cookieEpoch.
type cookies struct {
	secret, before [32]byte
	epoch          time.Time
}

func (k *cookies) make(now time.Time, to netip.AddrPort) [wire.CookieSize]byte {
	if now.Sub(k.epoch) >= cookieEpoch {
		if k.before = k.secret; now.Sub(k.epoch) >= 2*cookieEpoch {
			k.before = [32]byte{}
		}
		k.epoch = now
		cryptorand.Read(k.secret[:])
	}
	return cookieOf(&k.secret, to)
}

// was reports whether cookie was made under the secret before the present one.
func (k *cookies) was(to netip.AddrPort, cookie [wire.CookieSize]byte) bool {
	want := cookieOf(&k.before, to)
	return k.before != [32]byte{} && hmac.Equal(want[:], cookie[:])
}

func cookieOf(secret *[32]byte, to netip.AddrPort) (cookie [wire.CookieSize]byte) {
	h, err := blake2s.New128(secret[:])
	if err != nil {
		panic(err) // the key's size is in its type
	}
	b, _ := to.MarshalBinary()
	h.Write(b)
	h.Sum(cookie[:0])
	return cookie
}
