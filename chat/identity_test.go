package chat

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestIdentityIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity")
	first, err := LoadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadIdentity(path)
	if err != nil || again.Key() != first.Key() {
		t.Errorf("loaded again: %v, %v, want %v", again.Key(), err, first.Key())
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600", info.Mode().Perm())
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// Processes that start for the first time at once end up as the same person.
func TestIdentityIsMadeOnceByMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity")
	var wg sync.WaitGroup
	keys := make([]Key, 16)
	for i := range keys {
		wg.Go(func() {
			id, err := LoadIdentity(path)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = id.Key()
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatalf("two identities: %v and %v", keys[0], k)
		}
	}
}

// A file that can't be used is refused by name and left as it is.
func TestIdentityRefusals(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	if _, err := LoadIdentity(good); err != nil {
		t.Fatal(err)
	}
	whole, _ := os.ReadFile(good)
	for what, content := range map[string]string{
		"empty":      "",
		"rubbish":    "not an identity\n",
		"cut off":    string(whole[:len(whole)/2]),
		"other type": strings.ReplaceAll(string(whole), "EARSHOT", "SOMEONE"),
		"short key":  "-----BEGIN EARSHOT IDENTITY-----\nAAAA\n-----END EARSHOT IDENTITY-----\n",
		"more after": string(whole) + "x",
	} {
		path := filepath.Join(t.TempDir(), "identity")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadIdentity(path)
		var refused *IdentityError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an IdentityError that names the file", what, err)
		}
		if now, _ := os.ReadFile(path); string(now) != content {
			t.Errorf("%s: the file was changed", what)
		}
	}
	if _, err := LoadIdentity(t.TempDir()); !errors.As(err, new(*IdentityError)) {
		t.Errorf("a directory: got %v, want an IdentityError", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(good, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(good); err == nil || !strings.Contains(err.Error(), "by others") {
		t.Errorf("readable by others: got %v", err)
	}
}

func TestKeyHasOneSpelling(t *testing.T) {
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k := id.Key()
	s := k.String()
	if len(s) != 52 || s != strings.ToLower(s) || k.Short() != s[:6] {
		t.Errorf("written as %q", s)
	}
	for _, in := range []string{s, strings.ToUpper(s)} {
		if got, err := ParseKey(in); err != nil || got != k {
			t.Errorf("%q read as %v, %v", in, got, err)
		}
	}
	spare := s[:51] + "b" // 52 characters hold 260 bits, 4 more than a key
	for _, in := range []string{"", s[:51], s + "a", s[:51] + "1", s[:51] + "=", spare} {
		if got, err := ParseKey(in); err == nil && in != s {
			t.Errorf("%q read as %v", in, got)
		}
	}
}
