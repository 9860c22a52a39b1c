package app

import (
	"cmp"
	"context"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"
	"unicode"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/cmd/earshot/internal/clean"
	"earshot/discovery"
)

// Naming is under which name a process takes part.
type Naming struct {
	Name  string
	Alias bool // of this process alone: another name is kept
	keep  bool // it is to be kept, as the first one
}

// Called returns the name to take part under. Given is the one that this process was given;
// empty: none was. Brief says that it is soon gone, and announced that others see it.
func Called(given string, names store.Names, brief, announced bool) Naming {
	name := cmp.Or(given, names.Kept, DefaultName(names.Earlier))
	if given == "" && brief {
		name = cmp.Or(names.Running, name)
	}
	first := names.Kept == "" && (given != "" || names.Earlier && announced && !brief)
	return Naming{name, names.Kept != "" && name != names.Kept, first}
}

// anybody are logins that many people have, so that they tell nobody apart.
var anybody = []string{
	"root", "user", "users", "admin", "administrator", "administrateur", "administrador", "student", "students", "pi", "ubuntu",
	"guest", "debian", "vagrant", "fedora", "centos", "rocky", "almalinux", "arch", "alpine", "kali", "mint", "nixos", "raspberry", "opensuse",
	"ec2-user", "azureuser", "cloud-user", "opc", "core", "live", "liveuser", "oem", "owner", "public", "test", "tester", "demo", "default",
	"defaultuser0", "defaultaccount", "wdagutilityaccount", "runner", "runneradmin", "jenkins", "gitlab-runner", "docker", "codespace", "vscode",
	"node", "dev", "developer", "work", "home", "pc", "laptop", "me", "somebody", "nobody", "system", "daemon", "www-data", "toor",
}

// DefaultName returns what a person is called where no name is kept or given: the login, with
// the host's name where many have that login. An earlier version took the login alone.
func DefaultName(earlier bool) string {
	login := ""
	if u, err := user.Current(); err == nil {
		login = u.Username
	}
	host, _ := os.Hostname()
	if earlier {
		host = ""
	}
	return defaultName(login, host)
}

func defaultName(login, host string) string {
	login = login[strings.LastIndexByte(login, '\\')+1:] // DOMAIN\user
	if CheckName(login) != nil {
		login = "somebody"
	}
	if host = hostWord(host); host == "" || !slices.Contains(anybody, strings.ToLower(login)) {
		return login
	}
	return login + "-" + host
}

// maxHostWord is how many bytes of a host's name are part of a person's.
const maxHostWord = 24

// hostWord returns the first part of a host's name as a word of letters, digits and hyphens.
func hostWord(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	host, _, _ = strings.Cut(host, ".")
	if strings.EqualFold(host, "localhost") {
		return ""
	}
	var b strings.Builder
	for _, r := range clean.Line(host) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			r = '-'
		}
		if b.Len()+len(string(r)) > maxHostWord {
			break
		}
		b.WriteRune(r)
	}
	return strings.Trim(b.String(), "-")
}

// BrieflyCalled returns the name for a command that only works on what is kept. It keeps the
// first name given.
func BrieflyCalled(cfg Config, s *store.Store) (Naming, error) {
	names, err := s.Names()
	if err != nil {
		return Naming{}, err
	}
	n := Called(cfg.Name, names, true, false)
	if n.keep && !cfg.NoHistory {
		_, _ = s.KeepName(n.Name) // on a full disk another time
	}
	return n, nil
}

// Name returns what I am called now.
func (a *App) Name() string {
	a.naming.Lock()
	defer a.naming.Unlock()
	return a.called.Name
}

// Rename makes others see me under another name, which is kept, as far as anything is.
func (a *App) Rename(name string) error {
	if a.Store != nil {
		if err := a.Store.SetName(name); err != nil {
			return err
		}
	}
	return a.take(Naming{Name: name})
}

// take makes others see me under another name.
func (a *App) take(n Naming) error {
	a.naming.Lock()
	defer a.naming.Unlock()
	if n == a.called {
		return nil
	}
	if err := a.Node.Rename(n.Name); err != nil {
		return err
	}
	a.called = n
	if a.Presence != nil {
		a.Presence.Rename(n.Name)
	}
	if a.Store != nil {
		return a.Store.Call(n.Name, n.Alias)
	}
	return nil
}

// retitle takes over the name that another process has kept, unless this one was given its own.
func (a *App) retitle() {
	a.naming.Lock()
	alias, name := a.called.Alias, a.called.Name
	a.naming.Unlock()
	if alias {
		return
	}
	if kept, err := a.Store.Name(); err == nil && kept != "" && kept != name {
		_ = a.take(Naming{Name: kept})
	}
}

// Renaming says that somebody known calls themselves otherwise.
func Renaming(was store.Person, name string) string {
	label := clean.Name(cmp.Or(was.Petname, was.Label))
	if was.Verified {
		label += clean.Mark
	}
	return label + " is now called " + clean.Name(name)
}

// rename notes that somebody known calls themselves otherwise, unless by the name of one
// process alone.
func (a *App) rename(e chat.Event, known store.Person) {
	if e.Person.Name == known.Name || e.Kind != chat.Named && (e.Kind != chat.Met || e.Alias) {
		return
	}
	if a.Store.Renamed(e.Person, a.Book.mayLabel(e.Person, a.Name())) == nil {
		a.reread()
	}
}

// proveEvery is how often a contact is asked at most whether the name announced for them is theirs.
const proveEvery = time.Minute

// claim has a contact prove the name announced for them, where they are known by another: only what
// they say in a session counts. When many wait, one who is left out is noticed again.
func (a *App) claim(key chat.Key, name string) {
	if p, known := a.Book.Get(key); !known || p.Blocked || p.Name == name {
		return
	}
	select {
	case a.claimed <- key:
	default:
	}
}

// proveNames opens sessions with those who have been claimed to be called otherwise, one by one.
func (a *App) proveNames() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a.working.Go(func() {
		select {
		case <-a.done:
			cancel()
		case <-ctx.Done():
		}
	})
	asked := map[chat.Key]time.Time{}
	for {
		select {
		case key := <-a.claimed:
			if now := time.Now(); asked[key].IsZero() || now.Sub(asked[key]) >= proveEvery {
				asked[key] = now
				limited, end := context.WithTimeout(ctx, adoptFor)
				_, _ = a.Node.Open(limited, chat.Target{Key: key})
				end()
			}
		case <-a.done:
			return
		}
	}
}

// Peers returns who is visible now.
func (a *App) Peers() []discovery.Peer {
	if a.Presence == nil {
		return nil
	}
	return a.Book.Peers(a.Presence.Peers())
}

// Label returns how somebody is shown among those visible now.
func (a *App) Label(p chat.Person) string { return a.Book.Label(p, a.Peers(), a.Name()) }
