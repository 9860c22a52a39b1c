package room

import (
	"cmp"
	"slices"
)

// Clocks that can be right, in ms since 1970: from 2000 to 9999 (SPEC §13.6).
const (
	firstClock = 946_684_800_000
	lastClock  = 253_402_300_800_000
)

// Bounds of messages that none names (SPEC §13.6).
const (
	Unnamed  = 1 << 62
	Timeless = Unnamed + 1 // and that have no time either
)

// Node is a message of a room as far as its place in the order goes.
type Node struct {
	Ref
	Clock uint64 // the sender's
	Names []Ref
}

// Rank is the place of a message in the order of its room (SPEC §13.6).
type Rank struct {
	Bound uint64 // the least time of those that name it
	Time  uint64 // its clock, or more than that of what it names
}

// Time returns the time of a message. After is one more than the greatest time of those that it names; 0: it
// names none.
func Time(clock, after uint64) uint64 {
	if !Likely(clock) {
		return after
	}
	return max(clock, after)
}

// Unbound returns the bound of a message of that time that none names.
func Unbound(time uint64) uint64 {
	if time == 0 {
		return Timeless
	}
	return Unnamed
}

// Likely reports whether a clock can be right, whatever the time is.
func Likely(clock uint64) bool { return firstClock <= clock && clock < lastClock }

// Compare compares the places of two messages of one room.
func Compare(a, b Rank, x, y Ref) int {
	return cmp.Or(cmp.Compare(a.Bound, b.Bound), cmp.Compare(a.Time, b.Time), slices.Compare(x.ID[:], y.ID[:]), slices.Compare(x.Author[:], y.Author[:]))
}

// Ranks returns the ranks of all messages of a room. It takes time in proportion to what they name. Looped
// reports whether messages name each other in a circle.
func Ranks(all []Node) (ranks []Rank, looped bool) {
	g := newGraph(all)
	order := g.sorted()
	if looped = len(order) < len(all); looped {
		g.cut()
		order = g.sorted()
	}
	ranks = make([]Rank, len(all))
	for _, i := range order {
		var after uint64
		for _, p := range g.names[i] {
			after = max(after, ranks[p].Time+1)
		}
		ranks[i].Time = Time(all[i].Clock, after)
		ranks[i].Bound = Unbound(ranks[i].Time)
		for _, p := range g.names[i] {
			ranks[p].Bound = min(ranks[p].Bound, ranks[i].Time)
		}
	}
	return ranks, looped
}

// Sort puts the messages of a room in their order.
func Sort(all []Node) {
	ranks, _ := Ranks(all)
	at := make([]int, len(all))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int { return Compare(ranks[a], ranks[b], all[a].Ref, all[b].Ref) })
	sorted := make([]Node, len(all))
	for i, j := range at {
		sorted[i] = all[j]
	}
	copy(all, sorted)
}

// graph is what messages name of each other, by index.
type graph struct {
	names [][]int
}

func newGraph(all []Node) *graph {
	at := make(map[Ref]int, len(all))
	for i := range all {
		at[all[i].Ref] = i
	}
	g := &graph{make([][]int, len(all))}
	for i := range all {
		for _, r := range all[i].Names {
			if p, ok := at[r]; ok && !slices.Contains(g.names[i], p) {
				g.names[i] = append(g.names[i], p)
			}
		}
	}
	return g
}

// sorted returns the messages, each after those that it names, but for those that are in a circle or name
// one that is.
func (g *graph) sorted() []int {
	n := len(g.names)
	named := make([][]int, n)
	left := make([]int, n)
	out := make([]int, 0, n)
	for i, names := range g.names {
		if left[i] = len(names); left[i] == 0 {
			out = append(out, i)
		}
		for _, p := range names {
			named[p] = append(named[p], i)
		}
	}
	for at := 0; at < len(out); at++ {
		for _, i := range named[out[at]] {
			if left[i]--; left[i] == 0 {
				out = append(out, i)
			}
		}
	}
	return out
}

// cut removes what messages name within their own circle: their strongly connected component (Tarjan).
func (g *graph) cut() {
	n := len(g.names)
	circle, low, seen := make([]int, n), make([]int, n), make([]int, n)
	var stack, path, next []int
	count, circles := 0, 0
	for root := range n {
		if seen[root] > 0 {
			continue
		}
		path, next = append(path, root), append(next, 0)
		for len(path) > 0 {
			i, at := path[len(path)-1], next[len(next)-1]
			if at == 0 {
				count++
				seen[i], low[i] = count, count
				stack = append(stack, i)
			}
			if at < len(g.names[i]) {
				next[len(next)-1]++
				switch p := g.names[i][at]; {
				case seen[p] == 0:
					path, next = append(path, p), append(next, 0)
				case circle[p] == 0:
					low[i] = min(low[i], seen[p])
				}
				continue
			}
			path, next = path[:len(path)-1], next[:len(next)-1]
			if len(path) > 0 {
				above := path[len(path)-1]
				low[above] = min(low[above], low[i])
			}
			if low[i] == seen[i] {
				circles++
				for circle[i] == 0 {
					last := len(stack) - 1
					circle[stack[last]], stack = circles, stack[:last]
				}
			}
		}
	}
	for i := range g.names {
		g.names[i] = slices.DeleteFunc(g.names[i], func(p int) bool { return circle[p] == circle[i] })
	}
}
