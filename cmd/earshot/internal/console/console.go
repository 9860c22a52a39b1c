// Package console is a terminal on which somebody types lines at a prompt while
// other lines appear above it.
package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"

	"earshot/cmd/earshot/internal/terminal"
)

const (
	ctrlC = 3
	// maxLine is at how many characters x/term takes no further one, without a word; from
	// there on it does.
	maxLine = 4096
)

// Line is what was typed before Enter.
type Line struct {
	Text    string
	Pasted  bool   // its end, in a paste of several lines: to be taken literally
	Refused string // why it can't be taken; for those who have lines from elsewhere
	Stamp   int64  // of its first key: see Console.Stamp
	Err     error  // io.EOF: Ctrl-D on an empty line; terminal.ErrGone
}

// Console is the terminal. Its methods may be called from any goroutine.
type Console struct {
	// Complete returns what the words before the cursor could become, each replacing
	// all of them. Set it before the first line is read; it is called from the
	// reading goroutine.
	Complete func(head string) []string
	// Stamp is asked whenever something is typed, the moment it is, and each Line has what it
	// said of its first key. Set it before the first line is read.
	Stamp func() int64

	in        io.Reader
	out       io.Writer
	size      func() (width, height int)
	interrupt func()
	restore   func() error
	editor    *term.Terminal
	lines     chan Line
	answered  chan struct{}
	closed    chan struct{}

	ahead  *ahead
	rest   []byte // of what was read next
	stamp  int64  // of rest
	first  int64  // of the line that the editor gets
	inLine bool   // it has got the first of it
	last   byte   // that the editor got
	paste  paste
	pasted bool // the line that the editor gets the end of

	mu      sync.Mutex
	hidden  string // the prompt for a line that isn't to be seen
	width   int
	held    bool         // Enter was pressed, and Answer is due: nothing may be printed
	pending bytes.Buffer // what came meanwhile
	over    bool         // Close was called
}

// Possible reports whether in and out are a terminal that can move its cursor.
func Possible(in, out *os.File) bool {
	return term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb"
}

// Open takes the terminal over. Ctrl-C calls interrupt.
func Open(in, out *os.File, interrupt func()) (*Console, error) {
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("the terminal can't be set up: %w", err)
	}
	c := New(in, out, interrupt)
	c.size = func() (int, int) { return terminal.Size(out) }
	c.restore = func() error { return term.Restore(int(in.Fd()), state) }
	c.resize()
	c.editor.SetBracketedPasteMode(true)
	return c, nil
}

// New returns a console on what is in raw mode already, or only stands for a terminal,
// of 80 columns.
func New(in io.Reader, out io.Writer, interrupt func()) *Console {
	c := &Console{
		in: in, out: out, interrupt: interrupt,
		size:     func() (int, int) { return 80, 24 },
		restore:  func() error { return nil },
		Stamp:    func() int64 { return 0 },
		ahead:    newAhead(),
		lines:    make(chan Line),
		answered: make(chan struct{}),
		closed:   make(chan struct{}),
		width:    80,
	}
	c.editor = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{(*input)(c), out}, "")
	c.editor.AutoCompleteCallback = c.key
	return c
}

// Read starts to show the prompt and to read lines. Each must be answered.
func (c *Console) Read(prompt string) <-chan Line {
	c.SetPrompt(prompt)
	go c.ahead.read(c.in, c.Stamp, c.interrupt)
	go func() {
		for {
			text, err := c.read()
			if errors.Is(err, term.ErrPasteIndicator) {
				err = nil // that of our own knows more
			}
			select {
			case c.lines <- Line{Text: text, Pasted: c.pasted, Stamp: c.first, Err: err}:
			case <-c.closed:
				return
			}
			if err != nil {
				return
			}
			select {
			case <-c.answered:
			case <-c.closed:
				return
			}
		}
	}()
	return c.lines
}

// Gone is closed when the terminal has gone: no lines come from then on but those typed before.
func (c *Console) Gone() <-chan struct{} { return c.ahead.gone }

// Hide has the next line asked for by prompt, and neither shown nor remembered. It is called
// before Answer.
func (c *Console) Hide(prompt string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hidden = prompt
	return true
}

// read reads a line.
func (c *Console) read() (string, error) {
	c.mu.Lock()
	hidden := c.hidden
	c.hidden = ""
	c.mu.Unlock()
	if hidden != "" {
		return c.editor.ReadPassword(hidden)
	}
	return c.editor.ReadLine()
}

// Answer ends the handling of a line: what was printed since Enter is shown, then the
// prompt comes back.
func (c *Console) Answer() {
	c.mu.Lock()
	c.flush()
	c.mu.Unlock()
	select {
	case c.answered <- struct{}{}:
	case <-c.closed:
	}
}

