//go:build linux

package main_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLANDoctor asks the doctor on networks on which nobody is seen.
func TestLANDoctor(t *testing.T) {
	needLAN(t)
	for name, test := range map[string]func(*testing.T){
		"healthy":      lanDoctorHealthy,
		"one family":   lanDoctorOneFamily,
		"nobody here":  lanDoctorNobodyHere,
		"isolated":     lanDoctorIsolated,
		"no interface": lanDoctorNoInterface,
		"multicast dropped": func(t *testing.T) {
			lanDoctorFirewall(t, "chain in { type filter hook input priority 0; iifname != lo udp dport 5353 drop; }", "5353")
		},
		"talk dropped": func(t *testing.T) {
			lanDoctorFirewall(t, "chain in { type filter hook input priority 0; udp dport 41027 drop; }", "41027")
		},
		"all dropped": func(t *testing.T) {
			lanDoctorFirewall(t, "chain in { type filter hook input priority 0; policy drop; ct state established,related accept; iifname lo accept; }", "5353, 41027")
		},
		"rules that aren't understood": lanDoctorOddFirewall,
		"send refused":                 lanDoctorSendRefused,
		"port held":                    lanDoctorPortHeld,
		"VPN":                          lanDoctorVPN,
		"pointed to":                   lanDoctorPointedTo,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

type diagnosis struct {
	Healthy    bool     `json:"healthy"`
	Visible    int      `json:"visible"`
	Interfaces []string `json:"interfaces"`
	Skipped    []struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"skipped"`
	Findings []struct {
		Finding  string   `json:"finding"`
		Fault    bool     `json:"fault"`
		Text     string   `json:"text"`
		Remedy   string   `json:"remedy"`
		Commands []string `json:"commands"`
	} `json:"findings"`
}

// diagnose asks the doctor, who has to find exactly these, in this order.

func (h *host) diagnose(code int, findings ...string) diagnosis {
	h.t.Helper()
	r := h.run("doctor", "--json").exits(code)
	if r.took > slack*4*time.Second { // 3 s, and a machine that runs other tests
		h.t.Errorf("the doctor took %v", r.took)
	}
	d := decode[diagnosis](h.t, r.stdout)
	var got []string
	for _, f := range d.Findings {
		got = append(got, f.Finding)
	}
	if !slices.Equal(got, findings) {
		h.t.Errorf("found %q, want %q\n%s", got, findings, r.stdout)
	}
	if d.Healthy != (code == 0) {
		h.t.Errorf("healthy: %v, exit code %d", d.Healthy, code)
	}
	return d
}

func lanDoctorHealthy(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	listening(bob)
	if d := ana.diagnose(0); d.Visible != 1 || !slices.Equal(d.Interfaces, []string{"lo", "eth0"}) {
		t.Errorf("found %+v", d)
	}
	if said := ana.run("doctor").exits(0).stdout; !strings.Contains(said, "1 person is visible") || !strings.Contains(said, "nothing is wrong") {
		t.Errorf("said:\n%s", said)
	}
	// Who runs here already isn't in the way.
	listening(ana)
	if d := ana.diagnose(0); d.Visible != 1 {
		t.Errorf("%d visible", d.Visible)
	}
}

// lanDoctorOneFamily: IPv4 or IPv6 alone is no illness.
func lanDoctorOneFamily(t *testing.T) {
	for _, f := range []family{noIPv4, noIPv6} {
		l := newLAN(t)
		ana, bob := l.hostWith("ana", f), l.hostWith("bob", f)
		listening(bob)
		if d := ana.diagnose(0); d.Visible != 1 {
			t.Errorf("%s: found %+v", f, d)
		}
	}
}

func lanDoctorNobodyHere(t *testing.T) {
	l := newLAN(t)
	ana := l.host("ana")
	l.host("printer").avahi().publish("a printer", "_ipp._tcp", 631)
	ana.diagnose(0, "nobody-here")
}

func lanDoctorIsolated(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	listening(bob)
	for _, h := range []*host{ana, bob} { // as an access point does to its guests
		port := h.ports["eth0"]
		sh(t, "bridge", "-n", port[0], "link", "set", "dev", port[1], "isolated", "on")
	}
	d := ana.diagnose(1, "nothing-heard")
	if want := "earshot chat " + ana.ip("eth0", "4"); len(d.Findings) == 1 && !slices.Equal(d.Findings[0].Commands, []string{want}) {
		t.Errorf("told to type %q, want %q", d.Findings[0].Commands, want)
	}
}

func lanDoctorNoInterface(t *testing.T) {
	l := newLAN(t)
	ana := l.host("ana")
	ana.exec("ip", "link", "set", "eth0", "down")
	d := ana.diagnose(1, "no-interface")
	if len(d.Findings) == 1 && (!strings.Contains(d.Findings[0].Text, "eth0 (down)") || !slices.Contains(d.Findings[0].Commands, "sudo ip link set eth0 up")) {
		t.Errorf("found %+v", d.Findings)
	}
	ana.exec("ip", "link", "set", "eth0", "up")
	ana.cable("eth0", "down")
	if d := ana.diagnose(1, "no-interface"); len(d.Findings) == 1 && !strings.Contains(d.Findings[0].Text, "eth0 (not connected)") {
		t.Errorf("found %+v", d.Findings)
	}
	ana.exec("ip", "link", "set", "eth0", "down")
	ana.exec("ip", "link", "set", "lo", "down")
	ana.diagnose(1, "no-interface")
}

// lanDoctorFirewall: what the doctor tells to type has to mend it.
func lanDoctorFirewall(t *testing.T, chain, ports string) {
	l := newLAN(t)
	ana, bob := l.host("ana"), l.host("bob")
	listening(bob)
	ana.nft(chain)
	r := ana.run("doctor", "--json").exits(1)
	d := decode[diagnosis](t, r.stdout)
	if len(d.Findings) == 0 || d.Findings[0].Finding != "firewall" || !strings.Contains(d.Findings[0].Text, "nftables) drops what comes to UDP port "+ports+":") {
		t.Fatalf("found %s", r.stdout)
	}
	for _, command := range d.Findings[0].Commands {
		ana.exec("sh", "-c", strings.TrimPrefix(command, "sudo "))
	}
	ana.diagnose(0)
}

// lanDoctorOddFirewall: the trial of the ports tells even so.
func lanDoctorOddFirewall(t *testing.T) {
	l := newLAN(t)
	ana := l.host("ana")
	ana.nft("chain in { type filter hook input priority 0; iifname eth0 meta length > 20 drop; }")
	d := ana.diagnose(1, "firewall")
	if len(d.Findings) == 1 && !strings.Contains(d.Findings[0].Text, "5353, 41027") {
		t.Errorf("found %+v", d.Findings)
	}
	ana.exec("nft", "flush", "ruleset")
	// Of something that no tool tells, like a security module, there is only the trial.
	ana.exec("sh", "-c", "nft -f - <<E\ntable netdev x { chain in { type filter hook ingress device eth0 priority 0; drop; }; }\nE")
	ana.diagnose(1, "not-heard-back")
}

func lanDoctorSendRefused(t *testing.T) {
	l := newLAN(t)
	ana := l.host("ana")
	ana.nft("chain out { type filter hook output priority 0; oifname eth0 udp dport 5353 drop; }")
	d := ana.diagnose(1, "send-refused")
	if len(d.Findings) == 1 && !slices.Equal(d.Findings[0].Commands, []string{"sudo nft list ruleset"}) {
		t.Errorf("told to type %q", d.Findings[0].Commands)
	}
	// Others point to the doctor at once.
	refused := "^earshot: nothing can be sent by multicast on eth0: operation not permitted$"
	ana.start("listen").expectNote(refused)
	ana.person("bob").run("peers").exits(0).notes(strings.Trim(refused, "^$"), "earshot doctor")
}

func lanDoctorPortHeld(t *testing.T) {
	l := newLAN(t)
	ana := l.host("ana")
	ana.inside(func() error {
		var conns [2]net.PacketConn
		for i, network := range []string{"udp4", "udp6"} {
			conn, err := (&net.ListenConfig{}).ListenPacket(context.Background(), network, ":5353")
			if err != nil {
				return err
			}
			conns[i] = conn
		}
		t.Cleanup(func() {
			for _, conn := range conns {
				conn.Close()
			}
		})
		return nil
	})
	ana.diagnose(1, "port-held")
	ana.run("peers").exits(1).notes("another program has UDP port 5353 for itself", "find it, and end it or let it share the port: sudo ss -ulpn 'sport = :5353'")
}

// lanDoctorVPN: a tunnel whose routes are narrower than the subnet takes what is for it.
func lanDoctorVPN(t *testing.T) {
	l := newLAN(t)
	ana, bob := l.hostWith("ana", noIPv6), l.hostWith("bob", noIPv6)
	listening(bob)
	ana.exec("ip", "tuntap", "add", "tun0", "mode", "tun")
	ana.exec("ip", "addr", "add", "198.19.0.1/32", "dev", "tun0")
	ana.exec("ip", "link", "set", "tun0", "up")
	base := ana.ip("eth0", "4")
	base = base[:strings.LastIndexByte(base, '.')]
	for _, half := range []string{".0/25", ".128/25"} {
		ana.exec("ip", "route", "add", base+half, "dev", "tun0", "src", "198.19.0.1")
	}
	d := ana.diagnose(1, "vpn-route")
	if len(d.Findings) == 1 && !slices.Equal(d.Findings[0].Commands, []string{"sudo ip link set tun0 down"}) {
		t.Errorf("told to type %q", d.Findings[0].Commands)
	}
}

// lanDoctorPointedTo: who waits for somebody is told whom to ask.
func lanDoctorPointedTo(t *testing.T) {
	l := newLAN(t)
	ana := l.host("ana")
	const pointer = `^earshot: nobody is seen yet; why: earshot doctor$`
	for _, p := range []*process{
		ana.start("--hidden", "listen"),
		ana.start("--hidden", "peers", "--watch"),
		ana.person("bob").start("--hidden"),
		ana.person("carol").start("--hidden", "chat", "--wait", "1m", "dave"),
	} {
		p.expectNote(pointer)
	}
}
