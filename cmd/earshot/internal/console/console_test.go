package console

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"earshot/cmd/earshot/internal/terminal"
)

// screen collects what is written and tells when something has been.
type screen struct {
	mu  sync.Mutex
	all bytes.Buffer
	got chan struct{}
}

func newScreen() *screen { return &screen{got: make(chan struct{}, 1)} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Write(b)
	select {
	case s.got <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// await waits until text has been written.
func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for !strings.Contains(s.String(), text) {
		select {
		case <-s.got:
		case <-limit:
			t.Fatalf("%q never appeared in %q", text, s.String())
		}
	}
}

func TestLinesAndEcho(t *testing.T) {
	keys, typist := io.Pipe()
	out := newScreen()
	c := New(keys, out, func() {})
	defer c.Close()
	lines := c.Read("> ")
	go func() { _, _ = io.WriteString(typist, "hello\rworld\r") }()

	line := <-lines
	if line.Text != "hello" || line.Err != nil {
		t.Fatalf("got %+v", line)
	}
	c.Print("ana: hi") // between Enter and its answer: must wait for it
	c.Answer()
	out.await(t, "> hello\r\nana: hi\r\n> ")

	line = <-lines
	if line.Text != "world" {
		t.Fatalf("got %+v", line)
	}
	c.Answer()
	out.await(t, "world\r\n> ")

	go func() { _, _ = io.WriteString(typist, "\x04") }()
	if line = <-lines; !errors.Is(line.Err, io.EOF) {
		t.Fatalf("Ctrl-D gave %+v", line)
	}
}

func TestPrintKeepsWhatIsTyped(t *testing.T) {
	keys, typist := io.Pipe()
	out := newScreen()
	c := New(keys, out, func() {})
	defer c.Close()
	lines := c.Read("> ")
	go func() { _, _ = io.WriteString(typist, "half") }()
	out.await(t, "half")
	c.Print("ana: hi")
	if !strings.HasSuffix(out.String(), "ana: hi\r\n> half") {
		t.Errorf("the typed line didn't come back: %q", out.String())
	}
	go func() { _, _ = io.WriteString(typist, "way\r") }()
	if line := <-lines; line.Text != "halfway" {
		t.Errorf("got %+v", line)
	}
}

func TestInterruptAndPaste(t *testing.T) {
	keys, typist := io.Pipe()
	interrupted := make(chan struct{}, 1)
	c := New(keys, newScreen(), func() { interrupted <- struct{}{} })
	defer c.Close()
	lines := c.Read("> ")
	go func() { _, _ = io.WriteString(typist, "\x03\x1b[200~/etc/passwd\r\n\x1b[201~") }()
	<-interrupted
	if line := <-lines; line.Text != "/etc/passwd" || !line.Pasted {
		t.Errorf("got %+v", line)
	}
}

// All lines of a paste are pasted, in whatever pieces they come: also the first where
// something stood before it, and the last, which has no end.
func TestPastedLines(t *testing.T) {
	for _, piece := range []int{1, 3, 7, 100} {
		keys, typist := io.Pipe()
		c := New(keys, newScreen(), func() {})
		lines := c.Read("> ")
		go func() {
			all := "so \x1b[200~one\r\n\r\nthree\x1b[201~/cancel\r\x1b[200~alone\x1b[201~\r\x1b[200~with an end\n\x1b[201~\r"
			for i := 0; i < len(all); i += piece {
				_, _ = io.WriteString(typist, all[i:min(len(all), i+piece)])
			}
		}()
		for _, want := range []Line{
			{Text: "so one", Pasted: true},
			{Pasted: true},
			{Text: "three", Pasted: true},
			{Text: "/cancel"},
			{Text: "alone"},
			{Text: "with an end", Pasted: true},
			{},
		} {
			if line := <-lines; line != want {
				t.Errorf("in pieces of %d: got %+v, want %+v", piece, line, want)
			}
			c.Answer()
		}
		c.Close()
	}
}

// Nothing is cut, however much is typed or pasted.
func TestLongLines(t *testing.T) {
	for _, around := range []string{"%", "\x1b[200~%\x1b[201~"} {
		for _, want := range []string{strings.Repeat("x", 4096) + "y", strings.Repeat("word ", 900), strings.Repeat("漢", 5000)} {
			keys, typist := io.Pipe()
			c := New(keys, newScreen(), func() {})
			lines := c.Read("> ")
			go func() { _, _ = io.WriteString(typist, strings.Replace(around, "%", want, 1)+"\r") }()
			if line := <-lines; line.Text != want {
				t.Errorf("%d bytes of %d arrived, by %q", len(line.Text), len(want), around)
			}
			c.Close()
		}
	}
}

func TestComplete(t *testing.T) {
	names := []string{"ana", "anna", "żółw", "żółty"}
	for typed, want := range map[string]string{
		"b\t": "b", "a\t": "an", "an\tn": "ann", "ann\thi": "anna hi", "ż\t": "żół",
	} {
		keys, typist := io.Pipe()
		c := New(keys, newScreen(), func() {})
		c.Complete = func(head string) []string {
			var found []string
			for _, n := range names {
				if strings.HasPrefix(n, head) {
					found = append(found, n)
				}
			}
			return found
		}
		lines := c.Read("> ")
		go func() { _, _ = io.WriteString(typist, typed+"\r") }()
		if line := <-lines; line.Text != want {
			t.Errorf("%q became %q, want %q", typed, line.Text, want)
		}
		c.Close()
	}
}

func TestRecall(t *testing.T) {
	keys, typist := io.Pipe()
	c := New(keys, newScreen(), func() {})
	defer c.Close()
	c.Recall([]string{"one", "two\nlines", "three"})
	lines := c.Read("> ")
	go func() { _, _ = io.WriteString(typist, "\x1b[A\x1b[A\r") }()
	if line := <-lines; line.Text != "one" {
		t.Errorf("two up is %q", line.Text)
	}
}

// A line has the stamp of its first key, though what it waits for goes on meanwhile; and that
// the terminal has gone shows at once, and after the lines.
func TestStampsAndEnd(t *testing.T) {
	keys, typist := io.Pipe()
	stamp, stamped := int64(0), make(chan struct{}, 10)
	c := New(keys, newScreen(), func() {})
	defer c.Close()
	c.Stamp = func() int64 { defer func() { stamped <- struct{}{} }(); return stamp }
	lines := c.Read("> ")
	types := func(text string) { _, _ = io.WriteString(typist, text); <-stamped }
	types("one\rtwo\rhal")
	stamp = 1
	types("f\rthree")
	stamp = 2
	types("\r")
	_ = typist.Close()
	<-c.Gone()
	for _, want := range []Line{{Text: "one"}, {Text: "two"}, {Text: "half"}, {Text: "three", Stamp: 1}} {
		if line := <-lines; line != want {
			t.Errorf("got %+v, want %+v", line, want)
		}
		c.Answer()
	}
	if line := <-lines; !errors.Is(line.Err, terminal.ErrGone) {
		t.Errorf("at the end: %+v", line)
	}
}
