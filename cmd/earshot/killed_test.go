package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"earshot/chat/store"
	"earshot/discovery/lantest"
)

// killsIn is set in the environment to how often TestKilled kills.
const killsIn = "EARSHOT_KILLS"

// talker is somebody who talks with somebody else by address, over and over again.
type talker struct {
	t           *testing.T
	name, dir   string
	port, other string
	env         []string

	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bytes.Buffer
	said  int // lines offered to programs so far
	shown []string
}

// start starts a chat in which a line is offered every few milliseconds.
func (k *talker) start(args ...string) {
	k.t.Helper()
	path := program(k.t)
	k.cmd = exec.Command(path, append([]string{"--dir", k.dir, "--name", k.name, "--port", k.port, "--hidden"}, args...)...)
	k.cmd.Env = append(os.Environ(), k.env...)
	k.out = &bytes.Buffer{}
	k.cmd.Stdout = k.out
	var err error
	if k.stdin, err = k.cmd.StdinPipe(); err != nil {
		k.t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = k.cmd.Process.Kill() })
}

// offer writes lines for a while, or until the program is gone.
func (k *talker) offer(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		k.said++
		if _, err := fmt.Fprintf(k.stdin, "%s %d\n", k.name, k.said); err != nil {
			return
		}
	}
}

// wait takes what the program has shown once it has ended.
func (k *talker) wait() error {
	err := k.cmd.Wait()
	for line := range strings.Lines(k.out.String()) {
		if _, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok && strings.HasSuffix(line, "\n") {
			k.shown = append(k.shown, text)
		}
	}
	return err
}

// log returns what the talker has said and heard, in the order it was kept.
func (k *talker) log() (said, heard []string) {
	k.t.Helper()
	s, err := store.Open(k.dir)
	if err != nil {
		k.t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Log(store.Filter{})
	if err != nil {
		k.t.Fatal(err)
	}
	for _, m := range all {
		switch {
		case !m.Out:
			heard = append(heard, m.Text)
		case m.Status == store.Done:
			said = append(said, m.Text)
		default:
			k.t.Errorf("%s: %s is %v", k.name, m.Text, m.Status)
		}
	}
	return said, heard
}

func freePort(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Skipf("no UDP: %v", err)
	}
	defer conn.Close()
	return strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)
}

// Programs that start at once in an empty directory become one person.
func TestStartTogether(t *testing.T) {
	path := program(t)
	dir := filepath.Join(t.TempDir(), "new")
	ids := make([]string, 8)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			out, err := exec.Command(path, "--dir", dir, "--name", "ana", "people").CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), "earshot: you know nobody yet") {
				t.Errorf("%v: %s", err, out)
			}
			id, err := exec.Command(path, "--dir", dir, "--name", "ana", "id", "--json").Output()
			if err != nil {
				t.Errorf("%v: %s", err, id)
			}
			ids[i] = string(id)
		})
	}
	all.Wait()
	if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
		t.Errorf("they are several: %q", ids)
	}
}

// Two programs talk with each other while one, the other or both are killed at random
// instants. What each of them has kept as said is heard by the other, all of it, once,
// in order, and shown no more than once.
func TestKilled(t *testing.T) {
	kills := 12
	if n, err := strconv.Atoi(os.Getenv(killsIn)); err == nil {
		kills = n
	}
	lo := lantest.Loopback(t)
	env := []string{"EARSHOT_INTERFACE=" + lo}
	ana := &talker{t: t, name: "ana", dir: filepath.Join(t.TempDir(), "ana"), port: freePort(t), env: env}
	bob := &talker{t: t, name: "bob", dir: filepath.Join(t.TempDir(), "bob"), port: freePort(t), env: env}
	ana.other, bob.other = "127.0.0.1:"+bob.port, "127.0.0.1:"+ana.port
	both := []*talker{ana, bob}
	for _, k := range both {
		k.start("chat", k.other)
	}
	for n := 0; n < kills; {
		d := time.Duration(rand.Int64N(int64(250 * time.Millisecond)))
		together := make(chan struct{})
		go func() {
			ana.offer(d)
			close(together)
		}()
		bob.offer(d)
		<-together
		victims := both
		if one := rand.IntN(9); one < 8 {
			victims = both[one%2 : one%2+1]
		}
		for _, k := range victims {
			_ = k.cmd.Process.Kill()
			n++
		}
		for _, k := range victims {
			_ = k.wait()
			k.start("chat", k.other)
		}
	}
	// At the end everybody says a last word and waits for all to be delivered.
	for _, k := range both {
		k.offer(100 * time.Millisecond)
	}
	_ = ana.stdin.Close()
	if err := ana.wait(); err != nil {
		t.Errorf("ana: %v", err)
	}
	ana.start("listen")
	_ = bob.stdin.Close()
	if err := bob.wait(); err != nil {
		t.Errorf("bob: %v", err)
	}
	if ana.cmd.Process.Signal(os.Interrupt) != nil { // where there are no signals
		_ = ana.cmd.Process.Kill()
	}
	_ = ana.wait()

	anaSaid, anaHeard := ana.log()
	bobSaid, bobHeard := bob.log()
	for _, way := range []struct {
		who         string
		said, heard []string
		shown       []string
	}{{"ana", anaSaid, bobHeard, bob.shown}, {"bob", bobSaid, anaHeard, ana.shown}} {
		if len(way.said) < kills {
			t.Errorf("%s has said %d only", way.who, len(way.said))
		}
		if !slices.Equal(way.said, way.heard) {
			t.Errorf("%s has said %d, and %d were heard; %s", way.who, len(way.said), len(way.heard), difference(way.said, way.heard))
		}
		number := func(text string) (n int) {
			_, _ = fmt.Sscanf(text, way.who+" %d", &n)
			return n
		}
		if !slices.IsSortedFunc(way.said, func(a, b string) int { return number(a) - number(b) }) {
			t.Errorf("what %s has said is out of order", way.who)
		}
		seen := map[string]bool{}
		for _, text := range way.shown {
			if seen[text] {
				t.Errorf("%q was shown twice", text)
			}
			seen[text] = true
		}
	}
	t.Logf("%d and %d messages over %d kills", len(anaSaid), len(bobSaid), kills)
}

// difference says where two lists part.
func difference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("at %d: %q and %q", i, a[i], b[i])
		}
	}
	return "one is longer"
}
