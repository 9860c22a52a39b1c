package main

import (
	"net/netip"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

// What scripts read must not change by accident.
func TestJSONShapes(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 3, 5, 120_999_999, time.FixedZone("", 3600))
	addrs := []netip.AddrPort{netip.MustParseAddrPort("198.18.0.3:41027"), netip.MustParseAddrPort("[fe80::1%eth0]:41027")}
	key, err := chat.ParseKey("k3f7qzaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	ana := chat.Person{Key: key, Name: "ana"}
	peer := discovery.Peer{ID: key.String(), Name: "ana", Addrs: addrs, Since: at}
	message := newMessageJSON(chat.Event{Kind: chat.Message, ID: chat.MessageID{1, 2}, Person: ana, Text: "a\n\x1b[31mb\u202e", Sent: at, Received: at.Add(time.Second)}, nil, "me")
	message.Time = stamp(at)
	up := newPeerEventJSON(discovery.Event{Change: discovery.Up, Peer: peer}, unproven, &app.Book{})
	up.Time = stamp(at)
	sent := chat.Event{ID: chat.MessageID{1, 2}, Person: ana, RTT: 2_100_400 * time.Nanosecond}

	const id = `"k3f7qzaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"`
	const when = `"2026-11-22T13:03:05.120Z"`
	const row = `{"id":` + id + `,"name":"ana","petname":null,"addrs":["198.18.0.3:41027","[fe80::1%eth0]:41027"],` +
		`"since":` + when + `,"status":"unproven","verified":false,"self":false}`
	const person = `{"id":` + id + `,"name":"ana","verified":false}`
	for _, tt := range []struct {
		name string
		v    any
		want string
	}{
		{"peer", newPeerJSON(peer, unproven, &app.Book{}), row},
		{
			"peer without id or address", newPeerJSON(discovery.Peer{Name: "eve", Since: at}, unproven, &app.Book{}),
			`{"id":null,"name":"eve","petname":null,"addrs":[],"since":` + when + `,"status":"unproven","verified":false,"self":false}`,
		},
		{"peer-up", up, `{"event":"peer-up","time":` + when + `,"peer":` + row + `}`},
		{
			"ready",
			readyJSON{"ready", stamp(at), key.String(), "ana", 41027, addrs},
			`{"event":"ready","time":` + when + `,"id":` + id + `,"name":"ana","port":41027,"addrs":["198.18.0.3:41027","[fe80::1%eth0]:41027"]}`,
		},
		{"message", message, `{"event":"message","time":` + when + `,"id":"01020000000000000000000000000000","from":` + person +
			`,"room":null,"text":"a\n\u001b[31mb\u202e","sent":` + when + `,"received":"2026-11-22T13:03:06.120Z"}`},
		{"delivered", newSentJSON(sent, store.Done, nil), `{"id":"01020000000000000000000000000000","to":` + person + `,"status":"delivered","rtt_ms":2.1}`},
		{
			"failed", newSentJSON(chat.Event{Person: chat.Person{Name: "198.18.0.3"}}, store.Failed, nil),
			`{"id":null,"to":{"id":null,"name":"198.18.0.3","verified":false},"status":"failed","rtt_ms":null}`,
		},
		{"self", selfJSON{key.String(), "ana", key.Short(), "/x"}, `{"id":` + id + `,"name":"ana","short":"k3f7qz","dir":"/x"}`},
	} {
		got, err := clean.JSON(tt.v)
		if err != nil || string(got) != tt.want+"\n" {
			t.Errorf("%s: %v\ngot  %swant %s", tt.name, err, got, tt.want)
		}
	}
	for change, want := range map[discovery.Change]string{discovery.Up: "peer-up", discovery.Changed: "peer-changed", discovery.Down: "peer-down"} {
		if got := newPeerEventJSON(discovery.Event{Change: change}, proven, &app.Book{}).Event; got != want {
			t.Errorf("change %v is called %q, want %q", change, got, want)
		}
	}
}
