package tui

import (
	"sort"
	"strings"

	"earshot/cmd/earshot/internal/clean"
)

// shape is how a text breaks into rows, as far as that was asked for. After a change only
// what is behind it is broken anew, up to the rows that are seen: what a key costs doesn't
// grow with the text.
type shape struct {
	text   string
	width  int
	cells  cells
	starts []int // where rows begin
	next   int   // where the row behind them would
	whole  bool  // there is none
	work   int   // clusters measured so far
}

// reach breaks a text as far as row n, and reports whether there is one. One column of each
// row stays free for the cursor.
func (s *shape) reach(text string, c *cells, width, n int) bool {
	if s.width != width || s.cells != *c {
		*s = shape{width: width, cells: *c, work: s.work}
	}
	if s.text != text {
		same := 0
		for same < min(len(s.text), len(text)) && s.text[same] == text[same] {
			same++
		}
		// A mark may join the cluster before it, and make it fit into the row before that.
		keep := max(0, sort.SearchInts(s.starts, same+1)-3)
		if s.text, s.whole = text, false; keep < len(s.starts) {
			s.starts, s.next = s.starts[:keep], s.starts[keep]
		}
	}
	for len(s.starts) <= n && !s.whole {
		s.starts = append(s.starts, s.next)
		s.next, s.whole = s.end(s.next)
	}
	return n < len(s.starts)
}

// end returns where the row ends that begins at from, and whether it is the last.
func (s *shape) end(from int) (to int, last bool) {
	used := 0
	for at := from; at < len(s.text); {
		part := cluster(s.text[at:])
		if part == "\n" {
			return at + 1, false
		}
		_, w := s.cells.shown(part)
		if s.work++; used+w >= s.width && at > from {
			return at, false
		}
		used += w
		at += len(part)
	}
	return len(s.text), true
}

// row draws the row that begins at from, and measures how much of it stands before byte at.
func (s *shape) row(from, at int) (drawn string, before int) {
	var b strings.Builder
	to, _ := s.end(from)
	for from < to {
		part := cluster(s.text[from:])
		if part == "\n" {
			break
		}
		if shown, w := s.cells.shown(part); w < s.width {
			b.WriteString(shown)
			if from < at {
				before += w
			}
		}
		from += len(part)
	}
	return b.String(), before
}

// shown returns how a cluster of what was typed is drawn, and its width.
func (c *cells) shown(part string) (drawn string, width int) {
	for rest := clean.Line(part); rest != ""; {
		one, w, n := c.next(rest)
		drawn += c.draw(one, w)
		width += w
		rest = rest[n:]
	}
	return drawn, width
}

// rows returns into how many rows of at most width columns the text breaks; most: at least
// so many.
func (e *editor) rows(c *cells, width, most int) int {
	e.shape.reach(e.text, c, width, most-1)
	return min(most, len(e.shape.starts))
}

// view draws the rows around the cursor, at most so many, and tells in which of them and in
// which column it stands; first: the first of all is among them.
func (e *editor) view(c *cells, width, most int) (rows []string, y, x int, first bool) {
	s := &e.shape
	at := 0
	for s.reach(e.text, c, width, at+1) && s.starts[at+1] <= e.at {
		at++
	}
	s.reach(e.text, c, width, at+most)
	top := max(0, min(at-most/2, len(s.starts)-most))
	for i := top; i < min(top+most, len(s.starts)); i++ {
		row, before := s.row(s.starts[i], e.at)
		if rows = append(rows, row); i == at {
			y, x = i-top, before
		}
	}
	return rows, y, x, top == 0
}
