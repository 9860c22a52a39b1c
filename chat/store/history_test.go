package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
)

func fill(t testing.TB, s *Store, texts ...string) {
	t.Helper()
	for i, text := range texts {
		must[bool](t)(s.Heard(ana, id(i), text, now, now.Add(time.Duration(i)*time.Minute)))
	}
	check(t, s.Flush())
}

func TestLog(t *testing.T) {
	s := open(t, t.TempDir())
	fill(t, s, "one", "two", "three", "four")
	must[bool](t)(s.Heard(chat.Person{Key: key(2), Name: "bob"}, id(1), "five", now, now.Add(time.Hour)))
	check(t, s.Flush())
	for want, f := range map[string]Filter{
		"one two three four five": {},
		"one two three four":      {Peer: ana.Key},
		"four five":               {Limit: 2},
		"three four five":         {Since: now.Add(2 * time.Minute)},
		"five":                    {After: 4},
		"":                        {Peer: key(3)},
	} {
		if got := strings.Join(texts(must[[]Message](t)(s.Log(f))), " "); got != want {
			t.Errorf("%+v: %q, want %q", f, got, want)
		}
	}
	m := must[[]Message](t)(s.Log(Filter{Limit: 1}))[0]
	if m.Peer != key(2) || m.Name != "bob" || m.Out || m.Status != Done || !m.Received.Equal(now.Add(time.Hour)) || !m.Sent.Equal(now) {
		t.Errorf("%+v", m)
	}
}

func TestSearch(t *testing.T) {
	s := open(t, t.TempDir())
	fill(t, s, "the lunch menu", "lunch lunch lunch", "Füße müssen laufen", "私は東京に住んでいます", "สวัสดีครับ", "привет мир", `a "quoted" OR word*`,
		"학교에서 만나요", "مُحَمَّد هنا", "שָׁלוֹם", "हिन्दी में", "party🎉time", "ＷＩＤＥ ｶﾅ", "cafe\u0301 noir", "កម្ពុជាជាប្រទេស", "foo_bar-baz",
		"STRASSE, Straße", "ΣΊΣΥΦΟΣ", "ᏣᎳᎩ", "Fisch")
	for search, want := range map[string][]string{
		"lunch":      {"the lunch menu", "lunch lunch lunch"}, // the best last
		"MENU lunch": {"the lunch menu"},
		"fusse":      {"Füße müssen laufen"},
		"strasse":    {"STRASSE, Straße"},
		"straße":     {"STRASSE, Straße"},
		"σισυφος":    {"ΣΊΣΥΦΟΣ"},
		"σίσυφοσ":    {"ΣΊΣΥΦΟΣ"},
		"ꮳꮃꭹ":        {"ᏣᎳᎩ"},
		"ﬁsch":       {"Fisch"},
		"müs*":       {"Füße müssen laufen"},
		"mussen":     {"Füße müssen laufen"},
		"東京":         {"私は東京に住んでいます"},
		"京東":         nil,
		"สวัสดี":     {"สวัสดีครับ"},
		"МИР":        {"привет мир"},
		`"quoted`:    {`a "quoted" OR word*`},
		"OR":         {`a "quoted" OR word*`},
		"* - \"":     nil,
		"住んで 東京":     {"私は東京に住んでいます"},
		"ครับ":       {"สวัสดีครับ"},
		"학교":         {"학교에서 만나요"},
		"محمد":       {"مُحَمَّد هنا"},
		"שלום":       {"שָׁלוֹם"},
		"हिन्दी":     {"हिन्दी में"},
		"हन":         nil,
		"🎉":          {"party🎉time"},
		"time":       {"party🎉time"},
		"wide カナ":    {"ＷＩＤＥ ｶﾅ"},
		"CAFÉ":       {"cafe\u0301 noir"},
		"ប្រទេស":     {"កម្ពុជាជាប្រទេស"},
		"bar":        {"foo_bar-baz"},
		"foo_bar":    {"foo_bar-baz"},
	} {
		if got := texts(must[[]Message](t)(s.Log(Filter{Search: search}))); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", search, got, want)
		}
		// The index, which is asked about what is older, finds the same.
		if wanted := parseSearch(search); len(wanted) > 0 {
			var indexed []string
			check(t, s.reading(func(k *conn) error {
				return k.each(`SELECT text FROM messages WHERE n IN (SELECT rowid FROM search WHERE search MATCH ?)`, []any{query(wanted)},
					func(scan func(...any) error) error {
						var text string
						err := scan(&text)
						indexed = append(indexed, text)
						return err
					})
			}))
			want := slices.Sorted(slices.Values(want))
			if slices.Sort(indexed); !slices.Equal(indexed, want) {
				t.Errorf("%s: the index has %q, want %q", search, indexed, want)
			}
		}
	}
}

