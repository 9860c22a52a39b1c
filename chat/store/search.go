package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	// bestOf is among how many of the newest messages with all words the best are
	// found: to weigh every occurrence of a common word would take long, and help nobody.
	bestOf = 500
	// readAt is how many of the newest messages are read before the index is asked: for
	// a beginning that many words have, it is slower than that.
	readAt = 2500
	// readMost is how many bytes of text, about.
	readMost = 500_000
	// reach is how far back the index is asked at first, in messages. Then it is eight
	// times as far each time, which costs little for what isn't found sooner.
	reach = 20_000
)

var errEnough = errors.New("enough")

// find returns the newest messages with all the words, the best first.
func (s *Store) find(f *Filter) (all []Message, err error) {
	wanted := parseSearch(f.Search)
	if len(wanted) == 0 {
		return nil, nil
	}
	for more := true; more && err == nil; {
		more, err = s.index()
	}
	if err != nil {
		return nil, err
	}
	weight := map[int64]float64{}
	keep := func(m Message) {
		if w := weigh(wanted, m.Text); w > 0 && len(all) < bestOf {
			weight[m.N] = w
			all = append(all, m)
		}
	}
	err = s.reading(func(k *conn) error {
		var peer, top int64 // all above top are read
		where, args, err := f.bounded(k)
		if err != nil {
			return err
		}
		d, err := s.dates(k)
		if err != nil {
			return err
		}
		count, size := 0, 0
		err = k.each(`SELECT `+columns+` WHERE `+where+` ORDER BY m.n DESC LIMIT ?`, append(slices.Clone(args), readAt), func(scan func(...any) error) error {
			m, err := scanMessage(scan, d)
			keep(m)
			top = m.N - 1
			count++
			if size += len(m.Text); err == nil && size > readMost {
				err = errEnough
			}
			return err
		})
		if full := count == readAt || errors.Is(err, errEnough); !full {
			return err
		}
		match := query(wanted)
		if !f.Peer.IsZero() {
			if err := k.get(`SELECT n FROM people WHERE key = ?`, []any{f.Peer[:]}, &peer); err != nil {
				return err
			}
			match = fmt.Sprintf(`(%s) AND peer : (p%d OR p0)`, match, peer) // p0: adopted since
		}
		for from, to := top-reach, top; to > 0 && len(all) < bestOf; from, to = from-8*(to-from), from {
			err := k.each(`SELECT `+columns+` WHERE `+where+` AND m.n IN (
					SELECT rowid FROM search WHERE search MATCH ? AND rowid > ? AND rowid <= ? ORDER BY rowid DESC)
				ORDER BY m.n DESC LIMIT ?`, append(slices.Clone(args), match, max(from, 0), to, bestOf),
				func(scan func(...any) error) error {
					m, err := scanMessage(scan, d)
					keep(m)
					return err
				})
			if err != nil {
				return err
			}
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b Message) int { return cmp.Compare(weight[b.N], weight[a.N]) })
	return all, err
}

// wanted is a word that somebody looks for: what is indexed as several has them in
// this order.
type wanted struct {
	tokens []string
	prefix bool // the last is only the beginning of one
}

// Searchable reports whether there is anything in what somebody typed that search can find.
func Searchable(search string) bool { return len(parseSearch(search)) > 0 }

// parseSearch takes apart what somebody typed: words in any order, all of which must be
// there. A star stands for the rest of a word.
func parseSearch(search string) (all []wanted) {
	for typed := range strings.FieldsSeq(search) {
		exact := strings.TrimRight(typed, "*")
		if tokens := tokens(exact); len(tokens) > 0 {
			all = append(all, wanted{tokens, exact != typed})
		}
	}
	return all
}

// query returns the FTS5 query for words.
func query(all []wanted) string {
	var parts []string
	for _, w := range all {
		part := `"` + strings.Join(w.tokens, " ") + `"`
		if w.prefix {
			part += " *"
		}
		parts = append(parts, part)
	}
	return "text : (" + strings.Join(parts, " AND ") + ")"
}

// weigh says how well a text fits: the more the oftener it has the words, and the
// shorter it is. 0: it doesn't have all of them.
func weigh(all []wanted, text string) float64 {
	words := tokens(text)
	hits := 0
	for _, w := range all {
		n := 0
		for i := range words[:max(0, len(words)-len(w.tokens)+1)] {
			if w.at(words[i:]) {
				n++
			}
		}
		if n == 0 {
			return 0
		}
		hits += n
	}
	return float64(hits) / float64(20+len(words))
}

// at reports whether words, which are as many or more, begin with the word.
func (w *wanted) at(words []string) bool {
	last := len(w.tokens) - 1
	return slices.Equal(words[:last], w.tokens[:last]) &&
		(words[last] == w.tokens[last] || w.prefix && strings.HasPrefix(words[last], w.tokens[last]))
}

// tokens returns what is indexed of a text, as the tokenizer of the table finds it in
// what fold returns.
func tokens(text string) []string {
	return strings.FieldsFunc(fold(text), func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.N, unicode.Co, unicode.Mn, unicode.Mc, unicode.So, unicode.Sk)
	})
}

