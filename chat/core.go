package chat

import (
	"crypto/ecdh"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"earshot/chat/session"
	"earshot/chat/wire"
)

// Errors of a Node.
var (
	ErrUnreachable = errors.New("chat: no answer from the peer")
	ErrTooLong     = errors.New("chat: the text is longer than 65536 bytes")
	ErrEmpty       = errors.New("chat: the text is empty")
	ErrBacklog     = errors.New("chat: too many messages are waiting for this peer")
	ErrNoAddress   = errors.New("chat: no address is known for this peer")
	ErrClosed      = errors.New("chat: the node is closed")
	ErrSelf        = errors.New("chat: the address is our own")
	errLongName    = errors.New("chat: the name is longer than 63 bytes")
	ErrRefused     = errors.New("chat: the person is refused")
)

// MismatchError says that whoever answers at Addr proved the key Got, and not the
// key Want that was asked for. Nothing was told them of who asks.
type MismatchError struct {
	Want, Got Key
	Addr      netip.AddrPort
}

// Error names both keys by their short forms.
func (e *MismatchError) Error() string {
	return "chat: " + e.Addr.String() + " is " + e.Got.Short() + ", not " + e.Want.Short()
}

// Stats counts what a node has taken and dropped, since it says nothing about any of it.
type Stats struct {
	Opened      uint64 // authentic sealed datagrams: the only ones not dropped
	Malformed   uint64 // datagrams of no known form
	Forged      uint64 // whose seal or handshake did not open
	Replayed    uint64 // sealed datagrams seen before
	Unknown     uint64 // sealed datagrams for no session of ours
	Refused     uint64 // handshakes and sessions over a cap, and whatever comes from people refused
	SendErrors  uint64 // datagrams that the system would not send
	StoreErrors uint64 // times that the store would not take something
	LostEvents  uint64 // events other than messages that nobody took in time
}

// capabilities is what this version understands (SPEC §6).
const capabilities = wire.CanDecline | wire.SmallFragments

// core is a node without socket, clock, lock or goroutine: its owner brings
// datagrams and the time, and comes back at timers.next. SPEC.md holds its rules.
type core struct {
	identity     *Identity
	key          Key
	name         string
	alias        bool    // name is this node's alone
	instance     [8]byte // this run of the node (SPEC §4)
	intro        []byte
	capabilities wire.Capabilities // what we introduce ourselves with
	told         []netip.AddrPort  // as introduce was last told
	random       *rand.Rand        // indices, tokens and message ids
	out          func(datagram []byte, to netip.AddrPort)

	store    Store
	refuse   func(Key) bool
	people   map[Key]*person
	links    map[uint32]*link // by our index, like the next two
	dials    map[uint32]*dial
	halves   map[uint32]*half
	remotes  map[uint32][]*link // by the peer's index, which strangers can choose alike
	hellos   map[opening]*half
	sources  map[netip.Addr]tally // how many of halves each source has
	hosts    map[netip.Addr]int   // how many of links each source has
	cookies  cookies
	unproven bucket // hellos to be answered without a cookie
	trials   bucket // hellos to where people only say to be
	timers   timers
	events   eventQueue
	shuns    map[netip.AddrPort]shunned
	stalled  map[*link]struct{} // links with messages that found events full
	behind   behind
	held     int     // bytes of messages in the making
	corking  bool    // uncork is to be called soon
	corked   []*link // with messages that wait for it
	stats    Stats
	scratch  session.Scratch
	alone    bool // the datagram goes to the system by itself
	packet   [wire.MaxDatagram]byte
	notices  notices
	closing  bool

	unanswered func(Key) // as Config has it

	rooms rooms

	weakReplay bool             // for tests that show that such a fault is noticed
	careless   bool             // the same
	off        time.Duration    // the same: by how much the clock is wrong, which timers don't go by
	drops      bool             // the same
	chooseID   func() MessageID // for tests of peers who choose ids as they like; nil: they are random
}

// newCore makes a core. Random is for what must be unguessable but is no key.
func newCore(cfg Config, random *rand.Rand, out func([]byte, netip.AddrPort)) (*core, error) {
	if len(cfg.Name) > MaxName {
		return nil, errLongName
	}
	c := &core{
		identity: cfg.Identity, key: cfg.Identity.Key(), name: cfg.Name, alias: cfg.Alias, store: cfg.Store, refuse: cfg.Refuse, unanswered: cfg.Unanswered, random: random, out: out, capabilities: capabilities,
		people: map[Key]*person{}, links: map[uint32]*link{}, dials: map[uint32]*dial{},
		halves: map[uint32]*half{}, remotes: map[uint32][]*link{}, hellos: map[opening]*half{},
		sources: map[netip.Addr]tally{}, hosts: map[netip.Addr]int{}, stalled: map[*link]struct{}{}, shuns: map[netip.AddrPort]shunned{},
		unproven: bucket{burst: cookiesFrom, perSecond: cookiesFrom},
		trials:   bucket{burst: trialsAtOnce, perSecond: trialsPerSecond},
		rooms:    rooms{in: map[string]*parlour{}, passing: cfg.Passing, aside: bucket{burst: asideOfAll, perSecond: asideOfAll / asideEvery.Seconds()}},
	}
	c.behind.capacity = make(chan struct{}, 1)
	binary.BigEndian.PutUint64(c.instance[:], c.random.Uint64())
	if c.store == nil {
		c.store = newMemory()
	}
	if c.refuse == nil {
		c.refuse = func(Key) bool { return false }
	}
	if err := c.introduce(nil); err != nil {
		return nil, err
	}
	return c, nil
}

