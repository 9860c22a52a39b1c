//go:build linux

package main_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A LAN here is one Ethernet segment built from network namespaces: a bridge in a
// namespace of its own, and one namespace per host joined to it by a veth pair.
// Nothing is made in the machine's own namespace, so nothing leaves the machine.
//
//	lan := newLAN(t)
//	ana, bob := lan.host("ana"), lan.host("bob")
//	listen := bob.start("listen", "--json")
//
// All of it is removed when the test ends, however it ends. What a crashed run left
// behind bears that run's process id in its name and is removed by the next run.

// patience bounds every wait for something that is expected to happen.
const patience = 20 * time.Second

// install is the remedy for every missing tool.
const install = "sudo apt-get install iproute2 nftables avahi-daemon avahi-utils dbus dnsmasq-base python3-zeroconf tmux"

// program is the path of the earshot binary under test, built by needLAN.
var program string

// needLAN skips the test, with reason and remedy, where hosts can't be built; with
// EARSHOT_REQUIRE_LAN=1 that is a failure. It builds the program that the hosts run.
func needLAN(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short tests build no LAN\nrun: go test -run TestLAN ./cmd/earshot")
	}
	give := t.Skipf
	if os.Getenv("EARSHOT_REQUIRE_LAN") == "1" {
		give = t.Fatalf
	}
	if os.Geteuid() != 0 {
		give("hosts are made of network namespaces, which needs root\nrun: sudo -E env \"PATH=$PATH\" go test -run TestLAN ./cmd/earshot")
	}
	for _, tool := range []string{"ip", "nft", "avahi-daemon", "avahi-browse", "avahi-publish", "dbus-daemon", "dnsmasq", "tmux"} {
		if _, err := exec.LookPath(tool); err != nil {
			give("%s is missing\nrun: %s", tool, install)
		}
	}
	if err := exec.Command(python, "-c", "import zeroconf").Run(); err != nil {
		give("%s has no module zeroconf\nrun: %s", python, install)
	}
	sweep()
	probe := fmt.Sprintf("earshot-%d-probe", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", probe).CombinedOutput(); err != nil {
		give("no right to make network namespaces: %s\nrun the tests as root of the machine, or in a container started with --privileged", bytes.TrimSpace(out))
	}
	sh(t, "ip", "netns", "del", probe)

	args := []string{"build", "-o", filepath.Join(t.TempDir(), "earshot")}
	if info, _ := debug.ReadBuildInfo(); raceEnabled(info) {
		args = append(args, "-race")
	}
	sh(t, "go", append(args, ".")...)
	program = args[2]
}

// unmeasurable skips a test of figures where they mean nothing.
func unmeasurable(t *testing.T) {
	t.Helper()
	if info, ok := debug.ReadBuildInfo(); ok && raceEnabled(info) {
		t.Skip("the race detector slows everything: there is nothing to measure")
	}
}

