package app

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"

	"earshot/chat"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

const (
	// minPrefix is the fewest characters of an id that name somebody.
	minPrefix = 6
	// maxListed bounds how many peers an error names.
	maxListed = 10
)

// Query is a PEER argument, taken apart.
type Query struct {
	Arg   string
	Addrs []netip.AddrPort // an address: there is nothing to look up
	Host  string           // may be a host name, unless somebody visible is called Arg
	Port  uint16           // of Host
}

// ArgError reports a PEER that can't be one.
type ArgError struct{ Text, Remedy string }

func (e *ArgError) Error() string { return e.Text }

// NotFoundError reports that nobody visible is called Arg.
type NotFoundError struct {
	Arg     string
	Near    []string // labels of those with the nearest names, nearest first
	Visible int      // how many are visible
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("nobody called %s is visible", e.Arg) }

// AmbiguousError reports that several visible peers are called Arg.
type AmbiguousError struct {
	Arg        string
	Candidates []string // labels, each of which picks one
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%s could be any of %d", e.Arg, len(e.Candidates))
}

// ParsePeer takes a PEER argument apart: a name or id, HOST[:PORT] or ADDR[:PORT]. A
// host needs a dot, a colon or brackets, or is `localhost`. The port is
// [chat.DefaultPort] unless given. Errors are [*ArgError].
func ParsePeer(arg string) (Query, error) {
	q := Query{Arg: clean.Line(arg)}
	if strings.TrimSpace(arg) == "" {
		return q, &ArgError{"the peer's name is empty", "give a name, an id or an address; who is there: earshot peers"}
	}
	host, port, err := splitPort(arg)
	if err != nil {
		return q, &ArgError{fmt.Sprintf("%s is not an address: %v", q.Arg, err), "write it like 192.0.2.7:41027 or [2001:db8::7]:41027"}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		if ip.Is6() && ip.IsLinkLocalUnicast() && ip.Zone() == "" {
			return q, &ArgError{q.Arg + " needs the interface it is on", fmt.Sprintf("write it like %s%%eth0", ip)}
		}
		if ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			return q, notOne(q.Arg)
		}
		q.Addrs = []netip.AddrPort{netip.AddrPortFrom(ip, port)}
		return q, nil
	}
	switch {
	case strings.EqualFold(host, "localhost"):
		q.Addrs = []netip.AddrPort{
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port),
			netip.AddrPortFrom(netip.IPv6Loopback(), port),
		}
	case strings.Contains(host, ".") || host != arg:
		q.Host, q.Port = host, port
	}
	return q, nil
}

// notOne reports an address of several machines, or of none.
func notOne(arg string) error {
	return &ArgError{arg + " is not the address of one machine", "write that of the machine they are at, like 192.0.2.7; who is there: earshot peers"}
}

// splitPort parts the port from an address or host name; a name without one gets the
// default port.
func splitPort(arg string) (string, uint16, error) {
	host, port, bracketed := arg, "", false
	if rest, ok := strings.CutPrefix(arg, "["); ok {
		var found bool
		if host, port, found = strings.Cut(rest, "]"); !found {
			return "", 0, fmt.Errorf("the bracket isn't closed")
		}
		if _, err := netip.ParseAddr(host); err != nil {
			return "", 0, fmt.Errorf("there is no IPv6 address in the brackets")
		}
		if port, found = strings.CutPrefix(port, ":"); !found && port != "" {
			return "", 0, fmt.Errorf("a colon belongs after the bracket")
		}
		bracketed = true
	} else if strings.Count(arg, ":") == 1 {
		host, port, _ = strings.Cut(arg, ":")
	}
	if port == "" && (bracketed || host == arg) {
		return host, chat.DefaultPort, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" {
		if !bracketed {
			if _, err := netip.ParseAddr(host); err != nil {
				return arg, chat.DefaultPort, nil // a name with a colon in it
			}
		}
		return "", 0, fmt.Errorf("the port must be 1 to 65535")
	}
	return host, uint16(n), nil
}

