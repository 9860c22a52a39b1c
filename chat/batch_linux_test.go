package chat

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"
)

// Linux cuts apart what one call sends, and joins it for a socket that asks for that.
func TestOffload(t *testing.T) {
	from, apart, together := loopback(t), loopback(t), loopback(t)
	for _, c := range []*net.UDPConn{from, apart, together} {
		t.Cleanup(func() { c.Close() })
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	out, in := newBulk(from), newBulk(together)
	if out == nil || in == nil {
		t.Skip("this kernel lacks UDP_SEGMENT or UDP_GRO\nrun this on Linux 5.0 or newer")
	}
	const size = 1000
	sent := bytes.Repeat([]byte("abcdefg"), 3300/7)
	at := func(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

	if !out.write(sent, size, at(apart)) || !out.write(sent, size, at(together)) {
		t.Fatal("not sent")
	}
	var got []byte
	buf := make([]byte, bulkBytes)
	for _, want := range []int{size, size, size, len(sent) - 3*size} {
		n, src, err := apart.ReadFromUDPAddrPort(buf)
		if err != nil || n != want || src != at(from) {
			t.Fatalf("read %d bytes of %d from %v: %v", n, want, src, err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, sent) {
		t.Error("other bytes came than were sent, apart")
	}
	got = nil
	for len(got) < len(sent) {
		n, each, src, err := in.read(buf)
		if err != nil || each != min(size, n) || src != at(from) {
			t.Fatalf("read %d bytes in pieces of %d from %v: %v", n, each, src, err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, sent) {
		t.Error("other bytes came than were sent, together")
	}
	if out.write(sent, 1, at(apart)) {
		t.Error("3300 datagrams were sent in one call")
	}
	if out.write(sent, size, at(apart)) {
		t.Error("it goes on after the system has refused")
	}
}
