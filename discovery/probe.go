package discovery

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// Trial is what came of speaking multicast DNS over one family of one interface.
type Trial struct {
	Interface string
	IPv6      bool
	Loopback  bool
	Unplugged bool  // there is no cable, or no Wi-Fi network
	OpenErr   error // the group couldn't be joined
	SendErr   error // what was multicast couldn't be sent
	Echo      bool  // our own multicast came back to us
	Others    int   // other machines heard, whatever they said
}

// Probe tries every usable interface, of those named in only if it isn't empty, for
// as long as it is told: it asks which services there are (RFC 6763 §9), which most
// devices that speak multicast DNS answer, and listens. It returns the other
// interfaces too, and the reasons why they can't be used.
func Probe(ctx context.Context, only []string, span time.Duration) ([]Trial, []Skipped, error) {
	use, skipped, err := interfaces(only)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	own := map[netip.Addr]bool{}
	for _, n := range use {
		for _, p := range n.prefixes {
			own[p.Addr()] = true
		}
	}
	var trials []Trial
	var all sync.WaitGroup
	for _, n := range use {
		for fam := range n.families().each(n.families()) {
			trials = append(trials, Trial{Interface: n.name, IPv6: fam == v6, Loopback: n.loopback, Unplugged: !n.running})
		}
	}
	k := 0
	for _, n := range use {
		for fam := range n.families().each(n.families()) {
			t := &trials[k]
			k++
			all.Go(func() { t.run(ctx, n, fam, own) })
		}
	}
	all.Wait()
	return trials, skipped, nil
}

// PortHeld reports whether err, of opening a socket, says that another program has the port
// for itself.
func PortHeld(err error) bool {
	const wsaEADDRINUSE, wsaEACCES = 10048, 10013 // of Windows
	var number syscall.Errno
	return errors.Is(err, syscall.EADDRINUSE) ||
		runtime.GOOS == "windows" && errors.As(err, &number) && (number == wsaEADDRINUSE || number == wsaEACCES)
}

// run asks twice (RFC 6762 §5.2) and listens until ctx ends.
func (t *Trial) run(ctx context.Context, n netif, fam family, own map[netip.Addr]bool) {
	c, err := openSocket(n, fam)
	if err != nil {
		t.OpenErr = err
		return
	}
	question := probeQuestion()
	var reading sync.WaitGroup
	reading.Go(func() {
		others := map[netip.Addr]bool{}
		for buf := make([]byte, maxPacket+1); ; {
			size, in, err := c.read(buf)
			if err != nil {
				if ctx.Err() != nil {
					return
				}
				continue // some systems report here what became of a packet sent
			}
			addr := in.source.Addr().WithZone("")
			switch {
			case bytes.Equal(buf[:size], question):
				t.Echo = true
			case !own[addr] && !addr.IsLoopback() && len(others) < maxInstances:
				if _, ok := parse(buf[:size]); ok {
					others[addr] = true
					t.Others = len(others)
				}
			}
		}
	})
	again := time.NewTicker(askInterval)
	defer again.Stop()
	for ctx.Err() == nil {
		if err := c.write(question, netip.AddrPort{}); err != nil {
			t.SendErr = err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
	c.close()
	reading.Wait()
}

// probeQuestion asks for all services there are. Nobody else's has its letters in
// the same case.
func probeQuestion() []byte {
	b, err := (&dns.Msg{Question: []dns.Question{{Name: randomCase(enumName), Qtype: dns.TypePTR, Qclass: dns.ClassINET}}}).Pack()
	if err != nil {
		panic("discovery: own question can't be packed: " + err.Error())
	}
	return b
}
