package app

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"earshot/chat"
	"earshot/chat/store"
)

// begin opens what is kept, makes us visible if discover is set, and listens.
func (a *App) begin(cfg Config, identity *chat.Identity, conn *net.UDPConn, discover bool) (err error) {
	var m memory
	given := cfg.Name
	_, bad := os.Stat(filepath.Join(cfg.Dir, store.File))
	known := given == "" && bad == nil // the name may be kept there
	if known {
		if m, err = a.remembering(cfg); err != nil {
			return err
		}
	}
	a.called = Called(given, m.names, cfg.Brief, !cfg.Hidden)
	a.Me.Name, cfg.Name = a.called.Name, a.called.Name
	if discover {
		if err := a.join(cfg); err != nil {
			return err
		}
	}
	if !known {
		if m, err = a.remembering(cfg); err != nil {
			return err
		}
		if given != "" {
			a.called = Called(given, m.names, cfg.Brief, !cfg.Hidden)
		}
	}
	return a.open(cfg, identity, conn, m)
}

// memory is what was kept before this process began.
type memory struct {
	rooms []store.Room
	names store.Names
}

// remembering opens the store and reads who is known, which rooms were joined, and what I am
// called. With NoHistory that is only read, as far as that can be done.
func (a *App) remembering(cfg Config) (m memory, err error) {
	s, err := store.Open(cfg.Dir)
	if err == nil {
		err = a.Book.Read(s)
	}
	if s != nil {
		tellDamaged(s, a.trouble)
	}
	if err == nil {
		m.rooms, err = s.Rooms()
	}
	if err == nil {
		m.names, err = s.Names()
	}
	if err == nil && !cfg.NoHistory {
		_, err = s.News() // from here on
	}
	if s != nil && (err != nil || cfg.NoHistory) {
		_ = s.Close()
		s = nil
	}
	if cfg.NoHistory {
		return m, nil
	}
	a.Store = s
	return m, err
}

// present says in the data directory that this process runs, where the store doesn't.
func present(cfg Config) (leave func()) {
	if cfg.NoHistory {
		return store.Present(cfg.Dir)
	}
	return func() {}
}

// readBuffer is how many bytes may wait at the socket, where the system allows that
// many: a flood, or a room full of people, then pushes out less of what counts.
const readBuffer = 1 << 20

// listen opens the UDP port, or any where it is taken.
func listen(port uint16) (*net.UDPConn, error) {
	conn, err := listenBoth(port)
	if err != nil && port != 0 {
		conn, err = listenBoth(0)
	}
	if err == nil {
		_ = conn.SetReadBuffer(readBuffer)
	}
	return conn, err
}

// listenBoth opens a UDP port for IPv4 and IPv6. Left to itself, package net opens it for
// IPv4 alone where the loopback interface is down, as it probes there for what works.
func listenBoth(port uint16) (*net.UDPConn, error) {
	addr := net.UDPAddr{IP: net.IPv6unspecified, Port: int(port)}
	both := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if bad := c.Control(func(fd uintptr) { err = takeIPv4(fd) }); bad != nil {
			return bad
		}
		return err
	}}
	if conn, err := both.ListenPacket(context.Background(), "udp6", addr.String()); err == nil {
		return conn.(*net.UDPConn), nil
	}
	return net.ListenUDP("udp", &net.UDPAddr{Port: int(port)})
}
