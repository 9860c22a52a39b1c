// Package safety makes the words by which two people make sure, by voice or side by
// side, that nobody stands between them (SPEC §12).
package safety

import (
	"bytes"
	"math/big"

	"github.com/tyler-smith/go-bip39/wordlists"
	"golang.org/x/crypto/argon2"

	"earshot/chat"
)

// Count is how many words there are, of 11 bits each.
const Count = 6

// Words returns the words of two people. Both see the same. It takes a tenth of a
// second or more, so that finding a key with the words of another takes an attacker
// as much for each try.
func Words(a, b chat.Key) []string {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	const passes, kibibytes, threads = 3, 64 << 10, 1
	hash := argon2.IDKey(append(a[:], b[:]...), []byte("earshot/1 safety words"), passes, kibibytes, threads, 9)
	n := new(big.Int).SetBytes(hash)
	n.Rsh(n, 9*8-Count*11)
	words := make([]string, Count)
	for i := Count - 1; i >= 0; i-- {
		words[i] = wordlists.English[n.Uint64()&0x7ff]
		n.Rsh(n, 11)
	}
	return words
}
