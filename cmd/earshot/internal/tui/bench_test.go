package tui

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/discovery"
)

// crowd returns a session with so many people visible, and so many messages said with
// the first of them.
func crowd(b *testing.B, people, messages int) (*app.Session, *store.Store) {
	b.Helper()
	kept, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { kept.Close() })
	begin := time.Now().Add(-time.Duration(messages) * time.Second)
	for i := range messages {
		id := chat.MessageID{8}
		binary.BigEndian.PutUint64(id[8:], uint64(i))
		at := begin.Add(time.Duration(i) * time.Second)
		if _, err := kept.Heard(person(0), id, sentence(i), at, at); err != nil {
			b.Fatal(err)
		}
	}
	book := &app.Book{}
	if err := book.Read(kept); err != nil {
		b.Fatal(err)
	}
	s, err := app.NewSession(app.SessionConfig{Me: me, Node: &node{}, Book: book, Store: kept, Settings: app.DefaultSettings(), Explain: func(err error) string { return err.Error() }}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	for i := range people {
		p := person(i)
		s.Saw(discovery.Event{Change: discovery.Up, Peer: discovery.Peer{ID: p.Key.String(), Name: p.Name, Addrs: []netip.AddrPort{netip.MustParseAddrPort("198.18.0.2:41027")}}}, time.Now())
	}
	s.Turn(app.Conv{Key: person(0).Key}, time.Now())
	return s, kept
}

func person(i int) chat.Person {
	return chat.Person{Key: chat.Key{1, byte(i), byte(i >> 8)}, Name: fmt.Sprintf("person-%03d", i)}
}

func sentence(i int) string {
	return fmt.Sprintf("message %d ", i) + strings.Repeat("some words, 漢字 and 👩\u200d💻 ", i%5)
}

// Key to frame: how long after a key its frame is written, with 500 people visible, a
// conversation of 100,000 messages, and 200 more arriving per second.
func BenchmarkKeyToFrame(b *testing.B) {
	s, _ := crowd(b, 500, 100_000)
	m, err := newModel(Config{Session: s, Settings: app.DefaultSettings()}, colorprofile.TrueColor)
	if err != nil {
		b.Fatal(err)
	}
	keys, in := io.Pipe()
	written := make(chan string, 10000)
	heard := make(chan chat.Event)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.run(ctx, Config{Session: s, Chat: heard}, tea.WithInput(keys), tea.WithOutput(lines(written)), tea.WithWindowSize(120, 40), tea.WithColorProfile(colorprofile.TrueColor))
	}()
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
				id := chat.MessageID{9}
				binary.BigEndian.PutUint64(id[8:], uint64(i))
				heard <- chat.Event{Kind: chat.Message, Person: person(i % 20), ID: id, Text: sentence(i), Received: time.Now()}
			case <-ctx.Done():
				return
			}
		}
	}()
	time.Sleep(300 * time.Millisecond)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		for len(written) > 0 {
			<-written
		}
		letter := string(rune('A' + i%26)) // no other text has them
		began := time.Now()
		_, _ = io.WriteString(in, letter)
		for !strings.Contains(<-written, letter) {
		}
		took = append(took, time.Since(began))
		_, _ = io.WriteString(in, "\x15") // Ctrl+U
		time.Sleep(20*time.Millisecond + time.Duration(i%17)*time.Millisecond)
	}
	cancel()
	_ = in.Close()
	<-done
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
	b.ReportMetric(0, "ns/op")
}

type lines chan string

func (l lines) Write(p []byte) (int, error) { l <- string(p); return len(p), nil }

// What a key costs, without the terminal: Update and View.
func BenchmarkFrame(b *testing.B) {
	for _, count := range []int{100, 100_000} {
		b.Run(fmt.Sprint(count, " messages"), func(b *testing.B) {
			s, _ := crowd(b, 500, count)
			m, err := newModel(Config{Session: s, Settings: app.DefaultSettings()}, colorprofile.TrueColor)
			if err != nil {
				b.Fatal(err)
			}
			m.Update(tea.WindowSizeMsg{Width: 120, Height: 40})
			for b.Loop() {
				m.Update(tea.KeyPressMsg{Code: 'x', Text: "x"})
				m.View()
				m.Update(tea.KeyPressMsg{Code: 'u', Mod: tea.ModCtrl})
				m.View()
			}
		})
	}
}

// A page up and down in the middle of a conversation of 100,000 lines in memory.
func BenchmarkScroll(b *testing.B) {
	tl := chronicle(100_000)
	tl.scroll(-500)
	for b.Loop() {
		tl.scroll(-18)
		tl.view()
		tl.scroll(18)
		tl.view()
	}
}

// A text as long as can be, laid out anew.
func BenchmarkLayout64K(b *testing.B) {
	text := strings.Repeat("some words, 漢字 and 👩\u200d💻 https://example.org/x ", 1000)
	var c cells
	theme := newTheme(colorprofile.TrueColor, dark)
	for b.Loop() {
		t := normal(text)
		c.layout(t, 60, 80, urls(t, theme.link))
	}
}