// unspaced holds what is written without spaces between words, or with what belongs to
// the grammar joined to them: of it each character is indexed as a word, and a word is
// found wherever its characters follow each other.
var unspaced = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Hangul, unicode.Yi,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar, unicode.Tai_Le, unicode.New_Tai_Lue, unicode.Tai_Tham,
	unicode.Tai_Viet, unicode.Cham, unicode.Javanese, unicode.Balinese, unicode.So, unicode.Sk,
}

// optional holds the marks without which a word is the same: accents, and the vowels
// of Arabic and Hebrew.
var optional = []*unicode.RangeTable{unicode.Inherited, unicode.Arabic, unicode.Hebrew, unicode.Syriac}

// fold returns a text without regard to case, accents and width, with spaces around
// characters that are indexed as words.
func fold(text string) string {
	plain := true
	for i := 0; i < len(text) && plain; i++ {
		plain = text[i] < 0x80
	}
	if plain {
		return strings.ToLower(text)
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(text) {
		if !unicode.Is(unicode.Mn, r) || !unicode.In(r, optional...) {
			b.WriteRune(r)
		}
	}
	text = norm.NFC.String(cases.Fold().String(b.String())) // σ, ς and Σ, ß and SS are the same
	b.Reset()
	for _, r := range text {
		r = unicode.ToLower(r) // of Cherokee Fold only swaps the cases
		if unicode.In(r, unspaced...) {
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// indexChunk is how many messages search learns in one transaction.
const indexChunk = 1000

// index lets search learn some new messages, and reports whether more may wait.
func (s *Store) index() (more bool, err error) {
	var next bool
	err = s.reading(func(k *conn) error {
		return k.get(`SELECT coalesce((SELECT max(n) FROM messages), 0) > n FROM searchable`, nil, &next)
	})
	if err != nil || !next {
		return false, err
	}
	err = s.writing(func() error {
		type row struct {
			n, peer int64
			text    string
		}
		var rows []row
		err := s.write.each(`SELECT n, peer, text FROM messages WHERE n > (SELECT n FROM searchable) ORDER BY n LIMIT ?`, []any{indexChunk},
			func(scan func(...any) error) error {
				var r row
				err := scan(&r.n, &r.peer, &r.text)
				rows = append(rows, r)
				return err
			})
		for _, r := range rows {
			if err == nil {
				_, err = s.write.exec(`INSERT INTO search (rowid, text, peer) VALUES (?, ?, ?)`, r.n, fold(r.text), fmt.Sprint("p", r.peer))
			}
		}
		if err == nil && len(rows) > 0 {
			_, err = s.write.exec(`UPDATE searchable SET n = ?`, rows[len(rows)-1].n)
		}
		more = len(rows) == indexChunk
		return err
	})
	return more, err
}
