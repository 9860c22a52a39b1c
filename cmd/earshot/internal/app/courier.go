package app

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

const (
	orphanEvery = time.Second // for what processes that were killed have left
	expireEvery = time.Minute
	adoptFor    = 5 * time.Second // how long somebody awaited may take to prove themselves
)

// courier delivers what any process of this person has left to be delivered, and
// follows what others decide about people, until Close.
func (a *App) courier(log func(msg string, args ...any), out *outbox) {
	var version int64 = -1
	var writes uint64 // up to which it was asked for whom something waits
	var looked, expired, caughtUp time.Time
	var trouble string
	f := a.follower
	capacity := a.Node.Follow()
	adopting := make(chan struct{}, 1)
	w := WatchWrites(a.Store.Dir())
	defer w.Close()
	tick := time.NewTimer(w.every)
	defer tick.Stop()
	var keys []chat.Key
	var names []string
	var soon <-chan time.Time
	for {
		select {
		case <-a.done:
			return
		case <-capacity:
			f.overhear()
			continue
		case e := <-w.events:
			if gone := e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename); !gone || !strings.Contains(e.Name, store.File) {
				if soon == nil && strings.HasSuffix(e.Name, store.Log) {
					soon = time.After(lookAfter)
				}
				continue
			}
		case <-w.missed: //nolint:errcheck // that there was one says enough
		case <-soon:
			soon = nil
		case at := <-tick.C:
			tick.Reset(w.untilLook(at))
		}
		now := time.Now()
		if now.Sub(expired) >= expireEvery {
			expired = now
			if n, err := a.Store.Expire(); err == nil && n > 0 {
				log("messages weren't delivered in time; see: earshot outbox", "count", n)
			}
		}
		if err := a.Store.Err(); err != nil && err.Error() != trouble {
			trouble = err.Error()
			a.trouble(&Unkept{err})
		} else if err == nil {
			trouble = ""
		}
		tellDamaged(a.Store, a.trouble)
		v, err := a.Store.Version()
		if err != nil || v == version && now.Sub(looked) < orphanEvery {
			continue
		}
		if v != version {
			a.reread()
			a.follow()
			a.retitle()
			select {
			case a.changed <- struct{}{}:
			default: // it wasn't noticed yet
			}
			out.look(a.Store)
		} else if out.left {
			out.look(a.Store)
		}
		if v != version || len(f.news) > 0 {
			f.overhear()
		}
		f.share(now)
		if now.Sub(caughtUp) >= orphanEvery { // what one that stands still has heard comes before what is heard now
			a.Store.CatchUp()
			caughtUp = now
		}
		looked = now
		if a.Store.LookAfter(); v == version && len(keys)+len(names) == 0 {
			continue
		}
		version = v
		if now := a.Store.Writes(); now != writes { // else they are the same
			writes = now
			keys, _ = a.Store.Waiting()
			names, _ = a.Store.Awaited()
		}
		for _, key := range keys {
			a.Node.Collect(key)
		}
		if a.Presence == nil || len(names) == 0 {
			continue
		}
		select {
		case adopting <- struct{}{}:
			go func(names []string) {
				a.adopt(names)
				<-adopting
			}(names)
		default:
		}
	}
}

// Unkept says why what is said and heard can't be kept: nothing is taken, then, and
// nothing new is sent.
type Unkept struct{ err error }

func (e *Unkept) Error() string {
	return "messages can't be kept, so none are taken or sent: " + e.err.Error()
}
func (e *Unkept) Unwrap() error { return e.err }

// tellDamaged tells what of the past can't be used.
func tellDamaged(s *store.Store, trouble func(error)) {
	for _, e := range s.Damaged() {
		trouble(e)
	}
}

// keeper is what a node keeps things in: it is given nothing to send that has waited too long,
// as while the machine slept or no earshot ran; and what is said to somebody who hasn't told
// their name yet is kept under the one that they announce.
type keeper struct {
	*store.Store
	book *Book // since a node's store mustn't ask Presence, which calls the node
}

