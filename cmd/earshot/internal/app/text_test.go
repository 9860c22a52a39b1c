package app

import (
	"slices"
	"strings"
	"testing"

	"earshot/chat"
	"earshot/discovery"
)

// One rule says what a message is, wherever it comes from.
func TestText(t *testing.T) {
	most := strings.Repeat("x", chat.MaxText)
	for _, tt := range []struct{ raw, want, bad string }{
		{"hello", "hello", ""},
		{"one\r\ntwo\rthree\n", "one\ntwo\nthree\n", ""},
		{"\ufeffhello", "hello", ""},
		{"\ufeff/to bob\r\n", "/to bob\n", ""},
		{"  indented", "  indented", ""},
		{most, most, ""},
		{"\ufeff" + strings.Repeat("x\r\n", chat.MaxText/2), strings.Repeat("x\n", chat.MaxText/2), ""},
		{most + "x", "", "the message is longer than 65536 bytes"},
		{most + "\xff", "", "the message is longer than 65536 bytes"},
		{"", "", "the message is empty"},
		{" \t\r\n\u00a0\u3000", "", "the message is empty"},
		{"\ufeff\u200b\u2060\u2800\u3164", "", "the message is empty"}, // nothing of that is seen
		{"a\x00b", "", "the message has a NUL byte, and isn't text"},
		{"\x00", "", "the message has a NUL byte, and isn't text"},
		{"caf\xe9", "", "the message isn't UTF-8 text"},
		{"\xff\xfeh\x00i\x00", "", "the message is UTF-16 text, not UTF-8"},
		{"\xfe\xff\x00h\x00i", "", "the message is UTF-16 text, not UTF-8"},
	} {
		got, err := Text(tt.raw)
		bad := ""
		if err != nil {
			bad = err.Error()
		}
		if got != tt.want || bad != tt.bad {
			t.Errorf("%.40q becomes %.40q, %q", tt.raw, got, bad)
		}
	}
}

// It holds for all that is typed and pasted, between two and in rooms.
func TestTextIsTyped(t *testing.T) {
	d := newDesk(t)
	d.sees(ana, discovery.Up)
	d.sees(bob, discovery.Up)
	d.types("\ufeff/to ana")
	for _, line := range []string{"one\r\ntwo", "\ufeff//to", "a\x00b", " \u200b ", "/msg bob x\ry", "/msg bob \x00", "/me \ufeff", "/msg #here a\r\nb"} {
		d.types(line)
	}
	d.Say(Conv{Key: ana.Key}, "\ufeffpasted\r\ntext\r", d.now)
	d.Say(Conv{Key: ana.Key}, "\r\n \r\n", d.now)
	d.Say(Conv{Room: "#here"}, "pasted\x00", d.now)
	if want := []string{"1: one\ntwo", "1: /to", "2: x\ny", "#here: a\nb", "1: pasted\ntext\n"}; !slices.Equal(d.said, want) {
		t.Errorf("said %q, want %q", d.said, want)
	}
	if got, want := d.told(), "has a NUL byte, and isn't text"; strings.Count(got, want) != 3 {
		t.Errorf("told %q", got)
	}
}
