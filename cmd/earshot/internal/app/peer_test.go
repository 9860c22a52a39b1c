package app

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"earshot/chat"
	"earshot/discovery"
)

func TestParsePeer(t *testing.T) {
	port := func(a string) []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort(a)} }
	tests := []struct {
		arg    string
		addrs  []netip.AddrPort
		host   string
		port   uint16
		failed string
	}{
		{arg: "ana"},
		{arg: "ana-maria"},
		{arg: "ana·k3f9qz"},
		{arg: "two words"},
		{arg: "198.18.0.3", addrs: port("198.18.0.3:41027")},
		{arg: "198.18.0.3:9", addrs: port("198.18.0.3:9")},
		{arg: "::1", addrs: port("[::1]:41027")},
		{arg: "[::1]", addrs: port("[::1]:41027")},
		{arg: "[::1]:9", addrs: port("[::1]:9")},
		{arg: "::ffff:198.18.0.3", addrs: port("198.18.0.3:41027")},
		{arg: "fe80::1%eth0", addrs: port("[fe80::1%eth0]:41027")},
		{arg: "[fe80::1%eth0]:9", addrs: port("[fe80::1%eth0]:9")},
		{arg: "localhost", addrs: append(port("127.0.0.1:41027"), port("[::1]:41027")...)},
		{arg: "localhost:9", addrs: append(port("127.0.0.1:9"), port("[::1]:9")...)},
		{arg: "host.example", host: "host.example", port: 41027},
		{arg: "host:9", host: "host", port: 9},
		{arg: "ana: maria"},
		{arg: "0.0.0.0", failed: "not the address of one machine"},
		{arg: "239.1.2.3:9", failed: "not the address of one machine"},
		{arg: "255.255.255.255", failed: "not the address of one machine"},
		{arg: "ff02::1", failed: "not the address of one machine"},
		{arg: "", failed: "empty"},
		{arg: " \t", failed: "empty"},
		{arg: "fe80::1", failed: "needs the interface"},
		{arg: "[fe80::1]:9", failed: "needs the interface"},
		{arg: "198.18.0.3:0", failed: "1 to 65535"},
		{arg: "198.18.0.3:65536", failed: "1 to 65535"},
		{arg: "[::1]:x", failed: "1 to 65535"},
		{arg: "[::1", failed: "bracket"},
		{arg: "[ana]", failed: "brackets"},
		{arg: "[::1]9", failed: "colon"},
	}
	for _, tt := range tests {
		t.Run(tt.arg, func(t *testing.T) {
			q, err := ParsePeer(tt.arg)
			var bad *ArgError
			if tt.failed != "" {
				if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.failed) || bad.Remedy == "" {
					t.Fatalf("got %v, want an ArgError about %q with its remedy", err, tt.failed)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(q.Addrs, tt.addrs) || q.Host != tt.host || q.Port != tt.port {
				t.Errorf("got %v, %q, %d; want %v, %q, %d", q.Addrs, q.Host, q.Port, tt.addrs, tt.host, tt.port)
			}
		})
	}
}

// key returns a full id that begins with prefix.
func key(t *testing.T, prefix string) string {
	t.Helper()
	id := prefix + strings.Repeat("a", 52-len(prefix))
	if _, err := chat.ParseKey(id); err != nil {
		t.Fatal(err)
	}
	return id
}

func peer(name, id string) discovery.Peer {
	return discovery.Peer{Name: name, ID: id, Addrs: []netip.AddrPort{netip.MustParseAddrPort("198.18.0.3:41027")}}
}

