package store

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"earshot/chat"
)

var ana = chat.Person{Key: key(1), Name: "ana"}

// scribe is set in the environment of a process that writes until it is killed.
const scribe = "EARSHOT_TEST_SCRIBE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(scribe); dir != "" {
		write(dir)
		return
	}
	if dir := os.Getenv(starter); dir != "" {
		startOnce(dir)
		return
	}
	if dir := os.Getenv(puppet); dir != "" {
		obey(dir)
		return
	}
	if mounted() {
		return
	}
	os.Exit(m.Run())
}

// write keeps message after message, each told of on standard output when it is kept.
func write(dir string) {
	s, err := Open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	var first int
	fmt.Sscan(os.Getenv("FIRST"), &first)
	for n := first; ; n += 2 {
		own, err := s.Said(chat.Saying{To: ana.Key, ID: id(n), Text: fmt.Sprint(n), Sent: now})
		if err == nil && own && n%6 == 0 {
			err = s.Delivered(ana.Key, id(n), now)
		}
		fresh, err2 := s.Heard(ana, id(n+1), fmt.Sprint(n+1), now, now)
		if err := errors.Join(err, err2); err != nil || !fresh {
			fmt.Println("failed", err, fresh)
			return
		}
		fmt.Println(n, own)
	}
}

// Processes are killed at random instants, 200 times on one database. What they were
// told is kept is there, once and in order, and what they were sending is sent again.
func TestKilled(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	dir := t.TempDir()
	kept, checked := 0, 0
	pending := map[int]bool{}
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), scribe+"="+dir, fmt.Sprint("FIRST=", kept))
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		lines := bufio.NewScanner(out)
		lines.Scan()
		time.AfterFunc(time.Duration(rand.Int64N(int64(6*time.Millisecond))), func() { cmd.Process.Kill() })
		for ok := true; ok; ok = lines.Scan() {
			var n int
			var own bool
			if _, err := fmt.Sscan(lines.Text(), &n, &own); err != nil {
				t.Fatalf("round %d: %s", round, lines.Text())
			}
			kept = n + 2
			if !own || n%6 != 0 {
				pending[n] = true
			}
		}
		cmd.Wait()
		s := open(t, dir)
		news := must[[]Message](t)(s.Log(Filter{After: int64(checked)}))
		// What was being written when the end came may be there, though nobody was told.
		if n := checked + len(news); n < kept || n > kept+2 {
			t.Fatalf("round %d: %d messages, %d were kept", round, n, kept)
		}
		for i, m := range news {
			n := checked + i
			if n >= kept && m.Out && m.Status == Queued {
				pending[n] = true
			}
			if m.Text != fmt.Sprint(n) || m.Out && m.Status == Queued != pending[n] {
				t.Fatalf("round %d: message %d is %q, %v", round, n, m.Text, m.Status)
			}
		}
		kept = checked + len(news)
		if kept%2 == 1 { // the next begins with something said
			must[bool](t)(s.Heard(ana, id(kept), fmt.Sprint(kept), now, now))
			kept++
		}
		checked = kept
		check(t, s.Close())
	}
	s := open(t, dir)
	for i, m := range must[[]Message](t)(s.Log(Filter{})) {
		if m.Text != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, m.Text)
		}
	}
	left := must[[]chat.Saying](t)(s.Outbox(ana.Key))
	if len(left) != len(pending) || !slices.IsSortedFunc(left, func(a, b chat.Saying) int { return slices.Compare(a.ID[:], b.ID[:]) }) {
		t.Errorf("%d messages to be sent again, want %d, in order", len(left), len(pending))
	}
	t.Logf("%d messages over %d kills", kept, rounds)
}

func TestHeardOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i, want := range []bool{true, false} {
		if fresh := must[bool](t)(s.Heard(ana, id(1), "hello", now, now)); fresh != want {
			t.Errorf("heard %d times before: fresh is %v", i, fresh)
		}
	}
	// The id of somebody else's message is no concern of theirs.
	if !must[bool](t)(s.Heard(chat.Person{Key: key(2)}, id(1), "hello", now, now)) {
		t.Error("an id of another person's message")
	}
	check(t, s.Flush())
	if must[bool](t)(s.Heard(ana, id(1), "hello", now, now)) {
		t.Error("taken again when it was in the database")
	}
	check(t, s.Close())
	s = open(t, dir)
	if must[bool](t)(s.Heard(ana, id(1), "hello", now, now)) {
		t.Error("taken again after a restart")
	}
	if n := must[int64](t)(s.Delete(ctx, Filter{})); n != 2 {
		t.Errorf("%d deleted", n)
	}
	if must[bool](t)(s.Heard(ana, id(1), "hello", now, now)) {
		t.Error("taken again after it was deleted")
	}
}

// What changes nothing isn't written: other processes would look, and those that write as much in turn would
// keep each other busy for ever.
func TestNothingWritten(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	must[bool](t)(a.Heard(ana, id(1), "hello", now, now))
	check(t, a.SetBlocked(ana, true, now))
	check(t, a.Flush())
	version := must[int64](t)(b.Version())
	up := time.Duration(0)
	a.SetClock(func() (time.Duration, time.Time) { // time that passes isn't written for itself
		up += time.Second
		return up, now.Add(up)
	})
	for range 3 {
		if !a.Release(ana.Key) || !a.Release(bob.Key) || must[int64](t)(a.Expire()) != 0 {
			t.Error("not so much as asked")
		}
	}
	if must[int64](t)(b.Version()) != version {
		t.Error("something was written")
	}
	check(t, a.SetBlocked(ana, false, now))
	if must[int64](t)(b.Version()) == version {
		t.Error("a change wasn't")
	}
}

// Another process sees what is written within 100 ms, and that something is new.
func TestSeenByOthers(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	version := must[int64](t)(b.Version())
	worst := time.Duration(0)
	for n := range 20 {
		start := time.Now()
		must[bool](t)(a.Heard(ana, id(n), "hello", now, now))
		for must[int64](t)(b.Version()) == version {
			if time.Since(start) > 10*time.Second {
				t.Fatal("never seen")
			}
			time.Sleep(time.Millisecond)
		}
		version = must[int64](t)(b.Version())
		if all := must[[]Message](t)(b.Log(Filter{})); len(all) != n+1 {
			t.Fatalf("%d messages", len(all))
		}
		worst = max(worst, time.Since(start))
	}
	t.Logf("at the latest after %v", worst)
	if worst > 100*time.Millisecond && os.Getenv("CI") == "" {
		t.Errorf("seen after %v", worst)
	}
}

// Who catches up sees all that was written before, and doesn't wait for who writes nothing.
func TestCatchUp(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	for n := range 20 {
		must[bool](t)(a.Heard(ana, id(n), "hello", now, now))
		b.CatchUp()
		if all := must[[]Message](t)(b.Log(Filter{})); len(all) != n+1 {
			t.Fatalf("%d messages of %d", len(all), n+1)
		}
	}
}

