package discovery

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// People beyond the link are found by DNS-SD over unicast DNS (RFC 6763), where a
// domain's servers name them (SPEC §15).

const (
	maxListed     = 256 // instances looked up in a domain; further ones are left out
	maxParallel   = 8   // of those at once
	minDomainWait = 10 * time.Second
	maxDomainWait = 10 * time.Minute
	emptyWait     = time.Minute            // before the next look at a domain where nobody is listed
	domainLives   = 3                      // looks for which what was found is kept
	domainTimeout = 2 * time.Second        // of a question to one server
	settleDomain  = 500 * time.Millisecond // how long Settled waits for the first look
)

// domainLink is the index of the link that stands for the domain: nothing is sent
// on it.
const domainLink = -1

// ValidDomain reports whether people can be looked for in a domain of that name by
// unicast DNS: .local is multicast DNS's (RFC 6762 §3).
func ValidDomain(name string) bool {
	_, ok := dns.IsDomainName(name)
	name = canonical(dns.Fqdn(name))
	return ok && name != "." && name != domain && !strings.HasSuffix(name, "."+domain) && len(name)+len(Service) < 190
}

// listing is an instance found in the domain. One that couldn't be looked up has no
// port.
type listing struct {
	name  string
	port  uint16
	txt   []string
	addrs []netip.Addr
	ttl   time.Duration // of its shortest-lived record
}

// look asks a domain's servers, and returns the records of the type asked for; none if
// there is no such name.
type look func(ctx context.Context, name string, rrtype uint16) ([]dns.RR, error)

// browseDomain finds the instances in a domain, and how long the list of them is good
// for; 0 for an empty one.
func browseDomain(ctx context.Context, ask look, domain string) (found []listing, ttl time.Duration, err error) {
	service := Service + "." + dns.Fqdn(domain)
	ptrs, err := ask(ctx, service, dns.TypePTR)
	if err != nil {
		return nil, 0, err
	}
	for _, rr := range ptrs {
		name := rr.(*dns.PTR).Ptr
		next, end := dns.NextLabel(name, 0)
		if end || canonical(name[next:]) != canonical(service) || len(found) >= maxListed ||
			slices.ContainsFunc(found, func(l listing) bool { return canonical(l.name) == canonical(name) }) {
			continue
		}
		found = append(found, listing{name: name, ttl: ttlOf(rr.Header())})
	}
	var all sync.WaitGroup
	places := make(chan struct{}, maxParallel)
	for k := range found {
		places <- struct{}{}
		all.Go(func() {
			found[k].resolve(ctx, ask)
			<-places
		})
	}
	all.Wait()
	for k, l := range found {
		if k == 0 || l.ttl < ttl {
			ttl = l.ttl
		}
	}
	return found, ttl, nil
}

// resolve looks up what the instance consists of.
func (l *listing) resolve(ctx context.Context, ask look) {
	srvs, err := ask(ctx, l.name, dns.TypeSRV)
	if err != nil || len(srvs) == 0 {
		return
	}
	srv := srvs[0].(*dns.SRV)
	txts, err := ask(ctx, l.name, dns.TypeTXT)
	if err != nil || len(txts) == 0 {
		return
	}
	l.txt = txts[0].(*dns.TXT).Txt
	rrs := []dns.RR{srv, txts[0]}
	for _, rrtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		var addrs []dns.RR
		if addrs, err = ask(ctx, srv.Target, rrtype); err != nil {
			continue // one family will do
		}
		for _, rr := range addrs {
			if a := addrOf(rr); a.IsGlobalUnicast() && !a.Is4In6() && len(l.addrs) < maxAddrs {
				l.addrs = append(l.addrs, a)
			}
		}
		rrs = append(rrs, addrs...)
	}
	for _, rr := range rrs {
		l.ttl = min(l.ttl, ttlOf(rr.Header()))
	}
	l.port = srv.Port
}

