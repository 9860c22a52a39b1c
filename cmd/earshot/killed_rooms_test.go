package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/discovery/lantest"
)

// victim is a program of somebody who listens, killed now and then.
type victim struct {
	t    *testing.T
	args []string
	env  []string
	cmd  *exec.Cmd
	back time.Time // when it is started again; zero: it runs
}

func (l *victim) start() {
	l.t.Helper()
	l.cmd = exec.Command("earshot", l.args...)
	l.cmd.Env = append(os.Environ(), l.env...)
	if err := l.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.back = time.Time{}
	l.t.Cleanup(func() { _ = l.cmd.Process.Kill() })
}

// kill kills it, and has it started again some time later.
func (l *victim) kill() {
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
	l.back = time.Now().Add(time.Duration(rand.Int64N(int64(2500 * time.Millisecond))))
}

// end interrupts it, or kills it where there are no signals.
func (l *victim) end() {
	if l.back.IsZero() {
		if l.cmd.Process.Signal(os.Interrupt) != nil {
			_ = l.cmd.Process.Kill()
		}
		_ = l.cmd.Wait()
	}
}

// Ana talks in a room in which bob is with one of his two programs, both of which are killed again and again. What
// she is told that he has is in his log, once, and so is in the end all that was said to him.
func TestKilledInRoom(t *testing.T) {
	kills := 6
	if n, err := strconv.Atoi(os.Getenv(killsIn)); err == nil {
		kills = n
	}
	room := fmt.Sprintf("#dev-%d", rand.Uint32())
	env := []string{"EARSHOT_INTERFACE=" + lantest.Loopback(t)}
	anaDir, bobDir := filepath.Join(t.TempDir(), "ana"), filepath.Join(t.TempDir(), "bob")
	bob := []string{"--dir", bobDir, "--name", "bob", "--port", "0", "listen"}
	programs := []*victim{{t: t, env: env, args: append(slices.Clip(bob), "--room", room)}, {t: t, env: env, args: bob}}
	for _, l := range programs {
		l.start()
	}
	// She gives all to be delivered, and her sends are delivered later by this program.
	ana := exec.Command("earshot", "--dir", anaDir, "--name", "ana", "--port", "0", "chat", "--timeout", "1m", room)
	ana.Env = append(os.Environ(), env...)
	stdin, err := ana.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	ana.Stderr = &told
	if err := ana.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ana.Process.Kill() })

	acknowledged := sends(t, env, anaDir, room, func() {
		said := 0
		for killed := 0; killed < kills; time.Sleep(20 * time.Millisecond) {
			said++
			if _, err := fmt.Fprintf(stdin, "line %d\n", said); err != nil {
				t.Errorf("ana's program has ended: %v", err)
				return
			}
			for _, l := range programs {
				switch {
				case l.back.IsZero() && rand.IntN(50) == 0:
					l.kill()
					killed++
				case !l.back.IsZero() && time.Now().After(l.back):
					l.start()
				}
			}
		}
	})
	for _, l := range programs {
		if !l.back.IsZero() {
			l.start()
		}
	}
	s, err := store.Open(anaDir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// What a send of hers left in the queue, her program delivers as long as it runs.
	for limit := time.Now().Add(time.Minute); owed(t, s, room) > 0 && time.Now().Before(limit); {
		time.Sleep(50 * time.Millisecond)
	}
	_ = stdin.Close()
	if err := ana.Wait(); err != nil {
		t.Errorf("ana: %v\n%s", err, told.String())
	}
	for _, l := range programs {
		l.end()
	}

	heard := map[string]int{}
	for _, m := range logOf(t, bobDir, room) {
		heard[m.Text]++
	}
	for text, n := range heard {
		if n != 1 {
			t.Errorf("bob has %q %d times", text, n)
		}
	}
	for text := range acknowledged {
		if heard[text] == 0 {
			t.Errorf("send %q exited 0, and bob doesn't have it", text)
		}
	}
	all, delivered := logOf(t, anaDir, room), 0
	for _, m := range all {
		got, of, missing, err := s.Delivery(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got > 0 {
			if delivered++; heard[m.Text] == 0 {
				t.Errorf("%q is shown as (%d/%d), and bob doesn't have it", m.Text, got, of)
			}
		}
		for _, p := range missing {
			t.Errorf("%q is never delivered to %s%s", m.Text, p.Name, reasonOf(p))
		}
	}
	t.Logf("%d messages over %d kills, %d of them to bob while he was there, %d sends of one", len(all), kills, delivered, len(acknowledged))
}

// owed returns how many messages of a room somebody hasn't got yet.
func owed(t *testing.T, s *store.Store, room string) (n int) {
	all, err := s.Log(store.Filter{Room: room})
	for _, m := range all {
		var missing []chat.Missing
		if _, _, missing, err = s.Delivery(m.ID); err != nil {
			break
		}
		if len(missing) > 0 {
			n++
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func reasonOf(p chat.Missing) string { return ": " + p.Reason.String() }

// sends lets a program after the other say something in a room while talk runs, and returns what they said that exited 0.
func sends(t *testing.T, env []string, dir, room string, talk func()) map[string]bool {
	acknowledged := map[string]bool{}
	var over atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for i := 0; !over.Load(); i++ {
			text := fmt.Sprintf("sent %d", i)
			c := exec.Command("earshot", "--dir", dir, "--name", "ana", "send", "--timeout", "2s", room, text)
			c.Env, c.Stdout, c.Stderr = append(os.Environ(), env...), io.Discard, io.Discard
			if c.Run() == nil {
				acknowledged[text] = true
			}
		}
	})
	talk()
	over.Store(true)
	all.Wait()
	return acknowledged
}

// logOf returns what a directory's log has of a room.
func logOf(t *testing.T, dir, room string) []store.Message {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Log(store.Filter{Room: room})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
