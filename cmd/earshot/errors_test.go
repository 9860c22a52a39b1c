package main

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
	"earshot/discovery"
)

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		name         string
		err          error
		code         int
		text, remedy string // what each must contain
	}{
		{"usage", &usage{"no", "do"}, 2, "no", "do"},
		{"argument", fmt.Errorf("more: %w", &app.ArgError{Text: "bad", Remedy: "better"}), 2, "bad", "better"},
		{"nobody at all", &app.NotFoundError{Arg: "ana"}, 3, "nor is anybody else", "earshot doctor"},
		{"a typing error", &app.NotFoundError{Arg: "ana", Visible: 3, Near: []string{"anna", "hana"}}, 3, "nobody called ana", "did you mean anna, hana?"},
		{"an unknown name", &app.NotFoundError{Arg: "ana", Visible: 3}, 3, "nobody called ana", "earshot peers"},
		{"an unknown host", &app.HostError{Host: "a.b", Err: fmt.Errorf("no such host")}, 3, "a.b", "address"},
		{"ambiguous", &app.AmbiguousError{Arg: "ana", Candidates: []string{"ana·k3f7qz", "ana·q2w3e4"}}, 4, "any of 2", "ana·k3f7qz, ana·q2w3e4"},
		{"undelivered", &undelivered{3, "ana", " within 1s", false}, 5, "3 messages weren't delivered to ana within 1s", "nothing is kept"},
		{"not sent", &failed{&app.NotFoundError{Arg: "ana", Visible: 3}}, 3, "failed: nobody called ana", "earshot peers"},
		{"queued", &undelivered{1, "ana", "", true}, 5, "the message wasn't delivered to ana", "outbox"},
		{"no answer", &noAnswer{"ana", ""}, 5, "ana doesn't answer", "earshot doctor"},
		{
			"mismatch", &chat.MismatchError{Want: chat.Key{1}, Got: chat.Key{2}, Addr: netip.MustParseAddrPort("198.18.0.3:9")}, 6,
			"198.18.0.3:9 is aiaaaa, not aeaaaa: nothing was sent", "taken the address",
		},
		{"identity", &chat.IdentityError{Path: "/x/identity", Err: fmt.Errorf("corrupt")}, 1, "/x/identity", "copy"},
		{"a full disk", &chat.IdentityError{Path: "/x/identity", Err: syscall.ENOSPC}, 1, "/x/identity", "make room"},
		{"a read-only disk", &chat.IdentityError{Path: "/x/identity", Err: syscall.EROFS}, 1, "/x/identity", "--dir"},
		{"no directory", fmt.Errorf("%w: no such file", app.ErrNoDirectory), 1, "data directory can't be made", "--dir"},
		{
			"no interface", &discovery.NoInterfaceError{Tried: []discovery.Skipped{{Name: "lo", Reason: "down"}, {Name: "eth\x1b0", Reason: "no address"}}}, 1,
			"lo (down), eth␛0 (no address)", "by address",
		},
		{
			"port held", &discovery.NoInterfaceError{Tried: []discovery.Skipped{{Name: "eth0", Reason: discovery.Held}}}, 1,
			"eth0 (another program has UDP port 5353 for itself)", "find it, and end it or let it share the port: ",
		},
		{
			"no such interface", &discovery.NoInterfaceError{Tried: []discovery.Skipped{{Name: "eth0", Reason: discovery.Unasked}, {Name: "eht0", Reason: discovery.Missing}}}, 1,
			"no network interface can be used: there is none called eht0", "name one that there is with --interface: eth0; ",
		},
		{"no route", &app.RouteError{Addr: netip.MustParseAddr("192.0.2.7")}, 5, "no route to 192.0.2.7 from this machine", "earshot doctor"},
		{"no interface at all", &discovery.NoInterfaceError{}, 1, "there is no network interface", "by address"},
		{"too many rooms", chat.ErrTooManyRooms, 1, "in too many rooms already", "earshot rooms leave '#"},
		{"too long", chat.ErrTooLong, 1, "the text is longer", ""},
		{"interrupted", errInterrupted, 130, "", ""},
	} {
		code, text, remedy := explain(tt.err)
		if code != tt.code || !strings.Contains(text, tt.text) || !strings.Contains(remedy, tt.remedy) {
			t.Errorf("%s: %d %q %q; want %d %q %q", tt.name, code, text, remedy, tt.code, tt.text, tt.remedy)
		}
		if strings.HasPrefix(text, "chat: ") {
			t.Errorf("%s: a package's name is shown: %q", tt.name, text)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"ana": true, "Ana María 🐢": true, strings.Repeat("x", 63): true,
		"": false, " ": false, "#here": false, "\u0301\u0301": false, strings.Repeat("x", 64): false, "a\nb": false, "a\x1b": false, "a\u202eb": false, "a\xff": false,
	} {
		if err := checkName(name); (err == nil) != ok {
			t.Errorf("checkName(%q) = %v", name, err)
		}
	}
	if err := checkName(app.DefaultName(false)); err != nil {
		t.Errorf("the default name won't do: %v", err)
	}
}

func TestTable(t *testing.T) {
	got := table([][]string{{"NAME", "ID"}, {"日本", "k3f7qz"}, {"a", "-"}})
	if want := "NAME  ID\n日本  k3f7qz\na     -"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
