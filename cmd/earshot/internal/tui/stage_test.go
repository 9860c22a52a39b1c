package tui

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/discovery"
)

var update = flag.Bool("update", false, "write the golden frames anew")

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// stage is a model with its session, without a terminal: what the session asks of others
// is answered here, and what the model asks for is run. It lives in a synctest bubble.
type stage struct {
	t     *testing.T
	m     *model
	s     *app.Session
	node  *node
	store *store.Store
	book  *app.Book
	msgs  chan tea.Msg
	ids   uint64
	quit  bool
}

// node stands for the chat node.
type node struct {
	app.Node
	ids     uint64
	last    chat.MessageID
	sent    []string
	to      []chat.Key // of those that went to somebody
	refuses error
	store   *store.Store
	members map[string][]chat.Person // of the rooms that I am in
	keys    map[string]bool          // which are private
	had     int                      // how many have what was said last in #here
	answers chan chat.Person         // who is called by address
}

func (n *node) Open(_ context.Context, t chat.Target) (chat.Person, error) {
	if t.Addrs != nil {
		return <-n.answers, nil
	}
	return chat.Person{Key: t.Key}, nil
}

func (n *node) Watch(chat.Key, bool) {}

func (n *node) Survey(context.Context) {}

func (n *node) Members(room string) []chat.Person { return n.members[room] }

func (n *node) Rooms() (all []chat.Room) {
	for _, name := range slices.Sorted(maps.Keys(n.members)) {
		handle := name
		if n.keys[name] {
			handle += "·01"
		}
		all = append(all, chat.Room{Name: name, Handle: handle, Joined: true, Members: len(n.members[name]) + 1, Private: n.keys[name]})
	}
	return all
}

func (n *node) SendRoom(room, text string) (chat.MessageID, []chat.Person, error) {
	n.ids++
	n.last = chat.MessageID{1}
	binary.BigEndian.PutUint64(n.last[8:], n.ids)
	n.sent = append(n.sent, text)
	n.had = 0
	return n.last, n.members[room], nil
}

func (n *node) Delivery(id chat.MessageID) (got, of int, missing []chat.Missing) {
	to := n.members["#here"]
	for _, p := range to[n.had:] {
		missing = append(missing, chat.Missing{Person: p})
	}
	return n.had, len(to), missing
}

func (n *node) Typing(chat.Key) {}

func (n *node) Send(to chat.Key, text string) (chat.MessageID, error) {
	if n.refuses != nil {
		return chat.MessageID{}, n.refuses
	}
	n.ids++
	n.last = chat.MessageID{1}
	binary.BigEndian.PutUint64(n.last[8:], n.ids)
	n.sent, n.to = append(n.sent, text), append(n.to, to)
	if n.store != nil {
		if _, err := n.store.Said(chat.Saying{To: to, ID: n.last, Text: text, Sent: time.Now()}); err != nil {
			return n.last, err
		}
	}
	return n.last, nil
}

var (
	me    = chat.Person{Key: chat.Key{9, 9}, Name: "ana"}
	bob   = chat.Person{Key: chat.Key{2}, Name: "bob"}
	carol = chat.Person{Key: chat.Key{3}, Name: "carol"}
	dave  = chat.Person{Key: chat.Key{4}, Name: "dave"}
)

// onStage runs f at 14:57 of a Saturday.
func onStage(t *testing.T, f func(*stage)) { t.Helper(); onKeptStage(t, false, f) }

