package safety

import (
	"slices"
	"strings"
	"testing"

	"github.com/tyler-smith/go-bip39/wordlists"

	"earshot/chat"
)

func TestWords(t *testing.T) {
	if len(wordlists.English) != 2048 {
		t.Fatalf("%d words to choose from", len(wordlists.English))
	}
	a, b := chat.Key{1}, chat.Key{2}
	words := Words(a, b)
	const want = "miracle anger fit tuna feature soda" // SPEC §12
	if got := strings.Join(words, " "); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !slices.Equal(words, Words(b, a)) {
		t.Error("the two sides see different words")
	}
	if slices.Equal(words, Words(a, chat.Key{3})) {
		t.Error("another person has the same words")
	}
}
