package chat

import (
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strings"
)

// Key is an identity: the X25519 public key that a person proves in every
// handshake (SPEC §2). The zero Key is nobody.
type Key [32]byte

var keyEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String returns the key as people and records carry it: 52 characters of
// lower-case unpadded base32.
func (k Key) String() string { return keyEncoding.EncodeToString(k[:]) }

// Short returns the first 6 characters of String, which tell people of one name
// apart for the eye. It proves nothing.
func (k Key) Short() string { return k.String()[:6] }

// IsZero reports whether k is nobody.
func (k Key) IsZero() bool { return k == Key{} }

// ParseKey reads what String wrote, in any case.
func ParseKey(s string) (Key, error) {
	var k Key
	b, err := keyEncoding.DecodeString(strings.ToLower(s))
	if err != nil || len(b) != len(k) {
		return Key{}, errors.New("chat: not an id: it takes 52 letters a-z and digits 2-7")
	}
	copy(k[:], b)
	if k.String() != strings.ToLower(s) {
		return Key{}, errors.New("chat: not an id: its last character has bits to spare")
	}
	return k, nil
}

// MessageID names one message for good: 128 random bits (SPEC §7).
type MessageID [16]byte

// String returns the id as 32 characters of lower-case hex.
func (m MessageID) String() string { return hex.EncodeToString(m[:]) }