func onKeptStage(t *testing.T, kept bool, f func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(14*time.Hour + 57*time.Minute)
		g := &stage{t: t, node: &node{members: map[string][]chat.Person{}, keys: map[string]bool{}, answers: make(chan chat.Person)}, msgs: make(chan tea.Msg, 10000)}
		if kept {
			var err error
			if g.store, err = store.Open(t.TempDir()); err != nil {
				t.Fatal(err)
			}
			defer g.store.Close()
			g.node.store = g.store
		}
		g.begin()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g.m.ctx, g.m.env = ctx, uv.Environ{"TERM=xterm-256color"}
		g.do(tea.WindowSizeMsg{Width: 80, Height: 24}, due{})
		f(g)
		time.Sleep(3 * time.Second) // for the last tick, which nothing stops
		if err := g.s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// begin makes the session and the model.
func (g *stage) begin() {
	g.book = &app.Book{}
	if g.store != nil {
		if err := g.book.Read(g.store); err != nil {
			g.t.Fatal(err)
		}
	}
	var err error
	g.s, err = app.NewSession(app.SessionConfig{
		Me: me, Node: g.node, Book: g.book, Store: g.store, Settings: app.DefaultSettings(),
		Rename: func(string) error { return nil },
		Join: func(m chat.Membership) error {
			g.node.members[m.Name], g.node.keys[m.Name] = nil, !m.Key.IsZero()
			return nil
		},
		Leave:   func(name string) error { delete(g.node.members, name); return nil },
		Explain: func(err error) string { return err.Error() },
		Diagnose: func(context.Context) string {
			return "1. the firewall of this machine (ufw) drops what comes to UDP port 41027: others can't begin to talk with you\n" +
				"   let it in:\n       sudo ufw allow 41027/udp"
		},
	}, time.Now())
	if err != nil {
		g.t.Fatal(err)
	}
	if g.m, err = newModel(Config{Session: g.s, Network: "eth0", Settings: app.DefaultSettings()}, colorprofile.ANSI256); err != nil {
		g.t.Fatal(err)
	}
}

// restart begins anew with what the store has by now.
func (g *stage) restart() {
	g.t.Helper()
	ctx, env := g.m.ctx, g.m.env
	g.begin()
	g.m.ctx, g.m.env = ctx, env
	g.do(tea.WindowSizeMsg{Width: 80, Height: 24}, due{})
}

// do gives messages to the model, and what comes of them.
func (g *stage) do(msgs ...tea.Msg) {
	g.t.Helper()
	for _, msg := range msgs {
		g.give(msg)
	}
	g.settle()
}

func (g *stage) give(msg tea.Msg) {
	switch msg := msg.(type) {
	case nil:
	case tea.QuitMsg:
		g.quit = true
	case tea.BatchMsg:
		for _, cmd := range msg {
			g.start(cmd)
		}
	default:
		_, cmd := g.m.Update(msg)
		g.start(cmd)
	}
	if g.m.crash != nil {
		g.t.Fatalf("%v\n%s", g.m.crash.Value, g.m.crash.Stack)
	}
}

func (g *stage) start(cmd tea.Cmd) {
	if cmd != nil {
		go func() { g.msgs <- cmd() }()
	}
}

// settle runs what is under way to its end.
func (g *stage) settle() {
	for {
		synctest.Wait()
		select {
		case msg := <-g.msgs:
			g.give(msg)
		default:
			return
		}
	}
}

// pass lets time go by.
func (g *stage) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(100*time.Millisecond, time.Until(end)))
		g.settle()
	}
}

// press presses keys by their names; type_ types text.
func (g *stage) press(names ...string) {
	g.t.Helper()
	for _, name := range names {
		g.do(keyPress(name))
	}
}

