package room

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// said makes the nodes of messages written as "name clock parent...", with clocks in seconds after begin; a clock
// that begins with = is in ms.
func said(t *testing.T, lines ...string) (all []Node) {
	for _, line := range lines {
		words := strings.Fields(line)
		n := Node{Ref: ref(words[0])}
		if _, err := fmt.Sscanf(words[1], "=%d", &n.Clock); err != nil {
			var seconds int64
			if _, err := fmt.Sscan(words[1], &seconds); err != nil {
				t.Fatal(err)
			}
			n.Clock = uint64(begin.UnixMilli() + 1000*seconds)
		}
		for _, p := range words[2:] {
			n.Names = append(n.Names, ref(p))
		}
		all = append(all, n)
	}
	return all
}

func names(all []Node) string {
	var s strings.Builder
	for _, n := range all {
		s.WriteByte(n.ID[0])
	}
	return s.String()
}

const year = 365 * 24 * 3600

// A message comes after what it names, and as late as those allow that name it.
func TestSort(t *testing.T) {
	for what, tt := range map[string]struct {
		lines []string
		want  string
	}{
		"right clocks":                       {[]string{"a 1", "b 2 a", "c 3 b", "d 4 c"}, "abcd"},
		"at once":                            {[]string{"a 1", "c 2 a", "b 2 a", "d 3 b c"}, "abcd"},
		"clocks that go back":                {[]string{"a 9", "b 2 a", "c 1 b"}, "abc"},
		"a clock years behind":               {[]string{"a 1", "b 2 a", fmt.Sprint("q ", -8*year), "r 3 b q", "s 4 r"}, "aqbrs"},
		"a clock years ahead":                {[]string{"a 1", fmt.Sprint("f ", 2*year, " a"), "b 2 a", "c 3 f b", "d 4 c"}, "abfcd"},
		"backdated, and none names it":       {[]string{"a 1", "b 2 a", "c 3 b", "x =0"}, "abcx"},
		"backdated a little":                 {[]string{"a 1", "b 2 a", "c 3 b", "x -9"}, "abxc"},
		"backdated, and named":               {[]string{"a 1", "b 2 a", "x =0", "c 3 b x", "d 4 c"}, "axbcd"},
		"backdated below what it names":      {[]string{"a 1", "b 2 a", "c 3 b", "x =0 c"}, "abcx"},
		"after the end of times":             {[]string{"a 1", "x =18446744073709551615 a", "b 2 a", "c 3 x b", "d 4 c"}, "axbcd"},
		"two that none names":                {[]string{"a 1", "b 3 a", "c 2 a"}, "acb"},
		"a network that fell in two":         {[]string{"a 1", "b 2 a", "c 4 b", "x 3 a", "y 5 x", "z 6 c y"}, "abxcyz"},
		"yesterday's and today's apart":      {[]string{"a 1", "b 2 a", "x 90000", "y 90001 x", "z 90002 b y"}, "axbyz"},
		"a parent that isn't here":           {[]string{"b 2 a", "c 3 b"}, "bc"},
		"of those, with the same time":       {[]string{"b 1", "a 1", "c 1"}, "abc"},
		"a circle":                           {[]string{"a 1", "x 5 y a", "y 2 x", "b 3 y"}, "yabx"},
		"a circle, and what is named by it":  {[]string{"a 1", "x 3 y", "y 2 z", "z 4 x a", "b 9 z"}, "azyxb"},
		"a message that names itself":        {[]string{"a 1 a", "b 2 a"}, "ab"},
		"the clock of one who has just come": {[]string{"a =5", "b =6 a", "c 1 b"}, "abc"},
	} {
		all := said(t, tt.lines...)
		for range 20 {
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			if Sort(all); names(all) != tt.want {
				t.Errorf("%s: %s, want %s", what, names(all), tt.want)
				break
			}
		}
	}
}

// Whatever is said, circles and all, the order follows from the set, and nothing but a circle keeps a message from
// coming after what it names.
func TestSortAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		all := make([]Node, 1+r.IntN(12))
		for i := range all {
			all[i] = Node{Ref: ref(string(rune('a' + i))), Clock: r.Uint64N(4) * 100_000_000_000}
			for range r.IntN(4) {
				all[i].Names = append(all[i].Names, ref(string(rune('a'+r.IntN(len(all)+2)))))
			}
		}
		_, looped := Ranks(all)
		Sort(all)
		want := names(all)
		for i, n := range all {
			for _, p := range n.Names {
				if j := slices.IndexFunc(all, func(m Node) bool { return m.Ref == p }); j > i && !looped {
					t.Fatalf("%v stands before what it names: %s", n, want)
				}
			}
		}
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if Sort(all); names(all) != want {
			t.Fatalf("%s, and %s", want, names(all))
		}
	}
}

// 100,000 messages are sorted soon, however they name each other.
func TestSortMany(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for what, names := range map[string]func(i int) []int{
		"in a row":     func(i int) []int { return []int{i - 1} },
		"none":         func(int) []int { return nil },
		"all the same": func(int) []int { return []int{0} },
		"anything":     func(int) []int { return []int{r.IntN(100_000), r.IntN(100_000), r.IntN(100_000)} },
		"one circle":   func(i int) []int { return []int{(i + 99_999) % 100_000} },
	} {
		all := make([]Node, 100_000)
		for i := range all {
			all[i].ID = [16]byte{byte(i >> 16), byte(i >> 8), byte(i)}
			all[i].Clock = uint64(begin.UnixMilli()) + uint64(r.IntN(1e6))
		}
		for i := range all {
			for _, p := range names(i) {
				if p >= 0 {
					all[i].Names = append(all[i].Names, all[p].Ref)
				}
			}
		}
		start := time.Now()
		Sort(all)
		if took := time.Since(start); took > time.Minute { // a slow machine takes some seconds; what grows with the square takes an hour
			t.Errorf("%s: %v", what, took)
		} else {
			t.Logf("%s: %v", what, took)
		}
	}
}

