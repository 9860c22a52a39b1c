package main

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"earshot/chat"
	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/console"
)

// fakeTerminal stands for a person at a screen.
type fakeTerminal struct {
	t    *testing.T
	keys *io.PipeWriter
	end  chan error

	mu     sync.Mutex
	screen bytes.Buffer
	news   chan struct{}
}

func (m *fakeTerminal) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.screen.Write(b)
	select {
	case m.news <- struct{}{}:
	default:
	}
	return len(b), nil
}

// sees waits until text is on the screen, after what it saw before.
func (m *fakeTerminal) sees(text string) {
	m.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		m.mu.Lock()
		i := bytes.Index(m.screen.Bytes(), []byte(text))
		if i >= 0 {
			m.screen.Next(i + len(text))
		}
		rest := m.screen.String()
		m.mu.Unlock()
		if i >= 0 {
			return
		}
		select {
		case <-m.news:
		case <-limit:
			m.t.Fatalf("%q never came; since then: %q", text, rest)
		}
	}
}

func (m *fakeTerminal) types(keys string) {
	m.t.Helper()
	if _, err := io.WriteString(m.keys, keys); err != nil {
		m.t.Fatal(err)
	}
}

// person starts somebody who can be reached by address only.
func person(t *testing.T, name string) *app.App {
	t.Helper()
	a, err := app.Start(app.Config{Name: name, Dir: t.TempDir()}, false)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sit puts a person before a terminal, in the lobby.
func sit(t *testing.T, a *app.App) *fakeTerminal {
	t.Helper()
	in, keys := io.Pipe()
	m := &fakeTerminal{t: t, keys: keys, end: make(chan error, 1), news: make(chan struct{}, 1)}
	con := console.New(in, m, func() {})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s, err := newSession(&process{}, a, app.Config{}, app.DefaultSettings())
		if err == nil {
			s.Attend(true)
			p := newPlain(a, s, false)
			p.bell = true
			err = p.onConsole(ctx, con)
		}
		m.end <- err
		con.Close()
		a.Close(func(chat.Event) {})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return m
}

func loopback(a *app.App) string {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port).String()
}

func TestPlain(t *testing.T) {
	anaApp, bobApp := person(t, "ana"), person(t, "bob")
	ana, bob := sit(t, anaApp), sit(t, bobApp)
	ana.sees("you are ana")
	ana.types("nobody\r")
	ana.sees("nobody called nobody is visible")
	ana.types(loopback(bobApp) + "\rhello bob\r") // the line waits for the call
	ana.sees("you talk with bob")
	ana.sees("delivered: hello bob")
	bob.sees("\a")
	bob.sees("ana: hello bob")
	bob.sees("to answer, type: ana")

	bob.types("an\t\r") // by the name that came with the message
	bob.sees("you talk with ana")
	bob.types("//help\r")
	bob.sees("delivered: /help")
	bob.types("/nonsense\r/me waves\r:smile:\t\r")
	bob.sees("there is no /nonsense")
	ana.sees("bob: /help")
	ana.sees("* bob waves")
	ana.sees("bob: 😄")

	ana.types("/help\r")
	ana.sees("/who")
	ana.types("/rename bob Bobby from work\r")
	ana.sees("bob is called Bobby from work here")
	ana.types("/who\r")
	ana.sees("Bobby from work: here")
	ana.types("/verify\r")
	ana.sees("see the same six words?")
	ana.types("/verify yes\r")
	ana.sees("Bobby from work is verified")
	ana.sees("Bobby from work\u2714> ")
	ana.types("\x1b[200~/one\n  two\nthree\x1b[201~\r")
	ana.sees("3 lines pasted")
	ana.sees("delivered: ")
	bob.sees("ana: /one\r\n      two\r\n    three")
	ana.types("\x1b[200~never\nsaid\x1b[201~/cancel\r")
	ana.sees("2 lines pasted")
	ana.sees("nothing was said")

	bob.types("/name robert\r")
	bob.sees("you are robert from now on")
	ana.sees("Bobby from work\u2714 is now called robert")
	ana.types("/search hello\r")
	ana.sees("ana: hello bob")
	bob.types("/close\r")
	bob.sees("talk with> ")
	bob.types("/bye\r")
	if err := <-bob.end; err != nil {
		t.Errorf("bob's end: %v", err)
	}
	ana.sees("Bobby from work\u2714 has left")
	ana.types("too late\r")
	ana.sees("queued: too late")
	ana.types("\x04")
	if code, text, _ := explain(<-ana.end); code != exitUndelivered || !strings.Contains(text, "Bobby") {
		t.Errorf("ana's end: %d %s", code, text)
	}
}