func TestMatch(t *testing.T) {
	ana, anna, anabel := key(t, "k3f7qz"), key(t, "q2w3e4"), key(t, "z5x6c7")
	ana2, upper := key(t, "m7n6b5"), key(t, "t4r3e2")
	one := []discovery.Peer{peer("ana", ana), peer("anna", anna), peer("anabel", anabel)}
	two := append(slices.Clone(one), peer("ana", ana2))
	tests := []struct {
		name   string
		peers  []discovery.Peer
		arg    string
		prefix bool
		want   string   // id of the peer found
		listed []string // candidates of an ambiguity, or the nearest names
	}{
		{name: "name", peers: one, arg: "ana", want: ana},
		{name: "any case", peers: one, arg: "ANA", want: ana},
		{name: "as written before any case", peers: append(slices.Clone(one), peer("Ana", upper)), arg: "Ana", want: upper},
		{
			name: "any case, two", peers: []discovery.Peer{peer("Ana", ana), peer("ANA", upper)}, arg: "ana",
			listed: []string{"Ana·" + ana[:6], "ANA·" + upper[:6]},
		},
		{name: "two of one name", peers: two, arg: "ana", listed: []string{"ana·" + ana[:6], "ana·" + ana2[:6]}},
		{name: "dot and id", peers: two, arg: "ana·m7n6b5", want: ana2},
		{name: "dot and one letter", peers: two, arg: "ana·m", want: ana2},
		{name: "hyphen and id", peers: two, arg: "ana-m7n6b5", want: ana2},
		{name: "hyphen and too short an id", peers: two, arg: "ana-m7n6", listed: []string{"ana·" + ana[:6], "ana·" + ana2[:6]}},
		{name: "wrong id", peers: two, arg: "ana·zzzzzz", listed: []string{"ana·" + ana[:6], "ana·" + ana2[:6]}},
		{name: "id prefix", peers: two, arg: "m7n6b5", want: ana2},
		{name: "id prefix in capitals", peers: two, arg: "M7N6B5A", want: ana2},
		{name: "id prefix too short", peers: two, arg: "m7n6b", listed: []string{}},
		{name: "full id", peers: two, arg: ana2, want: ana2},
		{name: "full id of nobody here, used as a name", peers: []discovery.Peer{peer(upper, ana)}, arg: upper, listed: []string{}},
		{
			name: "a name that is another's id prefix", peers: []discovery.Peer{peer("m7n6b5", ana), peer("ana", ana2)}, arg: "m7n6b5",
			listed: []string{"m7n6b5·" + ana[:6], "ana·" + ana2[:6]},
		},
		{
			name: "a name that is another's label", peers: []discovery.Peer{peer("ana·m7n6b5", anna), peer("ana", ana2)}, arg: "ana·m7n6b5",
			listed: []string{"ana·m7n6b5·" + anna[:6], "ana·" + ana2[:6]},
		},
		{name: "beginning of a name, not asked for", peers: one, arg: "anab", listed: []string{"ana", "anabel", "anna"}},
		{name: "two letters of three are another name", peers: []discovery.Peer{peer("eva", ana), peer("bo", ana2), peer("ann", anna)}, arg: "ana", listed: []string{"ann"}},
		{name: "beginning of a name", peers: one, arg: "anab", prefix: true, want: anabel},
		{
			name: "beginning of two names", peers: one[1:], arg: "an", prefix: true,
			listed: []string{"anna·" + anna[:6], "anabel·" + anabel[:6]},
		},
		{name: "name before beginning", peers: one, arg: "ana", prefix: true, want: ana},
		{name: "typing error", peers: one, arg: "anan", listed: []string{"ana", "anna"}},
		{name: "nothing like it", peers: one, arg: "wolfgang", listed: []string{}},
		{name: "nobody", peers: nil, arg: "ana", listed: []string{}},
		{
			name: "invisible characters don't make another name", peers: []discovery.Peer{peer("a\u200bna", ana), peer("ana", ana2)}, arg: "ana",
			listed: []string{"ana·" + ana[:6], "ana·" + ana2[:6]},
		},
		{
			name: "no id", peers: []discovery.Peer{peer("ana", ""), peer("ana", ana)}, arg: "ana",
			listed: []string{"ana (198.18.0.3:41027)", "ana·" + ana[:6]},
		},
		{name: "host-like name", peers: []discovery.Peer{peer("ana.laptop", ana)}, arg: "ana.laptop", want: ana},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, err := ParsePeer(tt.arg)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Match(q, tt.peers, tt.prefix)
			var ambiguous *AmbiguousError
			var none *NotFoundError
			switch {
			case tt.listed == nil:
				if err != nil || got.ID != tt.want {
					t.Errorf("got %q, %v; want %q", got.ID, err, tt.want)
				}
			case errors.As(err, &ambiguous):
				if !slices.Equal(ambiguous.Candidates, tt.listed) {
					t.Errorf("candidates %q, want %q", ambiguous.Candidates, tt.listed)
				}
			case errors.As(err, &none):
				if !slices.Equal(none.Near, tt.listed) || none.Visible != len(tt.peers) {
					t.Errorf("nearest %q of %d, want %q of %d", none.Near, none.Visible, tt.listed, len(tt.peers))
				}
			default:
				t.Errorf("got %q, %v", got.ID, err)
			}
		})
	}
}

// Whatever a label says must pick the peer it stands for, and nobody else.
func TestLabelsPick(t *testing.T) {
	peers := []discovery.Peer{
		peer("ana", key(t, "k3f7qz")), peer("Ana", key(t, "q2w3e4")), peer("bob", key(t, "z5x6c7")),
		peer("me", key(t, "m7n6b5")), peer("bob·q2w3e4", key(t, "t4r3e2")),
	}
	labels := Labels(peers, "me")
	want := []string{"ana·k3f7qz", "Ana·q2w3e4", "bob", "me·m7n6b5", "bob·q2w3e4·t4r3e2"}
	if !slices.Equal(labels, want) {
		t.Errorf("labels %q, want %q", labels, want)
	}
	for i, label := range labels {
		q, err := ParsePeer(label)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Match(q, peers, false); err != nil || got.ID != peers[i].ID {
			t.Errorf("%s picks %q, %v", label, got.ID, err)
		}
	}
}

func TestLabelOfAPerson(t *testing.T) {
	id, err := chat.ParseKey(key(t, "k3f7qz"))
	if err != nil {
		t.Fatal(err)
	}
	ana := chat.Person{Key: id, Name: "ana"}
	own := peer("ana", id.String())
	if got := new(Book).Label(ana, []discovery.Peer{own, peer("bob", key(t, "q2w3e4"))}, "me"); got != "ana" {
		t.Errorf("alone of that name: %q", got)
	}
	if got := new(Book).Label(ana, []discovery.Peer{own, peer("ANA", key(t, "q2w3e4"))}, "me"); got != "ana·k3f7qz" {
		t.Errorf("two of that name: %q", got)
	}
}
