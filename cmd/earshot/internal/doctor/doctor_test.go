package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"earshot/discovery"
)

var (
	lo      = discovery.Trial{Interface: "lo", Loopback: true, Echo: true}
	eth     = discovery.Trial{Interface: "eth0", Echo: true}
	eth6    = discovery.Trial{Interface: "eth0", IPv6: true, Echo: true}
	heard   = discovery.Trial{Interface: "eth0", Echo: true, Others: 2}
	deaf    = discovery.Trial{Interface: "eth0"}
	taken   = discovery.Trial{Interface: "eth0", OpenErr: &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}}
	refused = discovery.Trial{Interface: "eth0", SendErr: os.NewSyscallError("sendto", syscall.EPERM)}
	noRoute = discovery.Trial{Interface: "eth0", SendErr: os.NewSyscallError("sendto", syscall.ENETUNREACH)}
)

// Judge, with what is found as "code", with an exclamation mark for a fault, and the
// first command to type.
func TestJudge(t *testing.T) {
	ufw := []Firewall{{Tool: "ufw"}}
	for name, tc := range map[string]struct {
		facts Facts
		want  []string
	}{
		"people are seen":             {Facts{Trials: []discovery.Trial{lo, eth}, Visible: 1}, nil},
		"people are seen with a wall": {Facts{Trials: []discovery.Trial{lo, eth}, Visible: 1, Firewalls: ufw}, nil},
		"no interface":                {Facts{}, []string{"no-interface!"}},
		"only loopback": {
			Facts{Trials: []discovery.Trial{lo}, Skipped: []discovery.Skipped{{Name: "tun0", Reason: "point-to-point"}, {Name: "wlan0", Reason: "down"}}},
			[]string{"no-interface!sudo ip link set wlan0 up"},
		},
		"no address": {
			Facts{OS: "darwin", Skipped: []discovery.Skipped{{Name: "en0", Reason: "no address"}}},
			[]string{"no-interface!sudo ipconfig set en0 DHCP"},
		},
		"no cable": {
			Facts{Trials: []discovery.Trial{lo, {Interface: "eth0", Unplugged: true, Echo: true}, {Interface: "eth0", IPv6: true, Unplugged: true}}},
			[]string{"no-interface!"},
		},
		"no cable in one of two": {Facts{Trials: []discovery.Trial{heard, {Interface: "eth1", Unplugged: true}}}, []string{"nobody-here earshot"}},
		"not asked for": {
			Facts{Skipped: []discovery.Skipped{{Name: "lo", Reason: discovery.Unasked}, {Name: "tun0", Reason: "point-to-point"}, {Name: "eth1", Reason: discovery.Unasked}}},
			[]string{"no-interface!earshot --interface eth1 doctor"},
		},
		"loopback down": {Facts{Skipped: []discovery.Skipped{{Name: "lo", Reason: "down"}}}, []string{"no-interface!"}},
		"no such interface": {
			Facts{Skipped: []discovery.Skipped{{Name: "lo", Reason: discovery.Unasked}, {Name: "eth1", Reason: discovery.Unasked}, {Name: "eht1", Reason: discovery.Missing}}},
			[]string{"no-interface!earshot --interface eth1 doctor"},
		},
		"no such interface, but another": {
			Facts{Trials: []discovery.Trial{heard}, Visible: 1, Skipped: []discovery.Skipped{{Name: "eht1", Reason: discovery.Missing}}},
			[]string{"no-interface!earshot --interface eth0 doctor"},
		},
		"no domain": {
			Facts{Trials: []discovery.Trial{heard}, Visible: 1, Domain: &discovery.DomainError{Domain: "lan.example", Err: errors.New("no answer")}},
			[]string{"domain!nslookup -type=PTR _earshot._udp.lan.example"},
		},
		"port held": {
			Facts{Trials: []discovery.Trial{lo, taken}},
			[]string{"port-held!sudo ss -ulpn 'sport = :5353'"},
		},
		"port held on Windows": {
			Facts{OS: "windows", Trials: []discovery.Trial{taken}},
			[]string{"port-held!netstat -ano -p udp | findstr :5353"},
		},
		"refused by a firewall":      {Facts{Trials: []discovery.Trial{refused}}, []string{"send-refused!sudo nft list ruleset"}},
		"refused without a route":    {Facts{Trials: []discovery.Trial{noRoute}}, []string{"send-refused!ip route get 224.0.0.251 oif eth0"}},
		"refused by macOS":           {Facts{OS: "darwin", Trials: []discovery.Trial{noRoute}}, []string{`send-refused!open "x-apple.systempreferences:com.apple.preference.security?Privacy_LocalNetwork"`}},
		"one family refused":         {Facts{Trials: []discovery.Trial{noRoute, eth6}, Visible: 1}, nil},
		"not heard back":             {Facts{Trials: []discovery.Trial{deaf}}, []string{"not-heard-back!sudo earshot doctor"}},
		"not heard back, by root":    {Facts{Trials: []discovery.Trial{deaf}, Root: true}, []string{"not-heard-back!sudo nft list ruleset"}},
		"not heard back on FreeBSD":  {Facts{OS: "freebsd", Trials: []discovery.Trial{deaf}}, []string{"not-heard-back!sudo pfctl -s rules"}},
		"dropped, ufw":               {Facts{Trials: []discovery.Trial{deaf}, Firewalls: ufw}, []string{"firewall!sudo ufw allow 5353/udp"}},
		"talk dropped, ufw":          {Facts{Trials: []discovery.Trial{eth}, Visible: 1, Deaf: []string{"eth0"}, Firewalls: ufw}, []string{"firewall!sudo ufw allow 41027/udp"}},
		"talk dropped, by the rules": {Facts{Trials: []discovery.Trial{eth}, Visible: 1, Firewalls: []Firewall{{Tool: "ufw", Blocks: []uint16{41027}}}}, []string{"firewall!sudo ufw allow 41027/udp"}},
		"dropped, firewalld": {
			Facts{Trials: []discovery.Trial{deaf}, Firewalls: []Firewall{{Tool: "firewalld"}}},
			[]string{"firewall!sudo firewall-cmd --permanent --add-port=5353/udp"},
		},
		"both dropped, nftables": {
			Facts{Trials: []discovery.Trial{deaf}, Deaf: []string{"eth0"}, Firewalls: []Firewall{
				{Tool: "nftables", Chain: "ip filter INPUT"}, {Tool: "nftables", Chain: "inet t in", Blocks: []uint16{5353, 41027}},
			}},
			[]string{"firewall!sudo nft insert rule inet t in udp dport '{ 5353, 41027 }' accept"},
		},
		"dropped, Windows": {
			Facts{OS: "windows", Trials: []discovery.Trial{eth}, Visible: 1, Firewalls: []Firewall{{Tool: "Windows", Blocks: []uint16{5353, 41027}}}},
			[]string{"firewall!netsh advfirewall firewall add rule name=earshot dir=in action=allow protocol=UDP localport=5353,41027"},
		},
		"dropped, macOS": {
			Facts{OS: "darwin", Trials: []discovery.Trial{eth}, Visible: 1, Firewalls: []Firewall{{Tool: "macOS", Blocks: []uint16{5353, 41027}}}},
			[]string{"firewall!sudo " + macFirewall + " --setblockall off"},
		},
		"nobody here": {Facts{Trials: []discovery.Trial{lo, heard}}, []string{"nobody-here earshot"}},
		"nobody here, and a wall": {
			Facts{Trials: []discovery.Trial{heard}, Deaf: []string{"eth0"}, Firewalls: ufw},
			[]string{"firewall!sudo ufw allow 41027/udp", "nobody-here earshot"},
		},
		"nothing heard": {
			Facts{Trials: []discovery.Trial{lo, eth}, Addrs: []netip.Addr{netip.MustParseAddr("198.18.0.1")}},
			[]string{"nothing-heard!earshot chat 198.18.0.1"},
		},
		"VPN": {
			Facts{Trials: []discovery.Trial{eth}, Captures: []Capture{{"tun0", "eth0"}}},
			[]string{"vpn-route!sudo ip link set tun0 down", "nothing-heard!earshot chat ADDRESS"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.facts.OS = cmp.Or(tc.facts.OS, "linux")
			tc.facts.Port = 41027
			var got []string
			fault := false
			for _, d := range Judge(tc.facts) {
				mark := " "
				if d.Fault {
					mark, fault = "!", true
				}
				if d.Text == "" || d.Remedy == "" || strings.Contains(d.Text+d.Remedy, "\n") {
					t.Errorf("poorly said: %+v", d)
				}
				got = append(got, d.Code+mark+strings.Join(d.Commands[:min(1, len(d.Commands))], ""))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("found %q\nwant  %q", got, tc.want)
			}
			if Healthy(Judge(tc.facts)) == fault {
				t.Errorf("healthy: %v", !fault)
			}
		})
	}
}

