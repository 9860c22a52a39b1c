// Package app wires discovery to chat for one process: it opens the identity and the
// socket, tells the node where discovery sees people, and finds out whom a PEER
// argument means.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/discovery"
)

// Config says how to take part.
type Config struct {
	Name       string            // what this process was told to call me; empty: see Called
	Dir        string            // the data directory
	Port       uint16            // UDP port to listen on; 0: any
	Interfaces []string          // interfaces for discovery; empty: every usable one
	Hidden     bool              // don't advertise
	Keep       KeepTime          // for how long messages are kept
	NoHistory  bool              // keep nothing of what is said, met or left to say
	Passing    bool              // Hidden because soon gone: who can't be reached otherwise may see us
	Brief      bool              // soon gone: a member of no room
	Rooms      []chat.Membership // to be in besides those remembered
	Log        *slog.Logger

	// FirstContact is called when the first word has passed with somebody, who is known
	// from then on, before the event that tells of it.
	FirstContact func(*App, chat.Person)

	// Renamed is called when somebody known, who was known so, calls themselves name now. It
	// must not block.
	Renamed func(a *App, was store.Person, name string)

	// Outbox, if not nil, is called for what comes to wait in the outbox, or fails there, while
	// this process delivers. It must not block: where it doesn't take the message now it returns false, and is
	// called again later with what has become of it.
	Outbox func(store.Message) (taken bool)

	// Trouble is called for what goes wrong meanwhile, as of [discovery.Config], with what
	// of the past can't be used, and with an [*Unkept].
	Trouble func(error)

	Domain string         // where to look for people by unicast DNS too; empty: nowhere
	DNS    netip.AddrPort // the server to ask; invalid: the system's
}

// App is a person taking part. Its channels have one consumer.
type App struct {
	Me       chat.Person // as I was called at first: see Name
	Node     *chat.Node
	Presence *discovery.Presence    // nil when no interface is usable, or discovery wasn't asked for
	NoLAN    error                  // why no interface is usable
	Port     uint16                 // where the node listens
	Twin     bool                   // another process advertises this identity
	Chat     <-chan chat.Event      // closed by Close, after the last event
	Seen     <-chan discovery.Event // never ready without Presence

	Book  *Book        // who is known
	Store *store.Store // what is kept; nil when nothing is to be

	// Changed is ready when other processes of this person's have changed something kept: who is
	// known, the rooms, what is read, muted or begun.
	Changed <-chan struct{}

	Surplus []string // rooms joined before that this process isn't in, since they are too many

	naming       sync.Mutex // guards called
	called       Naming
	following    sync.Mutex // the rooms of this person
	firstContact func(*App, chat.Person)
	renamed      func(a *App, was store.Person, name string)
	rereading    sync.Mutex
	trouble      func(error)
	strangers    map[chat.Key]bool // of pump: met, and not yet known

	lock      *flock.Flock
	leave     func()        // as of store.Present
	listening chan struct{} // closed once there is the Node
	knock     chan chat.Key // those who don't answer
	claimed   chan chat.Key // contacts who announce another name than they are known to have
	done      chan struct{}

	changed  chan struct{}
	working  sync.WaitGroup
	follower *follower // of who delivers; nil: this process doesn't
}

// ErrNoDirectory reports a data directory that isn't there and can't be made.
var ErrNoDirectory = errors.New("the data directory can't be made")

// Identity opens the identity kept in dir and makes both where there are none.
func Identity(dir string) (*chat.Identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDirectory, err)
	}
	path := filepath.Join(dir, store.IdentityFile)
	lacks := func() error { // of the file system
		if lack, is := errors.AsType[*chat.FileSystemError](chat.CheckFileSystem(dir)); is {
			return lack
		}
		return nil
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) { // before anything is kept there
		if err := lacks(); err != nil {
			return nil, err
		}
	}
	identity, err := chat.LoadIdentity(path)
	if err != nil {
		err = cmp.Or(lacks(), err)
	}
	return identity, err
}

