package wire

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestDatagramsRoundTrip(t *testing.T) {
	noise := func(n int) []byte { return bytes.Repeat([]byte{7}, n) }
	hello := Hello{Sender: 0x01020304, Cookie: [16]byte{1, 2, 3}, Noise: noise(HelloSize - 24)}
	if b := hello.Append(nil); len(b) != HelloSize {
		t.Errorf("a hello has %d bytes, SPEC §3 says %d", len(b), HelloSize)
	} else if got, err := ParseHello(b); err != nil || !reflect.DeepEqual(got, hello) {
		t.Errorf("hello came back as %+v, %v", got, err)
	}
	for _, a := range []Answer{
		{Type: TypeReply, Sender: 1, Receiver: 2, Noise: noise(ReplySize - 12)},
		{Type: TypeFinal, Sender: 3, Receiver: 4, Noise: noise(FinalSize - 12)},
	} {
		if got, err := ParseAnswer(a.Append(nil)); err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("answer came back as %+v, %v", got, err)
		}
	}
	cookie := Cookie{Receiver: 9, Cookie: [16]byte{5}}
	if got, err := ParseCookie(cookie.Append(nil)); err != nil || got != cookie {
		t.Errorf("cookie came back as %+v, %v", got, err)
	}
	unknown := Unknown{Receiver: 9, Counter: 1 << 40}
	if got, err := ParseUnknown(unknown.Append(nil)); err != nil || got != unknown {
		t.Errorf("unknown came back as %+v, %v", got, err)
	}
	sealed := append(AppendSealedHeader(nil, 77, 1<<50), noise(Tag)...)
	if index, counter, rest, err := ParseSealed(sealed); err != nil || index != 77 || counter != 1<<50 || len(rest) != Tag {
		t.Errorf("sealed header came back as %d, %d, %d bytes, %v", index, counter, len(rest), err)
	}
}

// What draws an answer is never smaller than the answer (SPEC §10).
func TestAnswersDoNotAmplify(t *testing.T) {
	for what, sizes := range map[string][2]int{
		"reply to a hello":           {HelloSize, ReplySize},
		"cookie for a hello":         {HelloSize, CookieReply},
		"unknown for the least seal": {SealedHeader + Tag, UnknownSize},
	} {
		if sizes[1] > sizes[0] {
			t.Errorf("%s: %d bytes draw %d", what, sizes[0], sizes[1])
		}
	}
}

func TestMalformedDatagrams(t *testing.T) {
	parsers := map[string]func([]byte) error{
		"hello":   func(b []byte) error { _, err := ParseHello(b); return err },
		"answer":  func(b []byte) error { _, err := ParseAnswer(b); return err },
		"cookie":  func(b []byte) error { _, err := ParseCookie(b); return err },
		"unknown": func(b []byte) error { _, err := ParseUnknown(b); return err },
		"sealed":  func(b []byte) error { _, _, _, err := ParseSealed(b); return err },
	}
	good := map[string][]byte{
		"hello":   (&Hello{Noise: make([]byte, HelloSize-24)}).Append(nil),
		"answer":  (&Answer{Type: TypeFinal, Noise: make([]byte, FinalSize-12)}).Append(nil),
		"cookie":  (&Cookie{}).Append(nil),
		"unknown": (&Unknown{}).Append(nil),
		"sealed":  make([]byte, SealedHeader+Tag),
	}
	good["sealed"][0] = TypeSealed
	for name, parse := range parsers {
		b := good[name]
		if err := parse(b); err != nil {
			t.Errorf("%s: a good one is refused: %v", name, err)
		}
		bad := map[string][]byte{
			"empty":         {},
			"short":         b[:len(b)-1],
			"of other type": append([]byte{0x3f}, b[1:]...),
		}
		if name != "sealed" {
			bad["long"] = append(bytes.Clone(b), 0)
			bad["of other version"] = append([]byte{b[0], 2}, b[2:]...)
		} else {
			bad["long"] = append(bytes.Clone(b), make([]byte, MaxDatagram)...)
		}
		for what, c := range bad {
			if err := parse(c); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s, %s: got %v, want ErrMalformed", name, what, err)
			}
		}
	}
}

