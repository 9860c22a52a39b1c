package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"earshot/chat"
	"earshot/discovery"
	"earshot/discovery/lantest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"earshot": main})
}

// scriptPatience bounds every wait for something that is expected to happen.
const scriptPatience = 20 * time.Second

// TestScript runs testdata/script/*.txtar. Every person in them has a data directory
// of their own, any free port, and the loopback interface only.
//
//	as NAME CODE ARGS...     runs earshot as NAME to its end, which must be CODE
//	start NAME ARGS...       runs it in the background
//	say NAME TEXT...         writes a line to its standard input
//	hangup NAME              ends its standard input
//	await NAME[.err] REGEXP  waits until its output (or standard error) has a match,
//	                         after the match before; the groups become $M1, $M2, ...
//	interrupt NAME [term]    sends SIGINT or SIGTERM
//	ends NAME CODE           waits for its end
//
// The condition lan says whether people can see each other here.
func TestScript(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	lo := lantest.Loopback(t)
	var none *discovery.NoInterfaceError
	blind := blindOn(lo)
	if blind != nil {
		if !errors.Is(blind, errNoMulticast) && !errors.As(blind, &none) {
			t.Fatal(blind)
		}
		t.Logf("scripts in which people see each other are skipped: %v", blind)
	}
	for _, file := range files {
		// One after the other: on one loopback interface everybody sees everybody.
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Files: []string{file},
				Setup: func(env *testscript.Env) error {
					env.Setenv("EARSHOT_INTERFACE", lo)
					env.Setenv("EARSHOT_PORT", "0")
					env.Setenv("MAXTEXT", strings.Repeat("0123456789abcdef", 4096))
					env.Values["cast"] = map[string]*actor{}
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"as": cmdAs, "start": cmdStart, "say": cmdSay, "hangup": cmdHangUp,
					"await": cmdAwait, "interrupt": cmdInterrupt, "ends": cmdEnds,
				},
				Condition: func(cond string) (bool, error) {
					if cond != "lan" {
						return false, fmt.Errorf("unknown condition %s", cond)
					}
					if blind != nil && os.Getenv("EARSHOT_REQUIRE_LAN") == "1" {
						return false, blind
					}
					return blind == nil, nil
				},
			})
		})
	}
}

var errNoMulticast = errors.New("no multicast DNS over the loopback interface")

// blindOn returns why two processes can't see each other on an interface, if they can't.
func blindOn(name string) error {
	identity, err := chat.NewIdentity()
	if err != nil {
		return err
	}
	id := identity.Key().String()
	there, err := discovery.Join(discovery.Config{ID: id, Name: "probe", Port: 9, Interfaces: []string{name}})
	if err != nil {
		return err
	}
	defer there.Leave()
	here, err := discovery.Join(discovery.Config{Hidden: true, Interfaces: []string{name}})
	if err != nil {
		return err
	}
	defer here.Leave()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for {
		e, err := here.Next(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return errNoMulticast
		case err != nil:
			return err
		case e.Change == discovery.Up && e.Peer.ID == id:
			return nil
		}
	}
}

// actor is an earshot in the background.
type actor struct {
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	out, err transcript
	done     chan struct{}
}

// transcript collects a stream. It is read by one goroutine.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
	read int // up to here await has matched
}

func (tr *transcript) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.Write(b)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String()
}

func earshot(ts *testscript.TestScript, name string, args []string) *exec.Cmd {
	path, err := exec.LookPath("earshot")
	ts.Check(err)
	cmd := exec.Command(path, args...)
	cmd.Dir = ts.MkAbs(".")
	dir := ts.Getenv("EARSHOT_DIR")
	if dir == "" {
		dir = ts.MkAbs(filepath.Join(ts.Getenv("WORK"), "dir-"+name))
	}
	cmd.Env = append(os.Environ(), "EARSHOT_NAME="+name, "EARSHOT_DIR="+dir, "HOME="+ts.Getenv("WORK"),
		"EARSHOT_INTERFACE="+ts.Getenv("EARSHOT_INTERFACE"), "EARSHOT_PORT="+ts.Getenv("EARSHOT_PORT"),
		"GORACE=atexit_sleep_ms=0") // else each ends a second late under the race detector
	return cmd
}

