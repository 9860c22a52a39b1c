package main

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/app"
	"earshot/discovery"
)

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		name         string
		err          error
		code         int
		text, remedy string // what each must contain
	}{
		{"usage", &usage{"no", "do"}, 2, "no", "do"},
		{"argument", fmt.Errorf("more: %w", &app.ArgError{Text: "bad", Remedy: "better"}), 2, "bad", "better"},
		{"nobody at all", &app.NotFoundError{Arg: "ana"}, 3, "nor is anybody else", "earshot doctor"},
		{"a typing error", &app.NotFoundError{Arg: "ana", Visible: 3, Near: []string{"anna", "hana"}}, 3, "nobody called ana", "did you mean anna, hana?"},
		{"an unknown name", &app.NotFoundError{Arg: "ana", Visible: 3}, 3, "nobody called ana", "earshot peers"},
		{"an unknown host", &app.HostError{Host: "a.b", Err: fmt.Errorf("no such host")}, 3, "a.b", "address"},
		{"ambiguous", &app.AmbiguousError{Arg: "ana", Candidates: []string{"ana·k3f7qz", "ana·q2w3e4"}}, 4, "any of 2", "ana·k3f7qz, ana·q2w3e4"},
		{"undelivered", &undelivered{3, "ana", " within 1s", false}, 5, "3 messages weren't delivered to ana within 1s", "nothing is kept"},
		{"not sent", &failed{&app.NotFoundError{Arg: "ana", Visible: 3}}, 3, "failed: nobody called ana", "earshot peers"},
		{"queued", &undelivered{1, "ana", "", true}, 5, "the message wasn't delivered to ana", "outbox"},
		{"no answer", &noAnswer{"ana", ""}, 5, "ana doesn't answer", "earshot doctor"},
		{
			"mismatch", &chat.MismatchError{Want: chat.Key{1}, Got: chat.Key{2}, Addr: netip.MustParseAddrPort("198.18.0.3:9")}, 6,
			"198.18.0.3:9 is aiaaaa, not aeaaaa: nothing was sent", "taken the address",
		},
		{"identity", &chat.IdentityError{Path: "/x/identity", Err: fmt.Errorf("corrupt")}, 1, "/x/identity", "copy"},
		{"a full disk", &chat.IdentityError{Path: "/x/identity", Err: syscall.ENOSPC}, 1, "/x/identity", "make room"},
		{"a read-only disk", &chat.IdentityError{Path: "/x/identity", Err: syscall.EROFS}, 1, "/x/identity", "--dir"},
		{"no locks", fmt.Errorf("more: %w", &store.Error{Path: "/x", Err: &chat.FileSystemError{Dir: "/x", Lack: "it has none"}}), 1, "/x: this file system can't keep earshot's data (it has none)", "--dir on a local disk"},
		{"too many files", &chat.IdentityError{Path: "/x/identity", Err: syscall.EMFILE}, 1, "too many open files", "ulimit -n"},
		{"too many files for settings", &app.SettingsError{Path: "/x/config.toml", Err: syscall.EMFILE, Remedy: "let yourself read it"}, 1, "too many open files", "ulimit -n"},
		{"too many files of all", &failed{fmt.Errorf("no UDP port to be had: %w", syscall.ENFILE)}, 1, "no UDP port", "the system's limit"},
		{"no memory", &chat.IdentityError{Path: "/x/identity", Err: syscall.ENOMEM}, 1, "/x/identity", "no memory left"},
		{"a long path", fmt.Errorf("%w: %w", app.ErrNoDirectory, syscall.ENAMETOOLONG), 1, "too long", "shorter"},
		{"a file in the path", fmt.Errorf("%w: %w", app.ErrNoDirectory, syscall.ENOTDIR), 1, "not a directory", "is a file"},
		{"a link to itself", &chat.IdentityError{Path: "/x/identity", Err: syscall.ELOOP}, 1, "/x/identity", "circle"},
		{"a quota", &chat.IdentityError{Path: "/x/identity", Err: syscall.EDQUOT}, 1, "/x/identity", "quota"},
		{"a failing disk", &chat.IdentityError{Path: "/x/identity", Err: syscall.EIO}, 1, "/x/identity", "look after the disk"},
		{"standard output", &fs.PathError{Op: "write", Path: os.Stdout.Name(), Err: syscall.ENOSPC}, 1, "standard output: no space left on device", ""},
		{"standard input", &fs.PathError{Op: "read", Path: os.Stdin.Name(), Err: syscall.EISDIR}, 1, "standard input: is a directory", ""},
		{"no directory", fmt.Errorf("%w: no such file", app.ErrNoDirectory), 1, "data directory can't be made", "--dir"},
		{
			"no interface", &discovery.NoInterfaceError{Tried: []discovery.Skipped{{Name: "lo", Reason: "down"}, {Name: "eth\x1b0", Reason: "no address"}}}, 1,
			"lo (down), eth␛0 (no address)", "by address",
		},
		{
			"port held", &discovery.NoInterfaceError{Tried: []discovery.Skipped{{Name: "eth0", Reason: discovery.Held}}}, 1,
			"eth0 (another program has UDP port 5353 for itself)", "find it, and end it or let it share the port: ",
		},
		{
			"no such interface", &discovery.NoInterfaceError{Tried: []discovery.Skipped{{Name: "eth0", Reason: discovery.Unasked}, {Name: "eht0", Reason: discovery.Missing}}}, 1,
			"no network interface can be used: there is none called eht0", "name one that there is with --interface: eth0; ",
		},
		{"no route", &app.RouteError{Addr: netip.MustParseAddr("192.0.2.7")}, 5, "no route to 192.0.2.7 from this machine", "earshot doctor"},
		{"no interface at all", &discovery.NoInterfaceError{}, 1, "there is no network interface", "by address"},
		{"too many rooms", chat.ErrTooManyRooms, 1, "in too many rooms already", "earshot rooms leave '#"},
		{"too long", chat.ErrTooLong, 1, "the text is longer", ""},
		{"interrupted", errInterrupted, 130, "", ""},
	} {
		code, text, remedy := explain(tt.err)
		if code != tt.code || !strings.Contains(text, tt.text) || !strings.Contains(remedy, tt.remedy) {
			t.Errorf("%s: %d %q %q; want %d %q %q", tt.name, code, text, remedy, tt.code, tt.text, tt.remedy)
		}
		if strings.HasPrefix(text, "chat: ") {
			t.Errorf("%s: a package's name is shown: %q", tt.name, text)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"ana": true, "Ana María 🐢": true, strings.Repeat("x", 63): true,
		"": false, " ": false, "#here": false, "\u0301\u0301": false, strings.Repeat("x", 64): false, "a\nb": false, "a\x1b": false, "a\u202eb": false, "a\xff": false,
	} {
		if err := checkName(name); (err == nil) != ok {
			t.Errorf("checkName(%q) = %v", name, err)
		}
	}
	if err := checkName(app.DefaultName(false)); err != nil {
		t.Errorf("the default name won't do: %v", err)
	}
}