// Of several processes one gets what waits for a person, all of it, in order.
func TestOutboxClaimed(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	for n := range 5 {
		must[chat.MessageID](t)(a.Queue(ana, fmt.Sprint(n), now))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var got [][]chat.Saying
	stores := []*Store{a}
	for range 3 {
		stores = append(stores, open(t, dir))
	}
	for _, s := range stores {
		wg.Go(func() {
			all, err := s.Outbox(ana.Key)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			if len(all) > 0 {
				got = append(got, all)
			}
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(got) != 1 || len(got[0]) != 5 {
		t.Fatalf("claimed %v", got)
	}
	for n, m := range got[0] {
		if m.Text != fmt.Sprint(n) {
			t.Errorf("message %d is %q", n, m.Text)
		}
	}
}

// What is said while another process sends something earlier waits for its turn, and
// is had by the one that comes next.
func TestOutboxOrder(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	if !must[bool](t)(a.Said(chat.Saying{To: ana.Key, ID: id(1), Text: "one", Sent: now})) {
		t.Fatal("the first isn't its own")
	}
	check(t, a.Flush())
	if must[bool](t)(b.Said(chat.Saying{To: ana.Key, ID: id(2), Text: "two", Sent: now})) {
		t.Error("the second would pass the first")
	}
	if all := must[[]chat.Saying](t)(b.Outbox(ana.Key)); all != nil {
		t.Errorf("claimed %v from a living process", all)
	}
	if !must[bool](t)(b.Said(chat.Saying{To: key(2), ID: id(3), Text: "to another", Sent: now})) {
		t.Error("one person waits for another")
	}
	check(t, a.Delivered(ana.Key, id(1), now))
	check(t, a.Flush())
	if all := must[[]chat.Saying](t)(b.Outbox(ana.Key)); len(all) != 1 || all[0].Text != "two" || all[0].ID != id(2) {
		t.Errorf("claimed %v", all)
	}
	if !b.Release(ana.Key) {
		t.Error("not released")
	}
	if all := must[[]chat.Saying](t)(a.Outbox(ana.Key)); len(all) != 1 {
		t.Errorf("claimed %v after it was released", all)
	}
	check(t, a.Close())
	if all := must[[]chat.Saying](t)(b.Outbox(ana.Key)); len(all) != 1 {
		t.Errorf("claimed %v after the other ended", all)
	}
}

func TestOutboxEdited(t *testing.T) {
	s := open(t, t.TempDir())
	clock := setClock(s)
	old := must[chat.MessageID](t)(s.Queue(ana, "old", now))
	clock.passes(Expiry)
	one := must[chat.MessageID](t)(s.Queue(ana, "one", now))
	two := must[chat.MessageID](t)(s.Queue(ana, "two", now))
	check(t, s.Cancel(one, Cancelled))
	if err := s.Cancel(one, Cancelled); !errors.Is(err, ErrNotQueued) {
		t.Errorf("cancelled twice: %v", err)
	}
	// A clock that is set makes nothing expire, and nothing wait for longer.
	for _, jump := range []time.Duration{-1000 * time.Hour, 50 * 365 * 24 * time.Hour} {
		clock.wall = clock.wall.Add(jump)
		if n := must[int64](t)(s.Expire()); n != 0 {
			t.Errorf("%d expired after a jump by %v", n, jump)
		}
	}
	clock.passes(time.Second)
	if n := must[int64](t)(s.Expire()); n != 1 {
		t.Errorf("%d expired", n)
	}
	if all := must[[]chat.Saying](t)(s.Outbox(ana.Key)); len(all) != 1 || all[0].ID != two {
		t.Errorf("claimed %v", all)
	}
	if err := s.Cancel(two, Cancelled); !errors.Is(err, ErrBusy) {
		t.Errorf("cancelled while it is sent: %v", err)
	}
	check(t, s.Retry(old, now))
	check(t, s.Retry(one, now))
	if err := s.Retry(one, now); !errors.Is(err, ErrWaits) {
		t.Errorf("queued while it waits: %v", err)
	}
	if err := s.Retry(two, now); !errors.Is(err, ErrBusy) {
		t.Errorf("queued while it is sent: %v", err)
	}
	if err := s.Retry(id(99), now); !errors.Is(err, ErrNotQueued) {
		t.Errorf("queued what isn't there: %v", err)
	}
	var left []string
	for _, m := range must[[]Message](t)(s.Undelivered()) {
		left = append(left, m.Text+" "+m.Status.String())
	}
	if got := strings.Join(left, ", "); got != "old queued, one queued, two queued" {
		t.Error(got)
	}
}

func TestWaitsForName(t *testing.T) {
	s := open(t, t.TempDir())
	must[chat.MessageID](t)(s.Queue(chat.Person{Name: "ana"}, "welcome", now))
	if names := must[[]string](t)(s.Awaited()); !slices.Equal(names, []string{"ana"}) {
		t.Error(names)
	}
	check(t, s.Adopt("ana", ana, now))
	if all := must[[]chat.Saying](t)(s.Outbox(ana.Key)); len(all) != 1 || all[0].Text != "welcome" {
		t.Error(all)
	}
	if names := must[[]string](t)(s.Awaited()); names != nil {
		t.Error(names)
	}
}
