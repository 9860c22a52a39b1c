// Package doctor finds out why nobody is seen: Examine gathers facts about this
// machine and its network, Judge says what they mean.
package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"earshot/discovery"
)

// MDNSPort is where people are seen.
const MDNSPort = 5353

// Facts are what Judge goes by.
type Facts struct {
	OS        string // as runtime.GOOS
	Port      uint16 // where people talk
	Addrs     []netip.Addr
	Trials    []discovery.Trial
	Skipped   []discovery.Skipped
	Visible   int      // people on other machines
	Deaf      []string // interfaces on which Port doesn't hear this machine
	Firewalls []Firewall
	Captures  []Capture
	Root      bool                   // we may read firewalls' rules
	Domain    *discovery.DomainError // why people can't be looked for in the DNS domain
}

// Firewall is one that is active on this machine.
type Firewall struct {
	Tool   string // ufw, firewalld, nftables, Windows or macOS
	Chain  string // of nftables: family, table and chain that decide
	Blocks []uint16
}

// Capture is an interface by which packets leave that belong to another's subnet.
type Capture struct{ By, From string }

// Finding is something that keeps people from being seen, or that explains it.
type Finding struct {
	Code     string // stable: no-interface, port-held, send-refused, firewall, not-heard-back, vpn-route, domain, nobody-here, nothing-heard
	Fault    bool   // something is wrong
	Text     string
	Remedy   string
	Commands []string
}

// link is an interface, both families together.
type link struct {
	name                     string
	held, opened, sent, echo bool
	others                   int
	cause                    error
}

// Judge returns what is found, the likeliest reason first.
func Judge(f Facts) []Finding {
	var found []Finding
	if missing := only(f.Skipped, discovery.Missing); missing != nil {
		found = append(found, f.missing(missing))
	}
	links := f.links()
	switch {
	case len(links) == 0 && found != nil:
		return found
	case len(links) == 0:
		return []Finding{f.noInterface()}
	}
	var deaf []string
	works, others, held := false, 0, false
	for _, l := range links {
		others += l.others
		works = works || l.echo
		switch {
		case l.echo:
		case !l.opened && l.held:
			held = true
		case !l.sent:
			found = append(found, f.refused(l))
		default:
			deaf = append(deaf, l.name)
		}
	}
	if held {
		found = append(found, f.portHeld())
	}
	found = append(found, f.firewall(deaf)...)
	for _, c := range f.Captures {
		found = append(found, f.captured(c))
	}
	if f.Domain != nil {
		found = append(found, Finding{
			"domain", true, f.Domain.Error(), "name a server that knows it with --dns, or leave --domain out; what one says",
			[]string{"nslookup -type=PTR " + discovery.Service + "." + f.Domain.Domain},
		})
	}
	if f.Visible == 0 && (works || others > 0) {
		found = append(found, f.silence(others))
	}
	return found
}

// Healthy reports whether nothing is wrong.
func Healthy(found []Finding) bool {
	return !slices.ContainsFunc(found, func(f Finding) bool { return f.Fault })
}

// links sums up the trials, without those where nobody else can be: loopback, and what
// isn't connected.
func (f Facts) links() (links []*link) {
	for _, t := range f.Trials {
		if t.Loopback || t.Unplugged {
			continue
		}
		at := slices.IndexFunc(links, func(l *link) bool { return l.name == t.Interface })
		if at < 0 {
			at = len(links)
			links = append(links, &link{name: t.Interface})
		}
		l := links[at]
		l.held = l.held || discovery.PortHeld(t.OpenErr)
		l.opened = l.opened || t.OpenErr == nil
		l.sent = l.sent || t.OpenErr == nil && t.SendErr == nil
		l.echo = l.echo || t.Echo
		l.others += t.Others
		l.cause = cmp.Or(l.cause, t.OpenErr, t.SendErr)
	}
	return links
}

