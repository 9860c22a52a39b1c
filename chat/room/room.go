// Package room holds the rules of rooms (chat/SPEC.md §13): their names and keys, in
// which order what is said in them is shown, and how much of it one person may say. It is
// pure: it knows no session, socket or clock. Nothing in it is safe for concurrent use.
package room

import (
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2s"
	"golang.org/x/text/unicode/norm"
)

// Here is the name of the lobby.
const Here = "#here"

// Limits (SPEC §13).
const (
	MaxName     = 32                     // bytes of a name, with its #
	MaxOpen     = 16                     // open rooms of one person
	MaxPrivate  = 8                      // private ones
	MaxHeld     = 256                    // messages of one room held back
	MaxBytes    = 1 << 20                // of them
	Recent      = 6 * time.Hour          // how old a message may be that somebody who joins is given
	MaxRecent   = 100                    // of them
	holdFor     = 30 * time.Second       // for a parent that its author may still bring
	holdHistory = 3 * time.Second        // for one of the time before we were in the room
	holdBriefly = 500 * time.Millisecond // for one that hardly comes
	skew        = time.Minute            // how far a sender's clock may be ahead of ours
	burst       = 256                    // messages of one person taken at once
	perSecond   = 50                     // and then each second
)

// ErrName reports a word that can't be a room's name.
var ErrName = errors.New("a room's name is # and 1 to 31 bytes of letters, digits, -, _ and ., the first a letter or digit")

// ParseName returns name as rooms are called (SPEC §13.1), or ErrName.
func ParseName(name string) (string, error) {
	rest, ok := strings.CutPrefix(norm.NFC.String(strings.ToLower(norm.NFC.String(name))), "#")
	if !ok || rest == "" || len(rest) >= MaxName || !utf8.ValidString(rest) {
		return "", ErrName
	}
	for i, r := range rest {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && (i == 0 || !unicode.IsMark(r) && !strings.ContainsRune("-_.", r)) {
			return "", ErrName
		}
	}
	return "#" + rest, nil
}

// Key is the key of a private room. The zero Key is that of an open one.
type Key [32]byte

// ID is the id of a private room.
type ID [16]byte

// DeriveKey makes the key of a private room (SPEC §13.9), which takes 64 MiB of memory
// and some tenths of a second. Name is as ParseName returned it.
func DeriveKey(name, passphrase string) Key {
	return Key(argon2.IDKey(norm.NFC.Bytes([]byte(passphrase)), []byte("earshot/1 room "+name), 3, 64<<10, 1, 32))
}

// IsZero reports whether k is that of an open room.
func (k Key) IsZero() bool { return k == Key{} }

// ID returns the id of the room.
func (k Key) ID() ID { return ID(k.mac([]byte("earshot/1 room id"))) }

// Tag returns what shows the other side of a session that person is in the room: binding is
// the hash of the session's handshake, version that of the state.
func (k Key) Tag(binding, person [32]byte, version uint64) [16]byte {
	b := append([]byte("earshot/1 room tag"), binding[:]...)
	b = append(b, person[:]...)
	return k.mac(binary.BigEndian.AppendUint64(b, version))
}

// Made reports whether tag is the one that Tag makes.
func (k Key) Made(tag []byte, binding, person [32]byte, version uint64) bool {
	want := k.Tag(binding, person, version)
	return hmac.Equal(tag, want[:])
}

func (k Key) mac(b []byte) (sum [16]byte) {
	h, err := blake2s.New128(k[:])
	if err != nil {
		panic(err) // the key's size is in its type
	}
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}

// Meter bounds what one person says in rooms (SPEC §13.8).
type Meter struct {
	used float64 // messages taken, less those the time since has made good
	at   time.Time
}

// Take takes one message, or says when to ask again.
func (m *Meter) Take(now time.Time) (ok bool, again time.Time) {
	m.used = max(0, m.used-max(0, now.Sub(m.at).Seconds())*perSecond)
	m.at = now
	if m.used > burst-1 {
		return false, now.Add(time.Duration((m.used - burst + 1) / perSecond * float64(time.Second))).Add(time.Millisecond)
	}
	m.used++
	return true, time.Time{}
}

// Mentions reports whether text calls somebody by name, as in @ana, in any case.
func Mentions(text, name string) bool {
	if name == "" {
		return false
	}
	text, name = fold(text), fold(name)
	for from := 0; ; {
		i := strings.Index(text[from:], "@"+name)
		if i < 0 {
			return false
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+1+len(name):])
		if !word(before) && !word(after) {
			return true
		}
		from = i + 1
	}
}

func fold(s string) string { return norm.NFKC.String(strings.ToLower(s)) }

func word(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_')
}
