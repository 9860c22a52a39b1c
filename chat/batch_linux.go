package chat

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// offload is a socket of Linux, which has the kernel cut and join datagrams: UDP_SEGMENT,
// since 4.18, and UDP_GRO, since 5.0 (udp(7)).
type offload struct {
	conn    *net.UDPConn
	cannot  bool // write: the way out has no checksums to leave it to
	segment [cmsgRoom]byte
	oob     [64]byte
}

const cmsgRoom = (unix.SizeofCmsghdr + 2 + 7) &^ 7

// newBulk returns nil where there is no such socket.
func newBulk(conn PacketConn) bulk {
	c, ok := conn.(*net.UDPConn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	var opt error
	err = raw.Control(func(fd uintptr) {
		if _, opt = unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT); opt == nil {
			opt = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1)
		}
	})
	if err != nil || opt != nil {
		return nil
	}
	o := &offload{conn: c}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&o.segment))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	return o
}

func (o *offload) write(b []byte, size int, to netip.AddrPort) bool {
	if o.cannot {
		return false
	}
	binary.NativeEndian.PutUint16(o.segment[unix.SizeofCmsghdr:], uint16(size))
	_, _, err := o.conn.WriteMsgUDPAddrPort(b, o.segment[:], to)
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) {
		o.cannot = true
	}
	return err == nil
}

func (o *offload) read(b []byte) (n, size int, src netip.AddrPort, err error) {
	n, oobn, _, src, err := o.conn.ReadMsgUDPAddrPort(b, o.oob[:])
	size = n
	for oob := o.oob[:oobn]; err == nil && len(oob) > 0; {
		head, data, rest, bad := unix.ParseOneSocketControlMessage(oob)
		if bad != nil {
			break
		}
		if head.Level == unix.IPPROTO_UDP && head.Type == unix.UDP_GRO && len(data) >= 4 {
			size = int(binary.NativeEndian.Uint32(data))
		}
		oob = rest
	}
	return n, max(size, 1), src, err
}