func (f Facts) noInterface() Finding {
	var reasons, commands []string
	for _, t := range f.Trials {
		if reason := t.Interface + " (not connected)"; !t.Loopback && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	for _, s := range f.Skipped {
		reasons = append(reasons, fmt.Sprintf("%s (%s)", s.Name, s.Reason))
		if len(commands) < maxCommands && !loopback(s.Name) {
			commands = append(commands, f.bringUp(s)...)
		}
	}
	text := "no network interface but this machine's own can be used"
	if len(reasons) > 0 {
		text += ": " + strings.Join(reasons, ", ")
	}
	remedy := "join a network: plug in the cable or turn Wi-Fi on"
	if unasked := only(f.Skipped, discovery.Unasked); len(commands) == 0 && unasked != nil {
		remedy, commands = "look on another one too", askFor(unasked)
	}
	return Finding{"no-interface", true, text, remedy, commands}
}

// missing says that there are no interfaces of these names.
func (f Facts) missing(names []string) Finding {
	var there []string
	for _, t := range f.Trials {
		if !t.Loopback && !slices.Contains(there, t.Interface) {
			there = append(there, t.Interface)
		}
	}
	for _, s := range f.Skipped {
		if s.Reason != discovery.Missing && !loopback(s.Name) {
			there = append(there, s.Name)
		}
	}
	remedy := "leave --interface out; there is none but this machine's own"
	if there != nil {
		remedy = "name one that there is with --interface"
	}
	return Finding{"no-interface", true, "there is no network interface called " + strings.Join(names, ", "), remedy, askFor(there)}
}

// maxCommands is how many are told to type against one finding.
const maxCommands = 3

// only are the names of the interfaces left out for that reason, without loopback.
func only(skipped []discovery.Skipped, reason string) (names []string) {
	for _, s := range skipped {
		if s.Reason == reason && !loopback(s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

// loopback reports whether an interface is the machine's own, by its name: nobody else
// is ever there.
func loopback(name string) bool {
	return name == "lo" || name == "lo0" || strings.HasPrefix(name, "Loopback ")
}

func askFor(names []string) (commands []string) {
	for _, name := range names[:min(len(names), maxCommands)] {
		commands = append(commands, "earshot --interface "+name+" doctor")
	}
	return commands
}

// bringUp is how to make an interface usable.
func (f Facts) bringUp(s discovery.Skipped) []string {
	switch s.Reason {
	case "down":
		return f.byOS("sudo ip link set "+s.Name+" up", "sudo ifconfig "+s.Name+" up",
			fmt.Sprintf("netsh interface set interface name=%q admin=enabled", s.Name), "sudo ifconfig "+s.Name+" up")
	case "no address":
		return f.byOS("nmcli device connect "+s.Name, "sudo ipconfig set "+s.Name+" DHCP",
			fmt.Sprintf("ipconfig /renew %q", s.Name), "sudo dhclient "+s.Name)
	}
	return nil
}

func (f Facts) refused(l *link) Finding {
	text := "nothing can be sent by multicast on " + l.name
	if l.cause != nil {
		text += ": " + l.cause.Error()
	}
	remedy := "a firewall, a VPN or the route to the group forbids it"
	commands := f.byOS("ip route get 224.0.0.251 oif "+l.name, `open "x-apple.systempreferences:com.apple.preference.security?Privacy_LocalNetwork"`,
		"netsh interface ipv4 show joins", "route -n get 224.0.0.251")
	switch {
	case errors.Is(l.cause, syscall.EPERM) && f.OS == "linux":
		remedy, commands = "a firewall on this machine forbids it: look for what drops or rejects output", []string{"sudo nft list ruleset"}
	case f.OS == "darwin":
		remedy = "allow your terminal the local network under Privacy & Security, Local Network"
	}
	return Finding{"send-refused", true, text, remedy, commands}
}

func (f Facts) portHeld() Finding {
	return Finding{
		"port-held", true, "another program holds UDP port 5353 for itself alone", "find it, and end it or let it share the port",
		[]string{FindHolder(f.OS)},
	}
}

// FindHolder is what to type on a system, as of runtime.GOOS, to find the program that has
// UDP port 5353.
func FindHolder(goos string) string {
	return Facts{OS: goos}.byOS("sudo ss -ulpn 'sport = :5353'", "sudo lsof -nP -iUDP:5353", "netstat -ano -p udp | findstr :5353", "sockstat -P udp -p 5353")[0]
}

// firewall says what is dropped on this machine: what a firewall's rules say, and
// what was seen by interfaces that don't hear this machine itself.
func (f Facts) firewall(deaf []string) (found []Finding) {
	var blocked []uint16
	if len(deaf) > 0 {
		blocked = append(blocked, MDNSPort)
	}
	if len(f.Deaf) > 0 {
		blocked = append(blocked, f.Port)
	}
	unexplained := slices.DeleteFunc(slices.Clone(blocked), func(p uint16) bool {
		return slices.ContainsFunc(f.Firewalls, func(w Firewall) bool { return slices.Contains(w.Blocks, p) })
	})
	for k, w := range f.Firewalls {
		ports := slices.Clone(w.Blocks)
		if k == 0 {
			ports = append(ports, unexplained...) // rules can be too clever for us
		}
		slices.Sort(ports)
		if ports = slices.Compact(ports); len(ports) == 0 {
			continue
		}
		effect := "others can't begin to talk with you"
		if slices.Contains(ports, MDNSPort) {
			effect = "you don't hear who is there"
		}
		found = append(found, Finding{
			"firewall", true, fmt.Sprintf("the firewall of this machine (%s) drops what comes to UDP port %s: %s", w.Tool, list(ports), effect),
			"let it in", w.open(ports),
		})
	}
	if len(found) > 0 || len(blocked) == 0 {
		return found
	}
	on := slices.Compact(slices.Sorted(slices.Values(slices.Concat(deaf, f.Deaf))))
	commands := f.byOS("sudo nft list ruleset", "sudo pfctl -s rules", "netsh advfirewall show currentprofile", "sudo pfctl -s rules")
	if f.OS == "linux" && !f.Root {
		commands = append([]string{"sudo earshot doctor"}, commands...)
	}
	return []Finding{{
		"not-heard-back", true,
		fmt.Sprintf("what this machine multicasts to UDP port %s doesn't come back to it on %s", list(blocked), strings.Join(on, ", ")),
		"something drops it here, most likely a firewall; see what does, then let these ports in", commands,
	}}
}

// open is how to let UDP ports in.
func (w Firewall) open(ports []uint16) (commands []string) {
	switch w.Tool {
	case "ufw":
		for _, p := range ports {
			commands = append(commands, fmt.Sprintf("sudo ufw allow %d/udp", p))
		}
	case "firewalld":
		for _, p := range ports {
			commands = append(commands, fmt.Sprintf("sudo firewall-cmd --permanent --add-port=%d/udp", p))
		}
		commands = append(commands, "sudo firewall-cmd --reload")
	case "nftables":
		commands = []string{fmt.Sprintf("sudo nft insert rule %s udp dport '{ %s }' accept", cmp.Or(w.Chain, "inet filter input"), list(ports))}
	case "Windows":
		commands = []string{fmt.Sprintf("netsh advfirewall firewall add rule name=earshot dir=in action=allow protocol=UDP localport=%s", strings.ReplaceAll(list(ports), " ", ""))}
	case "macOS":
		commands = []string{
			`sudo ` + macFirewall + ` --setblockall off`, `sudo ` + macFirewall + ` --add "$(command -v earshot)"`,
			`sudo ` + macFirewall + ` --unblockapp "$(command -v earshot)"`,
		}
	}
	return commands
}

func (f Facts) captured(c Capture) Finding {
	return Finding{
		"vpn-route", true, fmt.Sprintf("what should go to others on %s leaves by %s: a VPN has taken the route", c.From, c.By),
		"allow local network access in the VPN's settings, or disconnect it while you talk",
		f.byOS("sudo ip link set "+c.By+" down", "sudo ifconfig "+c.By+" down",
			fmt.Sprintf("netsh interface set interface name=%q admin=disabled", c.By), "sudo ifconfig "+c.By+" down"),
	}
}

// silence is what it means that nobody is visible though multicast leaves this
// machine.
func (f Facts) silence(others int) Finding {
	if others > 0 {
		machines := "other machines are"
		if others == 1 {
			machines = "another machine is"
		}
		return Finding{
			"nobody-here", false, machines + " heard, so the network carries multicast: but nobody runs earshot there",
			"on the other machine type this, and if it runs there already",
			[]string{"earshot", "earshot doctor"},
		}
	}
	call := "earshot chat ADDRESS"
	if len(f.Addrs) > 0 {
		call = "earshot chat " + f.Addrs[0].String()
	}
	return Finding{
		"nothing-heard", true, "nothing at all is heard from other machines: nobody is on this network, or it keeps its users apart or drops multicast, as guest Wi-Fi does",
		"talk by address, on the other machine; else turn off client isolation at the access point, or use another network such as a telephone's hotspot",
		[]string{call},
	}
}

// byOS picks the command for the system.
func (f Facts) byOS(linux, darwin, windows, bsd string) []string {
	switch f.OS {
	case "linux":
		return []string{linux}
	case "darwin":
		return []string{darwin}
	case "windows":
		return []string{windows}
	}
	return []string{bsd}
}

func list(ports []uint16) string {
	var all []string
	for _, p := range ports {
		all = append(all, strconv.Itoa(int(p)))
	}
	return strings.Join(all, ", ")
}
