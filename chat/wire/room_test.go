package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func tags() (all [][]byte) {
	for i := range RoomTags {
		all = append(all, bytes.Repeat([]byte{byte(i)}, TagSize))
	}
	return all
}

func TestRoomState(t *testing.T) {
	most := RoomState{Tags: tags(), Passing: true}
	for range MaxRooms {
		most.Open = append(most.Open, "#"+strings.Repeat("x", 31))
	}
	for what, s := range map[string]RoomState{"in none": {Tags: tags()}, "the longest": most} {
		b, err := MarshalRoomState(&s)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, err := ParseRoomState(b)
		if err != nil || !slices.Equal(got.Open, s.Open) || !slices.EqualFunc(got.Tags, s.Tags, bytes.Equal) || got.Passing != s.Passing {
			t.Errorf("%s: read as %+v, %v", what, got, err)
		}
		if _, err := ParseRoomState(append(b, 0)); err == nil {
			t.Errorf("%s: taken with something behind", what)
		}
	}
	most.Open = append(most.Open, "#one-more")
	short := RoomState{Tags: tags()}
	short.Tags[3] = short.Tags[3][1:]
	for what, s := range map[string]RoomState{"too many rooms": most, "no tags": {}, "a short tag": short} {
		b, err := MarshalRoomState(&s)
		if err != nil {
			continue
		}
		if _, err := ParseRoomState(b); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

func TestRoomHead(t *testing.T) {
	id, parent := make([]byte, TagSize), make([]byte, ParentSize)
	full := RoomHead{Private: id, Clock: 1 << 62}
	for range MaxParents {
		full.Parents = append(full.Parents, parent)
	}
	for what, h := range map[string]RoomHead{"open": {Name: "#here", Clock: 1}, "the longest": full} {
		b, err := MarshalRoomHead(&h)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, text, err := ParseRoomHead(string(b) + "text")
		if err != nil || text != "text" || got.Name != h.Name || !bytes.Equal(got.Private, h.Private) || got.Clock != h.Clock || len(got.Parents) != len(h.Parents) {
			t.Errorf("%s: read as %+v, %q, %v", what, got, text, err)
		}
		if _, _, err := ParseRoomHead(string(b)); err == nil {
			t.Errorf("%s: taken without a text", what)
		}
	}
	many := full
	many.Parents = append(slices.Clone(full.Parents), parent)
	for what, h := range map[string]RoomHead{
		"in no room": {Clock: 1}, "in two": {Name: "#here", Private: id}, "a short id": {Private: id[1:]}, "too many parents": many,
		"a short parent": {Name: "#here", Parents: [][]byte{parent[1:]}},
	} {
		b, err := MarshalRoomHead(&h)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := ParseRoomHead(string(b) + "text"); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// Whatever parses has the form, and is written as something that parses to the same.
func FuzzRoomState(f *testing.F) {
	b, err := MarshalRoomState(&RoomState{Open: []string{"#here"}, Tags: tags()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseRoomState(b)
		if err != nil {
			return
		}
		if len(s.Tags) != RoomTags || len(s.Open) > MaxRooms {
			t.Fatalf("%d tags, %d rooms", len(s.Tags), len(s.Open))
		}
		again, err := MarshalRoomState(&s)
		if err != nil {
			return // longer than it was: it wasn't written the shortest way
		}
		if o, err := ParseRoomState(again); err != nil || !slices.Equal(o.Open, s.Open) {
			t.Fatalf("read back as %+v, %v", o, err)
		}
	})
}

func FuzzRoomHead(f *testing.F) {
	b, err := MarshalRoomHead(&RoomHead{Name: "#here", Clock: 5, Parents: [][]byte{make([]byte, ParentSize)}, Earlier: [][]byte{make([]byte, ParentSize)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(b) + "text")
	f.Fuzz(func(t *testing.T, message string) {
		h, text, err := ParseRoomHead(message)
		if err != nil {
			return
		}
		if text == "" || !strings.HasSuffix(message, text) || len(message)-len(text) > MaxRoomHead {
			t.Fatalf("text %q of %q", text, message)
		}
		if len(h.Parents) > MaxParents || len(h.Earlier) > MaxParents {
			t.Fatalf("%d and %d parents", len(h.Parents), len(h.Earlier))
		}
		for _, p := range slices.Concat(h.Parents, h.Earlier) {
			if len(p) != ParentSize {
				t.Fatalf("a parent of %d bytes", len(p))
			}
		}
	})
}