// It rings for what is worth it, where that is wanted, and not for each of many lines.
func TestPlainRings(t *testing.T) {
	p := newPlain(nil, nil, false)
	loud := app.News{Kind: app.Said, Notify: true}
	if p.ring(loud) != "" {
		t.Error("it rings though that isn't wanted")
	}
	p.bell = true
	if p.ring(app.News{Kind: app.Said}) != "" {
		t.Error("it rings for somebody muted")
	}
	if p.ring(loud) != "\a" || p.ring(loud) != "" {
		t.Error("it should ring once")
	}
}

// Whatever a peer says, no line that it makes can pass for another's or one's own.
func TestPlainIsHarmless(t *testing.T) {
	anaApp, eveApp := person(t, "ana"), person(t, "e\x1b[2Jve: hi\n> 14:03")
	ana := sit(t, anaApp)
	defer eveApp.Close(func(chat.Event) {})
	to, err := eveApp.Node.Open(t.Context(), chat.Target{Addrs: []netip.AddrPort{netip.MustParseAddrPort(loopback(anaApp))}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eveApp.Node.Send(to.Key, "one\n14:04 bob: two\r\n\x1b]0;title\a\u202ethree\xff\u2028> 14:05 four ✓"); err != nil {
		t.Fatal(err)
	}
	ana.sees("e␛[2Jve꞉ hi␊> 14꞉03: one\r\n    14:04 bob: two\r\n    ␛]0;title␇three\ufffd\r\n    > 14:05 four ✓\r\n")
}

// A line typed for a conversation that doesn't begin goes nowhere, though another is open; one
// typed once that was said goes to the one that is.
func TestPlainStrays(t *testing.T) {
	anaApp, bobApp := person(t, "ana"), person(t, "bob")
	ana, bob := sit(t, anaApp), sit(t, bobApp)
	ana.sees("you are ana")
	ana.types(loopback(bobApp) + "\r")
	ana.sees("you talk with bob")
	ana.types("/to nobody\ra secret\r/me tells it\r\x1b[200~more\nof it\x1b[201~\r")
	ana.sees("nobody called nobody is visible")
	ana.sees("not said, as it was for another conversation: a secret")
	ana.sees("not said, as it was for another conversation: /me tells it")
	ana.sees("not said, as it was for another conversation: of it")
	ana.types("for bob\r")
	ana.sees("delivered: for bob")
	ana.types("/to 127.0.0.1:1\rfor whoever is called\r") // while it is called
	ana.sees("127.0.0.1:1 doesn't answer")
	ana.sees("not said, as it was for another conversation: for whoever is called")
	ana.types("/close\rnobody\rbob\rhello\r") // a name isn't one of these
	ana.sees("nobody called nobody is visible")
	ana.sees("not said, as it was for another conversation: bob")
	ana.types("/to bob\ronce more\r")
	ana.sees("delivered: once more")
	bob.sees("ana: for bob")
	bob.sees("ana: once more")
	if rest := bob.rest(); strings.Contains(rest, "secret") || strings.Contains(rest, "whoever") || strings.Contains(rest, "of it") {
		t.Errorf("bob sees %q", rest)
	}
}

// rest is what is on the screen after what was seen.
func (m *fakeTerminal) rest() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.screen.String()
}