// The rooms of testdata/order.json, from which another implementation can be checked.
func TestOrderVectors(t *testing.T) {
	b, err := os.ReadFile("../testdata/order.json")
	if err != nil {
		t.Fatal(err)
	}
	var rooms []struct {
		Room     string
		Messages []struct {
			ID, Author string
			Clock      uint64
			Names      []string
		}
		Order []string
	}
	if err := json.Unmarshal(b, &rooms); err != nil || len(rooms) == 0 {
		t.Fatal(err)
	}
	for _, room := range rooms {
		var all []Node
		label := map[Ref]string{}
		parse := func(id string) (r Ref) {
			var i, a []byte
			if n, err := fmt.Sscanf(id, "%32x/%16x", &i, &a); n != 2 || err != nil || len(i) != 16 || len(a) != 8 {
				t.Fatalf("%s: %q, %v", room.Room, id, err)
			}
			return Ref{[16]byte(i), Author(a)}
		}
		for _, m := range room.Messages {
			n := Node{Ref: parse(m.ID + "/" + m.Author), Clock: m.Clock}
			label[n.Ref] = m.ID + "/" + m.Author
			for _, p := range m.Names {
				n.Names = append(n.Names, parse(p))
			}
			all = append(all, n)
		}
		Sort(all)
		var got []string
		for _, n := range all {
			got = append(got, label[n.Ref])
		}
		if !slices.Equal(got, room.Order) {
			t.Errorf("%s: %q, want %q", room.Room, got, room.Order)
		}
	}
}

// Late is what precedes something shown: a question that comes after its answer, or what was said at the same time and
// comes later.
func TestLate(t *testing.T) {
	k := newTalk(t)
	var late []string
	say := func(name string, clock int, parents ...string) {
		m := Message[string]{Ref: ref(name), Clock: uint64(begin.UnixMilli() + int64(clock)), Body: name}
		for _, p := range parents {
			m.Parents = append(m.Parents, ref(p))
		}
		for _, m := range k.Add(k.now, m, func(Author) Patience { return Refused }) {
			if m.Late {
				late = append(late, m.Body)
			}
		}
	}
	say("a", 1)
	say("c", 3, "b", "a") // an answer
	say("b", 2, "a")      // its question
	say("d", 4, "c")
	say("f", 6, "d")
	say("e", 5, "d") // at once with f
	say("x", -8*year*1000, "e", "f")
	if got := strings.Join(late, ""); got != "be" {
		t.Errorf("late: %q", got)
	}
	if _, parents, _ := k.Next(k.now); !slices.Equal(parents, []Ref{ref("x")}) {
		t.Errorf("the next names %v", parents)
	}
	k.now = k.now.Add(Recent) // nobody is given x any more
	if _, parents, earlier := k.Next(k.now); len(parents) > 0 || !slices.Equal(earlier, []Ref{ref("x")}) {
		t.Errorf("the next names %v, and earlier %v", parents, earlier)
	}
	// Of many that none names, all are named in time.
	k = newTalk(t)
	for i := range 100 {
		m := Message[string]{Ref: Ref{ID: [16]byte{1, byte(i)}}, Clock: uint64(begin.UnixMilli() + int64(i))}
		k.Add(k.now, m, nil)
	}
	for i := range 20 {
		clock, parents, _ := k.Next(k.now)
		k.Said(k.now, Ref{ID: [16]byte{2, byte(i)}}, clock, parents)
	}
	if len(k.heads) != 1 {
		t.Errorf("%d are named by none", len(k.heads))
	}
}

// Whatever messages name, circles and themselves too, their order is the same however they are given, and
// each stands after those that it names outside of its circle.
func FuzzSort(f *testing.F) {
	f.Add([]byte{1, 2, 0, 9, 3, 1, 200, 1, 4}, uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		var all []Node
		for ; len(b) >= 3 && len(all) < 60; b = b[3:] {
			clock := []uint64{uint64(begin.UnixMilli()) + uint64(b[0]), 1, 1 << 63, 1<<64 - 1, lastClock - 1}[b[0]%5]
			n := Node{Ref: Ref{ID: [16]byte{byte(len(all) / 2)}, Author: Author{byte(len(all) % 2)}}, Clock: clock}
			for _, p := range b[1:3] {
				n.Names = append(n.Names, Ref{ID: [16]byte{p % 32}, Author: Author{p >> 7}})
			}
			all = append(all, n)
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		shuffled := slices.Clone(all)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		_, looped := Ranks(all)
		Sort(all)
		Sort(shuffled)
		at := map[Ref]int{}
		for i := range all {
			if at[all[i].Ref] = i; all[i].Ref != shuffled[i].Ref {
				t.Fatalf("in one order %v, in another %v", all, shuffled)
			}
		}
		for i := range all {
			for _, p := range all[i].Names {
				if j, ok := at[p]; ok && j >= i && !looped {
					t.Fatalf("%d stands at %d, before what it names", i, j)
				}
			}
		}
	})
}
