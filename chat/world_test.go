package chat

import (
	"bytes"
	"container/heap"
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"earshot/chat/wire"
)

// world is a set of cores on a network that loses, doubles, delays, reorders and
// damages, under a clock of its own. Everything in it follows from the seed.
type world struct {
	t       reporter
	rng     *rand.Rand
	now     time.Time
	up      atomic.Int64 // the time since simBegin, for those who ask at any time
	queue   flights
	nodes   []*simNode
	loss    float64
	dup     float64
	damage  float64
	delay   time.Duration // each way, and up to jitter more
	jitter  time.Duration
	cut     map[[2]netip.Addr]bool // one-way
	most    map[[2]netip.Addr]int  // bytes of a datagram that pass, one-way
	story   *strings.Builder       // nil: not told
	dual    bool                   // everybody is seen at addresses of both families
	counter int
	recent  [64][]byte      // datagrams of late, as they were sent
	opened  map[string]bool // sealed datagrams on their way: opened already?
	said    int
	answers int
	dir     func() string // where a node keeps a real store; nil: nowhere
}

var simBegin = time.Unix(1_700_000_000, 0)

type flight struct {
	at       time.Time
	n        int // ties in the order sent
	from, to netip.AddrPort
	b        []byte
}

type flights []flight

func (q flights) Len() int { return len(q) }
func (q flights) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].n < q[j].n
}
func (q flights) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *flights) Push(x any)   { *q = append(*q, x.(flight)) }
func (q *flights) Pop() any {
	old := *q
	f := old[len(old)-1]
	*q = old[:len(old)-1]
	return f
}

// simNode is a program on a machine: the core is lost in a crash, the disk is not.
type simNode struct {
	order     []Kind // of all events
	w         *world
	id        *Identity
	name      string
	addr      netip.AddrPort
	addr6     netip.AddrPort // the same, where it is called by IPv6
	core      *core
	disk      *disk
	seen      map[Key][]netip.AddrPort // what discovery says, told again after a restart
	events    []Event                  // all but messages and deliveries
	starving  bool                     // takes no events
	closed    bool                     // not running
	follows   bool                     // it takes from its disk what its core leaves there
	printed   map[Key][]string         // messages between two that it took, by who said them
	crashed   bool                     // once; what it had not taken is lost to who reads its events
	old       bool                     // of the first version: it takes no parts
	doom      int                      // crashes at the doom-th write or datagram from now; 0: does not
	back      time.Time                // when it runs again after a crash
	faults    faults
	rooms     []Membership
	passing   bool               // soon gone
	shown     []Event            // messages of rooms, in the order shown
	outwaited map[authored]bool  // of those, which were held back in vain
	vain      bool               // some were, since it started
	since     time.Time          // when it came back, after it had left
	off       time.Duration      // by how much its clock is wrong
	echoes    []MessageID        // ids of messages heard, to be used again
	used      map[MessageID]bool // ids of messages said
	store     Store              // nil: disk
	suspended suspension
}

// reporter is what a simulation complains to: a test, or a probe that is expected
// to hear complaints.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
	Failed() bool
}

func newWorld(t reporter, seed uint64) *world {
	return &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: simBegin, delay: 200 * time.Microsecond,
		cut: map[[2]netip.Addr]bool{}, most: map[[2]netip.Addr]int{}, opened: map[string]bool{},
	}
}

// node adds a person whose node runs.
func (w *world) node(name string) *simNode {
	n := w.person(name)
	n.start()
	return n
}

// person adds somebody with a disk and an address.
func (w *world) person(name string) *simNode {
	secret := make([]byte, 32)
	for i := range secret {
		secret[i] = byte(w.rng.Uint32())
	}
	private, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &simNode{
		printed:   map[Key][]string{},
		outwaited: map[authored]bool{},
		used:      map[MessageID]bool{},
		w:         w, id: &Identity{private}, name: name, seen: map[Key][]netip.AddrPort{},
		addr:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, 0, byte(len(w.nodes) + 1)}), DefaultPort),
		addr6: netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 15: byte(len(w.nodes) + 1)}), DefaultPort),
	}
	n.disk = &disk{node: n, contents: newContents()}
	if w.dir != nil {
		n.disk.dir = w.dir()
	}
	w.nodes = append(w.nodes, n)
	return n
}

