package discovery

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// SendError says that everything multicast on an interface is refused by the system.
type SendError struct {
	Interface string
	Err       error
}

func (e *SendError) Error() string {
	return fmt.Sprintf("nothing can be sent by multicast on %s: %v", e.Interface, e.Err)
}

func (e *SendError) Unwrap() error { return e.Err }

// CopiedError says that somebody else announces our own identity.
type CopiedError struct{ Addr netip.Addr }

func (e *CopiedError) Error() string {
	return "somebody else announces this identity, at " + e.Addr.String() + ": a copied data directory, or an impostor"
}

// DomainError says that people can't be looked for in a DNS domain.
type DomainError struct {
	Domain string
	Err    error
}

func (e *DomainError) Error() string {
	return fmt.Sprintf("people can't be looked for in the domain %s: %v", e.Domain, e.Err)
}

func (e *DomainError) Unwrap() error { return e.Err }

// cause is what the system says in an error of the network.
func cause(err error) error {
	if number := syscall.Errno(0); errors.As(err, &number) {
		return number
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}

// trouble tells of something that is wrong. p.mu may be held.
func (p *Presence) trouble(err error) {
	if p.cfg.Trouble != nil {
		p.cfg.Trouble(err)
		return
	}
	p.log.Warn(err.Error())
}

// refused notes what became of multicasting on an interface: it is said once that nothing
// can be sent. An IPv6 address can't be used at once, so what may be no more than that is
// said when it has been tried again.
func (p *Presence) refused(a *attachment, fam family, err error) {
	bit := families(1) << fam
	if err == nil {
		a.failed, a.failures, a.told = a.failed&^bit, 0, false
		return
	}
	if a.failed&bit == 0 {
		p.log.Debug("can't send by multicast", "interface", a.name, "family", udp[fam], "error", err)
	}
	a.failed |= bit
	if a.loopback || a.told || a.opened()&^a.failed != 0 || a.failures == 0 && !errors.Is(err, os.ErrPermission) {
		return
	}
	a.told = true
	p.trouble(&SendError{a.name, cause(err)})
}
