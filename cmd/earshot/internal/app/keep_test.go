package app

import (
	"testing"
	"testing/synctest"
	"time"

	"earshot/chat"
	"earshot/chat/store"
)

func TestParseKeepTime(t *testing.T) {
	for s, want := range map[string]string{
		"forever": "ever", "1h": "1 hour", "24h": "1 day", "90d": "90 days", "14d": "2 weeks", "6w": "6 weeks", "365d": "1 year", "100y": "100 years",
		"": "", "90": "", "0d": "", "-1d": "", "1.5d": "", "90m": "", "d": "", "101y": "", "90 d": "", "99999999999999999999d": "", "4294967295h": "", "Forever": "",
	} {
		keep, err := ParseKeepTime(s)
		if got := keep.String(); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
}

// A process deletes what is old, a minute after it began and then every hour, and ends when it is to.
func TestPruneWhileRunning(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s.SetClock(func() (time.Duration, time.Time) { return time.Since(began), time.Now() })
		left := func() int {
			t.Helper()
			all, err := s.Log(store.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
		if _, err := s.Heard(chat.Person{Key: chat.Key{1}, Name: "ana"}, chat.MessageID{1}, "hello", time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
		done, ended := make(chan struct{}), make(chan struct{})
		go func() {
			prune(s, KeepTime{3 * time.Hour}, done, func(msg string, args ...any) { t.Errorf("%s %v", msg, args) })
			close(ended)
		}()
		time.Sleep(3*time.Hour - time.Second)
		if n := left(); n != 1 {
			t.Errorf("%d left after almost 3 h", n)
		}
		time.Sleep(time.Hour + pruneFirst)
		if n := left(); n != 0 {
			t.Errorf("%d left within the hour after", n)
		}
		close(done)
		<-ended
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