// Old messages are found as new ones are, of one person too, with the best last.
func TestSearchFarBack(t *testing.T) {
	s := open(t, t.TempDir())
	bob := chat.Person{Key: key(2), Name: "bob"}
	must[bool](t)(s.Heard(bob, id(100_000), "needle in a haystack", now, now))
	must[bool](t)(s.Heard(ana, id(100_001), "needle needle", now, now))
	for n := range readAt + 100 {
		must[bool](t)(s.Heard(ana, id(n), "hay", now, now))
	}
	check(t, s.Flush())
	for want, f := range map[string]Filter{
		"needle in a haystack, needle needle": {Search: "Needle"},
		"needle in a haystack":                {Search: "need*", Peer: bob.Key},
		"needle needle":                       {Search: "needle", Limit: 1},
		"":                                    {Search: "needle", Since: now.Add(time.Second)},
	} {
		if got := strings.Join(texts(must[[]Message](t)(s.Log(f))), ", "); got != want {
			t.Errorf("%+v: %q, want %q", f, got, want)
		}
	}
	if all := must[[]Message](t)(s.Log(Filter{Search: "hay"})); len(all) != bestOf {
		t.Errorf("%d of a common word", len(all))
	}
}

// Deleting makes the file smaller, and leaves nothing to be found.
func TestDelete(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	secret := "xyzzy" + strings.Repeat(" plugh", 100)
	for n := range 2000 {
		must[bool](t)(s.Heard(ana, id(n), fmt.Sprint(n, secret), now, now))
	}
	must[chat.MessageID](t)(s.Queue(ana, "waits", now))
	must[[]Message](t)(s.Log(Filter{Search: "xyzzy"}))
	size := func() (total int64) {
		check(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
			if info, err := d.Info(); err == nil && !d.IsDir() && !strings.HasSuffix(path, "-shm") {
				total += info.Size()
			}
			return nil
		}))
		return total
	}
	before := size()
	if n := must[int64](t)(s.Delete(ctx, Filter{Peer: ana.Key})); n != 2000 {
		t.Errorf("%d deleted", n)
	}
	if after := size(); after > before/4 {
		t.Errorf("%d bytes before, %d after", before, after)
	}
	if left := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(left, []string{"waits"}) {
		t.Errorf("left: %q", left)
	}
	if found := must[[]Message](t)(s.Log(Filter{Search: "xyzzy"})); found != nil {
		t.Errorf("found: %d", len(found))
	}
	check(t, s.Close())
	b, err := os.ReadFile(filepath.Join(dir, File))
	check(t, err)
	if strings.Contains(string(b), "xyzzy") || strings.Contains(string(b), "plugh") {
		t.Error("the words are still in the file")
	}
}

func TestPeople(t *testing.T) {
	s := open(t, t.TempDir())
	fill(t, s, "hello")
	check(t, s.Met(chat.Person{Key: key(2), Name: "stranger"}, now))
	check(t, s.SetVerified(ana, true, now))
	check(t, s.SetPetname(ana, "annie", now))
	one := func() Person {
		t.Helper()
		all := must[[]Person](t)(s.People())
		if len(all) != 1 {
			t.Fatalf("%d people", len(all))
		}
		return all[0]
	}
	if p := one(); p.Key != ana.Key || p.Name != "ana" || p.Petname != "annie" || !p.Verified || p.Blocked || !p.First.Equal(now) {
		t.Errorf("%+v", p)
	}
	later := now.Add(time.Hour)
	check(t, s.Met(ana, later))
	check(t, s.Flush())
	if p := one(); !p.Verified || !p.Last.Equal(later) {
		t.Errorf("%+v", p)
	}
	check(t, s.Met(chat.Person{Key: ana.Key, Name: "bob"}, now)) // the clock was set back
	check(t, s.SetBlocked(ana, true, now))
	if p := one(); !p.Verified || p.Name != "ana" || p.Petname != "annie" || !p.Blocked || !p.Last.Equal(later) {
		t.Errorf("after another node was met: %+v", p)
	}
	check(t, s.Forget(ctx, ana.Key))
	if all := must[[]Person](t)(s.People()); all != nil {
		t.Errorf("%+v", all)
	}
	if all := must[[]Message](t)(s.Log(Filter{})); all != nil {
		t.Errorf("%+v", all)
	}
}

