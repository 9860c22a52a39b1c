package chat

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// peerProcess is set in the environment of the second process of the benchmarks.
const peerProcess = "EARSHOT_BENCH_PEER"

func TestMain(m *testing.M) {
	if os.Getenv(peerProcess) != "" {
		if err := servePeer(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// servePeer runs an echo on bare UDP, one on TLS, and a node, until standard input
// ends. It prints the address of each, and for every line that it reads its CPU time.
func servePeer() error {
	here := net.IPv4(127, 0, 0, 1)
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: here})
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 2048)
		for {
			size, src, err := udp.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			udp.WriteToUDPAddrPort(buf[:size], src)
		}
	}()
	secure, err := listenTLS()
	if err != nil {
		return err
	}
	go func() {
		conn, err := secure.Accept()
		for buf := make([]byte, len(benchText)); err == nil; {
			if _, err = io.ReadFull(conn, buf); err == nil {
				_, err = conn.Write(buf)
			}
		}
	}()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: here})
	if err != nil {
		return err
	}
	id, err := NewIdentity()
	if err != nil {
		return err
	}
	s, err := storeOf("peer")
	if err != nil {
		return err
	}
	n, err := NewNode(conn, Config{Identity: id, Name: "peer", Store: s})
	if err != nil {
		return err
	}
	go func() {
		for {
			if _, err := n.Next(context.Background()); err != nil {
				return
			}
		}
	}()
	fmt.Println(udp.LocalAddr(), secure.Addr(), n.LocalAddr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(int64(cpuTime()))
	}
	return nil
}

func listenTLS() (net.Listener, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
}

// peer is the second process, and the ways to it from this one.
type peer struct {
	udp  *net.UDPConn
	echo netip.AddrPort // where udp is echoed
	tls  net.Conn
	node *Node
	key  Key // of the node there

	ask io.Writer
	say *bufio.Reader
}

func startPeer(b *testing.B) *peer {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peerProcess+"=1", fmt.Sprint("GOMAXPROCS=", runtime.GOMAXPROCS(0)))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	p := &peer{udp: loopback(b), node: loopbackNode(b, "from"), ask: stdin, say: bufio.NewReader(stdout)}
	b.Cleanup(func() { p.udp.Close() })
	var udp, secure, node string
	if _, err := fmt.Fscanln(p.say, &udp, &secure, &node); err != nil {
		b.Fatal(err)
	}
	p.echo = netip.MustParseAddrPort(udp)
	// Nothing is trusted here: the certificate was made a moment ago and is measured only.
	if p.tls, err = tls.Dial("tcp4", secure, &tls.Config{InsecureSkipVerify: true}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.tls.Close() })
	met, err := p.node.Open(b.Context(), Target{Addrs: []netip.AddrPort{netip.MustParseAddrPort(node)}})
	if err != nil {
		b.Fatal(err)
	}
	p.key = met.Key
	return p
}

// cpu is the time that both processes have computed so far; zero where it can't be had.
func (p *peer) cpu(b *testing.B) time.Duration {
	b.Helper()
	fmt.Fprintln(p.ask)
	var there int64
	if _, err := fmt.Fscanln(p.say, &there); err != nil {
		b.Fatal(err)
	}
	return cpuTime() + time.Duration(there)
}