func TestFramesRoundTrip(t *testing.T) {
	frames := []Frame{
		{Type: FrameMessage, Seq: 1, ID: bytes.Repeat([]byte{9}, 16), Sent: 1_700_000_000_000, Count: 3, Data: []byte("text")},
		{Type: FrameMessage, Seq: 1 << 40, Data: bytes.Repeat([]byte("x"), 1024)},
		{Type: FrameAck, Seq: 5, Sack: 1 << 63, Sack2: 3},
		{Type: FramePing},
		{Type: FramePong},
		{Type: FrameBye},
	}
	var buf bytes.Buffer
	for i := range frames {
		AppendFrame(&buf, &frames[i])
	}
	rest := buf.Bytes()
	for i := range frames {
		var f Frame
		var err error
		if rest, err = NextFrame(rest, &f); err != nil || !reflect.DeepEqual(f, frames[i]) {
			t.Fatalf("frame %d came back as %+v, %v", i, f, err)
		}
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes left over", len(rest))
	}
}

// A later version may add keys and frames (SPEC §6).
func TestUnknownKeysAreIgnored(t *testing.T) {
	b := []byte{0xa3, 0x00, 0x03, 0x18, 0x63, 0x61, 'x', 0x18, 0x64, 0x81, 0x01} // {0: 3, 99: "x", 100: [1]}
	var f Frame
	if rest, err := NextFrame(b, &f); err != nil || len(rest) != 0 || f.Type != FramePing {
		t.Errorf("got %+v, %v, %d bytes left", f, err, len(rest))
	}
}

// Those of a type that isn't known end nothing.
func TestUnknownTypesAreFrames(t *testing.T) {
	for _, b := range [][]byte{
		{0xa1, 0x00, 0x18, 0x20},
		{0xa3, 0x00, 0x19, 0xff, 0xff, 0x01, 0x07, 0x05, 0x41, 'x'},
	} {
		var f Frame
		if rest, err := NextFrame(append(b, 0xa1), &f); err != nil || len(rest) != 1 || f.Type <= FrameTyping {
			t.Errorf("got %+v, %v, %d bytes left", f, err, len(rest))
		}
	}
}

func TestMalformedFrames(t *testing.T) {
	for what, b := range map[string][]byte{
		"empty":               {},
		"not a map":           {0x01},
		"cut off":             {0xa2, 0x00},
		"indefinite map":      {0xbf, 0x00, 0x03, 0xff},
		"indefinite string":   {0xa2, 0x00, 0x01, 0x05, 0x5f, 0x41, 'x', 0xff},
		"repeated key":        {0xa2, 0x00, 0x03, 0x00, 0x03},
		"tag":                 {0xa1, 0x00, 0xc1, 0x03},
		"text for a bstr":     {0xa2, 0x00, 0x01, 0x05, 0x61, 'x'},
		"type too large":      {0xa1, 0x00, 0x1a, 0x00, 0x01, 0x00, 0x00},
		"string beyond input": {0xa2, 0x00, 0x01, 0x05, 0x59, 0xff, 0xff, 'x'},
	} {
		var f Frame
		if _, err := NextFrame(b, &f); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", what, err)
		}
	}
}

