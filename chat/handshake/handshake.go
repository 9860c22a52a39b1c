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
	"errors"
	"fmt"
	"io"

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
	Intro      []byte   // the peer's payload, wire.IntroSize bytes
	Send, Recv [32]byte // keys of the two directions
	Binding    [32]byte // the hash of the handshake, which no other has
}

// Wipe clears the keys, once a session has its own form of them. Copies that Noise and
// the ciphers made are beyond reach; they go with the garbage.
func (r *Result) Wipe() { r.Send, r.Recv = [32]byte{}, [32]byte{} }

// keys does the key agreement of one handshake. Noise never sees a private key:
// what it carries as "private" is only the name of one of these two. Holding
// parsed keys saves a multiplication for each agreement.
type keys struct{ static, ephemeral *ecdh.PrivateKey }

const staticName, ephemeralName = "s", "e"

func (k keys) GenerateKeypair(io.Reader) (noise.DHKey, error) {
	return noise.DHKey{Private: []byte(ephemeralName), Public: k.ephemeral.PublicKey().Bytes()}, nil
}

// DH fails for a low-order public key, whose result would be all zeros.
func (k keys) DH(private, public []byte) ([]byte, error) {
	peer, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	if string(private) == staticName {
		return k.static.ECDH(peer)
	}
	return k.ephemeral.ECDH(peer)
}

func (keys) DHLen() int     { return 32 }
func (keys) DHName() string { return "25519" }

func (k keys) state(initiator bool) (*noise.HandshakeState, error) {
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
	keys  keys
	intro []byte
	hello []byte
	state *noise.HandshakeState
}

// Initiate begins a handshake. Static is this side's identity, ephemeral a fresh
// key, intro this side's payload of wire.IntroSize bytes.
func Initiate(static, ephemeral *ecdh.PrivateKey, intro []byte) (*Initiator, error) {
	i := &Initiator{keys: keys{static, ephemeral}, intro: intro}
	if err := i.rewind(); err != nil {
		return nil, err
	}
	return i, nil
}

// rewind puts the machine back behind message 1. The ephemeral key is kept, so
// message 1 comes out the same.
func (i *Initiator) rewind() (err error) {
	if i.state, err = i.keys.state(true); err != nil {
		return err
	}
	i.hello, _, _, err = i.state.WriteMessage(nil, padding[:])
	return err
}

// Hello is message 1.
func (i *Initiator) Hello() []byte { return i.hello }

// ReadReply takes message 2 and returns message 3 and the result. When want is
// not zero and the peer proves another key, it returns ErrAbandon with a Result
// that holds just that key, and message 3, which would show the peer who asks, is
// never made. After any error the machine still waits for a genuine reply.
func (i *Initiator) ReadReply(reply []byte, want [32]byte) (final []byte, r Result, err error) {
	intro, _, _, err := i.state.ReadMessage(nil, reply)
	if err != nil {
		return nil, r, i.drop(err)
	}
	copy(r.Peer[:], i.state.PeerStatic())
	if want != ([32]byte{}) && want != r.Peer {
		if err := i.rewind(); err != nil {
			return nil, r, err
		}
		return nil, r, ErrAbandon
	}
	final, send, recv, err := i.state.WriteMessage(nil, i.intro)
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
	if err := i.rewind(); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDrop, cause)
}

// Responder is the side that is asked. It is not safe for concurrent use.
type Responder struct {
	keys         keys
	intro        []byte
	hello, reply []byte
	state        *noise.HandshakeState
}

// Respond reads message 1 and makes message 2. Arguments are as for Initiate.
// It keeps a copy of hello.
func Respond(static, ephemeral *ecdh.PrivateKey, intro, hello []byte) (*Responder, error) {
	r := &Responder{keys: keys{static, ephemeral}, intro: intro, hello: bytes.Clone(hello)}
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
	r.reply, _, _, err = r.state.WriteMessage(nil, r.intro)
	return err
}

// Reply is message 2.
func (r *Responder) Reply() []byte { return r.reply }

// ReadFinal takes message 3 and ends the handshake. After an error, which is
// always ErrDrop, the machine still waits for a genuine message 3.
func (r *Responder) ReadFinal(final []byte) (res Result, err error) {
	intro, recv, send, err := r.state.ReadMessage(nil, final)
	if err != nil {
		if rewound := r.rewind(); rewound != nil {
			return res, rewound
		}
		return res, fmt.Errorf("%w: %w", ErrDrop, err)
	}
	copy(res.Peer[:], r.state.PeerStatic())
	res.Intro, res.Send, res.Recv = intro, send.UnsafeKey(), recv.UnsafeKey()
	copy(res.Binding[:], r.state.ChannelBinding())
	return res, nil
}
