// Package wire holds the formats of chat/SPEC.md: datagrams (SPEC §3) and the
// frames sealed inside them (SPEC §6). It keeps no state and touches no network.
package wire

import (
	"encoding/binary"
	"errors"
)

// Version is the protocol version that every handshake datagram carries (SPEC §3).
const Version = 1

// Types of datagram (SPEC §3). All stay below 0x40, so that the port can be
// shared with other protocols (RFC 9443).
const (
	TypeHello   = 0x01 // first handshake message
	TypeReply   = 0x02 // second
	TypeFinal   = 0x03 // third
	TypeSealed  = 0x04 // frames under a session's keys
	TypeCookie  = 0x05 // asks for the hello again, with a proof of address
	TypeUnknown = 0x06 // the session index of a sealed datagram means nothing here
)

// Sizes in bytes (SPEC §3). Handshake datagrams have one size each, so that a
// length tells nothing and a wrong one is dropped before any arithmetic.
const (
	MaxDatagram  = 1200
	SealedHeader = 13
	Tag          = 16
	MaxPlain     = MaxDatagram - SealedHeader - Tag
	CookieSize   = 16
	IntroSize    = 256 // an Introduction, padded with zeros
	IndexSize    = 4   // of the index that stands before it

	replyBody   = 32 + 32 + Tag + IndexSize + IntroSize + Tag
	finalBody   = 32 + Tag + IndexSize + IntroSize + Tag
	HelloSize   = ReplySize // never smaller than what it draws (SPEC §10)
	ReplySize   = 12 + replyBody
	FinalSize   = 12 + finalBody
	HelloPad    = HelloSize - helloHeader - 32
	CookieReply = 8 + CookieSize
	UnknownSize = 16
	helloHeader = 8 + CookieSize
)

// ErrMalformed is returned for a datagram or frame that does not have the form
// this package's formats give it. Such a datagram is dropped (SPEC §3).
var ErrMalformed = errors.New("wire: malformed")

// Hello is the first handshake datagram. Noise aliases the parsed buffer.
type Hello struct {
	Sender uint32 // session index chosen by the sender
	Cookie [CookieSize]byte
	Noise  []byte
}

// Append appends the datagram to b.
func (h *Hello) Append(b []byte) []byte {
	b = append(b, TypeHello, Version, 0, 0)
	b = binary.BigEndian.AppendUint32(b, h.Sender)
	b = append(b, h.Cookie[:]...)
	return append(b, h.Noise...)
}

// ParseHello parses a TypeHello datagram.
func ParseHello(b []byte) (h Hello, err error) {
	if len(b) != HelloSize || b[0] != TypeHello || b[1] != Version {
		return h, ErrMalformed
	}
	h.Sender = binary.BigEndian.Uint32(b[4:])
	copy(h.Cookie[:], b[8:])
	h.Noise = b[helloHeader:]
	return h, nil
}

// Answer is the second or third handshake datagram, which have the same header.
// Noise aliases the parsed buffer.
type Answer struct {
	Type     byte   // TypeReply or TypeFinal
	Sender   uint32 // the sender's own session index
	Receiver uint32 // the index that the receiver chose
	Noise    []byte
}

// Append appends the datagram to b.
func (a *Answer) Append(b []byte) []byte {
	b = append(b, a.Type, Version, 0, 0)
	b = binary.BigEndian.AppendUint32(b, a.Sender)
	b = binary.BigEndian.AppendUint32(b, a.Receiver)
	return append(b, a.Noise...)
}

// ParseAnswer parses a TypeReply or TypeFinal datagram.
func ParseAnswer(b []byte) (a Answer, err error) {
	switch {
	case len(b) == ReplySize && b[0] == TypeReply && b[1] == Version:
	case len(b) == FinalSize && b[0] == TypeFinal && b[1] == Version:
	default:
		return a, ErrMalformed
	}
	a.Type = b[0]
	a.Sender = binary.BigEndian.Uint32(b[4:])
	a.Receiver = binary.BigEndian.Uint32(b[8:])
	a.Noise = b[12:]
	return a, nil
}

// Cookie asks an opener to prove that it receives at its address (SPEC §10).
type Cookie struct {
	Receiver uint32 // the hello's sender index
	Cookie   [CookieSize]byte
}

// Append appends the datagram to b.
func (c *Cookie) Append(b []byte) []byte {
	b = append(b, TypeCookie, Version, 0, 0)
	b = binary.BigEndian.AppendUint32(b, c.Receiver)
	return append(b, c.Cookie[:]...)
}

// ParseCookie parses a TypeCookie datagram.
func ParseCookie(b []byte) (c Cookie, err error) {
	if len(b) != CookieReply || b[0] != TypeCookie || b[1] != Version {
		return c, ErrMalformed
	}
	c.Receiver = binary.BigEndian.Uint32(b[4:])
	copy(c.Cookie[:], b[8:])
	return c, nil
}

// AppendSealedHeader appends the header of a sealed datagram, which is also the
// associated data of its seal (SPEC §5).
func AppendSealedHeader(b []byte, receiver uint32, counter uint64) []byte {
	b = append(b, TypeSealed)
	b = binary.BigEndian.AppendUint32(b, receiver)
	return binary.BigEndian.AppendUint64(b, counter)
}

// ParseSealed splits a TypeSealed datagram into the index of the session, the
// counter and the ciphertext, which aliases b.
func ParseSealed(b []byte) (receiver uint32, counter uint64, sealed []byte, err error) {
	if len(b) < SealedHeader+Tag || len(b) > MaxDatagram || b[0] != TypeSealed {
		return 0, 0, nil, ErrMalformed
	}
	return binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint64(b[5:]), b[SealedHeader:], nil
}

// Unknown tells the sender of a sealed datagram that its session means nothing
// here. It is smaller than any sealed datagram and repeats what only somebody
// who saw that datagram can know; even so it is a hint and never proof (SPEC §5).
type Unknown struct {
	Receiver uint32 // index that the sealed datagram was for
	Counter  uint64 // its counter
}

// Append appends the datagram to b.
func (u *Unknown) Append(b []byte) []byte {
	b = append(b, TypeUnknown, Version, 0, 0)
	b = binary.BigEndian.AppendUint32(b, u.Receiver)
	return binary.BigEndian.AppendUint64(b, u.Counter)
}

// ParseUnknown parses a TypeUnknown datagram.
func ParseUnknown(b []byte) (u Unknown, err error) {
	if len(b) != UnknownSize || b[0] != TypeUnknown || b[1] != Version {
		return u, ErrMalformed
	}
	u.Receiver = binary.BigEndian.Uint32(b[4:])
	u.Counter = binary.BigEndian.Uint64(b[8:])
	return u, nil
}