func cmdAs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: as NAME CODE ARGS...")
	}
	cmd := earshot(ts, args[0], args[2:])
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if stdin := ts.MkAbs("stdin"); exists(stdin) { // a script's file of this name is read once
		f, err := os.Open(stdin)
		ts.Check(err)
		defer f.Close()
		cmd.Stdin = f
		defer os.Remove(stdin)
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	if code := strconv.Itoa(cmd.ProcessState.ExitCode()); code != args[1] {
		ts.Fatalf("earshot %.100q: exit code %s, want %s", args[2:], code, args[1])
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: start NAME ARGS...")
	}
	a := &actor{cmd: earshot(ts, args[0], args[1:]), done: make(chan struct{})}
	a.cmd.Stdout, a.cmd.Stderr = &a.out, &a.err
	var err error
	a.stdin, err = a.cmd.StdinPipe()
	ts.Check(err)
	ts.Check(a.cmd.Start())
	go func() { _ = a.cmd.Wait(); close(a.done) }()
	ts.Value("cast").(map[string]*actor)[args[0]] = a
	ts.Defer(func() {
		_ = a.cmd.Process.Kill()
		<-a.done
		ts.Logf("%s: standard output:\n%.2000s\nstandard error:\n%.2000s", args[0], a.out.String(), a.err.String())
	})
}

func cast(ts *testscript.TestScript, name string) *actor {
	a := ts.Value("cast").(map[string]*actor)[name]
	if a == nil {
		ts.Fatalf("%s wasn't started", name)
	}
	return a
}

func cmdSay(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: say NAME TEXT...")
	}
	w := bufio.NewWriter(cast(ts, args[0]).stdin)
	_, _ = w.WriteString(strings.Join(args[1:], " ") + "\n")
	ts.Check(w.Flush())
}

func cmdHangUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hangup NAME")
	}
	ts.Check(cast(ts, args[0]).stdin.Close())
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await NAME[.err] REGEXP")
	}
	name, isErr := strings.CutSuffix(args[0], ".err")
	a := cast(ts, name)
	tr := &a.out
	if isErr {
		tr = &a.err
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	over := false
	for limit := time.Now().Add(scriptPatience); ; {
		text := tr.String()
		if m := re.FindStringSubmatchIndex(text[tr.read:]); m != nil {
			for i := 1; i < len(m)/2; i++ {
				ts.Setenv("M"+strconv.Itoa(i), text[tr.read:][m[2*i]:m[2*i+1]])
			}
			tr.read += m[1]
			return
		}
		if over || time.Now().After(limit) {
			ts.Fatalf("%s never had %s", args[0], args[1])
		}
		select {
		case <-a.done:
			over = true // look once more
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: interrupt NAME [term]")
	}
	s := os.Interrupt
	if len(args) > 1 {
		s = syscall.SIGTERM
	}
	ts.Check(cast(ts, args[0]).cmd.Process.Signal(s))
}

func cmdEnds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ends NAME CODE")
	}
	a := cast(ts, args[0])
	select {
	case <-a.done:
	case <-time.After(scriptPatience):
		ts.Fatalf("%s goes on", args[0])
	}
	if code := strconv.Itoa(a.cmd.ProcessState.ExitCode()); code != args[1] {
		ts.Fatalf("%s: exit code %s, want %s", args[0], code, args[1])
	}
}

// A reader that went away ends the program without a word.
func TestBrokenPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	defer w.Close()
	path := program(t)
	cmd := exec.Command(path, "--dir", t.TempDir(), "id")
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v, %q", err, stderr.String())
	}
}