// Start takes part as cfg says. Whoever only wants to reach somebody by address sets
// discover to false.
func Start(cfg Config, discover bool) (*App, error) {
	identity, err := Identity(cfg.Dir)
	if err != nil {
		return nil, err
	}
	conn, err := listen(cfg.Port)
	if err != nil {
		return nil, fmt.Errorf("no UDP port to be had: %w", err)
	}
	a := &App{
		Me:    chat.Person{Key: identity.Key()},
		Port:  uint16(conn.LocalAddr().(*net.UDPAddr).Port),
		leave: present(cfg), done: make(chan struct{}), listening: make(chan struct{}), knock: make(chan chat.Key, 16), claimed: make(chan chat.Key, 16), Book: &Book{}, strangers: map[chat.Key]bool{},
		firstContact: cfg.FirstContact, renamed: cfg.Renamed, changed: make(chan struct{}, 1), trouble: cfg.Trouble,
	}
	if a.trouble == nil {
		a.trouble = func(error) {}
	}
	if err = a.begin(cfg, identity, conn, discover); err != nil {
		a.abandon(conn)
		return nil, err
	}
	a.Changed = a.changed
	events := make(chan chat.Event)
	a.Chat = events
	go a.pump(events)
	if a.Presence != nil {
		seen := make(chan discovery.Event)
		a.Seen = seen
		a.working.Go(func() { a.feed(seen, cfg.Hidden) })
		if !cfg.Hidden || cfg.Passing {
			go a.knocks()
		}
	}
	return a, nil
}

// join makes us visible, before anything else that takes time. Whoever is quicker to call
// than the node is to listen waits at the socket.
func (a *App) join(cfg Config) error {
	if !cfg.Hidden {
		a.lock = flock.New(filepath.Join(cfg.Dir, store.AdvertiseLock))
		first, err := a.lock.TryLock()
		a.Twin = err != nil || !first
	}
	var err error
	a.Presence, err = discovery.Join(discovery.Config{
		ID: a.Me.Key.String(), Name: cfg.Name, Port: a.Port, Hidden: cfg.Hidden, Twin: a.Twin || cfg.Passing,
		Interfaces: cfg.Interfaces, Log: cfg.Log, Trouble: cfg.Trouble, Knocked: a.knocked,
		Domain: cfg.Domain, DNS: cfg.DNS,
	})
	if _, none := errors.AsType[*discovery.NoInterfaceError](err); none {
		a.NoLAN, err = err, nil
	}
	return err
}

// knocked opens a firewall of ours to somebody. They call again, should there be no node yet.
func (a *App) knocked(addrs []netip.AddrPort) {
	select {
	case <-a.listening:
		a.Node.Poke(addrs)
	default:
	}
}

// open opens the node that listens.
func (a *App) open(cfg Config, identity *chat.Identity, conn *net.UDPConn, m memory) (err error) {
	node := chat.Config{
		Identity: identity, Name: a.called.Name, Alias: a.called.Alias, Unanswered: a.unanswered, Refuse: a.Book.Blocked, Passing: cfg.Brief,
	}
	if a.Store != nil {
		node.Store = keeper{a.Store, a.Book}
	}
	node.Rooms, a.Surplus = memberships(cfg.Rooms, m.rooms)
	if a.Store != nil && a.called.keep {
		if _, err := a.Store.KeepName(a.called.Name); err != nil {
			return err
		}
	}
	if a.Store != nil && !cfg.Brief {
		err := a.Store.Visit(node.Rooms[:len(cfg.Rooms)])
		if err == nil {
			err = a.Store.Call(a.called.Name, a.called.Alias)
		}
		if err != nil {
			return err
		}
	}
	if a.Node, err = chat.NewNode(conn, node); err != nil {
		return err
	}
	close(a.listening)
	return nil
}

// abandon takes back what Start has begun.
func (a *App) abandon(conn *net.UDPConn) {
	if a.Presence != nil {
		a.Presence.Leave()
	}
	_ = conn.Close()
	a.release()
}

// release gives back what is kept in the data directory to the other processes.
func (a *App) release() {
	if a.Store != nil {
		_ = a.Store.Close()
	}
	if a.lock != nil {
		_ = a.lock.Close()
	}
	a.leave()
}

// Deliver makes this process deliver, as soon as can be, what any of this person's has
// left in the outbox.
func (a *App) Deliver(cfg Config) {
	if a.Store != nil {
		out := &outbox{tell: cfg.Outbox}
		out.look(a.Store)
		a.follower = &follower{App: a, spoken: map[string]bool{}}
		a.working.Go(func() { a.courier(cfg.Log.Warn, out) })
		a.working.Go(a.proveNames)
		a.working.Go(func() { prune(a.Store, cfg.Keep, a.done, cfg.Log.Warn) })
	}
}

