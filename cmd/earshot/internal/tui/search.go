package tui

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/clean"
)

// search finds what was said: in the conversation shown, or where none is in all.
type search struct {
	query editor
	asked string // what the hits are for
	hits  []app.Hit
	at    int
	none  bool
}

func (m *model) openSearch() {
	m.search = search{}
	m.mode = searching
}

// sought looks for what stands in the search line.
func (m *model) sought() {
	query := strings.TrimSpace(m.search.query.text)
	m.timeline.find(query)
	m.search.none = false
	if query != "" {
		m.s.Search(m.s.Current(), query+"*")
	} else {
		m.search.hits = nil
	}
}

// found takes the answer to a search, and goes to the newest hit.
func (m *model) found(n app.News) {
	if n.Text == "" { // what was said last
		m.take(func() {
			m.open("log", func() []string { return m.log(n.Hits) })
			m.sheet.top = len(m.sheet.rows)
		})
		return
	}
	asked := strings.TrimSuffix(n.Text, "*")
	switch {
	case n.Conv != m.s.Current(), m.mode == searching && asked != clean.Line(strings.TrimSpace(m.search.query.text)),
		m.mode != searching && !n.Typed: // meanwhile something else is asked, or nothing any more
		return
	case m.mode != searching && m.busy():
		m.take(func() { m.found(n) })
		return
	case m.mode != searching:
		m.openSearch()
		m.search.query.set(asked)
		m.timeline.find(asked)
	}
	m.search.asked, m.search.hits, m.search.none = asked, n.Hits, len(n.Hits) == 0
	m.search.at = len(n.Hits) - 1
	m.jump()
}

// log lists what was said. Every row of a text but the first begins with blanks, so that none
// can pass for what somebody else said.
func (m *model) log(hits []app.Hit) (rows []string) {
	for _, h := range hits {
		who := "--"
		if !h.Line.Notice {
			who = m.s.Label(app.Conv{Key: h.Line.From}) + m.s.As(h.Line) + ":"
		}
		indent := ""
		for _, row := range m.texts(h.Line.At.Local().Format("2006-01-02 15:04 ")+who+" "+h.Line.Text, m.width-len(clean.Indent)) {
			rows = append(rows, indent+row)
			indent = clean.Indent
		}
	}
	return rows
}

// jump shows the hit.
func (m *model) jump() {
	if m.search.at < 0 || m.search.at >= len(m.search.hits) {
		return
	}
	hit := m.search.hits[m.search.at]
	if hit.Conv != m.s.Current() {
		return // they are listed, and Enter goes there
	}
	m.show(hit)
}

// show scrolls to a hit in the conversation shown.
func (m *model) show(hit app.Hit) {
	if !m.s.Jump(hit.Conv, hit.Line.N) {
		return
	}
	m.lines()
	n := hit.Line.N
	for _, l := range m.timeline.lines {
		if l.ID == hit.Line.ID && l.From == hit.Line.From {
			n = l.N
		}
	}
	m.timeline.jump(n)
}

func (m *model) pressSearching(text string, bound []*binding) {
	f := &m.search
	switch {
	case text != "":
		f.query.insert(text)
		m.sought()
	case is(bound, "search", "up", "previous"):
		f.at = max(0, f.at-1)
		m.jump()
	case is(bound, "down", "next"):
		f.at = min(len(f.hits)-1, f.at+1)
		m.jump()
	case is(bound, "send"):
		m.mode = talking
		if f.at >= 0 && f.at < len(f.hits) && m.s.Current().IsZero() {
			m.toHit = &f.hits[f.at]
			m.s.Turn(m.toHit.Conv, time.Now())
		}
	case is(bound, "cancel", "clear"):
		m.mode = talking
		m.cancel()
	case is(bound, "page-up", "page-down", "line-up", "line-down"):
		bound[0].do(m)
	case len(bound) > 0:
		before := f.query.text
		if editing(&f.query, bound); f.query.text != before {
			m.sought()
		}
	}
}

// hits returns where the query stands in text, without regard to case.
func (t *timeline) hits(text string) (found []span) {
	var words []string
	for word := range strings.FieldsSeq(t.query) {
		words = append(words, strings.TrimSuffix(word, "*"))
	}
	return t.found(text, words)
}

// found returns where words stand in text, without regard to case.
func (t *timeline) found(text string, words []string) (found []span) {
	if len(words) == 0 {
		return nil
	}
	low := strings.Map(func(r rune) rune { // as many bytes as text has
		if l := unicode.ToLower(r); len(string(l)) == len(string(r)) {
			return l
		}
		return r
	}, text)
	taken := make([]bool, len(text))
	for _, word := range words {
		word = strings.ToLower(word)
		for at := 0; word != ""; {
			i := strings.Index(low[at:], word)
			if i < 0 {
				break
			}
			for j := at + i; j < at+i+len(word); j++ {
				taken[j] = true
			}
			at += i + len(word)
		}
	}
	for i := 0; i < len(text); i++ {
		if !taken[i] {
			continue
		}
		from := i
		for i < len(text) && taken[i] {
			i++
		}
		found = append(found, span{from: from, to: i, style: t.theme.hit})
	}
	return found
}

// over returns spans with hits drawn over them. Over an address a hit would break the
// link, so the whole address stands out.
func over(spans, hits []span) []span {
	var out []span
	for _, s := range spans {
		if s.url {
			for _, h := range hits {
				if h.from < s.to && h.to > s.from {
					s.style = h.style
				}
			}
			out = append(out, s)
		}
	}
	for _, h := range hits {
		free := true
		for _, s := range spans {
			free = free && (!s.url || h.to <= s.from || h.from >= s.to)
		}
		if free {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b span) int { return a.from - b.from })
	return out
}