// list takes in the whole of what is in the domain, to be kept for life.
func (c *core) list(found []listing, life time.Duration, now time.Time) {
	c.now, c.jitter = now, c.rng.Float64()
	l := c.links[domainLink]
	if l == nil {
		l = newLink(domainLink)
		c.links[domainLink] = l
	}
	listed := map[string]bool{}
	for _, f := range found {
		listed[canonical(f.name)] = true
	}
	for key, i := range l.instances {
		if !listed[key] {
			c.drop(i)
		}
	}
	for _, f := range found {
		if f.port == 0 || len(f.addrs) == 0 {
			continue // what was known of it before lives on
		}
		i := l.instances[canonical(f.name)]
		if i == nil {
			next, _ := dns.NextLabel(f.name, 0)
			i = &instance{link: l, name: f.name, label: unescape(f.name[:next-1])}
			l.instances[canonical(f.name)] = i
			l.count(i.source, 1, 0)
			heap.Push(&c.dues, i)
		}
		i.port = f.port
		i.id, i.human = parseTXT(f.txt)
		i.addrs = nil
		for _, a := range f.addrs {
			at := address{addr: a}
			at.hear(now, life, c.jitter)
			i.addrs = append(i.addrs, at)
		}
		i.ptr.hear(now, life, c.jitter)
		i.srv.hear(now, life, c.jitter)
		i.txt.hear(now, life, c.jitter)
		c.touch(i)
	}
	c.advance(now)
}

// followDomain looks at the domain now and then. It calls first after the first look. That
// the look fails, or takes long, is said once until it succeeds.
func (p *Presence) followDomain(ask look, first func()) {
	failures := 0
	var told atomic.Bool
	fails := func(err error) {
		if p.ctx.Err() == nil && told.CompareAndSwap(false, true) {
			p.trouble(&DomainError{p.cfg.Domain, err})
		}
	}
	slow := time.AfterFunc(settleDomain, func() {
		fails(errors.New("no DNS server has answered yet"))
		first()
	})
	for wait := time.Duration(0); p.sleep(wait); {
		found, ttl, err := browseDomain(p.ctx, ask, p.cfg.Domain)
		slow.Stop()
		if p.ctx.Err() != nil {
			break
		}
		if err != nil {
			fails(err)
			wait = min(minDomainWait<<min(failures, 8), maxDomainWait)
			failures++
		} else {
			failures = 0
			told.Store(false)
			wait = min(max(cmp.Or(ttl, emptyWait), minDomainWait), maxDomainWait)
			p.mu.Lock()
			if !p.left {
				p.core.list(found, domainLives*wait, time.Now())
				p.flush()
			}
			p.mu.Unlock()
		}
		first()
	}
	first()
}

// startDomain follows the domain, if there is one. What joins waits a little for the
// first look.
func (p *Presence) startDomain(first *sync.WaitGroup) {
	if p.cfg.Domain == "" {
		return
	}
	first.Add(1)
	// Leave doesn't wait for it: a server may be slow.
	go p.followDomain(p.askServers, sync.OnceFunc(first.Done))
}

// askServers asks the servers of Config.DNS, or of the system, one after the other.
func (p *Presence) askServers(ctx context.Context, name string, rrtype uint16) ([]dns.RR, error) {
	servers := []netip.AddrPort{p.cfg.DNS}
	if !p.cfg.DNS.IsValid() {
		system, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil {
			return nil, fmt.Errorf("the system's DNS servers aren't known, name one: %w", err)
		}
		servers = nil
		for _, s := range system.Servers {
			addr, err := netip.ParseAddr(s)
			port, bad := strconv.ParseUint(system.Port, 10, 16)
			if err == nil && bad == nil {
				servers = append(servers, netip.AddrPortFrom(addr, uint16(port)))
			}
		}
		if servers == nil {
			return nil, errors.New("the system has no DNS server")
		}
	}
	var failed []string
	for _, server := range servers {
		rrs, err := askServer(ctx, server.String(), name, rrtype)
		if err == nil {
			return rrs, nil
		}
		if timeout := net.Error(nil); errors.As(err, &timeout) {
			err = fmt.Errorf("doesn't answer (%w)", cause(err))
		}
		failed = append(failed, fmt.Sprintf("the DNS server %s %v", server, err))
	}
	return nil, errors.New(strings.Join(failed, "; "))
}

// askServer asks one server over UDP, and over TCP if the answer is too long for that.
func askServer(ctx context.Context, server, name string, rrtype uint16) ([]dns.RR, error) {
	const payload = 1232 // bytes that no network fragments
	question := new(dns.Msg).SetQuestion(name, rrtype)
	question.SetEdns0(payload, false)
	var reply *dns.Msg
	for _, network := range []string{"udp", "tcp"} {
		var err error
		if reply, _, err = (&dns.Client{Net: network, Timeout: domainTimeout}).ExchangeContext(ctx, question, server); err != nil {
			return nil, err
		}
		if !reply.Truncated {
			break
		}
	}
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("answers %s", dns.RcodeToString[reply.Rcode])
	}
	return slices.DeleteFunc(reply.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype != rrtype }), nil
}