// introduce makes what handshakes from now on say of this node.
func (c *core) introduce(addrs []netip.AddrPort) (err error) {
	c.told = addrs
	i := wire.Introduction{Name: c.name, Instance: c.instance[:], Capabilities: c.capabilities, Whose: wire.PersonsName}
	if c.alias {
		i.Whose = wire.NodesName
	}
	for _, a := range addrs[:min(len(addrs), wire.MaxAddrs)] {
		i.Addrs = append(i.Addrs, wire.AppendAddr(nil, a))
	}
	c.intro, err = wire.MarshalIntroduction(&i)
	return err
}

// rename changes the name, and has every session replaced by one that tells it.
func (c *core) rename(now time.Time, name string) error {
	if len(name) > MaxName {
		return errLongName
	}
	c.name, c.alias = name, false
	at := now
	for _, l := range c.links {
		l.renew = at
		l.schedule(now)
		at = at.Add(renameStep)
	}
	return c.introduce(c.told)
}

// newIndex returns a session index that is in use for nothing.
func (c *core) newIndex() uint32 {
	for {
		i := c.random.Uint32()
		if i != 0 && c.links[i] == nil && c.dials[i] == nil && c.halves[i] == nil {
			return i
		}
	}
}

func newEphemeral() *ecdh.PrivateKey {
	k, err := ecdh.X25519().GenerateKey(cryptorand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return k
}

// buf is room for one datagram, good until the next is made.
func (c *core) buf() []byte { return c.packet[:0] }

// person returns the record of key, made if need be.
func (c *core) person(key Key) *person {
	p := c.people[key]
	if p == nil {
		p = &person{core: c, Person: Person{Key: key}}
		p.timer.run, p.retry.run, p.returning.run, p.naming.run = p.fire, p.retryDeclined, p.returned, p.rename
		p.returns = bucket{burst: returnsAtOnce, perSecond: 1 / returnEvery.Seconds()}
		p.aside = bucket{burst: asideOfOne, perSecond: asideOfOne / asideEvery.Seconds()}
		c.people[key] = p
	}
	return p
}

// receive takes one datagram, which it may overwrite (SPEC §3).
func (c *core) receive(now time.Time, src netip.AddrPort, b []byte) {
	if len(b) == 0 || len(b) > wire.MaxDatagram {
		c.stats.Malformed++
		return
	}
	if c.shunned(now, src) {
		c.stats.Refused++
		return
	}
	switch b[0] {
	case wire.TypeSealed:
		c.sealed(now, src, b)
	case wire.TypeHello:
		c.hello(now, src, b)
	case wire.TypeReply:
		c.reply(now, src, b)
	case wire.TypeFinal:
		c.final(now, src, b)
	case wire.TypeCookie:
		c.cookie(src, b)
	case wire.TypeUnknown:
		c.unknown(now, src, b)
	default:
		c.stats.Malformed++
	}
}

// sealed takes a datagram for a session (SPEC §5).
func (c *core) sealed(now time.Time, src netip.AddrPort, b []byte) {
	index, counter, _, err := wire.ParseSealed(b)
	if err != nil {
		c.stats.Malformed++
		return
	}
	l := c.links[index]
	if l == nil {
		c.stats.Unknown++
		if c.halves[index] == nil && c.dials[index] == nil && c.notices.may(now, src.Addr()) {
			u := wire.Unknown{Receiver: index, Counter: counter}
			c.out(u.Append(c.buf()), src)
		}
		return
	}
	if key := l.person.Key; c.refuse(key) {
		c.drop(now, key)
		return
	}
	latest, err := l.session.Open(now, b, &c.scratch)
	switch {
	case errors.Is(err, session.ErrReplay):
		c.stats.Replayed++
		return
	case errors.Is(err, session.ErrForged):
		c.stats.Forged++
		return
	case err != nil:
		c.stats.Malformed++ // authentic all the same: what came before the fault counts
	}
	c.stats.Opened++
	l.from(src, len(b), latest)
	l.heard(now)
	c.unburden(now)
}

// notices bounds how often it is said that a session is unknown (SPEC §5): to each address by
// itself, so that a flood from some keeps nobody else from hearing of it.
type notices struct {
	since time.Time
	told  map[netip.Addr]struct{} // since then
}

// may reports whether to tell an address now.
func (n *notices) may(now time.Time, to netip.Addr) bool {
	if n.told == nil || now.Sub(n.since) >= unknownEvery {
		n.since = now
		n.told = map[netip.Addr]struct{}{}
	}
	if _, told := n.told[to]; told || len(n.told) >= maxNotices {
		return false
	}
	n.told[to] = struct{}{}
	return true
}

// unknown takes the notice that a session of ours means nothing to the peer any
// more. It proves nothing, so it costs nothing: we ask anew and keep the session
// until the answer (SPEC §5).
func (c *core) unknown(now time.Time, src netip.AddrPort, b []byte) {
	u, err := wire.ParseUnknown(b)
	if err != nil {
		c.stats.Malformed++
		return
	}
	meant := false
	for _, l := range slices.Clone(c.remotes[u.Receiver]) {
		if l.addr != src || u.Counter >= l.session.Counter() || u.Counter+session.ReplayWindow < l.session.Counter() {
			continue
		}
		if meant = true; c.closing {
			l.remove(now)
		} else {
			l.doubt(now)
		}
	}
	if !meant {
		c.stats.Unknown++
	}
}

// tick runs what is due.
func (c *core) tick(now time.Time) { c.timers.fire(now) }

// next moves a few events from the queue to the end of to, and takes in messages that waited for the room.
func (c *core) next(now time.Time, to []Event) []Event {
	for c.events.Len() > 0 && len(to) < fetchEvents {
		to = append(to, c.events.take())
	}
	c.drained()
	for l := range c.stalled {
		if c.events.roomier(l.person.Key) {
			c.behind.full = time.Time{}
			delete(c.stalled, l)
			l.flush(now)
		}
	}
	return to
}

// wall returns what the clock shows at now.
func (c *core) wall(now time.Time) time.Time { return now.Add(c.off) }

// send queues text for the person.
func (c *core) send(now time.Time, to Key, text string) (MessageID, error) {
	switch {
	case c.closing:
		return MessageID{}, ErrClosed
	case text == "":
		return MessageID{}, ErrEmpty
	case len(text) > MaxText:
		return MessageID{}, ErrTooLong
	case c.refuse(to):
		return MessageID{}, ErrRefused
	}
	p := c.people[to]
	switch {
	case p == nil || len(p.links) == 0 && len(p.hints) == 0 && !p.last.IsValid():
		return MessageID{}, ErrNoAddress
	case p.backlog() >= maxBacklog || c.events.Len() >= maxWaitingEvents:
		return MessageID{}, ErrBacklog
	}
	id := c.newID()
	own, err := c.store.Said(Saying{To: to, Name: p.Name, ID: id, Text: text, Sent: c.wall(now)})
	if err != nil {
		c.stats.StoreErrors++
		return MessageID{}, fmt.Errorf("chat: the message can't be kept: %w", err)
	}
	p.typing = time.Time{} // what is written next is news (SPEC §9)
	if l := p.best(); l != nil {
		l.session.Typing(false)
	}
	if own {
		p.push(now, session.Message{ID: id, Text: text, Sent: c.wall(now)})
	} else {
		p.collect(now)
	}
	return id, nil
}

// newID returns the id of a message to be sent.
func (c *core) newID() (id MessageID) {
	if c.chooseID != nil {
		return c.chooseID()
	}
	binary.BigEndian.PutUint64(id[:8], c.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], c.random.Uint64())
	return id
}

