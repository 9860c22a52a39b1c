package doctor

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// runner runs a tool and returns what it prints; "" where there is no such tool, or
// it won't tell.
type runner func(ctx context.Context, name string, args ...string) string

const macFirewall = "/usr/libexec/ApplicationFirewall/socketfilterfw"

// firewalls asks the system's firewalls what they drop of the ports. Rules that are
// too clever for that count as letting through: the trial of the ports tells.
func firewalls(ctx context.Context, goos string, run runner, ports []uint16) []Firewall {
	switch goos {
	case "linux":
		return linuxFirewalls(ctx, run, ports)
	case "windows":
		return windowsFirewall(run(ctx, "netsh", "advfirewall", "show", "currentprofile"),
			run(ctx, "netsh", "advfirewall", "firewall", "show", "rule", "name=earshot"), ports)
	case "darwin":
		return macOSFirewall(run(ctx, macFirewall, "--getglobalstate"), run(ctx, macFirewall, "--getblockall"), ports)
	}
	return nil
}

func linuxFirewalls(ctx context.Context, run runner, ports []uint16) []Firewall {
	var found []Firewall
	if status := run(ctx, "ufw", "status", "verbose"); status != "" {
		found = append(found, ufw(status, ports)...)
	} else if strings.HasPrefix(run(ctx, "grep", "-s", "^ENABLED=", "/etc/ufw/ufw.conf"), "ENABLED=yes") {
		found = append(found, Firewall{Tool: "ufw"}) // its rules only root may read
	}
	if strings.TrimSpace(run(ctx, "firewall-cmd", "--state")) == "running" {
		w := Firewall{Tool: "firewalld"}
		for _, p := range ports {
			open := run(ctx, "firewall-cmd", "--query-port="+strconv.Itoa(int(p))+"/udp")
			if p == MDNSPort && !strings.HasPrefix(open, "yes") {
				open = run(ctx, "firewall-cmd", "--query-service=mdns")
			}
			if strings.HasPrefix(open, "no") {
				w.Blocks = append(w.Blocks, p)
			}
		}
		found = append(found, w)
	}
	if len(found) > 0 {
		return found // the rules of nftables are theirs
	}
	return nftables(run(ctx, "nft", "list", "ruleset"), ports)
}

// ufw reads `ufw status verbose`. What comes for multicast DNS ufw lets in by itself.
func ufw(status string, ports []uint16) []Firewall {
	if !strings.Contains(status, "Status: active") {
		return nil
	}
	w := Firewall{Tool: "ufw"}
	for _, p := range ports {
		open := p == MDNSPort || strings.Contains(status, "Default: allow (incoming)")
		for line := range strings.Lines(status) {
			to, rest, _ := strings.Cut(line, " ")
			port, proto, _ := strings.Cut(to, "/")
			if port != strconv.Itoa(int(p)) || proto != "" && proto != "udp" {
				continue
			}
			verb, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			open = verb == "ALLOW" || verb == "LIMIT"
			break
		}
		if !open {
			w.Blocks = append(w.Blocks, p)
		}
	}
	return []Firewall{w}
}

// windowsFirewall reads what netsh says of the profile in use and of our rule, in
// English. In other languages nothing is found, and the trial of the ports tells.
func windowsFirewall(profile, rule string, ports []uint16) []Firewall {
	on, blockAll := false, false
	for line := range strings.Lines(profile) {
		switch f := strings.Fields(line); {
		case len(f) == 2 && f[0] == "State":
			on = f[1] == "ON"
		case len(f) == 3 && f[0] == "Firewall" && f[1] == "Policy":
			blockAll = strings.HasPrefix(f[2], "BlockInbound")
		}
	}
	if !on {
		return nil
	}
	w := Firewall{Tool: "Windows"}
	if blockAll && !strings.Contains(rule, "Allow") {
		w.Blocks = slices.Clone(ports)
	}
	return []Firewall{w}
}

// macOSFirewall reads what socketfilterfw says.
func macOSFirewall(state, blockAll string, ports []uint16) []Firewall {
	if !strings.Contains(state, "enabled") {
		return nil
	}
	w := Firewall{Tool: "macOS"}
	if strings.Contains(blockAll, "set to block all") || strings.Contains(strings.ToLower(blockAll), "block all enabled") {
		w.Blocks = slices.Clone(ports)
	}
	return []Firewall{w}
}
