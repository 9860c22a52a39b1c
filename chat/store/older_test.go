package store

import (
	"archive/zip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"earshot/chat"
)

// firstRelease unpacks a data directory that the first release has left: its processes
// were killed, and the last message is in a journal only. It was made by
//
//	EARSHOT_MAKE_FIXTURE=first-release.zip EARSHOT_REQUIRE_LAN=1 go test -run '^TestLANOlder$/^data' ./cmd/earshot
func firstRelease(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	r, err := zip.OpenReader("testdata/first-release.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	check(t, fs.WalkDir(r, ".", func(path string, d fs.DirEntry, err error) error {
		to := filepath.Join(dir, path)
		if err != nil || d.IsDir() {
			_ = os.MkdirAll(to, 0o700)
			return err
		}
		f, err := r.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o600)
	}))
	return dir
}

// firstReleaseSchema is the version of the schema in it.
const firstReleaseSchema = 7

// Nothing that the first release kept is lost.
func TestFirstRelease(t *testing.T) {
	s := open(t, firstRelease(t))
	texts := func(f Filter) (all []string) {
		for _, m := range must[[]Message](t)(s.Log(f)) {
			all = append(all, m.Text)
		}
		return all
	}
	people := map[string]Person{}
	for _, p := range must[[]Person](t)(s.People()) {
		people[p.Name] = p
	}
	if bob, carol, dave := people["bob"], people["carol"], people["dave"]; len(people) != 3 || !bob.Verified || bob.Blocked ||
		carol.Verified || !carol.Blocked || dave.Verified || dave.Blocked || dave.Petname != "Davy" {
		t.Errorf("people are %+v", people)
	}
	for _, c := range []struct {
		what Filter
		want []string
	}{
		{Filter{Peer: people["bob"].Key}, []string{"hello", "hello to you", "too late", "waits"}},
		{Filter{Peer: people["carol"].Key}, []string{"are you carol?"}},
		{Filter{Peer: people["dave"].Key}, []string{"lunch?", "typed", "only in the journal"}},
		{Filter{Room: "#dev"}, []string{"does it build?", "it does", "good"}},
		{Filter{Room: "#here"}, []string{"who has the cable?"}},
		{Filter{Room: "#secret"}, []string{"psst"}},
		{Filter{Search: "journ*"}, []string{"only in the journal"}},
	} {
		if got := texts(c.what); !slices.Equal(got, c.want) {
			t.Errorf("%+v has %q, want %q", c.what, got, c.want)
		}
	}
	var undelivered []string
	for _, m := range must[[]Message](t)(s.Undelivered()) {
		undelivered = append(undelivered, m.Text+" "+m.Status.String())
	}
	if want := []string{"too late failed", "waits queued", "for zoe queued"}; !slices.Equal(undelivered, want) {
		t.Errorf("undelivered is %q", undelivered)
	}
	if out := must[[]chat.Saying](t)(s.Outbox(people["bob"].Key)); len(out) != 1 || out[0].Text != "waits" {
		t.Errorf("the outbox has %+v", out)
	}
	var rooms []string
	for _, r := range must[[]Room](t)(s.Rooms()) {
		if r.Joined && r.Key.IsZero() == (r.Name == "#secret") {
			t.Errorf("%s has the key %x", r.Name, r.Key)
		}
		rooms = append(rooms, r.Name)
	}
	if want := []string{"#dev", "#secret"}; !slices.Equal(rooms, want) {
		t.Errorf("the rooms are %q", rooms)
	}
	for _, v := range must[[]View](t)(s.Views()) {
		if want := map[chat.Key]string{people["dave"].Key: "half a thought"}[v.Peer]; v.Draft != want {
			t.Errorf("a draft is %q, want %q", v.Draft, want)
		}
	}
	if typed := must[[]string](t)(s.Typed()); !slices.Equal(typed, []string{"typed"}) {
		t.Errorf("typed were %q", typed)
	}
	// What was heard isn't taken again.
	for _, m := range must[[]Message](t)(s.Log(Filter{Peer: people["dave"].Key})) {
		if m.Out {
			continue
		}
		if fresh, err := s.Heard(chat.Person{Key: m.Peer, Name: "dave"}, m.ID, m.Text, m.Sent, time.Now()); fresh || err != nil {
			t.Errorf("%q is new: %v, %v", m.Text, fresh, err)
		}
	}
}

// A process of the first release keeps its directory as it is, for as long as it runs.
func TestOlderProcessRuns(t *testing.T) {
	t.Parallel() // it waits
	dir := firstRelease(t)
	older, err := takeSlot(filepath.Join(dir, "running"))
	check(t, err)
	_, err = Open(dir)
	if err == nil || !strings.Contains(err.Error(), "an older earshot runs in this data directory") {
		t.Fatalf("opened: %v", err)
	}
	explained, _ := errors.AsType[*Error](err)
	remedy := explained.Remedy
	if pid := "(pid " + strconv.Itoa(os.Getpid()) + ")"; !strings.HasPrefix(remedy, "stop the earshot that runs") || len(lockHolders(locksHeld(filepath.Join(dir, "running")))) > 0 && !strings.Contains(remedy, pid) {
		t.Errorf("the remedy is %q", remedy)
	}
	k := must[*conn](t)(connect(filepath.Join(dir, File)))
	if version, err := k.version(); version != firstReleaseSchema || err != nil {
		t.Errorf("the schema is of version %d: %v", version, err)
	}
	k.close()
	// Once it has ended, whoever waits goes on.
	opened := make(chan error)
	go func() {
		s, err := Open(dir)
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	older.release()
	check(t, <-opened)
}