func TestNftables(t *testing.T) {
	for name, tc := range map[string]struct{ ruleset, want string }{
		"none":   {"", ""},
		"output": {"table inet t {\n\tchain out {\n\t\ttype filter hook output priority filter; policy drop;\n\t}\n}\n", ""},
		"desktop": {`table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iifname "lo" accept
		ip daddr 224.0.0.251 udp dport 5353 counter packets 3 bytes 180 accept
	}
}
`, "inet filter input: 41027"},
		"drops one": {`table inet t {
	chain in {
		type filter hook input priority filter; policy accept;
		iifname != "lo" udp dport 5353 drop
	}
}
`, "inet t in: 5353"},
		"set and range": {`table inet t {
	chain in {
		type filter hook input priority filter; policy drop;
		udp dport { 53, 5353 } accept
		udp dport 41000-41100 accept
	}
}
`, "inet t in:"},
		"chains": {`table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy accept;
		meta l4proto tcp counter packets 0 bytes 0 jump tcponly
		ip protocol udp jump more
		counter packets 0 bytes 0 reject with icmp port-unreachable
	}

	chain tcponly {
		drop
	}

	chain more {
		udp dport 41027 accept
		udp dport 9 drop
		return
	}
}
`, "ip filter INPUT: 5353"},
		"accepts all":  {"table ip t {\n\tchain in {\n\t\ttype filter hook input priority filter; policy accept;\n\t\ttcp dport 22 accept\n\t}\n}\n", ""},
		"loop":         {"table ip t {\n\tchain in {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tjump in\n\t}\n}\n", "ip t in: 5353 41027"},
		"cut short":    {"table ip t {\n\tchain in {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tudp dport\n\t\tudp dport {\n\t\tmeta l4proto\n\t\tiifname !=\n\t\tjump", "ip t in: 5353 41027"},
		"odd operands": {"table ip t {\n\tchain in {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tudp dport mdns accept\n\t\tudp dport x-y accept\n\t\tudp dport 99999 accept\n\t}\n}\n", "ip t in: 41027"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range nftables(tc.ruleset, []uint16{5353, 41027}) {
				got = append(got, strings.TrimSpace(fmt.Sprint(w.Chain, ": ", strings.Trim(fmt.Sprint(w.Blocks), "[]"))))
			}
			if g := strings.Join(got, "; "); g != tc.want {
				t.Errorf("got %q, want %q", g, tc.want)
			}
		})
	}
}