// pump passes the node's events on until the node is closed.
func (a *App) pump(out chan<- chat.Event) {
	defer close(out)
	for {
		e, err := a.Node.Next(context.Background())
		if err != nil {
			return
		}
		if a.Store != nil {
			a.remember(e)
		}
		if a.Presence != nil && e.Kept == 0 {
			a.vouch(e)
		}
		out <- e
	}
}

// vouch tells discovery who has just proven to be there, whom no forged goodbye can
// then take away, and who does not answer though they are visible.
func (a *App) vouch(e chat.Event) {
	switch e.Kind {
	case chat.Met, chat.Message, chat.Delivered, chat.Reachable:
		a.Presence.Confirm(e.Person.Key.String())
	case chat.Unreachable:
		a.Presence.Reconfirm(e.Person.Key.String())
	}
}

// feed tells the node where discovery sees people and, unless hidden, where they can
// find us, and passes the news on. What isn't taken waits, one change for each peer.
func (a *App) feed(out chan<- discovery.Event, hidden bool) {
	in := make(chan discovery.Event)
	go func() {
		defer close(in)
		a.sight(in, hidden)
	}()
	var waiting changes
	for {
		var to chan<- discovery.Event
		var first discovery.Event
		if len(waiting) > 0 {
			to, first = out, waiting[0]
		}
		select {
		case e, ok := <-in:
			if !ok {
				return
			}
			waiting.add(e)
		case to <- first:
			waiting = waiting[1:]
		case <-a.done:
			return
		}
	}
}

// sight tells the node of what discovery sees.
func (a *App) sight(out chan<- discovery.Event, hidden bool) {
	for {
		if !hidden { // at first, and after what may have come of a change of our interfaces
			_ = a.Node.Introduce(a.Addrs())
		}
		e, err := a.Presence.Next(context.Background())
		if err != nil {
			return
		}
		// Whoever goes keeps the last address, so that what is said to them waits there.
		key, err := chat.ParseKey(e.Peer.ID)
		if err == nil && e.Change != discovery.Down {
			a.Book.Announce(key, e.Peer.Name)
			a.Node.Hint(key, e.Peer.Addrs)
			a.claim(key, e.Peer.Name)
		}
		if err == nil && e.Change == discovery.Down {
			a.Book.Announce(key, "")
			a.Node.Unseen(key)
		}
		if err == nil && a.Book.Blocked(key) {
			continue
		}
		select {
		case out <- e:
		case <-a.done:
			return
		}
	}
}

// unanswered notes, for the node, whom to knock for. When many wait, one who is left
// out is named again.
func (a *App) unanswered(key chat.Key) {
	select {
	case a.knock <- key:
	default:
	}
}

// knocks asks those who don't answer to open the path from their side.
func (a *App) knocks() {
	for {
		select {
		case key := <-a.knock:
			a.Presence.Knock(key.String())
		case <-a.done:
			return
		}
	}
}

// Addrs returns the addresses at which others can reach this process on the
// interfaces that discovery uses.
func (a *App) Addrs() []netip.AddrPort {
	addrs := []netip.AddrPort{}
	if a.Presence == nil {
		return addrs
	}
	used, _ := a.Presence.Interfaces()
	for _, name := range used {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			continue // gone meanwhile
		}
		nets, _ := ifi.Addrs()
		for _, n := range prefixes(nets) {
			ip := n.Addr()
			if ip.Is6() && ip.IsLinkLocalUnicast() {
				ip = ip.WithZone(name)
			}
			addrs = append(addrs, netip.AddrPortFrom(ip, a.Port))
		}
	}
	return addrs
}

// Close says goodbye everywhere and closes the socket. What has arrived and waits is
// given to take: the other side counts it as delivered.
func (a *App) Close(take func(chat.Event)) {
	close(a.done)
	var wg sync.WaitGroup
	wg.Go(func() { _ = a.Node.Close(context.Background()) })
	if a.Presence != nil {
		wg.Go(a.Presence.Leave)
	}
	for e := range a.Chat {
		take(e)
	}
	wg.Wait()
	a.working.Wait()
	if a.follower != nil {
		a.follower.rest(take)
	}
	a.release()
}