func (k keeper) Outbox(to chat.Key) ([]chat.Saying, error) {
	if _, err := k.Expire(); err != nil {
		return nil, err
	}
	return k.Store.Outbox(to)
}

func (k keeper) Said(m chat.Saying) (own bool, err error) {
	m.Name = k.name(m.To, m.Name)
	return k.Store.Said(m)
}

func (k keeper) SaidIn(m chat.Saying, to []chat.Person) (own []bool, err error) {
	to = slices.Clone(to)
	for i, p := range to {
		to[i].Name = k.name(p.Key, p.Name)
	}
	return k.Store.SaidIn(m, to)
}

func (k keeper) name(key chat.Key, told string) string {
	return cmp.Or(told, k.book.Announced(key))
}

// reread reads who is known, drops who has come to be blocked, and tells who calls themselves
// otherwise.
func (a *App) reread() {
	a.rereading.Lock()
	defer a.rereading.Unlock()
	before := a.Book.People()
	_ = a.Book.Read(a.Store)
	was := map[chat.Key]store.Person{}
	if a.renamed != nil {
		for _, p := range before {
			was[p.Key] = p
		}
	}
	for _, p := range a.Book.People() {
		if p.Blocked {
			a.Node.Drop(p.Key)
		} else if old, known := was[p.Key]; known && old.Name != p.Name {
			a.renamed(a, old, p.Name)
		}
	}
}

// maxStrangers bounds of how many it is noted that they are met for the first time.
const maxStrangers = 1000

// remember keeps what an event tells of somebody: that they were there, under which
// name, and that the first word was said.
func (a *App) remember(e chat.Event) {
	key := e.Person.Key
	p, known := a.Book.Get(key)
	switch {
	case known && e.Kind == chat.Met:
		_ = a.Store.Met(e.Person, time.Now())
		a.rename(e, p)
	case known && e.Kind == chat.Named:
		a.rename(e, p)
	case !known && e.Kind == chat.Met && len(a.strangers) < maxStrangers:
		a.strangers[key] = true
	case e.Kind == chat.Left:
		delete(a.strangers, key)
	case e.Kept != 0 && !e.Here: // who was there tells of it
		delete(a.strangers, key)
	case a.strangers[key] && (e.Kind == chat.Message || e.Kind == chat.Delivered && e.Room == ""):
		delete(a.strangers, key)
		_ = a.Store.Flush()
		a.reread()
		if a.firstContact != nil && e.Room == "" {
			a.firstContact(a, e.Person)
		}
	}
}

// awaited returns those of peers, as they are called here, for whom what waits for a name can
// be: once somebody is known by it, nobody else.
func (b *Book) awaited(name string, peers []discovery.Peer) []discovery.Peer {
	holder, held := b.Holder(name)
	return filter(peers, func(p discovery.Peer) bool {
		if held {
			return p.ID == holder.Key.String()
		}
		return clean.Fold(p.Name) == clean.Fold(name) && p.ID != ""
	})
}

// adopt finds those who are awaited under a name, and has them prove who they are.
func (a *App) adopt(names []string) {
	for _, name := range names {
		found := a.Book.awaited(name, a.Peers())
		if len(found) != 1 {
			continue // nobody yet, or more than one: then it must be said who
		}
		ctx, cancel := context.WithTimeout(context.Background(), adoptFor)
		p, err := a.Node.Open(ctx, Target(found[0]))
		cancel()
		if holder, held := a.Book.Holder(name); err != nil || held && p.Key != holder.Key || !held && clean.Fold(p.Name) != clean.Fold(name) {
			continue
		}
		if a.Store.Adopt(name, p, time.Now()) == nil {
			a.Node.Collect(p.Key)
		}
	}
}

// Settled reports whether a message said here to somebody is known to be delivered, with the
// zero Key one said in a room to everybody it was for, by whatever
// process of this person's.
func (a *App) Settled(to chat.Key, id chat.MessageID) bool {
	if a.Store == nil {
		return false
	}
	if to.IsZero() {
		got, of, _, err := a.Store.Delivery(id)
		return err == nil && got == of
	}
	status, err := a.Store.Fate(to, id)
	return err == nil && status == store.Done
}