// Match picks the visible peer that q names: by full id; by name (as written, else in
// any case), name·idprefix, name-idprefix or id prefix; and with prefix set, where
// all of that finds nobody, by the beginning of a name. Errors are [*NotFoundError]
// and [*AmbiguousError].
func Match(q Query, peers []discovery.Peer, prefix bool) (discovery.Peer, error) {
	lower := strings.ToLower(q.Arg)
	if _, err := chat.ParseKey(lower); err == nil {
		// A full id means that key and nobody who merely calls themselves so.
		for _, p := range peers {
			if p.ID == lower {
				return p, nil
			}
		}
		return discovery.Peer{}, &NotFoundError{Arg: q.Arg, Visible: len(peers)}
	}
	name := clean.Name(q.Arg)
	fold := clean.Fold(q.Arg)
	byName := filter(peers, func(p discovery.Peer) bool { return clean.Name(p.Name) == name })
	if len(byName) == 0 {
		byName = filter(peers, func(p discovery.Peer) bool { return clean.Fold(p.Name) == fold })
	}
	found := filter(peers, func(p discovery.Peer) bool {
		return len(lower) >= minPrefix && strings.HasPrefix(p.ID, lower) || labelled(p, fold) ||
			slices.ContainsFunc(byName, func(n discovery.Peer) bool { return same(n, p) })
	})
	if len(found) == 0 && prefix {
		found = filter(peers, func(p discovery.Peer) bool { return strings.HasPrefix(clean.Fold(p.Name), fold) })
	}
	switch len(found) {
	case 0:
		return discovery.Peer{}, notFound(q, peers)
	case 1:
		return found[0], nil
	}
	e := &AmbiguousError{Arg: q.Arg}
	for _, p := range found[:min(len(found), maxListed)] {
		e.Candidates = append(e.Candidates, longLabel(p))
	}
	return discovery.Peer{}, e
}

// labelled reports whether fold is p's name with a prefix of p's id behind a dot or a
// hyphen. Names have hyphens too, so after one the prefix must be long enough not to
// match by chance.
func labelled(p discovery.Peer, fold string) bool {
	rest, ok := strings.CutPrefix(fold, clean.Fold(p.Name))
	if !ok || p.ID == "" {
		return false
	}
	if id, ok := strings.CutPrefix(rest, "·"); ok {
		return id != "" && strings.HasPrefix(p.ID, id)
	}
	id, ok := strings.CutPrefix(rest, "-")
	return ok && len(id) >= minPrefix && strings.HasPrefix(p.ID, id)
}

func filter(peers []discovery.Peer, keep func(discovery.Peer) bool) []discovery.Peer {
	var out []discovery.Peer
	for _, p := range peers {
		if keep(p) {
			out = append(out, p)
		}
	}
	return out
}

// same reports whether a and b are one row of the roster.
func same(a, b discovery.Peer) bool {
	return a.ID == b.ID && (a.ID != "" || a.Name == b.Name && slices.Equal(a.Addrs, b.Addrs))
}

func notFound(q Query, peers []discovery.Peer) error {
	type near struct {
		label    string
		rank     int // 0: one begins with the other
		distance int
	}
	var all []near
	fold := clean.Fold(q.Arg)
	labels := Labels(peers, "")
	for i, p := range peers {
		name := clean.Fold(p.Name)
		n := near{labels[i], 1, levenshtein.ComputeDistance(fold, name)}
		if strings.HasPrefix(name, fold) || strings.HasPrefix(fold, name) {
			n.rank = 0
		}
		if n.rank == 0 || n.distance <= edits(fold, name) {
			all = append(all, n)
		}
	}
	slices.SortStableFunc(all, func(a, b near) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.distance, b.distance)) })
	e := &NotFoundError{Arg: q.Arg, Visible: len(peers)}
	for _, n := range all[:min(len(all), 3)] {
		e.Near = append(e.Near, n.label)
	}
	return e
}

// edits is how many letters may be wrong for a name to be near another: of short ones any
// two would be.
func edits(a, b string) int {
	const short = 3
	if n := min(len([]rune(a)), len([]rune(b))); n <= short {
		return 1
	}
	return max(2, len([]rune(a))/3)
}

// Labels returns how each peer is shown: by name, or as name·idprefix where two of
// them, or one of them and me, have one name. A name with that dot in it always gets
// its id, so that nobody can pass for such a label.
func Labels(peers []discovery.Peer, me string) []string {
	count := map[string]int{clean.Fold(me): 1}
	for _, p := range peers {
		count[clean.Fold(p.Name)]++
	}
	labels := make([]string, len(peers))
	for i, p := range peers {
		if fold := clean.Fold(p.Name); count[fold] > 1 || strings.Contains(fold, "·") {
			labels[i] = longLabel(p)
		} else {
			labels[i] = clean.Name(p.Name)
		}
	}
	return labels
}

// longLabel returns the name with the beginning of the id, or for a peer that
// announces none with its address.
func longLabel(p discovery.Peer) string {
	name := clean.Name(p.Name)
	switch {
	case p.ID != "":
		return name + "·" + p.ID[:min(len(p.ID), minPrefix)]
	case len(p.Addrs) > 0:
		return fmt.Sprintf("%s (%s)", name, p.Addrs[0])
	}
	return name
}
