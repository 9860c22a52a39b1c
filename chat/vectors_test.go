package chat

import (
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"earshot/chat/handshake"
	"earshot/chat/room"
	"earshot/chat/session"
	"earshot/chat/wire"
)

// hexBytes are written in hex.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// vectors is testdata/vectors.json (SPEC §11).
type vectors struct {
	Identity []struct {
		Public hexBytes `json:"public"`
		ID     string   `json:"id"`
	} `json:"identity"`
	Handshake handshakeVector `json:"handshake"`
	Sealed    []sealedVector  `json:"sealed"`
	Frames    []frameVector   `json:"frames"`
	// Introductions, without the zeros behind (SPEC §6).
	Introductions []struct {
		What         string            `json:"what"`
		Name         string            `json:"name"`
		Instance     hexBytes          `json:"instance"`
		Capabilities wire.Capabilities `json:"capabilities"`
		CBOR         hexBytes          `json:"cbor"`
	} `json:"introductions"`
	// Counters in the order they come, and whether each is taken (SPEC §5).
	Replay []struct {
		Counter uint64 `json:"counter"`
		Taken   bool   `json:"taken"`
	} `json:"replay"`
	// A text of that many bytes and the sizes of its fragments (SPEC §7).
	Fragments []struct {
		Text  int   `json:"text"`
		Sizes []int `json:"sizes"`
	} `json:"fragments"`
	Room roomVector `json:"room"`
}

// handshakeVector is a handshake, and what may be sent beside it (SPEC §4).
type handshakeVector struct {
	InitiatorStatic    hexBytes `json:"initiator_static"` // private keys, as are the next three
	InitiatorEphemeral hexBytes `json:"initiator_ephemeral"`
	ResponderStatic    hexBytes `json:"responder_static"`
	ResponderEphemeral hexBytes `json:"responder_ephemeral"`
	InitiatorIntro     hexBytes `json:"initiator_introduction"` // without the zeros behind
	ResponderIntro     hexBytes `json:"responder_introduction"`
	InitiatorIndex     uint32   `json:"initiator_index"`
	ResponderIndex     uint32   `json:"responder_index"`
	Hello              hexBytes `json:"hello"`
	Reply              hexBytes `json:"reply"`
	Final              hexBytes `json:"final"`
	InitiatorKey       hexBytes `json:"initiator_seals_with"`
	ResponderKey       hexBytes `json:"responder_seals_with"`
	// The handshake's hash after message 3 (Noise, h).
	Hash hexBytes `json:"hash"`
	// A responder may ask for the hello again, with this cookie.
	CookieValue hexBytes `json:"cookie_value"`
	Cookie      hexBytes `json:"cookie"`
	HelloAgain  hexBytes `json:"hello_with_cookie"`
	// It may have forgotten the session when a sealed datagram with this counter comes.
	UnknownCounter uint64   `json:"unknown_counter"`
	Unknown        hexBytes `json:"unknown"`
}

// roomVector is a private room, what shows somebody to be in it, and something said there
// (SPEC §13).
type roomVector struct {
	Name       string   `json:"name"`
	Passphrase string   `json:"passphrase"`
	Key        hexBytes `json:"key"`
	ID         hexBytes `json:"id"`
	Binding    hexBytes `json:"binding"`
	Person     hexBytes `json:"person"`
	Version    uint64   `json:"version"`
	Tag        hexBytes `json:"tag"`
	State      hexBytes `json:"state"` // in #here and this room, the other tags all zeros
	Head       hexBytes `json:"head"`  // with one parent: 24 bytes 01
	Clock      uint64   `json:"clock"`
}

type sealedVector struct {
	What     string   `json:"what"`
	Key      hexBytes `json:"key"`
	Receiver uint32   `json:"receiver"`
	Counter  uint64   `json:"counter"`
	Frames   hexBytes `json:"frames"`
	Datagram hexBytes `json:"datagram"`
}

type frameVector struct {
	What  string      `json:"what"`
	Frame *wire.Frame `json:"frame"`
	CBOR  hexBytes    `json:"cbor"`
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}

