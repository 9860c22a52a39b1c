package store

import (
	"testing"
	"time"

	"earshot/chat"
)

var now = time.UnixMilli(1_700_000_000_000)

func key(b byte) chat.Key { return chat.Key{b} }

func id(n int) chat.MessageID { return chat.MessageID{byte(n >> 16), byte(n >> 8), byte(n), 1} }

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// ask returns the value that a query has, with the connection to itself: the store's own goroutines use it too.
func ask[T any](t testing.TB, s *Store, query string, args ...any) (value T) {
	t.Helper()
	check(t, s.reading(func(k *conn) error { return k.get(query, args, &value) }))
	return value
}

// execute runs a statement in the same way, outside a transaction of the store's.
func execute(t testing.TB, s *Store, statement string, args ...any) {
	t.Helper()
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	_, err := s.write.exec(statement, args...)
	check(t, err)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func texts(all []Message) []string {
	var out []string
	for _, m := range all {
		out = append(out, m.Text)
	}
	return out
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	open(b, dir).Close()
	for b.Loop() {
		s, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Close()
		b.StartTimer()
	}
}

func BenchmarkHeard(b *testing.B) {
	s := open(b, b.TempDir())
	n := 0
	for b.Loop() {
		n++
		if _, err := s.Heard(chat.Person{Key: key(1), Name: "ana"}, id(n), "hello there", now, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSaid(b *testing.B) {
	s := open(b, b.TempDir())
	n := 0
	for b.Loop() {
		n++
		if _, err := s.Said(chat.Saying{To: key(1), ID: id(n), Text: "hello there", Sent: now}); err != nil {
			b.Fatal(err)
		}
		check(b, s.Delivered(key(1), id(n), now))
	}
}