func TestIntroduction(t *testing.T) {
	long := strings.Repeat("ñ", 31)
	in := Introduction{Name: long, Instance: []byte("12345678"), Capabilities: math.MaxUint64}
	for i := range byte(MaxAddrs) {
		in.Addrs = append(in.Addrs, AppendAddr(nil, netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 15: i}), 41027)))
	}
	b, err := MarshalIntroduction(&in)
	if err != nil || len(b) != IntroSize {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if out, err := ParseIntroduction(b); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("came back as %+v, %v", out, err)
	}
	for _, want := range []string{"198.18.0.1:41027", "[fd00::1]:1"} {
		if a, err := ParseAddr(AppendAddr(nil, netip.MustParseAddrPort(want))); err != nil || a.String() != want {
			t.Errorf("%s came back as %v, %v", want, a, err)
		}
	}
	for _, b := range [][]byte{nil, {1}, {1, 2, 3}, make([]byte, 17)} {
		if a, err := ParseAddr(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x read as %v, %v", b, a, err)
		}
	}
	if c := in.Capabilities; !c.Has(CanDecline|SmallFragments) || CanDecline.Has(SmallFragments) || !CanDecline.Has(0) {
		t.Errorf("%b holds the wrong capabilities", c)
	}
	if _, err := MarshalIntroduction(&Introduction{Name: strings.Repeat("x", IntroSize)}); err == nil {
		t.Error("a name that does not fit was taken")
	}
	if _, err := ParseIntroduction(make([]byte, IntroSize)); !errors.Is(err, ErrMalformed) {
		t.Errorf("zeros: got %v, want ErrMalformed", err)
	}
}

func FuzzFrames(f *testing.F) {
	var buf bytes.Buffer
	AppendFrame(&buf, &Frame{Type: FrameMessage, Seq: 1, ID: make([]byte, 16), Count: 2, Data: []byte("x")})
	AppendFrame(&buf, &Frame{Type: FrameAck, Seq: 5, Sack: 1})
	AppendFrame(&buf, &Frame{Type: FrameDeclined, Seq: 5, ID: make([]byte, 16), Reason: Quota})
	AppendFrame(&buf, &Frame{Type: FrameRooms, Seq: 1, Data: []byte("x"), Block: 15, Whole: MaxState})
	f.Add(buf.Bytes())
	f.Add([]byte{0xbf, 0x00, 0x03, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			var first, again Frame
			rest, err := NextFrame(b, &first)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			var buf bytes.Buffer
			AppendFrame(&buf, &first)
			if left, err := NextFrame(buf.Bytes(), &again); err != nil || len(left) != 0 || !same(&first, &again) {
				t.Fatalf("%+v written and read again is %+v, %v", first, again, err)
			}
			b = rest
		}
	})
}

// same compares frames; an empty byte string is as good as none.
func same(a, b *Frame) bool {
	return a.Type == b.Type && a.Seq == b.Seq && bytes.Equal(a.ID, b.ID) && a.Sent == b.Sent &&
		a.Count == b.Count && bytes.Equal(a.Data, b.Data) && a.Sack == b.Sack && a.Sack2 == b.Sack2 &&
		a.Form == b.Form && a.Reason == b.Reason && a.Block == b.Block && a.Whole == b.Whole
}

func FuzzDatagrams(f *testing.F) {
	f.Add((&Hello{Noise: make([]byte, HelloSize-24)}).Append(nil))
	f.Add((&Answer{Type: TypeReply, Noise: make([]byte, ReplySize-12)}).Append(nil))
	f.Add((&Answer{Type: TypeFinal, Noise: make([]byte, FinalSize-12)}).Append(nil))
	f.Add((&Cookie{}).Append(nil))
	f.Add((&Unknown{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseHello(b); err == nil && !equalButReserved(h.Append(nil), b) {
			t.Error("hello changed")
		}
		if a, err := ParseAnswer(b); err == nil && !equalButReserved(a.Append(nil), b) {
			t.Error("answer changed")
		}
		if c, err := ParseCookie(b); err == nil && !equalButReserved(c.Append(nil), b) {
			t.Error("cookie changed")
		}
		if u, err := ParseUnknown(b); err == nil && !equalButReserved(u.Append(nil), b) {
			t.Error("unknown changed")
		}
	})
}

// equalButReserved compares all but the two bytes that readers ignore.
func equalButReserved(a, b []byte) bool {
	return len(a) == len(b) && bytes.Equal(a[:2], b[:2]) && bytes.Equal(a[4:], b[4:])
}