// Recall makes lines what the arrow keys bring back.
func (c *Console) Recall(lines []string) {
	for _, l := range lines {
		if !strings.Contains(l, "\n") {
			c.editor.History.Add(l)
		}
	}
}

// Print shows text, which must be harmless, above the prompt.
func (c *Console) Print(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	if c.held {
		c.pending.WriteString(text + "\n")
		return
	}
	c.resize()
	// The editor counts a wide character as one column and may leave some of the
	// line behind.
	fmt.Fprintf(c.editor, "\r\x1b[J%s\n", text)
}

// SetPrompt changes the prompt at once.
func (c *Console) SetPrompt(prompt string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.editor.SetPrompt(prompt)
	if !c.held {
		fmt.Fprint(c.editor, "\r\x1b[J")
	}
}

// Width returns the columns of the terminal.
func (c *Console) Width() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.width
}

// Close gives the terminal back as it was. It may be called more than once.
func (c *Console) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.flush()
	c.over = true
	close(c.closed)
	c.editor.SetPrompt("")
	c.editor.SetBracketedPasteMode(false)
	fmt.Fprint(c.out, "\r\x1b[J")
	_ = c.restore()
}

// flush ends the time in which nothing may be printed. c.mu is held.
func (c *Console) flush() {
	c.held = false
	if c.pending.Len() > 0 {
		_, _ = c.editor.Write(c.pending.Bytes())
		c.pending.Reset()
	}
}

// resize asks for the terminal's size, which is simpler than a signal and works on
// every system. c.mu is held, or nobody else is there yet.
func (c *Console) resize() {
	if w, h := c.size(); w != c.width {
		c.width = w
		_ = c.editor.SetSize(w, h)
	}
}

// key sees every key that the editor has no use for.
func (c *Console) key(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		if utf8.RuneCountInString(line) == maxLine && key >= ' ' && utf8.ValidRune(key) {
			return line[:pos] + string(key) + line[pos:], pos + utf8.RuneLen(key), true
		}
		return "", 0, false
	}
	var found []string
	if c.Complete != nil {
		found = c.Complete(line[:pos])
	}
	switch len(found) {
	case 0:
		return line, pos, true
	case 1:
		found[0] += " "
	}
	common := found[0]
	for _, f := range found[1:] {
		n := 0
		for n < len(common) && n < len(f) && common[n] == f[n] {
			n++
		}
		for n > 0 && !utf8.ValidString(common[:n]) {
			n--
		}
		common = common[:n]
	}
	if len(common) <= pos && len(found) > 1 {
		c.Print(strings.Join(found, "   "))
		return line, pos, true
	}
	return common + line[pos:], len(common), true
}

// input is the reading side that the editor sees. It passes on one line at a time, and
// holds what others want to print from an Enter until it is answered.
type input Console

func (in *input) Read(b []byte) (int, error) {
	c := (*Console)(in)
	c.mu.Lock()
	c.flush() // an Enter that gave no line
	c.mu.Unlock()
	n, ended := 0, false
	for n == 0 {
		if len(c.rest) == 0 {
			next, err := c.ahead.next()
			if err != nil {
				return 0, terminal.ErrGone
			}
			c.rest, c.stamp = next.text, next.stamp
		}
		n, ended = in.line(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resize()
	c.held = ended
	return n, nil
}

// line moves what was read into b, up to the end of a line.
func (in *input) line(b []byte) (n int, ended bool) {
	for len(in.rest) > 0 && n < len(b) {
		if !in.inLine {
			in.inLine, in.first = true, in.stamp
		}
		char, last := in.rest[0], in.last
		in.rest, in.last = in.rest[1:], char
		if char == '\n' && last == '\r' {
			continue
		}
		b[n] = char
		n++
		if char == '\r' || char == '\n' {
			in.pasted, in.inLine = in.paste.took(char), false
			return n, true
		}
		if in.paste.took(char) { // its last line, which has no end: or it would be edited alone
			in.rest = append([]byte{'\r'}, in.rest...)
		}
	}
	return n, false
}

// paste follows what is pasted, between ESC[200~ and ESC[201~.
type paste struct {
	on, broken bool
	ends       bool    // with a line that has no end
	since      int     // bytes since a line began
	last       [6]byte // of all
}

// took takes the next byte, and reports whether that ends a pasted line, or all that was
// pasted in the midst of one, of several.
func (p *paste) took(char byte) bool {
	copy(p.last[:], p.last[1:])
	p.last[len(p.last)-1] = char
	p.since++
	switch string(p.last[:]) {
	case "\x1b[200~":
		*p = paste{on: true}
	case "\x1b[201~":
		p.on, p.ends = false, p.broken && p.since > len(p.last)
		return p.ends
	}
	if char != '\r' && char != '\n' {
		return false
	}
	pasted := p.on || p.ends
	p.broken, p.ends, p.since = true, false, 0
	return pasted
}
