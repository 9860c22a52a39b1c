// Package handshake runs the Noise XX handshake of chat/SPEC.md §4 as two pure
// machines: bytes in, bytes out. It opens no socket and reads no clock.
//
// Its errors keep apart what a caller must do. ErrDrop: the message is not the
// awaited one; forget it and go on waiting, the machine is as before. ErrAbandon:
// the peer is proven, but is not the one asked for, and is told nothing more.
package handshake

import (
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/flynn/noise"

	"earshot/chat/wire"
)

// Prologue binds the handshake to this protocol and its version (SPEC §4).
const Prologue = "earshot/1"

// Results of a failed read.
var (
	ErrDrop    = errors.New("handshake: not the awaited message")
	ErrAbandon = errors.New("handshake: another identity than the one asked for")
)

// Result is what both sides hold at the end.
type Result struct {
	Peer       [32]byte // the peer's proven static key
	Intro      []byte   // of the peer, wire.IntroSize bytes
	Send, Recv [32]byte // keys of the two directions
	Binding    [32]byte // the hash of the handshake, which no other has
}

// Wipe clears the keys, once a session has its own form of them. Copies that Noise and
// the ciphers made are beyond reach; they go with the garbage.
func (r *Result) Wipe() { r.Send, r.Recv = [32]byte{}, [32]byte{} }

// agreements is how many key agreements a handshake takes: ee, es and se.
const agreements = 3

var (
	errSpent    = errors.New("handshake: more key agreements than a handshake takes")
	errLowOrder = errors.New("handshake: a low-order key")
	errIndex    = errors.New("handshake: under another index than it tells")
)

// keys does the key agreement of one handshake. Noise never sees a private key:
// what it carries as "private" is only the name of one of these two. Holding
// parsed keys saves a multiplication for each agreement.
//
// Each result is kept, so that a state made anew after a forgery costs none again, and
// no further ones are made: forgeries can't have us multiply more than a handshake does.
type keys struct {
	static, ephemeral *ecdh.PrivateKey
	results           map[string][]byte // by the names of both keys
	used              bool              // DH was called
}

func newKeys(static, ephemeral *ecdh.PrivateKey) *keys {
	return &keys{static: static, ephemeral: ephemeral, results: map[string][]byte{}}
}

const staticName, ephemeralName = "s", "e"

func (k *keys) GenerateKeypair(io.Reader) (noise.DHKey, error) {
	return noise.DHKey{Private: []byte(ephemeralName), Public: k.ephemeral.PublicKey().Bytes()}, nil
}

// DH fails for a low-order public key, whose result would be all zeros.
func (k *keys) DH(private, public []byte) ([]byte, error) {
	k.used = true
	both := string(private) + string(public)
	if r := k.results[both]; r != nil {
		return r, nil
	}
	switch {
	case len(k.results) == agreements:
		return nil, errSpent
	case isLowOrder(public):
		return nil, errLowOrder
	}
	peer, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	ours := k.ephemeral
	if string(private) == staticName {
		ours = k.static
	}
	r, err := ours.ECDH(peer)
	if err != nil {
		return nil, err
	}
	k.results[both] = r
	return r, nil
}

func (*keys) DHLen() int     { return 32 }
func (*keys) DHName() string { return "25519" }

func (k *keys) state(initiator bool) (*noise.HandshakeState, error) {
	return noise.NewHandshakeState(noise.Config{
		CipherSuite:   noise.NewCipherSuite(k, noise.CipherChaChaPoly, noise.HashBLAKE2s),
		Pattern:       noise.HandshakeXX,
		Initiator:     initiator,
		Prologue:      []byte(Prologue),
		StaticKeypair: noise.DHKey{Private: []byte(staticName), Public: k.static.PublicKey().Bytes()},
	})
}

// padding is the payload of message 1: it says nothing, and makes the hello as
// large as the reply (SPEC §10).
var padding [wire.HelloPad]byte

// Initiator is the side that opens. It is not safe for concurrent use.
type Initiator struct {
	keys    *keys
	payload []byte
	hello   []byte
	state   *noise.HandshakeState
}

// Initiate begins a handshake. Static is this side's identity, ephemeral a fresh
// key, index that of this side's datagrams, intro wire.IntroSize bytes.
func Initiate(static, ephemeral *ecdh.PrivateKey, index uint32, intro []byte) (*Initiator, error) {
	i := &Initiator{keys: newKeys(static, ephemeral), payload: payload(index, intro)}
	if err := i.Rewind(); err != nil {
		return nil, err
	}
	return i, nil
}

// payload is what messages 2 and 3 seal: the index is there, too, because that of the
// datagram could be anybody's (SPEC §4.1).
func payload(index uint32, intro []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, index), intro...)
}

// open takes a payload apart. It fails when it comes under another index than it tells.
func open(payload []byte, index uint32) (intro []byte, err error) {
	if len(payload) != wire.IndexSize+wire.IntroSize || binary.BigEndian.Uint32(payload) != index {
		return nil, errIndex
	}
	return payload[wire.IndexSize:], nil
}

