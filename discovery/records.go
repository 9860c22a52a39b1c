package discovery

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// Names are kept as miekg/dns presents them, with its escapes, in lower case
// where they are compared.

// canonical makes equal names equal strings (RFC 6762 §16: ASCII case only; other
// letters are escaped here).
func canonical(name string) string { return strings.ToLower(name) }

// instanceLabel is the first label of our instance's name, unescaped: unique by
// construction, within 63 bytes, without control characters (SPEC §3).
func instanceLabel(name, id string, twin bool, port uint16) string {
	tail := id[:min(6, len(id))]
	if twin {
		tail += "-" + strconv.Itoa(int(port))
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))
	if name = cut(name, maxLabel-len(tail)-1); name == "" {
		return tail
	}
	return name + "-" + tail
}

// cut shortens s to at most n bytes, between runes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// fullName is label, which may hold any byte, under the domain name parent.
func fullName(label, parent string) string {
	wire := make([]byte, 1+len(label)+1)
	wire[0] = byte(len(label))
	copy(wire[1:], label)
	escaped, _, err := dns.UnpackDomainName(wire, 0)
	if err != nil {
		panic("discovery: label of impossible length: " + err.Error())
	}
	return escaped + parent
}

// splitInstance takes the name of an instance of our service apart and returns
// its first label, unescaped. ok is false for any other name.
func splitInstance(name string) (label string, ok bool) {
	next, end := dns.NextLabel(name, 0)
	if end || canonical(name[next:]) != serviceName {
		return "", false
	}
	return unescape(name[:next-1]), true
}