func TestTable(t *testing.T) {
	got := table([][]string{{"NAME", "ID"}, {"日本", "k3f7qz"}, {"a", "-"}})
	if want := "NAME  ID\n日本  k3f7qz\na     -"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// With few open files, and a full disk behind standard output, that is what is said.
func TestSystemErrors(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	path := program(t)
	dir := kept(t, func(*store.Store) {})
	if _, code := runOn(t, dir, "id"); code != 0 {
		t.Fatal("no identity")
	}
	refused := 0
	for files := 8; files <= 32; files += 2 {
		for _, name := range []string{dir, filepath.Join(t.TempDir(), "new")} {
			// Without the files that the tests were started with: Go itself needs some, and crashes.
			cmd := exec.Command("sh", "-c", fmt.Sprintf(`exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n %d && exec "$@"`, files), "sh", path, "--dir", name, "log")
			out, err := cmd.CombinedOutput()
			if text := string(out); err != nil {
				refused++
				if !strings.Contains(text, "too many open files") || !strings.Contains(text, "ulimit -n") {
					t.Errorf("%d files: %s", files, text)
				}
			}
		}
	}
	if refused == 0 {
		t.Error("8 files are enough")
	}
	out, _ := exec.Command("sh", "-c", `"$@" > /dev/full`, "sh", path, "--dir", dir, "id").CombinedOutput()
	if text := string(out); !strings.HasPrefix(text, "earshot: standard output: no space left") || strings.Contains(text, "--dir") {
		t.Errorf("a full disk behind standard output: %s", text)
	}
}