func (g *stage) types(text string) {
	g.t.Helper()
	for _, r := range text {
		g.do(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
}

func keyPress(name string) tea.KeyPressMsg {
	var k tea.KeyPressMsg
	parts := strings.Split(name, "+")
	for _, mod := range parts[:len(parts)-1] {
		k.Mod |= map[string]tea.KeyMod{"ctrl": tea.ModCtrl, "alt": tea.ModAlt, "shift": tea.ModShift}[mod]
	}
	last := parts[len(parts)-1]
	codes := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight,
		"home": tea.KeyHome, "end": tea.KeyEnd, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace, "delete": tea.KeyDelete, "f1": tea.KeyF1, "f2": tea.KeyF2, "f3": tea.KeyF3, "f4": tea.KeyF4,
	}
	if code, ok := codes[last]; ok {
		k.Code = code
	} else {
		k.Code, _ = utf8.DecodeRuneInString(last)
		if k.Mod == 0 {
			k.Text = last
		}
	}
	return k
}

func (g *stage) sees(people ...chat.Person) {
	g.t.Helper()
	var a arrived
	for _, p := range people {
		a.seen = append(a.seen, discovery.Event{Change: discovery.Up, Peer: discovery.Peer{
			ID: p.Key.String(), Name: p.Name, Addrs: []netip.AddrPort{netip.MustParseAddrPort("198.18.0.2:41027")},
		}})
	}
	g.do(a)
}

func (g *stage) event(kind chat.Kind, p chat.Person) {
	g.t.Helper()
	g.do(arrived{chat: []chat.Event{{Kind: kind, Person: p}}})
}

// says has somebody say something.
func (g *stage) says(p chat.Person, text string) {
	g.t.Helper()
	g.ids++
	id := chat.MessageID{2}
	binary.BigEndian.PutUint64(id[8:], g.ids)
	if g.store != nil {
		if _, err := g.store.Heard(p, id, text, time.Now(), time.Now()); err != nil {
			g.t.Fatal(err)
		}
	}
	g.do(arrived{chat: []chat.Event{{Kind: chat.Message, Person: p, ID: id, Text: text, Sent: time.Now(), Received: time.Now()}}})
}

// saysIn has somebody say something in a room.
func (g *stage) saysIn(room string, p chat.Person, text string) {
	g.t.Helper()
	g.ids++
	id := chat.MessageID{2}
	binary.BigEndian.PutUint64(id[8:], g.ids)
	now := time.Now()
	g.do(arrived{chat: []chat.Event{{
		Kind: chat.Message, Person: p, ID: id, Text: text, Sent: now, Received: now, Room: room, Clock: uint64(now.UnixMilli()),
	}}})
}

// eventIn has something happen in a room.
func (g *stage) eventIn(kind chat.Kind, room string, people ...chat.Person) {
	g.t.Helper()
	for _, p := range people {
		g.do(arrived{chat: []chat.Event{{Kind: kind, Person: p, Room: room, ID: g.node.last}}})
	}
}

// say types a line and sends it; delivered acknowledges the last one.
func (g *stage) say(text string) { g.t.Helper(); g.types(text); g.press("enter") }

func (g *stage) delivered(p chat.Person) {
	g.t.Helper()
	g.do(arrived{chat: []chat.Event{{Kind: chat.Delivered, Person: p, ID: g.node.last}}})
}

// screen draws the frame as the terminal gets it, with its styles.
func (g *stage) screen(width, height int, profile colorprofile.Profile) *uv.ScreenBuffer {
	g.do(tea.WindowSizeMsg{Width: width, Height: height})
	v := g.m.View()
	buf := uv.NewScreenBuffer(width, height)
	if g.m.cells.clusters {
		buf.Method = ansi.GraphemeWidth
	}
	if got := strings.Count(v.Content, "\n") + 1; got > height {
		g.t.Errorf("%d rows in a frame of %d", got, height)
	}
	uv.NewStyledString(v.Content).Draw(buf, buf.Bounds())
	if v.Cursor != nil && (v.Cursor.X >= width || v.Cursor.Y >= height || v.Cursor.X < 0 || v.Cursor.Y < 0) {
		g.t.Errorf("the cursor stands at %d,%d of %dx%d", v.Cursor.X, v.Cursor.Y, width, height)
	}
	return &buf
}

func (g *stage) frame(width, height int) string {
	g.t.Helper()
	return g.plain(g.screen(width, height, colorprofile.ANSI256))
}

func (g *stage) plain(buf *uv.ScreenBuffer) string {
	var b strings.Builder
	for _, line := range buf.Lines {
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return string(g.m.cells.stand.restore([]byte(b.String())))
}

func (g *stage) styled(profile colorprofile.Profile, on ground) string {
	g.m.profile, g.m.ground = profile, on
	g.m.dress()
	buf := g.screen(80, 24, profile)
	var out bytes.Buffer
	w := colorprofile.Writer{Forward: &out, Profile: profile}
	if _, err := w.WriteString(buf.Render()); err != nil {
		g.t.Fatal(err)
	}
	return string(g.m.cells.stand.restore([]byte(strings.ReplaceAll(out.String(), "\r\n", "\n"))))
}

// golden compares the frames of this state, at three sizes and in three dresses.
func (g *stage) golden(name string) {
	g.t.Helper()
	var plain, styled strings.Builder
	for _, size := range [][2]int{{80, 24}, {40, 12}, {120, 40}} {
		fmt.Fprintf(&plain, "%dx%d %s\n%s", size[0], size[1], strings.Repeat("=", size[0]-8), g.frame(size[0], size[1]))
	}
	profile, on := g.m.profile, g.m.ground
	for _, dress := range []struct {
		name    string
		profile colorprofile.Profile
		on      ground
	}{{"dark", colorprofile.TrueColor, dark}, {"light", colorprofile.ANSI256, light}, {"16 colours", colorprofile.ANSI, unknown}, {"NO_COLOR", colorprofile.ASCII, unknown}} {
		fmt.Fprintf(&styled, "%s\n%s\n", dress.name, g.styled(dress.profile, dress.on))
	}
	g.m.profile, g.m.ground = profile, on
	g.m.dress()
	g.frame(80, 24)
	compare(g.t, name+".txt", plain.String())
	compare(g.t, name+".ansi", styled.String())
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (if it is meant so: go test -run %s -update)\ngot:\n%s\nwant:\n%s", path, t.Name(), got, want)
	}
}
