package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

// hostTimeout bounds the look-up of a host name.
const hostTimeout = 5 * time.Second

// HostError reports that a host name couldn't be looked up.
type HostError struct {
	Host string
	Err  error
}

func (e *HostError) Error() string { return fmt.Sprintf("host %s: %v", clean.Line(e.Host), e.Err) }
func (e *HostError) Unwrap() error { return e.Err }

// Resolve finds out whom q means. An address is taken as it is, at once. A name counts
// once everybody present has had the time to answer, so that two of one name are
// noticed: somebody never met only once all are counted, lest an impostor is quicker than
// who is meant. While nobody has it the look-out goes on for wait. With prefix set, the
// beginning of a name will do. It consumes Seen meanwhile.
//
// Errors are those of [Match], [*HostError], NoLAN, or the context's cause.
func (a *App) Resolve(ctx context.Context, q Query, wait time.Duration, prefix bool) (chat.Target, error) {
	switch {
	case q.Addrs != nil:
		if zone := q.Addrs[0].Addr().Zone(); !isInterface(zone) { // or the system takes any
			return chat.Target{}, &ArgError{"there is no network interface " + clean.Line(zone), "which there are: earshot doctor"}
		}
		if isBroadcast(q.Addrs[0].Addr()) {
			return chat.Target{}, notOne(q.Arg)
		}
		return chat.Target{Addrs: q.Addrs}, nil
	case a.Presence == nil && q.Host != "":
		return LookUp(ctx, q)
	case a.Presence == nil:
		return chat.Target{}, a.NoLAN
	}
	_, err := chat.ParseKey(q.Arg)
	fullID := err == nil
	settled, counted := a.Presence.Settled(), a.Presence.Counted()
	timeout := time.After(wait)
	for {
		peer, err := a.Match(q, prefix)
		var none *NotFoundError
		switch {
		case err == nil && (fullID || settled == nil && a.Book.means(q, peer) || counted == nil):
			return Target(peer), nil
		case errors.As(err, &none) && q.Host != "" && settled == nil:
			return LookUp(ctx, q)
		case err != nil && !errors.As(err, &none) && settled == nil:
			return chat.Target{}, err
		}
		select {
		case <-a.Seen:
		case <-settled:
			settled = nil
		case <-counted:
			settled, counted = nil, nil
		case <-timeout:
			if err == nil {
				return Target(peer), nil
			}
			return chat.Target{}, err
		case <-ctx.Done():
			return chat.Target{}, context.Cause(ctx)
		}
	}
}

// isInterface reports whether zone is the name or number of a network interface, or empty.
func isInterface(zone string) bool {
	_, err := net.InterfaceByName(zone)
	if n, bad := strconv.Atoi(zone); bad == nil {
		_, err = net.InterfaceByIndex(n)
	}
	return zone == "" || err == nil
}

// isBroadcast reports whether addr means all machines of a subnet that this one is in.
func isBroadcast(addr netip.Addr) bool {
	return slices.ContainsFunc(subnets(), func(p netip.Prefix) bool { return discovery.IsBroadcast(addr, p) })
}

// Match picks the visible peer that q names, as [Match] does, with the names by which
// people are known here. It adds the errors [*Changed] and [chat.ErrRefused].
func (a *App) Match(q Query, prefix bool) (discovery.Peer, error) {
	return a.Book.Match(q, a.Peers(), prefix)
}

// Match picks the one of peers, as they are called here, that q names. Errors are as for
// [App.Match].
func (b *Book) Match(q Query, peers []discovery.Peer, prefix bool) (discovery.Peer, error) {
	if holder, ok := b.Holder(q.Arg); ok && holder.Petname != "" {
		id := Query{Arg: holder.Key.String()} // a petname means one person
		if peer, err := Match(id, peers, false); err == nil {
			return peer, nil
		}
	}
	peer, err := Match(q, peers, prefix)
	if _, absent := errors.AsType[*NotFoundError](err); absent {
		known, unknown := b.Find(q)
		if vague, several := errors.AsType[*AmbiguousError](unknown); several {
			return peer, vague
		}
		if unknown == nil {
			if known.Blocked {
				return peer, chat.ErrRefused
			}
			if peer, err := Match(Query{Arg: known.Key.String()}, peers, false); err == nil {
				return peer, nil // as they call themselves, though not called so here
			}
		}
	}
	if err != nil || clean.Fold(peer.Name) != clean.Fold(q.Arg) {
		return peer, err
	}
	key, bad := chat.ParseKey(peer.ID)
	if bad == nil {
		err = b.guard(q, key)
	}
	others := slices.DeleteFunc(b.announced(q.Arg), func(p store.Person) bool { return bad == nil && p.Key == key })
	if len(others) > 0 && err == nil {
		if _, known := b.Get(key); !known || bad != nil { // each may be meant
			vague := anyOf(q.Arg, others)
			vague.Candidates = slices.Insert(vague.Candidates, 0, longLabel(peer))
			err = vague
		}
	}
	return peer, err
}

// means reports whether q names p among those known too, by what they have proven: others who
// have a name that is only announced may be yet to come.
func (b *Book) means(q Query, p discovery.Peer) bool {
	known, err := b.Find(q)
	fold := clean.Fold(q.Arg)
	proven := fold == clean.Fold(known.Petname) || fold == clean.Fold(known.Label) || fold == clean.Fold(known.Name)
	return err == nil && known.Key.String() == p.ID && (proven || !b.claims(known, fold))
}

// Target returns where p says it is, and who it must prove to be.
func Target(p discovery.Peer) chat.Target {
	key, err := chat.ParseKey(p.ID)
	if err != nil {
		key = chat.Key{} // it announces no identity: whoever answers there
	}
	return chat.Target{Key: key, Addrs: p.Addrs}
}

// LookUp returns the addresses of the host that q may be. Errors are [*HostError].
func LookUp(ctx context.Context, q Query) (chat.Target, error) {
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", q.Host)
	if err != nil {
		return chat.Target{}, &HostError{q.Host, err}
	}
	var t chat.Target
	for _, ip := range ips {
		t.Addrs = append(t.Addrs, netip.AddrPortFrom(ip.Unmap(), q.Port))
	}
	return t, nil
}
