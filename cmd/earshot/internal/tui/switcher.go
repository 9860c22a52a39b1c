package tui

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
)

// switcher finds somebody by some letters of the name, in their order.
type switcher struct {
	query editor
	found []app.Row
	at    int // the one that Enter goes to
}

func (w *switcher) filter(rows []app.Row) {
	type match struct {
		row   app.Row
		score int
	}
	var matches []match
	for _, r := range rows {
		if score, ok := fuzzy(w.query.text, r.Label); ok {
			if r.Unread > 0 {
				score -= 2
			}
			if !r.Present {
				score++
			}
			matches = append(matches, match{r, score})
		}
	}
	slices.SortStableFunc(matches, func(a, b match) int { return cmp.Compare(a.score, b.score) })
	w.found = w.found[:0]
	for _, m := range matches {
		w.found = append(w.found, m.row)
	}
	w.at = max(0, min(w.at, len(w.found)-1))
}

// fuzzy reports whether the letters of query are in name in that order, and how far from
// each other and from the beginnings of words: the lower the better.
func fuzzy(query, name string) (score int, ok bool) {
	name = clean.Fold(name)
	if query = strings.ToLower(strings.TrimSpace(query)); query == "" {
		return 0, true
	}
	if i := strings.Index(name, query); i >= 0 {
		if before, _ := utf8.DecodeLastRuneInString(name[:i]); i == 0 || !inWord(before) {
			return min(i, 10), true
		}
		return 10 + min(i, 10), true
	}
	score = 20
	rest := name
	for _, q := range query {
		if unicode.IsSpace(q) {
			continue
		}
		i := strings.IndexRune(rest, q)
		if i < 0 {
			return 0, false
		}
		score += min(i, 5)
		rest = rest[i+utf8.RuneLen(q):]
	}
	return score, true
}
