package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/cmd/earshot/internal/app"
)

// reads returns a process whose standard input is that.
func reads(t *testing.T, input string) *process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = w.WriteString(input)
		_ = w.Close()
	}()
	t.Cleanup(func() { _ = r.Close() })
	return &process{in: r}
}

// What standard input holds means the same to send, where it is one message, and to chat,
// where it is a message a line.
func TestInput(t *testing.T) {
	most := strings.Repeat("x", chat.MaxText)
	for _, tt := range []struct {
		name, input string
		one         string // what send makes of it, or its error
		lines       string // what chat does
	}{
		{"lines", "one\ntwo\n\n", "one\ntwo\n", "one|two||"},
		{"lines of Windows", "one\r\ntwo\r\n", "one\ntwo", "one|two|"},
		{"lines of old", "one\rtwo\r", "one\ntwo", "one\ntwo|"},
		{"a byte order mark", "\ufeffone\r\n", "one", "one|"},
		{"blanks", " \t\r\n \r\n", "the message is empty", "||"},
		{"only a mark", "\ufeff", "the message is empty", "|"},
		{"nothing", "", "the message is empty", ""},
		{"NUL", "a\x00b\nc\n", "the message has a NUL byte, and isn't text", "(has a NUL byte, and isn't text)|c|"},
		{"Latin-1", "caf\xe9\n", "the message isn't UTF-8 text", "(isn't UTF-8 text)|"},
		{"UTF-16", "\xff\xfeh\x00i\x00\n\x00", "the message is UTF-16 text, not UTF-8", "the message is UTF-16 text, not UTF-8|"},
		{"the longest", "\ufeff" + most + "\r\n" + "y", "the message is longer than 65536 bytes", most + "|y|"},
		{"the longest alone", "\ufeff" + most + "\r\n", most, most + "|"},
		{"the most line ends", strings.Repeat("\r\n", chat.MaxText-1) + "xy\r\n", "the message is longer than 65536 bytes", ""},
		{"as many as go", strings.Repeat("\r\n", chat.MaxText-1) + "x\r\n", strings.Repeat("\n", chat.MaxText-1) + "x", ""},
		{"too long", most + "x\nz", "the message is longer than 65536 bytes", "(is longer than 65536 bytes)|z|"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := reads(t, tt.input).text(t.Context(), nil)
			if err != nil {
				code, text, remedy := explain(err)
				if got = text; code != exitUsage || !strings.HasPrefix(remedy, "nothing was sent") {
					t.Errorf("exit code %d, %q", code, remedy)
				}
			}
			if got != tt.one {
				t.Errorf("send: %.60q, want %.60q", got, tt.one)
			}
			if tt.lines == "" && tt.input != "" {
				return
			}
			var b strings.Builder
			for l := range readLines(strings.NewReader(tt.input)) {
				switch {
				case l.err != nil:
					fmt.Fprintf(&b, "%v|", l.err)
				case l.refused != "":
					fmt.Fprintf(&b, "(%s)|", l.refused)
				default:
					fmt.Fprintf(&b, "%s|", l.text)
				}
			}
			if got := b.String(); got != tt.lines {
				t.Errorf("chat: %.60q, want %.60q", got, tt.lines)
			}
		})
	}
	// Words of the command line are no exception.
	for words, want := range map[string]string{"\ufeffone\r\ntwo": "one\ntwo", "a\x00b": "", "\u200b": ""} {
		if got, _ := reads(t, "").text(t.Context(), []string{words}); got != want {
			t.Errorf("%q becomes %q", words, got)
		}
	}
}

// Between pipes what is for a room goes to no other of its name.
func TestPipeRoomReplaced(t *testing.T) {
	for name, happens := range map[string]func(a *app.App) error{
		"left":         func(a *app.App) error { return a.Node.Leave("#dev") },
		"another":      func(a *app.App) error { return a.Node.Join(chat.Membership{Name: "#dev"}) },
		"another key":  func(a *app.App) error { return a.Node.Join(chat.Membership{Name: "#dev", Key: room.Key{2}}) },
		"the same one": func(a *app.App) error { return a.Node.Join(chat.Membership{Name: "#dev", Key: room.Key{1}}) },
	} {
		t.Run(name, func(t *testing.T) {
			a := person(t, "ana")
			defer a.Close(func(chat.Event) {})
			if err := a.Node.Join(chat.Membership{Name: "#dev", Key: room.Key{1}}); err != nil {
				t.Fatal(err)
			}
			in, typist, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			said, notes, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer said.Close()
			p := &process{in: in, out: notes, err: notes}
			ended := make(chan error, 1)
			go func() { ended <- p.pipeRoom(t.Context(), a, "#dev", time.Second); notes.Close() }()
			buf := make([]byte, 1000)
			if n, err := said.Read(buf); err != nil || !strings.Contains(string(buf[:n]), "in #dev") {
				t.Fatalf("%q, %v", buf[:n], err)
			}
			if err := happens(a); err != nil {
				t.Fatal(err)
			}
			_, _ = typist.WriteString("the line\n")
			_ = typist.Close()
			err = <-ended
			if code, text, _ := explain(err); errors.Is(err, chat.ErrNotIn) != (name != "the same one") || name != "the same one" && code != exitFailure {
				t.Errorf("exit code %d, %s", code, text)
			}
		})
	}
}