// What the tools say, and what is made of it.
func TestFirewalls(t *testing.T) {
	const ufwHead = "Status: active\nLogging: on (low)\nDefault: deny (incoming), allow (outgoing), disabled (routed)\n\nTo                         Action      From\n--                         ------      ----\n"
	const windowsOn = "\nPublic Profile Settings: \n------\nState                                 ON\nFirewall Policy                       BlockInbound,AllowOutbound\n"
	for name, tc := range map[string]struct {
		os   string
		says map[string]string
		want string
	}{
		"ufw, closed":      {"linux", map[string]string{"ufw status verbose": ufwHead}, "ufw[41027]"},
		"ufw, open":        {"linux", map[string]string{"ufw status verbose": ufwHead + "22/tcp                     ALLOW IN    Anywhere\n41027/udp                  ALLOW IN    Anywhere\n"}, "ufw[]"},
		"ufw, TCP only":    {"linux", map[string]string{"ufw status verbose": ufwHead + "41027/tcp                  ALLOW IN    Anywhere\n"}, "ufw[41027]"},
		"ufw, denied":      {"linux", map[string]string{"ufw status verbose": ufwHead + "5353/udp                   DENY IN     Anywhere\n41027                      ALLOW IN    Anywhere\n"}, "ufw[5353]"},
		"ufw, not root":    {"linux", map[string]string{"grep -s ^ENABLED= /etc/ufw/ufw.conf": "ENABLED=yes\n"}, "ufw[]"},
		"ufw, off":         {"linux", map[string]string{"ufw status verbose": "Status: inactive\n"}, ""},
		"firewalld, shut":  {"linux", map[string]string{"firewall-cmd --state": "running\n", "firewall-cmd --query-port=5353/udp": "no\n", "firewall-cmd --query-service=mdns": "no\n", "firewall-cmd --query-port=41027/udp": "no\n"}, "firewalld[5353 41027]"},
		"firewalld, mdns":  {"linux", map[string]string{"firewall-cmd --state": "running\n", "firewall-cmd --query-port=5353/udp": "no\n", "firewall-cmd --query-service=mdns": "yes\n", "firewall-cmd --query-port=41027/udp": "no\n"}, "firewalld[41027]"},
		"nothing":          {"linux", nil, ""},
		"nft without root": {"linux", map[string]string{"nft list ruleset": ""}, ""},
		"nft":              {"linux", map[string]string{"nft list ruleset": "table ip t {\n\tchain in {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n"}, "nftables[5353 41027]"},
		"Windows, no rule": {"windows", map[string]string{"netsh advfirewall show currentprofile": windowsOn, "netsh advfirewall firewall show rule name=earshot": "\nNo rules match the specified criteria.\n"}, "Windows[5353 41027]"},
		"Windows, allowed": {"windows", map[string]string{"netsh advfirewall show currentprofile": windowsOn, "netsh advfirewall firewall show rule name=earshot": "Rule Name: earshot\nAction:                               Allow\n"}, "Windows[]"},
		"Windows, off":     {"windows", map[string]string{"netsh advfirewall show currentprofile": strings.Replace(windowsOn, "ON", "OFF", 1)}, ""},
		"macOS, on":        {"darwin", map[string]string{macFirewall + " --getglobalstate": "Firewall is enabled. (State = 1)\n", macFirewall + " --getblockall": "Firewall has block all state set to disabled.\n"}, "macOS[]"},
		"macOS, all":       {"darwin", map[string]string{macFirewall + " --getglobalstate": "Firewall is enabled. (State = 2)\n", macFirewall + " --getblockall": "Firewall is set to block all non-essential incoming connections\n"}, "macOS[5353 41027]"},
		"macOS, off":       {"darwin", map[string]string{macFirewall + " --getglobalstate": "Firewall is disabled. (State = 0)\n"}, ""},
		"another system":   {"plan9", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			run := func(_ context.Context, name string, args ...string) string {
				return tc.says[strings.Join(append([]string{name}, args...), " ")]
			}
			var got []string
			for _, w := range firewalls(t.Context(), tc.os, run, []uint16{5353, 41027}) {
				got = append(got, fmt.Sprint(w.Tool, w.Blocks))
			}
			if g := strings.Join(got, " "); g != tc.want {
				t.Errorf("found %q, want %q", g, tc.want)
			}
		})
	}
}

func TestPortHeld(t *testing.T) {
	if discovery.PortHeld(nil) || discovery.PortHeld(errors.New("x")) || discovery.PortHeld(syscall.EPERM) || !discovery.PortHeld(taken.OpenErr) {
		t.Error("not told from other errors")
	}
}
