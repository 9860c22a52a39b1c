package room

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var begin = time.UnixMilli(1_700_000_000_000)

func TestParseName(t *testing.T) {
	for arg, want := range map[string]string{
		"#here": "#here", "#Dev": "#dev", "#a.b-c_d": "#a.b-c_d", "#café": "#café", "#cafe\u0301": "#café", "#42": "#42",
		"#" + strings.Repeat("x", 31): "#" + strings.Repeat("x", 31),
		"#" + strings.Repeat("x", 32): "", "": "", "#": "", "here": "", "##here": "", "#-x": "", "#a b": "", "#a\x1b": "", "#a\u200b": "", "#\xff": "",
	} {
		got, err := ParseName(arg)
		if got != want || (err != nil) != (want == "") || err != nil && !errors.Is(err, ErrName) {
			t.Errorf("%q: %q, %v; want %q", arg, got, err, want)
		}
	}
}

func TestMentions(t *testing.T) {
	for text, want := range map[string]bool{
		"@ana look": true, "hi @ana": true, "hi @Ana, you": true, "(@ANA)": true, "@anabel @ana": true,
		"ana": false, "@anabel": false, "me@ana": false, "@ an": false, "": false,
	} {
		if got := Mentions(text, "ana"); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if Mentions("@ all", "") {
		t.Error("a name that is empty was mentioned")
	}
}

// A tag is good for one session, person, version and key only.
func TestTag(t *testing.T) {
	key, other := Key{1}, Key{2}
	tag := key.Tag([32]byte{3}, [32]byte{4}, 5)
	if !key.Made(tag[:], [32]byte{3}, [32]byte{4}, 5) {
		t.Error("a tag isn't known again")
	}
	if key.Made(tag[:], [32]byte{9}, [32]byte{4}, 5) || key.Made(tag[:], [32]byte{3}, [32]byte{9}, 5) ||
		key.Made(tag[:], [32]byte{3}, [32]byte{4}, 9) || other.Made(tag[:], [32]byte{3}, [32]byte{4}, 5) {
		t.Error("a tag is good elsewhere")
	}
}

func TestMeter(t *testing.T) {
	var m Meter
	now := begin
	for i := range burst {
		if ok, _ := m.Take(now); !ok {
			t.Fatalf("message %d of a burst refused", i)
		}
	}
	ok, again := m.Take(now)
	if ok || !again.After(now) || again.Sub(now) > time.Second/perSecond+2*time.Millisecond {
		t.Fatalf("over the burst: %v, again %v later", ok, again.Sub(now))
	}
	if ok, _ := m.Take(again); !ok {
		t.Error("refused when it said to ask again")
	}
	taken := 0
	for now = again; now.Before(again.Add(10 * time.Second)); now = now.Add(time.Millisecond) {
		if ok, _ := m.Take(now); ok {
			taken++
		}
	}
	if taken < 10*perSecond-2 || taken > 10*perSecond+2 {
		t.Errorf("%d taken in 10 s", taken)
	}
}

// talk is an Order under test, with messages named by a letter.
type talk struct {
	t *testing.T
	Order[string]
	now   time.Time
	shown []string
	away  map[Author]Patience // others are present
}

func ref(name string) Ref { return Ref{ID: [16]byte{name[0]}, Author: Author{name[0]}} }

func (k *talk) recalls(r Ref, clock time.Time, parents ...Ref) {
	k.Recall(begin, r, uint64(clock.UnixMilli()), parents, nil, false)
}

func (k *talk) hears(name string, clock int, parents ...string) {
	m := Message[string]{Ref: ref(name), Clock: uint64(begin.UnixMilli() + int64(clock)), Body: name, Size: 10}
	for _, p := range parents {
		m.Parents = append(m.Parents, ref(p))
	}
	k.take(k.Add(k.now, m, func(a Author) Patience {
		if p, ok := k.away[a]; ok {
			return p
		}
		return Present
	}))
}

func (k *talk) take(all []Message[string]) {
	for _, m := range all {
		k.shown = append(k.shown, m.Body)
	}
}

func (k *talk) passes(d time.Duration) { k.now = k.now.Add(d); k.take(k.Due(k.now)) }

func (k *talk) expect(want string) {
	k.t.Helper()
	if got := strings.Join(k.shown, ""); got != want {
		k.t.Fatalf("shown %q, want %q", got, want)
	}
}

func newTalk(t *testing.T) *talk { return &talk{t: t, now: begin, away: map[Author]Patience{}} }

func TestAnswerWaitsForQuestion(t *testing.T) {
	k := newTalk(t)
	k.hears("c", 3, "b")
	k.hears("b", 2, "a")
	k.expect("")
	if k.Wake() != begin.Add(holdFor) {
		t.Errorf("wakes %v later", k.Wake().Sub(begin))
	}
	k.hears("x", 9)
	k.expect("x")
	k.hears("a", 1)
	k.expect("xabc")
	if !k.Wake().IsZero() {
		t.Error("still waits for something")
	}
}

// What answers something that was held back when the program ended waits for the question, too.
func TestRecalled(t *testing.T) {
	k := newTalk(t)
	past := begin.Add(-time.Second)
	k.recalls(ref("x"), begin.Add(-time.Hour), ref("w"))
	k.recalls(ref("b"), past, ref("a"), ref("x"))
	k.hears("y", 1, "x") // of then nobody brings anything any more
	k.expect("y")
	k.hears("c", 2, "b")
	k.expect("y")
	k.hears("a", 3)
	k.expect("yac")
	k.passes(holdFor)
	k.recalls(ref("z"), past, ref("v"))
	k.hears("d", 4, "z") // so long after the start nothing of then waits any more
	k.expect("yacd")
}

// What a recalled message waits for, what names it does too, through others as well and in whatever order they were kept.
func TestRecalledThroughOthers(t *testing.T) {
	for _, order := range []string{"bcd", "dcb"} {
		k := newTalk(t)
		parent := map[byte]string{'b': "a", 'c': "b", 'd': "c"}
		for i := range order {
			k.recalls(ref(order[i:i+1]), begin.Add(-time.Second), ref(parent[order[i]]))
		}
		k.hears("e", 2, "d")
		k.expect("")
		k.hears("a", 3)
		k.expect("ae")
	}
}

func TestPatience(t *testing.T) {
	const hour = int(time.Hour / time.Millisecond)
	k := newTalk(t)
	k.away = map[Author]Patience{{'r'}: Refused, {'g'}: Absent}
	k.Began = begin.Add(-time.Second)
	k.hears("a", -hour, "r")
	k.expect("a")
	k.hears("b", -1001, "g", "r") // said before we came, and who was answered is gone
	k.passes(holdBriefly - time.Millisecond)
	k.expect("a")
	k.passes(time.Millisecond)
	k.expect("ab")
	k.hears("h", -1001, "i") // who is here gives us what they have said
	k.passes(holdHistory)
	k.expect("abh")
	k.hears("c", 3, "p", "r") // once p is here, nobody waits for r
	k.passes(holdFor - time.Millisecond)
	k.hears("p", 2)
	k.expect("abhpc")
	k.hears("d", 40_000, "q")
	k.passes(holdFor)
	k.expect("abhpcd")
	k.hears("e", 70_000, "q") // who was waited for in vain is waited for briefly
	k.passes(holdBriefly)
	k.expect("abhpcde")
	k.hears("q", 3) // too late, but it comes
	k.expect("abhpcdeq")
	m := Message[string]{Ref: ref("f"), Clock: uint64(k.now.UnixMilli()), Body: "f"}
	m.Parents = []Ref{{ID: [16]byte{'Q'}, Author: Author{'q'}}}
	k.Add(k.now, m, func(Author) Patience { return Present })
	k.passes(holdFor - time.Millisecond)
	k.expect("abhpcdeq")
}

// Where both clocks show 1970 nothing tells when the answer was said: its question is waited for.
func TestPatienceWithoutClocks(t *testing.T) {
	k := newTalk(t)
	k.now = time.UnixMilli(1000)
	k.away[Author{'q'}] = Absent
	k.take(k.Add(k.now, Message[string]{Ref: ref("a"), Clock: 900, Parents: []Ref{ref("q")}, Body: "a"}, func(Author) Patience { return Absent }))
	k.passes(holdFor - time.Millisecond)
	k.expect("")
	k.take(k.Add(k.now, Message[string]{Ref: ref("q"), Clock: 800, Body: "q"}, nil))
	k.expect("qa")
}

// What is given up on doesn't overtake a parent that is here and waits itself.
func TestForcedInOrder(t *testing.T) {
	k := newTalk(t)
	k.hears("c", 3, "b")
	k.passes(holdFor - time.Second)
	k.hears("b", 2, "a")
	k.passes(time.Second)
	k.expect("bc")
	k.hears("y", 5, "z") // parents of each other: nobody honest says so
	k.hears("z", 6, "y")
	k.passes(holdFor)
	if len(k.shown) != 4 {
		t.Errorf("shown %q", k.shown)
	}
}

func TestParents(t *testing.T) {
	k := newTalk(t)
	k.hears("a", 1)
	k.hears("b", 2)
	clock, parents, _ := k.Next(k.now)
	if fmt.Sprint(parents) != fmt.Sprint([]Ref{ref("a"), ref("b")}) || clock != uint64(begin.UnixMilli()+3) {
		t.Errorf("parents %v, clock %d", parents, clock)
	}
	k.Said(k.now, ref("m"), clock, parents)
	if _, parents, _ = k.Next(k.now); fmt.Sprint(parents) != fmt.Sprint([]Ref{ref("m")}) {
		t.Errorf("parents %v", parents)
	}
	for i := range 3 * maxParents {
		k.hears(string(rune('A'+i)), i)
	}
	if _, parents, _ = k.Next(k.now); len(parents) != maxParents || parents[maxParents-1] != ref(string(rune('A'+3*maxParents-1))) {
		t.Errorf("parents %v", parents)
	}
}

// A clock that is far ahead moves nobody else's, and still stands below what it answers.
func TestHostileClock(t *testing.T) {
	k := newTalk(t)
	k.hears("a", 50_000)
	m := Message[string]{Ref: ref("b"), Clock: 1 << 63, Parents: []Ref{ref("a")}}
	shown := k.Add(k.now, m, nil)
	if len(shown) != 1 || shown[0].Clock != uint64(begin.UnixMilli()+50_001) || shown[0].Late {
		t.Errorf("shown: %+v", shown)
	}
	k.hears("c", 60_000, "b")
	if clock, _, _ := k.Next(k.now); clock != uint64(begin.UnixMilli()+60_001) {
		t.Errorf("the clock stands %d ms after the beginning", clock-uint64(begin.UnixMilli()))
	}
	k.Add(k.now, Message[string]{Ref: ref("d"), Clock: uint64(begin.Add(400 * 24 * time.Hour).UnixMilli())}, nil)
	if clock, _, _ := k.Next(k.now); clock != uint64(begin.UnixMilli()+60_001) {
		t.Errorf("the clock follows one that is wrong, %d ms after the beginning", clock-uint64(begin.UnixMilli()))
	}
}

func TestHeldIsBounded(t *testing.T) {
	k := newTalk(t)
	count := 0
	for i := range 3 * MaxHeld {
		m := Message[string]{Ref: Ref{ID: [16]byte{1, byte(i), byte(i >> 8)}}, Parents: []Ref{{ID: [16]byte{2, byte(i), byte(i >> 8)}}}, Size: 10}
		count += len(k.Add(k.now, m, func(Author) Patience { return Present }))
	}
	if len(k.held) != MaxHeld || count != 2*MaxHeld {
		t.Errorf("%d held, %d shown", len(k.held), count)
	}
	k = newTalk(t)
	for i := range 40 {
		m := Message[string]{Ref: Ref{ID: [16]byte{1, byte(i)}}, Parents: []Ref{{ID: [16]byte{2}}}, Size: 64 << 10}
		k.Add(k.now, m, func(Author) Patience { return Present })
	}
	if k.bytes > MaxBytes || len(k.held) != MaxBytes/(64<<10) {
		t.Errorf("%d bytes in %d held", k.bytes, len(k.held))
	}
	if len(k.known) > maxKnown {
		t.Errorf("%d known", len(k.known))
	}
}

// Whatever comes in whatever order comes out once, and none before a parent that came.
func FuzzOrder(f *testing.F) {
	f.Add([]byte{1, 0, 2, 1, 3, 2, 0, 3}, false)
	f.Fuzz(func(t *testing.T, steps []byte, late bool) {
		var o Order[byte]
		now := begin
		parents, added := map[byte][]byte{}, map[byte]bool{}
		var shown []byte
		take := func(all []Message[byte]) {
			for _, m := range all {
				shown = append(shown, m.Body)
			}
		}
		for i := 0; i+1 < len(steps) && i < 200; i += 2 {
			id := steps[i]
			if added[id] {
				continue
			}
			added[id] = true
			m := Message[byte]{Ref: Ref{ID: [16]byte{id}}, Clock: uint64(steps[i+1]), Body: id}
			if p := steps[i+1]; p != id {
				m.Parents = []Ref{{ID: [16]byte{p}}}
				parents[id] = []byte{p}
			}
			take(o.Add(now, m, func(Author) Patience { return Present }))
		}
		for at, id := range shown { // nothing was given up on yet
			for _, p := range parents[id] {
				if i := slices.Index(shown, p); i < 0 || i > at {
					t.Fatalf("%d is shown before its parent %d: %v", id, p, shown)
				}
			}
		}
		take(o.Due(now.Add(holdFor)))
		slices.Sort(shown)
		if len(shown) != len(added) || len(slices.Compact(shown)) != len(added) {
			t.Fatalf("%d added, shown %v", len(added), shown)
		}
	})
}

// Two members can use the same id: both messages are shown, and each is the parent of what answers it.
func TestOrderOfEqualIDs(t *testing.T) {
	var o Order[string]
	now := time.Unix(1_700_000_000, 0)
	ms := uint64(now.UnixMilli())
	present := func(Author) Patience { return Present }
	one, other := Ref{[16]byte{1}, Author{1}}, Ref{[16]byte{1}, Author{2}}
	show := func(m Message[string]) (texts []string) {
		for _, m := range o.Add(now, m, present) {
			texts = append(texts, m.Body)
		}
		return texts
	}
	if got := show(Message[string]{Ref: one, Clock: ms, Body: "one"}); !slices.Equal(got, []string{"one"}) {
		t.Errorf("shown: %q", got)
	}
	if o.Knows(other) {
		t.Error("another's message of that id counts as known")
	}
	answer := Message[string]{Ref: Ref{[16]byte{2}, Author{1}}, Clock: ms + 2, Parents: []Ref{other}, Body: "answer"}
	if got := show(answer); got != nil {
		t.Errorf("before its question: %q", got)
	}
	if got := show(Message[string]{Ref: other, Clock: ms + 1, Body: "other"}); !slices.Equal(got, []string{"other", "answer"}) {
		t.Errorf("shown: %q", got)
	}
}