// unescape undoes the escapes of miekg/dns: \DDD and \X.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
			if i+2 < len(s) && isDigit(s[i]) && isDigit(s[i+1]) && isDigit(s[i+2]) {
				b = append(b, (s[i]-'0')*100+(s[i+1]-'0')*10+s[i+2]-'0')
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// escape is how miekg/dns presents the bytes of a TXT string.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.Write([]byte{'\\', c})
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// txtStrings are the strings of our TXT record (SPEC §3), as miekg/dns wants
// them.
func txtStrings(id, name string) []string {
	name = cut(strings.ToValidUTF8(name, "\uFFFD"), maxName)
	return []string{"txtvers=1", "id=" + id, "name=" + escape(name)}
}

// parseTXT finds the identity and the human name in the strings of a TXT record
// as miekg/dns presents them. Unknown keys are ignored; of a repeated key the
// first counts; keys have no case (RFC 6763 §6.4). id is "" unless it has the
// form of a key; name is cut to maxName bytes.
func parseTXT(txt []string) (id, name string) {
	var haveID, haveName bool
	for _, s := range txt {
		key, value, _ := strings.Cut(s, "=")
		switch {
		case !haveID && strings.EqualFold(key, "id"):
			haveID = true
			if validID(value) {
				id = value
			}
		case !haveName && strings.EqualFold(key, "name"):
			haveName = true
			name = cut(unescape(value), maxName)
		}
	}
	return id, name
}

// validID reports whether s is 32 bytes in lower-case unpadded base32. The last
// character carries one bit, so it is a or q.
func validID(s string) bool {
	if len(s) != idLength || s[idLength-1] != 'a' && s[idLength-1] != 'q' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// randomCase changes the case of letters at random. Names have none, but a
// server can tell questions apart by it (SPEC §1).
func randomCase(name string) string {
	b := []byte(name)
	for k, c := range b {
		if 'a' <= c && c <= 'z' && rand.IntN(2) == 0 {
			b[k] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// unit is a set of our records that is asked for and answered as one.
type unit uint8

const (
	unitPTR    unit = 1 << iota // service -> instance: shared
	unitSRV                     // unique
	unitTXT                     // unique
	unitAddr                    // A and AAAA: unique
	unitEnum                    // service enumeration: shared, the same for everybody
	unitNoInst                  // NSEC: the instance's name has SRV and TXT only
	unitNoHost                  // NSEC: the host's name has these kinds of address only

	unitAll    = unitPTR | unitSRV | unitTXT | unitAddr
	unitShared = unitPTR | unitEnum
	unitCount  = 7
)

// identity is what we advertise.
type identity struct {
	instance, host string // full names
	key            string // the instance in canonical form
	port           uint16
	txt            []string
}

func newIdentity(cfg Config) identity {
	instance := fullName(instanceLabel(cfg.Name, cfg.ID, cfg.Twin, cfg.Port), serviceName)
	return identity{
		instance: instance,
		key:      canonical(instance),
		host:     cfg.ID[:min(16, len(cfg.ID))] + "." + domain,
		port:     cfg.Port,
		txt:      txtStrings(cfg.ID, cfg.Name),
	}
}

// records are those of our records that u names, with the addresses of one link.
// The cache-flush bit is set on the unique ones if flush (RFC 6762 §10.2).
func (o identity) records(u unit, addrs []netip.Prefix, ttl time.Duration, flush bool) (rrs []dns.RR) {
	header := func(name string, rrtype uint16) dns.RR_Header {
		h := dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: uint32(ttl / time.Second)}
		if flush && rrtype != dns.TypePTR {
			h.Class |= topBit
		}
		return h
	}
	if u&unitEnum != 0 {
		rrs = append(rrs, &dns.PTR{Hdr: header(enumName, dns.TypePTR), Ptr: serviceName})
	}
	if u&unitPTR != 0 {
		rrs = append(rrs, &dns.PTR{Hdr: header(serviceName, dns.TypePTR), Ptr: o.instance})
	}
	if u&unitSRV != 0 {
		rrs = append(rrs, &dns.SRV{Hdr: header(o.instance, dns.TypeSRV), Port: o.port, Target: o.host})
	}
	if u&unitTXT != 0 {
		rrs = append(rrs, &dns.TXT{Hdr: header(o.instance, dns.TypeTXT), Txt: o.txt})
	}
	if u&unitAddr != 0 {
		for _, p := range addrs[:min(len(addrs), maxOwnAddrs)] {
			if ip := net.IP(p.Addr().AsSlice()); p.Addr().Is4() {
				rrs = append(rrs, &dns.A{Hdr: header(o.host, dns.TypeA), A: ip})
			} else {
				rrs = append(rrs, &dns.AAAA{Hdr: header(o.host, dns.TypeAAAA), AAAA: ip})
			}
		}
	}
	// RFC 6762 §6.1, §18.14: the next name is the name itself.
	if u&unitNoInst != 0 {
		rrs = append(rrs, &dns.NSEC{Hdr: header(o.instance, dns.TypeNSEC), NextDomain: o.instance, TypeBitMap: []uint16{dns.TypeTXT, dns.TypeSRV}})
	}
	if u&unitNoHost != 0 {
		rrs = append(rrs, &dns.NSEC{Hdr: header(o.host, dns.TypeNSEC), NextDomain: o.host, TypeBitMap: addrTypes(addrs)})
	}
	return rrs
}

// addrTypes are the types of address record there are, in ascending order.
func addrTypes(addrs []netip.Prefix) (types []uint16) {
	addrs = addrs[:min(len(addrs), maxOwnAddrs)]
	if slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
		types = append(types, dns.TypeA)
	}
	if slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		types = append(types, dns.TypeAAAA)
	}
	return types
}

// addrOf is the address in an A or AAAA record, invalid in any other.
func addrOf(rr dns.RR) (addr netip.Addr) {
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ = netip.AddrFromSlice(rr.A.To4())
	case *dns.AAAA:
		addr, _ = netip.AddrFromSlice(rr.AAAA)
	}
	return addr
}

// asked is which of our records a question wants. A question for one kind of
// address gets both (RFC 6762 §6.2), one for what a name of ours hasn't the
// statement that it hasn't (§6.1).
func (o identity) asked(q dns.Question, l *link) (u unit) {
	all := q.Qtype == dns.TypeANY
	name := canonical(q.Name)
	switch {
	case q.Qclass&^topBit != dns.ClassINET && q.Qclass&^topBit != dns.ClassANY:
	case name == serviceName && (all || q.Qtype == dns.TypePTR):
		return unitPTR
	case name == enumName && (all || q.Qtype == dns.TypePTR):
		return unitEnum
	case name == o.key:
		if all || q.Qtype == dns.TypeSRV {
			u |= unitSRV
		}
		if all || q.Qtype == dns.TypeTXT {
			u |= unitTXT
		}
		if u == 0 {
			u = unitNoInst
		}
	case name == o.host:
		has := addrTypes(l.prefixes)
		if all || q.Qtype == dns.TypeA || q.Qtype == dns.TypeAAAA {
			u = unitAddr
		}
		if !all && !slices.Contains(has, q.Qtype) {
			u |= unitNoHost
		}
	}
	return u
}

// additional is what goes along with an answer of u (RFC 6763 §12).
func additional(u unit, addrs []netip.Prefix) (extra unit) {
	if u&unitPTR != 0 {
		extra |= unitSRV | unitTXT | unitAddr
	}
	if u&unitSRV != 0 {
		extra |= unitAddr
	}
	if u&unitAddr != 0 && u&unitPTR == 0 && len(addrTypes(addrs)) < 2 {
		extra |= unitNoHost // RFC 6762 §6.2
	}
	return extra &^ u
}

// response is a message that answers with u (RFC 6762 §18).
func (o identity) response(u unit, addrs []netip.Prefix, ttl time.Duration, flush bool) *dns.Msg {
	return &dns.Msg{
		MsgHdr:   dns.MsgHdr{Response: true, Authoritative: true},
		Compress: true,
		Answer:   o.records(u, addrs, ttl, flush),
		Extra:    o.records(additional(u, addrs), addrs, ttl, flush),
	}
}
