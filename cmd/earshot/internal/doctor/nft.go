package doctor

import (
	"slices"
	"strconv"
	"strings"
)

// chain is one of nftables, as `nft list ruleset` prints it.
type chain struct {
	name  string // family, table, chain
	input bool   // decides on what comes in
	drop  bool   // by its policy
	rules [][]string
}

// nftables reads `nft list ruleset`: for each chain on the way in, which of the UDP
// ports it drops.
func nftables(ruleset string, ports []uint16) (found []Firewall) {
	chains := parseRuleset(ruleset)
	for _, c := range chains {
		if !c.input {
			continue
		}
		w := Firewall{Tool: "nftables", Chain: c.name}
		for _, p := range ports {
			verdict := chains.verdict(c, p, 0)
			if verdict == "" && c.drop || verdict == "drop" {
				w.Blocks = append(w.Blocks, p)
			}
		}
		if len(w.Blocks) > 0 || c.drop || chains.drops(c) {
			found = append(found, w)
		}
	}
	return found
}

type ruleset []*chain

func parseRuleset(text string) (chains ruleset) {
	table := ""
	var in *chain
	for line := range strings.Lines(text) {
		words := strings.Fields(strings.ReplaceAll(line, ";", " "))
		switch {
		case len(words) == 0:
		case words[0] == "table" && len(words) > 2:
			table = words[1] + " " + words[2]
		case words[0] == "chain" && len(words) > 1:
			in = &chain{name: table + " " + words[1]}
			chains = append(chains, in)
		case words[0] == "}":
			in = nil
		case in == nil:
		case words[0] == "type":
			in.input = slices.Contains(words, "filter") && after(words, "hook") == "input"
			in.drop = after(words, "policy") == "drop"
		default:
			in.rules = append(in.rules, words)
		}
	}
	return chains
}

func after(words []string, word string) string {
	if at := slices.Index(words, word); at >= 0 && at+1 < len(words) {
		return words[at+1]
	}
	return ""
}

// drops reports whether c or a chain of its table has a rule that drops.
func (r ruleset) drops(c *chain) bool {
	return slices.ContainsFunc(r, func(o *chain) bool {
		return o.table() == c.table() && slices.ContainsFunc(o.rules, func(rule []string) bool {
			return slices.Contains(rule, "drop") || slices.Contains(rule, "reject")
		})
	})
}

func (c *chain) table() string { return c.name[:strings.LastIndexByte(c.name, ' ')] }

// verdict is what c does with a new UDP packet for the port from another machine:
// "accept", "drop", or "" if it doesn't say. A rule with a condition that isn't
// understood is passed over.
func (r ruleset) verdict(c *chain, port uint16, depth int) string {
	for _, rule := range c.rules {
		if !applies(rule, port) {
			continue
		}
		switch last := rule[len(rule)-1]; {
		case slices.Contains(rule, "reject") || last == "drop":
			return "drop"
		case last == "accept":
			return "accept"
		case last == "return":
			return ""
		}
		for _, move := range []string{"jump", "goto"} {
			to := after(rule, move)
			if to == "" || depth > 8 {
				continue
			}
			at := slices.IndexFunc(r, func(o *chain) bool { return o.name == c.table()+" "+to })
			if at < 0 {
				continue
			}
			if v := r.verdict(r[at], port, depth+1); v != "" || move == "goto" {
				return v
			}
		}
	}
	return ""
}

// applies reports whether all conditions of a rule hold, as far as they are known to.
func applies(rule []string, port uint16) bool {
	for len(rule) > 0 {
		n := 1
		switch word := rule[0]; {
		case word == "counter":
			for n = 1; n+1 < len(rule) && (rule[n] == "packets" || rule[n] == "bytes"); n += 2 {
			}
		case word == "meta" && after(rule, "meta") == "l4proto", word == "ip" && after(rule, "ip") == "protocol", word == "ip6" && after(rule, "ip6") == "nexthdr":
			values, used := operand(rule[2:])
			if !slices.Contains(values, "udp") {
				return false
			}
			n = 2 + used
		case word == "udp" && after(rule, "udp") == "dport":
			values, used := operand(rule[2:])
			if !slices.ContainsFunc(values, func(v string) bool { return covers(v, port) }) {
				return false
			}
			n = 2 + used
		case word == "ip" && after(rule, "ip") == "daddr" && port == MDNSPort:
			values, used := operand(rule[2:])
			if !slices.Contains(values, "224.0.0.251") {
				return false
			}
			n = 2 + used
		case word == "iifname" && after(rule, "iifname") == "!=": // all but loopback, as a rule
			if len(rule) < 3 || strings.Trim(rule[2], `"`) != "lo" {
				return false
			}
			n = 3
		case word == "jump" || word == "goto":
			n = 2
		case word == "reject":
			n = len(rule)
		case word == "drop", word == "accept", word == "return":
		default:
			return false
		}
		if n > len(rule) {
			return false
		}
		rule = rule[n:]
	}
	return true
}

// operand is what a condition compares with, a value or a set of them, and how many
// words that takes.
func operand(words []string) (values []string, used int) {
	if len(words) == 0 {
		return nil, 1 // more than there is
	}
	if words[0] != "{" {
		return words[:1], 1
	}
	for used = 1; used < len(words); used++ {
		if words[used] == "}" {
			return values, used + 1
		}
		values = append(values, strings.TrimSuffix(words[used], ","))
	}
	return nil, used + 1
}

// covers reports whether v, a port or a range, is or has the port.
func covers(v string, port uint16) bool {
	from, to, isRange := strings.Cut(v, "-")
	if !isRange {
		to = from
	}
	if v == "mdns" {
		from, to = "5353", "5353"
	}
	a, err1 := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(to, 10, 16)
	return err1 == nil && err2 == nil && uint64(port) >= a && uint64(port) <= b
}
