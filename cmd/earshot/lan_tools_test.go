//go:build linux

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Other people's mDNS and a terminal, for the hosts of a LAN.

// python is Debian's, the one that python3-zeroconf is installed for.
const python = "/usr/bin/python3"

// An avahi is avahi-daemon on a host, with a message bus of its own.
type avahi struct {
	h   *host
	bus string // environment entry for its clients
}

const busConfig = `<busconfig><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`

// avahi starts avahi-daemon on the host, with more sections of its configuration, and
// waits until it serves.
func (h *host) avahi(sections ...string) *avahi {
	h.t.Helper()
	socket, config, daemon := filepath.Join(h.home, "bus"), filepath.Join(h.home, "bus.conf"), filepath.Join(h.home, "avahi.conf")
	write(h.t, config, fmt.Sprintf(busConfig, socket))
	write(h.t, daemon, "[server]\nhost-name="+h.name+"\nuse-ipv4=yes\nuse-ipv6=yes\n[wide-area]\nenable-wide-area=no\n"+strings.Join(sections, ""))
	a := &avahi{h, "DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + socket}
	h.startProgram(nil, "dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1").expect("unix:path")
	// `ip netns exec` gives the program mounts of its own, so its /run can be too.
	h.startProgram([]string{a.bus}, "sh", "-c", "mount -t tmpfs tmpfs /run && exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f "+daemon).
		expectNote("Server startup complete")
	return a
}

// client starts a program that talks to this avahi-daemon.
func (a *avahi) client(args ...string) *process {
	a.h.t.Helper()
	return a.h.startProgram([]string{a.bus}, args...)
}

// publish announces a service until the test ends; the strings become its TXT record.
func (a *avahi) publish(name, service string, port int, txt ...string) *process {
	a.h.t.Helper()
	p := a.client(append([]string{"avahi-publish", "-s", name, service, fmt.Sprint(port)}, txt...)...)
	p.expectNote("Established under name")
	return p
}

// browse returns what `avahi-browse -rpt` resolves: the fields of each line, by name of
// the service and IP version ("IPv4", "IPv6").
func (a *avahi) browse(service string) map[[2]string][]string {
	a.h.t.Helper()
	p := a.client("avahi-browse", "-rpt", service)
	p.exits(0)
	found := map[[2]string][]string{}
	for line := range strings.Lines(p.stdout.String()) {
		// =;eth0;IPv4;name;type;domain;host;address;port;"txt" "txt"
		if f := strings.Split(strings.TrimSpace(line), ";"); f[0] == "=" && f[1] != "lo" {
			found[[2]string{unescape(f[3]), f[2]}] = f
		}
	}
	return found
}

// unescape undoes the \DDD escapes of avahi-browse.
func unescape(s string) string {
	return regexp.MustCompile(`\\\d{3}`).ReplaceAllStringFunc(s, func(e string) string {
		var b byte
		_, _ = fmt.Sscanf(e, `\%03d`, &b)
		return string([]byte{b})
	})
}

// zeroconfScript browses for a service type and registers an instance of it. It prints
// one line for each instance it resolves: name, addresses, port, TXT keys and values.
const zeroconfScript = `
import sys
from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, Zeroconf
address, kind, name, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
zc = Zeroconf(interfaces=[address], ip_version=IPVersion.V4Only)
class Listener:
    def add_service(self, zc, kind, name):
        i = zc.get_service_info(kind, name, 5000)
        if i:
            txt = {k.decode(): (v or b"").decode(errors="replace") for k, v in i.properties.items()}
            print("found", i.get_name(), ",".join(i.parsed_scoped_addresses()), i.port, txt, flush=True)
    def update_service(self, *a): pass
    def remove_service(self, zc, kind, name):
        print("gone", name.removesuffix("." + kind), flush=True)
browser = ServiceBrowser(zc, kind, Listener())
zc.register_service(ServiceInfo(kind, name + "." + kind, port=port, parsed_addresses=[address],
    server=name + ".local.", properties={"txtvers": "1", "name": name}), cooperating_responders=True)
print("registered", flush=True)
sys.stdin.read()
zc.close()
`

// zeroconf runs python3-zeroconf on the host.
func (h *host) zeroconf(name string, port int) *process {
	h.t.Helper()
	script := filepath.Join(h.home, "other.py")
	write(h.t, script, zeroconfScript)
	return h.startProgram(nil, python, script, h.ip("eth0", "4"), "_earshot._udp.local.", name, fmt.Sprint(port))
}

// A screen is a terminal of 100 by 30 on a host: tmux with a shell in it.
type screen struct {
	h       *host
	socket  string
	control *process // tmux tells it of every output, so nothing is polled
}

func (h *host) screen() *screen {
	h.t.Helper()
	s := &screen{h: h, socket: filepath.Join(h.home, "tmux")}
	write(h.t, filepath.Join(h.home, "tmux.conf"), "set -g status off\nset -sg escape-time 0\n")
	env := []string{"PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "EARSHOT_DIR=" + h.dir, "EARSHOT_NAME=" + h.name}
	s.control = h.startProgram(env, "tmux", "-f", filepath.Join(h.home, "tmux.conf"), "-S", s.socket,
		"-C", "new-session", "-x", "100", "-y", "30", "cd; env PS1='$ ' sh")
	h.t.Cleanup(func() { _ = exec.Command("tmux", "-S", s.socket, "kill-server").Run() })
	s.control.expect("%session-changed")
	s.await(`^\$ ?$`)
	return s
}

// enter types text and the Enter key; keys presses named keys, as "C-c".
func (s *screen) enter(text string)    { s.tmux("send-keys", "-l", text); s.keys("Enter") }
func (s *screen) keys(names ...string) { s.tmux(append([]string{"send-keys"}, names...)...) }

func (s *screen) tmux(args ...string) string {
	s.h.t.Helper()
	return sh(s.h.t, "tmux", append([]string{"-S", s.socket}, args...)...)
}

// await waits until a line of the screen matches.
func (s *screen) await(pattern string) {
	s.h.t.Helper()
	re, deadline := regexp.MustCompile("(?m)"+pattern), time.After(patience)
	for {
		if re.MatchString(s.tmux("capture-pane", "-p")) {
			return
		}
		if _, ok := s.control.stdout.next(deadline); !ok {
			s.h.t.Fatalf("%s: the screen never showed %q:\n%s", s.h.name, pattern, s.tmux("capture-pane", "-p"))
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