func raceEnabled(info *debug.BuildInfo) bool {
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// sweep removes the namespaces of test runs that no longer exist, and ends the
// programs still in them.
func sweep() {
	out, _ := exec.Command("ip", "netns", "list").Output()
	for line := range strings.Lines(string(out)) {
		ns := strings.Fields(line + " -")[0]
		pid, err := strconv.Atoi(strings.SplitN(ns+"--", "-", 3)[1])
		if !strings.HasPrefix(ns, "earshot-") || err != nil || syscall.Kill(pid, 0) != syscall.ESRCH {
			continue
		}
		pids, _ := exec.Command("ip", "netns", "pids", ns).Output()
		for p := range strings.FieldsSeq(string(pids)) {
			if p, err := strconv.Atoi(p); err == nil {
				_ = syscall.Kill(p, syscall.SIGKILL)
			}
		}
		_ = exec.Command("ip", "netns", "del", ns).Run()
	}
}

// sh runs a command that has to succeed.
func sh(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

type lan struct {
	t      *testing.T
	ns     string // the bridge's namespace
	subnet int
	ports  int
}

var subnets atomic.Int32

// newLAN lays a segment with the subnets 198.18.N.0/24 and, for hosts that ask for
// it, fd00:N::/64; N differs from segment to segment.
func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{t: t, ns: newNamespace(t, "switch"), subnet: int(subnets.Add(1) % 256)}
	sh(t, "ip", "-n", l.ns, "link", "add", "br0", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
	sh(t, "ip", "-n", l.ns, "link", "set", "br0", "up")
	return l
}

func newNamespace(t *testing.T, role string) string {
	t.Helper()
	ns := fmt.Sprintf("earshot-%d-%s-%s", os.Getpid(), strings.ToLower(rand.Text()[:6]), role)
	sh(t, "ip", "netns", "add", ns)
	t.Cleanup(func() { sh(t, "ip", "netns", "del", ns) })
	// Without duplicate address detection an IPv6 address can be used at once.
	sh(t, "ip", "netns", "exec", ns, "sh", "-c",
		"for i in all default; do echo 0 >/proc/sys/net/ipv6/conf/$i/accept_dad; done")
	sh(t, "ip", "-n", ns, "link", "set", "lo", "up")
	return ns
}

// A host is one machine, and one person on it: a namespace with a home of its own.
type host struct {
	t       *testing.T
	ns      string
	name    string // --name of the person
	dir     string // --dir
	program string // other than the program under test
	home    string
	links   int
	ports   map[string][]string // by link: the switch's namespace and port
	env     []string            // additions to the environment
}

// A family says which addresses a link gets. IPv6 link-local ones come by themselves.
type family string

const (
	dual   family = "198.18.N.I/24 and fe80::/64"
	noIPv6 family = "198.18.N.I/24"
	noIPv4 family = "fe80::/64"
)

// host adds a machine to the segment. No host has a default route.
func (l *lan) host(name string) *host {
	l.t.Helper()
	return l.hostWith(name, dual)
}

func (l *lan) hostWith(name string, f family) *host {
	l.t.Helper()
	h := newHost(l.t, name)
	h.plug(l, f)
	return h
}

// newHost makes a machine that has nothing but loopback.
func newHost(t *testing.T, name string) *host {
	t.Helper()
	h := &host{t: t, ns: newNamespace(t, strings.ToLower(name)), name: name, ports: map[string][]string{}}
	h.makeHome()
	return h
}

func (h *host) makeHome() {
	// Not t.TempDir: its path is too long for a socket in it.
	home, err := os.MkdirTemp("", "earshot-lan-")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { os.RemoveAll(home) })
	h.home, h.dir = home, filepath.Join(home, "data")
}

// person is another person, with a home of their own, at the same machine.
func (h *host) person(name string) *host {
	h.t.Helper()
	p := *h
	p.name = name
	p.makeHome()
	return &p
}

// plug adds a link to the segment: eth0, then eth1 and so on.
func (h *host) plug(l *lan, f family) {
	h.t.Helper()
	link, port := fmt.Sprintf("eth%d", h.links), fmt.Sprintf("port%d", l.ports)
	h.links++
	l.ports++
	h.ports[link] = []string{l.ns, port}
	sh(h.t, "ip", "-n", l.ns, "link", "add", port, "type", "veth", "peer", "name", link, "netns", h.ns)
	sh(h.t, "ip", "-n", l.ns, "link", "set", port, "master", "br0", "up")
	switch f {
	case noIPv6:
		h.exec("sh", "-c", "for i in all default lo "+link+"; do echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6; done")
		fallthrough
	case dual:
		sh(h.t, "ip", "-n", h.ns, "addr", "add", fmt.Sprintf("198.18.%d.%d/24", l.subnet, l.ports), "dev", link)
	}
	sh(h.t, "ip", "-n", h.ns, "link", "set", link, "up")
}

// lose makes every link of the segment lose that share of the packets of an nftables
// match (as "meta l4proto udp" or "udp dport 5353"), in both directions. It is the
// switch that drops: dropped on a host, the sender would be told.
func (l *lan) lose(percent int, match string) {
	l.t.Helper()
	nft(l.t, l.ns, fmt.Sprintf("table bridge earshot { chain forward { type filter hook forward priority 0; %s numgen random mod 100 < %d drop; }; }", match, percent))
}

// nft loads rules into the host's firewall.
func (h *host) nft(chain string) {
	h.t.Helper()
	nft(h.t, h.ns, "table inet earshot {\n"+chain+"\n}")
}

func nft(t *testing.T, ns, rules string) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", ns, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
}

// cable pulls the link's cable out of the switch, "down", or puts it back, "up".
func (h *host) cable(link, state string) {
	h.t.Helper()
	sh(h.t, "ip", "-n", h.ports[link][0], "link", "set", h.ports[link][1], state)
}

// ip is the address of the link: IPv4, or with "6" IPv6 link-local (without zone).
func (h *host) ip(link, version string) string {
	h.t.Helper()
	out := strings.Fields(sh(h.t, "ip", "-n", h.ns, "-o", "-"+version, "addr", "show", "dev", link))
	for i, word := range out {
		if strings.HasPrefix(word, "inet") {
			addr, _, _ := strings.Cut(out[i+1], "/")
			return addr
		}
	}
	h.t.Fatalf("%s has no IPv%s address on %s", h.name, version, link)
	return ""
}

// exec runs any command on the host to its end; it has to succeed.
func (h *host) exec(name string, args ...string) string {
	h.t.Helper()
	return sh(h.t, "ip", append([]string{"netns", "exec", h.ns, name}, args...)...)
}

// inside calls f on a thread that stands in the host's namespace: sockets that f opens
// are the host's, whoever uses them afterwards.
func (h *host) inside(f func() error) {
	h.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		fd, err := os.Open("/run/netns/" + h.ns)
		if err == nil {
			defer fd.Close()
			err = unix.Setns(int(fd.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		h.t.Fatalf("on %s: %v", h.name, err)
	}
}

// command prepares a program on the host. `ip netns exec` replaces itself by the
// program, so the process id is the program's.
func (h *host) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.ns, name}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.home, "LANG=C.UTF-8", "TERM=xterm-256color", "GORACE=atexit_sleep_ms=0"}
	cmd.Env = append(cmd.Env, h.env...)
	return cmd
}

// earshot prepares the program under test, as the host's person.
func (h *host) earshot(args ...string) []string {
	return append([]string{cmp.Or(h.program, program), "--dir", h.dir, "--name", h.name}, args...)
}

// together runs the functions at once and waits for all.
func together(fs ...func()) {
	var wg sync.WaitGroup
	for _, f := range fs {
		wg.Go(f)
	}
	wg.Wait()
}