func TestIdentityVectors(t *testing.T) {
	for _, v := range readVectors(t).Identity {
		if k := Key(v.Public); k.String() != v.ID {
			t.Errorf("%x is written %s, want %s", v.Public, k, v.ID)
		}
		if k, err := ParseKey(v.ID); err != nil || !bytes.Equal(k[:], v.Public) {
			t.Errorf("%s reads as %x, %v, want %x", v.ID, k[:], err, v.Public)
		}
	}
}

// made is the vector that follows from its inputs, as both sides see it.
func (v handshakeVector) made(t *testing.T) handshakeVector {
	private := func(b []byte) *ecdh.PrivateKey {
		k, err := ecdh.X25519().NewPrivateKey(b)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	padded := func(b []byte) []byte { return append(bytes.Clone(b), make([]byte, wire.IntroSize-len(b))...) }
	is, rs := private(v.InitiatorStatic), private(v.ResponderStatic)
	i, err := handshake.Initiate(is, private(v.InitiatorEphemeral), v.InitiatorIndex, padded(v.InitiatorIntro))
	if err != nil {
		t.Fatal(err)
	}
	hello := wire.Hello{Sender: v.InitiatorIndex, Noise: i.Hello()}
	cookie := wire.Cookie{Receiver: v.InitiatorIndex, Cookie: [wire.CookieSize]byte(v.CookieValue)}
	again := wire.Hello{Sender: v.InitiatorIndex, Cookie: cookie.Cookie, Noise: i.Hello()}
	r, err := handshake.Respond(rs, private(v.ResponderEphemeral), v.ResponderIndex, padded(v.ResponderIntro), i.Hello())
	if err != nil {
		t.Fatal(err)
	}
	reply := wire.Answer{Type: wire.TypeReply, Sender: v.ResponderIndex, Receiver: v.InitiatorIndex, Noise: r.Reply()}
	noise, ours, err := i.ReadReply(r.Reply(), v.ResponderIndex, [32]byte(rs.PublicKey().Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	final := wire.Answer{Type: wire.TypeFinal, Sender: v.InitiatorIndex, Receiver: v.ResponderIndex, Noise: noise}
	theirs, err := r.ReadFinal(noise, v.InitiatorIndex)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "who the responder proved to be", ours.Peer[:], rs.PublicKey().Bytes())
	same(t, "who the initiator proved to be", theirs.Peer[:], is.PublicKey().Bytes())
	same(t, "what the responder says of itself", ours.Intro, padded(v.ResponderIntro))
	same(t, "what the initiator says of itself", theirs.Intro, padded(v.InitiatorIntro))
	same(t, "the initiator's key, as the responder has it", theirs.Recv[:], ours.Send[:])
	same(t, "the responder's key, as it has it", theirs.Send[:], ours.Recv[:])
	same(t, "the hash, as the responder has it", theirs.Binding[:], ours.Binding[:])
	unknown := wire.Unknown{Receiver: v.ResponderIndex, Counter: v.UnknownCounter}
	v.Hello, v.Cookie, v.HelloAgain = hello.Append(nil), cookie.Append(nil), again.Append(nil)
	v.Reply, v.Final, v.Unknown = reply.Append(nil), final.Append(nil), unknown.Append(nil)
	v.InitiatorKey, v.ResponderKey, v.Hash = ours.Send[:], ours.Recv[:], ours.Binding[:]
	return v
}

func TestHandshakeVector(t *testing.T) {
	v := readVectors(t).Handshake
	made := v.made(t)
	same(t, "hello", made.Hello, v.Hello)
	same(t, "cookie", made.Cookie, v.Cookie)
	same(t, "hello with the cookie", made.HelloAgain, v.HelloAgain)
	same(t, "reply", made.Reply, v.Reply)
	same(t, "final", made.Final, v.Final)
	same(t, "unknown", made.Unknown, v.Unknown)
	same(t, "the initiator's key", made.InitiatorKey, v.InitiatorKey)
	same(t, "the responder's key", made.ResponderKey, v.ResponderKey)
	same(t, "the hash", made.Hash, v.Hash)
	if k, err := wire.ParseCookie(v.Cookie); err != nil || k.Receiver != v.InitiatorIndex || !bytes.Equal(k.Cookie[:], v.CookieValue) {
		t.Errorf("the cookie reads as %+v, %v", k, err)
	}
	if u, err := wire.ParseUnknown(v.Unknown); err != nil || u != (wire.Unknown{Receiver: v.ResponderIndex, Counter: v.UnknownCounter}) {
		t.Errorf("the unknown reads as %+v, %v", u, err)
	}
}

func TestIntroductionVectors(t *testing.T) {
	for _, v := range readVectors(t).Introductions {
		want := wire.Introduction{Name: v.Name, Instance: v.Instance, Capabilities: v.Capabilities}
		b, err := wire.MarshalIntroduction(&want)
		if err != nil {
			t.Fatal(err)
		}
		same(t, v.What, bytes.TrimRight(b, "\x00"), v.CBOR)
		if got, err := wire.ParseIntroduction(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read as %+v, %v, want %+v", v.What, got, err, want)
		}
	}
}

func TestFrameVectors(t *testing.T) {
	for _, v := range readVectors(t).Frames {
		var buf bytes.Buffer
		wire.AppendFrame(&buf, v.Frame)
		same(t, v.What, buf.Bytes(), v.CBOR)
		var f wire.Frame
		if rest, err := wire.NextFrame(v.CBOR, &f); err != nil || len(rest) != 0 || !reflect.DeepEqual(f, *v.Frame) {
			t.Errorf("%s: read as %+v, want %+v; %v, %d bytes left", v.What, f, *v.Frame, err, len(rest))
		}
	}
}

func TestSealedVectors(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	var w session.Scratch
	for _, v := range readVectors(t).Sealed {
		key := [32]byte(v.Key)
		sender := session.New(now, key, [32]byte{}, 1, v.Receiver)
		for sender.Counter() < v.Counter {
			sender.Confirm()
			sender.Next(now, &w, wire.MaxDatagram)
		}
		switch v.What {
		case "ack":
			sender.Confirm()
		case "message":
			sender.Push(session.Message{ID: [16]byte{0xa0, 0xa1, 0xa2, 0xa3}, Text: "hello, ana", Sent: now})
		case "two messages":
			sender.Push(session.Message{ID: [16]byte{0xa0, 0xa1, 0xa2, 0xa3}, Text: "hello, ana", Sent: now})
			sender.Push(session.Message{ID: [16]byte{0xb0, 0xb1, 0xb2, 0xb3}, Text: "are you there?", Sent: now})
		}
		same(t, v.What, sender.Next(now, &w, wire.MaxDatagram), v.Datagram)
		receiver := session.New(now, [32]byte{}, key, v.Receiver, 1)
		if _, err := receiver.Open(now, bytes.Clone(v.Datagram), &w); err != nil {
			t.Errorf("%s: %v", v.What, err)
		}
		var texts []string
		for m, ok := receiver.Incoming(); ok; m, ok = receiver.Incoming() {
			if !m.Sent.Equal(now) {
				t.Errorf("%s: sent %v, want %v", v.What, m.Sent, now)
			}
			texts = append(texts, m.Text)
			receiver.Accept()
		}
		want := []string{"hello, ana", "are you there?"}[:map[string]int{"message": 1, "two messages": 2}[v.What]]
		if !slices.Equal(texts, want) {
			t.Errorf("%s: read as %q, want %q", v.What, texts, want)
		}
	}
}

func TestReplayVector(t *testing.T) {
	now := time.UnixMilli(0)
	var w session.Scratch
	key := [32]byte{1}
	sender := session.New(now, key, [32]byte{}, 1, 2)
	receiver := session.New(now, [32]byte{}, key, 2, 1)
	made := map[uint64][]byte{}
	for _, v := range readVectors(t).Replay {
		for sender.Counter() <= v.Counter {
			sender.Confirm()
			c := sender.Counter()
			made[c] = bytes.Clone(sender.Next(now, &w, wire.MaxDatagram))
		}
		_, err := receiver.Open(now, bytes.Clone(made[v.Counter]), &w)
		if taken := err == nil; taken != v.Taken {
			t.Errorf("counter %d: %v, want taken %v", v.Counter, err, v.Taken)
		}
	}
}

func TestFragmentVectors(t *testing.T) {
	now := time.UnixMilli(0)
	var w session.Scratch
	var ours, theirs [32]byte
	theirs[0] = 1
	seal, err := chacha20poly1305.New(ours[:])
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range readVectors(t).Fragments {
		sender := session.New(now, ours, theirs, 1, 2)
		receiver := session.New(now, theirs, ours, 2, 1)
		sender.Push(session.Message{Text: strings.Repeat("x", v.Text), Sent: now})
		var sizes []int
		for len(sizes) < len(v.Sizes) {
			before := len(sizes)
			for d := sender.Next(now, &w, wire.MaxDatagram); d != nil; d = sender.Next(now, &w, wire.MaxDatagram) {
				_, counter, sealed, _ := wire.ParseSealed(d)
				nonce := binary.LittleEndian.AppendUint64(make([]byte, 4), counter)
				plain, err := seal.Open(nil, nonce, sealed, d[:wire.SealedHeader])
				if err != nil {
					t.Fatal(err)
				}
				receiver.Open(now, bytes.Clone(d), &w)
				for len(plain) > 0 {
					var f wire.Frame
					if plain, err = wire.NextFrame(plain, &f); err != nil {
						t.Fatal(err)
					}
					sizes = append(sizes, len(f.Data))
				}
			}
			receiver.Incoming()
			for d := receiver.Next(now, &w, wire.MaxDatagram); d != nil; d = receiver.Next(now, &w, wire.MaxDatagram) {
				sender.Open(now, bytes.Clone(d), &w)
			}
			if len(sizes) == before {
				break
			}
		}
		if !slices.Equal(sizes, v.Sizes) {
			t.Errorf("a text of %d bytes is cut into %v, want %v", v.Text, sizes, v.Sizes)
		}
		if m, ok := receiver.Incoming(); !ok || len(m.Text) != v.Text {
			t.Errorf("a text of %d bytes came as %d, %v", v.Text, len(m.Text), ok)
		}
	}
}

// made is the vector that follows from its inputs.
func (v roomVector) made(t *testing.T) roomVector {
	key := room.DeriveKey(v.Name, v.Passphrase)
	id, tag := key.ID(), key.Tag([32]byte(v.Binding), [32]byte(v.Person), v.Version)
	v.Key, v.ID, v.Tag = key[:], id[:], tag[:]
	state := wire.RoomState{Open: []string{room.Here}, Tags: [][]byte{tag[:]}}
	for len(state.Tags) < wire.RoomTags {
		state.Tags = append(state.Tags, make([]byte, wire.TagSize))
	}
	var err error
	if v.State, err = wire.MarshalRoomState(&state); err != nil {
		t.Fatal(err)
	}
	head := wire.RoomHead{Private: id[:], Clock: v.Clock, Parents: [][]byte{bytes.Repeat([]byte{1}, wire.ParentSize)}}
	if v.Head, err = wire.MarshalRoomHead(&head); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRoomVector(t *testing.T) {
	v := readVectors(t).Room
	made := v.made(t)
	same(t, "key", made.Key, v.Key)
	same(t, "id", made.ID, v.ID)
	same(t, "tag", made.Tag, v.Tag)
	same(t, "state", made.State, v.State)
	same(t, "head", made.Head, v.Head)
	if s, err := wire.ParseRoomState(v.State); err != nil || !room.Key(v.Key).Made(s.Tags[0], [32]byte(v.Binding), [32]byte(v.Person), v.Version) {
		t.Errorf("the state reads as %+v, %v", s, err)
	}
	if h, text, err := wire.ParseRoomHead(string(v.Head) + "text"); err != nil || text != "text" || h.Clock != v.Clock {
		t.Errorf("the head reads as %+v, %q, %v", h, text, err)
	}
}