// Rewind puts the machine back behind message 1, to wait for another reply than was read. The ephemeral
// key is kept, so message 1 comes out the same. Nothing else is: any number of replies may be forged.
func (i *Initiator) Rewind() (err error) {
	clear(i.keys.results)
	if i.state, err = i.keys.state(true); err != nil {
		return err
	}
	i.hello, _, _, err = i.state.WriteMessage(nil, padding[:])
	return err
}

// Hello is message 1.
func (i *Initiator) Hello() []byte { return i.hello }

// ReadReply takes message 2, which came under the index sender, and returns message 3 and
// the result. When want is not zero and the peer proves another key, it returns ErrAbandon with a Result
// that holds just that key, and message 3, which would show the peer who asks, is
// never made. After any error the machine still waits for a genuine reply.
func (i *Initiator) ReadReply(reply []byte, sender uint32, want [32]byte) (final []byte, r Result, err error) {
	said, _, _, err := i.state.ReadMessage(nil, reply)
	if err != nil {
		return nil, r, i.drop(err)
	}
	intro, err := open(said, sender)
	if err != nil {
		return nil, r, i.drop(err)
	}
	copy(r.Peer[:], i.state.PeerStatic())
	if want != ([32]byte{}) && want != r.Peer {
		if err := i.Rewind(); err != nil {
			return nil, r, err
		}
		return nil, r, ErrAbandon
	}
	final, send, recv, err := i.state.WriteMessage(nil, i.payload)
	if err != nil {
		return nil, Result{}, i.drop(err)
	}
	r.Intro, r.Send, r.Recv = intro, send.UnsafeKey(), recv.UnsafeKey()
	copy(r.Binding[:], i.state.ChannelBinding())
	return final, r, nil
}

// drop undoes a failed read: flynn/noise does not roll back by itself when a
// message is short or holds a low-order key.
func (i *Initiator) drop(cause error) error {
	if err := i.Rewind(); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDrop, cause)
}

// Responder is the side that is asked. It is not safe for concurrent use.
type Responder struct {
	keys         *keys
	payload      []byte
	hello, reply []byte
	state        *noise.HandshakeState
}

// lowOrder are the points that agree with every key on zero, and all their encodings
// below 2^255 (RFC 7748 §5 has the highest bit ignored): 0, 1, two of order 8, p-1, p, p+1.
var lowOrder = func() (points [7][32]byte) {
	points[1][0] = 1
	copy(points[2][:], "\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00")
	copy(points[3][:], "\x5f\x9c\x95\xbc\xa3\x50\x8c\x24\xb1\xd0\xb1\x55\x9c\x83\xef\x5b\x04\x44\x5c\xc4\x58\x1c\x8e\x86\xd8\x22\x4e\xdd\xd0\x9f\x11\x57")
	for i := 4; i < 7; i++ {
		for j := range points[i] {
			points[i][j] = 0xff
		}
		points[i][0], points[i][31] = byte(0xec+i-4), 0x7f
	}
	return points
}()

func isLowOrder(public []byte) bool {
	p := [32]byte(public)
	p[31] &= 0x7f
	return slices.Contains(lowOrder[:], p)
}

// CheckHello returns ErrDrop for a message 1 that Respond can't answer, at no cost.
func CheckHello(hello []byte) error {
	if len(hello) < 32 || isLowOrder(hello[:32]) {
		return ErrDrop
	}
	return nil
}

// Respond reads message 1 and makes message 2. Arguments are as for Initiate.
// It keeps a copy of hello.
func Respond(static, ephemeral *ecdh.PrivateKey, index uint32, intro, hello []byte) (*Responder, error) {
	r := &Responder{keys: newKeys(static, ephemeral), payload: payload(index, intro), hello: bytes.Clone(hello)}
	if err := r.rewind(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDrop, err)
	}
	return r, nil
}

func (r *Responder) rewind() (err error) {
	if r.state, err = r.keys.state(false); err != nil {
		return err
	}
	if _, _, _, err = r.state.ReadMessage(nil, r.hello); err != nil {
		return err
	}
	r.reply, _, _, err = r.state.WriteMessage(nil, r.payload)
	return err
}

// Reply is message 2.
func (r *Responder) Reply() []byte { return r.reply }

// ReadFinal takes message 3, which came under the index sender, and ends the handshake.
// After an error, which is always ErrDrop, the machine still waits for a genuine message 3.
func (r *Responder) ReadFinal(final []byte, sender uint32) (res Result, err error) {
	r.keys.used = false
	said, recv, send, err := r.state.ReadMessage(nil, final)
	var intro []byte
	if err == nil {
		intro, err = open(said, sender)
	}
	if err != nil {
		// flynn/noise has rolled back by itself, unless it has come to a key agreement.
		if r.keys.used {
			if rewound := r.rewind(); rewound != nil {
				return res, rewound
			}
		}
		return res, fmt.Errorf("%w: %w", ErrDrop, err)
	}
	copy(res.Peer[:], r.state.PeerStatic())
	res.Intro, res.Send, res.Recv = intro, send.UnsafeKey(), recv.UnsafeKey()
	copy(res.Binding[:], r.state.ChannelBinding())
	return res, nil
}