// cork has what was pushed to the link wait for uncork.
func (c *core) cork(l *link) {
	if !slices.Contains(c.corked, l) {
		c.corked = append(c.corked, l)
	}
}

// uncork sends what has waited for it.
func (c *core) uncork(now time.Time) {
	for _, l := range c.corked {
		if c.links[l.session.Local()] == l {
			l.send(now)
		}
	}
	clear(c.corked)
	c.corked = c.corked[:0]
}

// watch says whether a conversation with the person is before somebody's eyes.
func (c *core) watch(now time.Time, key Key, on bool) {
	p := c.person(key)
	p.watched = on
	for _, l := range p.links {
		l.schedule(now)
	}
	p.prune()
}

// typing tells the person that we write to them, where that costs no more than a datagram.
func (c *core) typing(now time.Time, key Key) {
	p := c.people[key]
	if p == nil || c.closing || c.refuse(key) || now.Sub(p.typing) < typingEvery {
		return
	}
	if l := p.best(); l != nil {
		p.typing = now
		l.session.Typing(true)
		l.send(now)
	}
}

// close says goodbye on every session. The core has nothing left when links is empty.
func (c *core) close(now time.Time) {
	c.closing = true
	for _, d := range c.dials {
		d.end(Person{}, ErrClosed)
	}
	var links []*link
	for _, p := range c.sorted() {
		links = append(links, p.links...)
	}
	c.surveyed()
	for _, l := range links {
		for _, w := range l.waiters {
			w.done(Person{}, ErrClosed)
		}
		l.waiters = nil
		if l.retired {
			l.remove(now)
			continue
		}
		l.session.Close()
		l.flush(now)
		if l.overdue(now, redialAfter) {
			l.remove(now) // silent before: no answer is to be waited for
		}
	}
}