// start runs a fresh core for the same identity and disk, as after a restart.
func (n *simNode) start() {
	store := n.store
	if store == nil {
		store = n.disk
	}
	c, err := newCore(Config{Identity: n.id, Name: n.name, Store: store}, rand.New(rand.NewPCG(n.w.rng.Uint64(), 2)), n.send)
	if err != nil {
		n.w.t.Fatal(err)
	}
	c.weakReplay = n.faults.weakReplay
	c.chooseID = n.chooseID
	n.core, n.closed, n.vain = c, false, false
	c.off = n.off
	n.disk.disown()
	n.disk.reopen()
	c.careless, c.drops = n.faults.careless, n.faults.drops
	c.rooms.passing = n.passing
	if n.old {
		n.introducesWith(0)
	}
	n.disk.deferring, n.disk.deferred = false, nil
	c.behind.followed = n.follows
	for _, m := range n.rooms {
		if err := c.join(n.w.now, m); err != nil {
			n.w.t.Fatal(err)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(n.seen), func(a, b Key) int { return bytes.Compare(a[:], b[:]) }) {
		c.person(key).seen(n.w.now)
		c.person(key).hint(n.w.now, n.seen[key])
	}
}

// chooseID returns the id of a message to be said: sometimes that of one just heard, which is
// no more than an id of this sender's too (SPEC §7.5).
func (n *simNode) chooseID() (id MessageID) {
	r := n.w.rng
	if i := len(n.echoes) - 1; i >= 0 && r.IntN(3) == 0 {
		if id, n.echoes = n.echoes[i], n.echoes[:i]; !n.used[id] {
			n.used[id] = true
			return id
		}
	}
	binary.BigEndian.PutUint64(id[:8], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	n.used[id] = true
	return id
}

// strikes reports whether the node is dead, or dies of this very act.
func (n *simNode) strikes() bool {
	if n.closed {
		return true
	}
	if n.doom > 0 {
		if n.doom--; n.doom == 0 {
			n.closed, n.crashed = true, true
			n.back = n.w.now.Add(time.Duration(n.w.rng.Int64N(int64(3 * time.Second))))
			n.w.tell("%s crashes", n.name)
			return true
		}
	}
	return false
}

func (n *simNode) send(b []byte, to netip.AddrPort) {
	w := n.w
	if n.strikes() {
		return
	}
	from := n.addr
	if to.Addr().Is6() {
		from = n.addr6
	}
	way := [2]netip.Addr{n.addr.Addr(), host(to.Addr())}
	if most := w.most[way]; w.cut[way] || most != 0 && len(b) > most || w.rng.Float64() < w.loss {
		w.tell("%s -> %s lost %d bytes type %d", n.name, to, len(b), b[0])
		return
	}
	copies := 1
	if w.rng.Float64() < w.dup {
		copies = 2
	}
	for range copies {
		d := w.delay
		if w.jitter > 0 {
			d += time.Duration(w.rng.Int64N(int64(w.jitter)))
		}
		c := bytes.Clone(b)
		w.recent[w.counter%len(w.recent)] = bytes.Clone(b)
		if w.damage > 0 && w.rng.Float64() < w.damage {
			c[w.rng.IntN(len(c))] ^= byte(1 + w.rng.IntN(255))
		}
		w.counter++
		heap.Push(&w.queue, flight{w.now.Add(d), w.counter, from, to, c})
	}
}

// host is the IPv4 address of who is at an address.
func host(a netip.Addr) netip.Addr {
	if b := a.As16(); a.Is6() {
		return netip.AddrFrom4([4]byte{198, 18, 0, b[15]})
	}
	return a
}

// forge makes of a datagram that was sent one that might take somebody in: damaged, cut,
// of another type or for somebody else.
func forge(r *rand.Rand, d []byte) []byte {
	b := bytes.Clone(d)
	switch r.IntN(5) {
	case 0:
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	case 1:
		b = b[:1+r.IntN(len(b))]
	case 2:
		b[0] = byte(r.IntN(8))
	case 3: // what follows the header isn't what was sealed
		for i := min(len(b), wire.SealedHeader); i < len(b); i++ {
			b[i] = byte(r.Uint32())
		}
	case 4: // another counter, or index
		if at := 1 + r.IntN(12); at < len(b) {
			b[at] ^= byte(1 + r.IntN(255))
		}
	}
	return b
}

func (w *world) tell(format string, args ...any) {
	if w.story != nil {
		fmt.Fprintf(w.story, "%12s ", w.now.Sub(simBegin))
		fmt.Fprintf(w.story, format+"\n", args...)
	}
}

// gets hands the node a datagram, and checks that no sealed one is opened twice.
func (n *simNode) gets(from netip.AddrPort, b []byte) {
	w := n.w
	w.tell("%s <- %s %d bytes type %d", n.name, from, len(b), b[0])
	before := n.core.stats.Opened
	as := string(b)
	n.core.receive(w.now, from, b)
	if n.core.stats.Opened > before {
		if w.opened[as] {
			w.t.Errorf("%s opened one datagram twice", n.name)
		}
		w.opened[as] = true
	}
	held := 0
	for _, l := range n.core.links {
		held += l.session.Held()
	}
	if held != n.core.held || held > maxHeld {
		w.t.Errorf("%s holds %d bytes of messages in the making, and counts %d", n.name, held, n.core.held)
	}
	n.drain()
}

// drain takes what the node's core has to report.
func (n *simNode) drain() {
	for !n.starving && !n.closed {
		events := n.core.next(n.w.now, nil)
		if len(events) == 0 && !n.catchUp() {
			return
		}
		vain := slices.ContainsFunc(events, func(e Event) bool {
			return e.Kind == Message && e.Room != "" && n.w.now.Sub(e.Received) >= n.waits(e)
		})
		n.vain = n.vain || vain
		for _, e := range events {
			n.takes(e)
			held := n.w.now.Sub(e.Received)
			// Nobody waits longer, nor for who has; nor again for long for somebody for whom it was in vain (SPEC §13.6).
			if vain && held > 0 || n.vain && held >= 500*time.Millisecond {
				n.outwaited[authored{e.Person.Key, e.ID}] = true
			}
		}
	}
}

// waits is how long a message in a room may be held back (SPEC §13.6). One of the time before the node was in the
// room is, as far as clocks tell, which differ.
func (n *simNode) waits(e Event) time.Duration {
	if r := n.core.rooms.in[e.Room]; r != nil && !r.order.Began.IsZero() && e.Clock < uint64(n.core.wall(r.order.Began).UnixMilli()) {
		return 3 * time.Second
	}
	return 30 * time.Second
}

func (n *simNode) takes(e Event) {
	n.order = append(n.order, e.Kind)
	switch e.Kind {
	case Message:
		if n.echoes = append(n.echoes, e.ID); e.Room != "" {
			n.shown = append(n.shown, e)
		} else {
			n.printed[e.Person.Key] = append(n.printed[e.Person.Key], e.Text)
		}
		n.w.tell("%s hears %q from %s", n.name, short(e.Text), e.Person.Name)
	case Delivered:
		n.w.tell("%s knows %v delivered", n.name, e.ID)
	default:
		n.w.tell("%s event %d about %s", n.name, e.Kind, e.Person.Name)
		n.events = append(n.events, e)
	}
}

func short(s string) string { return s[:min(len(s), 24)] }

func (n *simNode) say(to *simNode, text string) {
	n.w.said++
	n.w.tell("%s says %q to %s", n.name, short(text), to.name)
	if _, err := n.core.send(n.w.now, to.id.Key(), text); err != nil && !n.closed {
		n.w.t.Fatalf("%s says to %s: %v", n.name, to.name, err)
	}
	n.drain()
}

// step lets the next thing happen, but nothing after until.
func (w *world) step(until time.Time) bool {
	next := until
	var due *simNode
	for _, n := range w.nodes {
		at := n.back
		if n.stopped() {
			at = n.suspended.until
		} else if !n.closed {
			at = n.core.timers.next()
		}
		if !at.IsZero() && at.Before(next) {
			next, due = at, n
		}
	}
	if len(w.queue) > 0 && w.queue[0].at.Before(next) {
		f := heap.Pop(&w.queue).(flight)
		w.moves(later(w.now, f.at))
		for _, n := range w.nodes {
			if (n.addr == f.to || n.addr6 == f.to) && !n.closed && !n.holds(f) {
				n.gets(f.from, f.b)
			}
		}
		return true
	}
	if due == nil {
		w.moves(until)
		return false
	}
	w.moves(later(w.now, next))
	if due.closed {
		due.back = time.Time{}
		w.tell("%s restarts", due.name)
		due.start()
		w.announce(due)
		return true
	}
	if due.stopped() {
		due.goOn()
		return true
	}
	due.core.tick(w.now)
	if at := due.core.timers.next(); !due.closed && !at.IsZero() && !at.After(w.now) && len(due.core.timers) < 2 {
		w.t.Fatalf("%s: a timer that does not advance", due.name)
	}
	due.drain()
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	until := w.now.Add(d)
	for w.step(until) {
	}
}

// await lets time pass until ok, at most d, and reports whether it became so.
func (w *world) await(d time.Duration, ok func() bool) bool {
	until := w.now.Add(d)
	for !ok() {
		if !w.step(until) {
			return ok()
		}
	}
	return true
}

// settled reports whether everything said is known to be delivered.
func (w *world) settled() bool {
	for _, n := range w.nodes {
		if len(n.disk.outbox) > 0 {
			return false
		}
	}
	return true
}

// quiet expects that little is sent where nothing is to be said: what is done again and again for nothing keeps
// others from what is to be done.
func (w *world) quiet() {
	w.t.Helper()
	const datagrams, of = 12, 10 * time.Second
	before := w.counter
	w.run(of)
	if n, most := w.counter-before, datagrams*len(w.nodes)*(len(w.nodes)-1)/2; n > most {
		w.t.Errorf("%d datagrams in %v, when nothing is to be said between %d nodes: at most %d are expected", n, of, len(w.nodes), most)
	}
}

// check compares what was heard with what was said: nothing lost, nothing twice,
// order kept.
func (w *world) check() {
	w.t.Helper()
	for _, from := range w.nodes {
		for _, to := range w.nodes {
			said, heard := from.disk.without(to), to.disk.heardFrom(from)
			if slices.Equal(said, heard) {
				continue
			}
			for i := range min(len(said), len(heard)) {
				if said[i] != heard[i] {
					w.t.Errorf("%s to %s: message %d of %d: said %q, heard %q",
						from.name, to.name, i, len(said), short(said[i]), short(heard[i]))
					break
				}
			}
			w.t.Errorf("%s to %s: %d said, %d heard", from.name, to.name, len(said), len(heard))
		}
	}
	for _, n := range w.nodes {
		for from, heard := range n.disk.heard {
			if printed := n.printed[from]; !n.crashed && n.core != nil && !slices.Equal(printed, heard) {
				w.t.Errorf("%s: %d messages were heard, and %d told of, or in another order", n.name, len(heard), len(printed))
			}
		}
	}
}

// announce tells every other node where n is, as discovery does.
func (w *world) announce(n *simNode) {
	for _, o := range w.nodes {
		if o.id != n.id {
			o.seen[n.id.Key()] = w.at(n.id)
			if !o.closed && !o.stopped() {
				p := o.core.person(n.id.Key())
				p.seen(w.now)
				p.hint(w.now, o.seen[n.id.Key()])
			}
		}
	}
}

// disk is the Store of a node: what is on it stays.
type disk struct {
	*contents
	node *simNode
	dir  string // of the real store; empty: there is none
	real Store

	deferring bool
	deferred  []Kept // heard and not told of
}

// contents is what the disks of all nodes of one person in one place hold.
type contents struct {
	outbox []Saying
	said   map[Key][]string
	failed map[Key][]string // of those
	heard  map[Key][]string
	ids    map[authored]bool // heard between two

	lines    map[authored]*line  // of rooms
	owner    map[ownKey]*simNode // who is sending it, as it runs now
	declined map[ownKey]Reason
	shared   bool      // by several nodes
	news     []newLine // in the order they were kept
}

func newContents() *contents {
	return &contents{
		heard: map[Key][]string{}, ids: map[authored]bool{}, said: map[Key][]string{}, failed: map[Key][]string{}, lines: map[authored]*line{},
		owner: map[ownKey]*simNode{}, declined: map[ownKey]Reason{},
	}
}

// disown gives back what the node was sending, as when it ends.
func (d *disk) disown() {
	for k, o := range d.owner {
		if o == d.node {
			delete(d.owner, k)
		}
	}
}

// free reports whether a message waits that no node is sending.
func (d *disk) free(k ownKey) bool {
	return d.declined[k] == 0 && (d.owner[k] == nil || d.owner[k] != d.node && d.owner[k].gone())
}

// gone reports whether others take over from the node.
func (n *simNode) gone() bool {
	return n.closed || n.stopped() && n.w.now.Sub(n.suspended.from) >= silentFor
}

// owns notes whether the node sends a message.
func (d *disk) owns(s Saying, own bool) {
	if own {
		d.owner[keyOf(s)] = d.node
	}
}

// elsewhere reports whether another node is sending something to the person.
func (d *disk) elsewhere(to Key) bool {
	return slices.ContainsFunc(d.outbox, func(s Saying) bool {
		o := d.owner[keyOf(s)]
		return s.To == to && o != nil && o != d.node && !o.gone()
	})
}

// reopen opens the real store, as after a restart. What was written is there, in
// whatever way the process ended.
func (d *disk) reopen() {
	if d.dir == "" {
		return
	}
	if d.real != nil {
		if err := d.real.(io.Closer).Close(); err != nil {
			d.node.w.t.Fatal(err)
		}
	}
	var err error
	if d.real, err = OpenStore(d.dir, d.node.clock); err != nil {
		d.node.w.t.Fatal(err)
	}
}

// agree compares what the real store says with what should be.
func (d *disk) agree(what string, got, want any, err error) {
	if err != nil || got != want {
		d.node.w.t.Errorf("%s: the store %s: %v, want %v (%v)", d.node.name, what, got, want, err)
	}
}

// clock is that of a node: how long it has been up, and what it shows.
// A store asks for it at any time.
func (n *simNode) clock() (time.Duration, time.Time) {
	up := time.Duration(n.w.up.Load())
	return up, simBegin.Add(up + n.off)
}

// moves lets it be later.
func (w *world) moves(to time.Time) {
	w.now = to
	w.up.Store(int64(to.Sub(simBegin)))
}

// sets sets the clock of a node.
func (n *simNode) sets(off time.Duration) {
	n.w.tell("the clock of %s is %v off", n.name, off)
	n.off = off
	if n.core != nil {
		n.core.off = off
	}
}

var errCrashed = errors.New("crashed")

// writes runs a write, unless the node is dead. When the node dies of it, it is done
// or not, as chance has it, but never reported.
func (d *disk) writes(f func()) error {
	dead := d.node.closed
	if d.node.strikes() {
		if !dead && d.node.w.rng.IntN(2) == 0 {
			f()
		}
		return errCrashed
	}
	f()
	return nil
}

// without is what was said to somebody and hasn't failed.
func (d *disk) without(to *simNode) (all []string) {
	key := to.id.Key()
	if len(d.failed[key]) == 0 {
		return d.said[key]
	}
	for _, text := range d.said[key] {
		if !slices.Contains(d.failed[key], text) {
			all = append(all, text)
		}
	}
	return all
}

// heardFrom is what was heard from somebody, without what they believe to have failed.
func (d *disk) heardFrom(from *simNode) (all []string) {
	failed := from.disk.failed[d.node.id.Key()]
	if len(failed) == 0 {
		return d.heard[from.id.Key()]
	}
	for _, text := range d.heard[from.id.Key()] {
		if !slices.Contains(failed, text) {
			all = append(all, text)
		}
	}
	return all
}

func (d *disk) Fail(to Key, id MessageID, why Failure) error {
	i := slices.IndexFunc(d.outbox, func(s Saying) bool { return s.ID == id && s.To == to })
	if i < 0 {
		d.node.w.t.Errorf("%s: message %v fails that isn't waiting", d.node.name, id)
		return nil
	}
	text := d.outbox[i].Text
	return d.writes(func() {
		d.outbox = slices.Delete(d.outbox, i, i+1)
		d.failed[to] = append(d.failed[to], text)
		if d.real != nil {
			d.agree("fails", nil, nil, d.real.Fail(to, id, why))
		}
	})
}

func (d *disk) Waits(to Key) bool {
	return d.elsewhere(to) || slices.ContainsFunc(d.outbox, func(s Saying) bool { return s.To == to && d.free(keyOf(s)) })
}

func (d *disk) Outbox(to Key) (all []Saying, err error) {
	for _, s := range d.outbox {
		if s.To == to && d.free(keyOf(s)) && !d.elsewhere(to) {
			d.owner[keyOf(s)] = d.node
			all = append(all, s)
		}
	}
	if d.real != nil {
		kept, err := d.real.Outbox(to)
		d.agree("has to send", len(kept), len(all), err)
		for i := range min(len(kept), len(all)) {
			d.agree("has to send", kept[i].Text, all[i].Text, nil)
		}
	}
	return all, nil
}

func (d *disk) Said(s Saying) (own bool, err error) {
	own = !d.Waits(s.To)
	return own, d.writes(func() {
		d.outbox = append(d.outbox, s)
		d.said[s.To] = append(d.said[s.To], s.Text)
		d.owns(s, own)
		if d.real != nil {
			kept, err := d.real.Said(s)
			d.agree("may send at once", kept, own, err)
		}
	})
}

// Lapsed is left to the world, which has a clock of its own.
func (d *disk) Lapsed() bool { return false }

func (d *disk) Release(to Key) bool {
	for _, s := range d.outbox {
		if s.To == to && d.owner[keyOf(s)] == d.node {
			delete(d.owner, keyOf(s))
		}
	}
	if d.real != nil {
		d.agree("gives back", d.real.Release(to), true, nil)
	}
	return true
}

func (d *disk) Delivered(to Key, id MessageID, now time.Time) error {
	i := slices.IndexFunc(d.outbox, func(s Saying) bool { return s.ID == id && s.To == to })
	if i < 0 && d.shared {
		return nil // another node that took over was first
	}
	if i < 0 {
		d.node.w.t.Errorf("%s: message %v reported delivered twice or never said", d.node.name, id)
		return nil
	}
	text := d.outbox[i].Text
	// Delivered means that the other side has it on its disk.
	w := d.node.w
	if !slices.ContainsFunc(w.nodes, func(n *simNode) bool {
		return n.id.Key() == to && (slices.Contains(n.disk.heard[d.node.id.Key()], text) || n.disk.lines[authored{d.node.id.Key(), id}] != nil)
	}) {
		w.t.Errorf("%s was told that %q is delivered, and nobody has it", d.node.name, short(text))
	}
	return d.writes(func() {
		delete(d.owner, keyOf(d.outbox[i]))
		delete(d.declined, keyOf(d.outbox[i]))
		d.outbox = slices.Delete(d.outbox, i, i+1)
		if d.real != nil {
			d.agree("notes", nil, nil, d.real.Delivered(to, id, now))
		}
	})
}

// inOrder checks that what was just heard is what the sender said next. Of several
// nodes of one person any can hear it.
func (d *disk) inOrder(from Person) {
	w, me := d.node.w, d.node.id.Key()
	if slices.ContainsFunc(w.nodes, func(n *simNode) bool { return n != d.node && n.id.Key() == me }) {
		return
	}
	for _, n := range w.nodes {
		if n.id.Key() != from.Key {
			continue
		}
		heard, said := d.heardFrom(n), n.disk.without(d.node)
		if len(heard) == 0 {
			continue
		}
		if last := len(heard) - 1; last >= len(said) || said[last] != heard[last] {
			w.t.Errorf("%s heard %q from %s out of order, twice or unsaid", d.node.name, short(heard[last]), n.name)
		}
	}
}

func (d *disk) Heard(from Person, id MessageID, text string, sent, received time.Time) (fresh bool, err error) {
	fresh = !d.ids[authored{from.Key, id}] || d.node.faults.noDedupe
	keep := func() {
		if fresh {
			d.ids[authored{from.Key, id}] = true
			d.heard[from.Key] = append(d.heard[from.Key], text)
			d.inOrder(from)
			d.keepBack(from, Saying{ID: id, Text: text, Sent: sent}, received)
		}
		if d.real != nil {
			kept, err := d.real.Heard(from, id, text, sent, received)
			d.agree("knows as new", kept, fresh, err)
		}
	}
	if d.node.faults.ackBeforeStoring {
		if d.node.closed {
			return false, errCrashed
		}
		d.node.core.timers.set(&timer{run: func(time.Time) { _ = d.writes(keep) }}, d.node.w.now.Add(time.Microsecond))
		return true, nil
	}
	return fresh, d.writes(keep)
}