// Who comes by a name later has a greater number, whether they were known before under
// another name or only from a room, and whatever the clock says.
func TestNamed(t *testing.T) {
	s := open(t, t.TempDir())
	mallory, eve := chat.Person{Key: key(8), Name: "mallory"}, chat.Person{Key: key(9), Name: "ana"}
	must[bool](t)(s.Heard(mallory, id(1), "hello", now, now))
	must[[]bool](t)(s.SaidIn(chat.Saying{ID: id(2), Text: "all", Sent: now, Room: "#here"}, []chat.Person{eve}))
	must[bool](t)(s.Heard(ana, id(3), "hello", now, now))
	back := now.Add(-365 * 24 * time.Hour)
	must[bool](t)(s.Heard(eve, id(4), "hello", back, back))
	check(t, s.Renamed(chat.Person{Key: mallory.Key, Name: "ana"}, true))
	check(t, s.SetBlocked(chat.Person{Key: key(7), Name: "ana"}, false, back))
	check(t, s.Met(ana, now.Add(time.Hour))) // no change
	check(t, s.Flush())
	all := must[[]Person](t)(s.People())
	slices.SortFunc(all, func(a, b Person) int { return int(a.Named - b.Named) })
	var order []chat.Key
	for _, p := range all {
		order = append(order, p.Key)
	}
	if want := []chat.Key{ana.Key, eve.Key, mallory.Key, key(7)}; !slices.Equal(order, want) {
		t.Errorf("they came by the name in the order %v", order)
	}
}

// onDisk reports which of some secrets can be found in a data directory.
func onDisk(t *testing.T, dir string, secrets ...string) (found []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, secret := range secrets {
			if strings.Contains(string(b), secret) {
				found = append(found, filepath.Base(path)+": "+secret)
			}
		}
		return err
	}))
	return found
}

// With what was said goes what was typed and begun, and only that which belongs to it; with a
// person all that tells of them, what they said in rooms too. Nothing of it is in the file.
func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	bob := chat.Person{Key: chat.Key([]byte("the key of bob, of thirty-two by")), Name: "robert"}
	for n := range 100 { // pages that come free
		must[bool](t)(s.Heard(bob, id(n), strings.Repeat("filling ", 100), now, now))
	}
	must[chat.MessageID](t)(s.Queue(bob, "waitingsecret", now))
	must[bool](t)(s.HeardIn(bob, chat.Saying{ID: id(1000), Text: "roomsecret", Sent: now, Room: "#here"}, now))
	must[bool](t)(s.Heard(ana, id(1), "kept", now, now))
	check(t, s.Flush())
	for _, v := range []View{{Peer: bob.Key, Draft: "draftsecret"}, {Peer: ana.Key, Draft: "anadraft"}, {Room: "#here", Draft: "roomdraft"}} {
		check(t, s.SetDraft(v.Peer, v.Room, v.Draft))
	}
	check(t, s.AddTyped([]string{"/msg bob typedsecret"}))
	must[[]Message](t)(s.Log(Filter{Search: "roomsecret"}))

	must[int64](t)(s.Delete(ctx, Filter{Peer: bob.Key, Since: now.Add(time.Hour)})) // nothing but what is begun
	if found := onDisk(t, dir, "typedsecret", "draftsecret"); found != nil {
		t.Errorf("after deleting: %q", found)
	}
	if found := onDisk(t, dir, "anadraft", "roomdraft", "roomsecret"); len(found) < 3 {
		t.Errorf("deleted more than was to be: %q is left", found)
	}
	check(t, s.Forget(ctx, bob.Key))
	secrets := []string{string(bob.Key[:]), bob.Key.String(), "robert", "filling", "roomsecret", "waitingsecret"}
	if found := onDisk(t, dir, secrets...); found != nil {
		t.Errorf("after forgetting: %q", found)
	}
	if got := texts(must[[]Message](t)(s.Log(Filter{}))); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("left: %q", got)
	}
	must[bool](t)(s.Heard(ana, id(2), "fresh", now, now))
	if found := must[[]Message](t)(s.Log(Filter{Search: "roomsecret"})); found != nil {
		t.Errorf("found: %v", found)
	}
}
