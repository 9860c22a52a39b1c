package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"earshot/chat"
)

// millionIn is set in the environment to a directory, in which BenchmarkMillion keeps
// its database for the next run.
const millionIn = "EARSHOT_MILLION"

// million returns a directory with a database of a million messages of 20 words each,
// of a vocabulary in which, as in a language, few words are common and most are rare.
func million(b *testing.B) (dir string) {
	b.Helper()
	kept := os.Getenv(millionIn)
	if kept == "" {
		b.Skipf("to make a million messages takes minutes; run: %s=/tmp/earshot-million go test -run '^$' -bench Million ./chat/store", millionIn)
	}
	dir = b.TempDir()
	kept = filepath.Join(kept, fmt.Sprint("version-", len(migrations)))
	if _, err := os.Stat(filepath.Join(kept, File)); errors.Is(err, fs.ErrNotExist) {
		check(b, os.MkdirAll(kept, 0o700))
		making := filepath.Join(kept, "making")
		check(b, os.MkdirAll(making, 0o700))
		makeMillion(b, making)
		check(b, os.Rename(filepath.Join(making, File), filepath.Join(kept, File)))
	}
	from, err := os.Open(filepath.Join(kept, File))
	check(b, err)
	defer from.Close()
	to, err := os.Create(filepath.Join(dir, File))
	check(b, err)
	_, err = io.Copy(to, from)
	check(b, err)
	check(b, to.Close())
	return dir
}

func makeMillion(b *testing.B, dir string) {
	const messages, people = 1_000_000, 50
	s := open(b, dir)
	r := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(r, 1.1, 3, 50_000)
	start := time.Now()
	for n := range messages {
		words := make([]string, 20)
		for i := range words {
			words[i] = fmt.Sprintf("w%d", zipf.Uint64())
		}
		from := chat.Person{Key: key(byte(1 + n%people)), Name: fmt.Sprint("p", n%people)}
		must[bool](b)(s.Heard(from, id(n), strings.Join(words, " "), now, now.Add(time.Duration(n)*time.Second)))
	}
	check(b, s.Flush())
	b.Logf("kept in %v", time.Since(start))
	start = time.Now()
	for more := true; more; {
		more = must[bool](b)(s.index())
	}
	b.Logf("indexed in %v", time.Since(start))
	check(b, s.Close())
}

// BenchmarkMillion times what people do with a million messages kept.
func BenchmarkMillion(b *testing.B) {
	dir := million(b)
	s := open(b, dir)
	timed := func(name string, f func(n int)) {
		b.Run(name, func(b *testing.B) {
			var all []time.Duration
			for n := 0; b.Loop(); n++ {
				start := time.Now()
				f(n)
				all = append(all, time.Since(start))
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "median-ms")
			b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, "worst-ms")
		})
	}
	for _, search := range []struct{ what, words string }{
		{"rare", "w40000"},
		{"common", "w0"},
		{"two-common", "w0 w1"},
		{"three-common", "w0 w2 w5"},
		{"common-and-rare", "w0 w20000"},
		{"two-less-common", "w50 w80"},
		{"two-rare", "w20000 w30000"},
		{"beginning", "w200*"},
		{"common-beginning", "w1*"},
		{"nothing", "nowhere"},
	} {
		timed("search/"+search.what, func(int) { must[[]Message](b)(s.Log(Filter{Search: search.words, Limit: 50})) })
		timed("search-peer/"+search.what, func(n int) {
			must[[]Message](b)(s.Log(Filter{Search: search.words, Limit: 50, Peer: key(byte(1 + n%50))}))
		})
	}
	since := now.Add((1_000_000 - 100) * time.Second)
	timed("search-since", func(int) { must[[]Message](b)(s.Log(Filter{Search: "w0", Limit: 50, Since: since})) })
	timed("log", func(int) { must[[]Message](b)(s.Log(Filter{Limit: 50})) })
	timed("log-since", func(int) { must[[]Message](b)(s.Log(Filter{Limit: 500, Since: since})) })
	timed("log-peer", func(n int) { must[[]Message](b)(s.Log(Filter{Peer: key(byte(1 + n%50)), Limit: 50})) })
	timed("heard", func(n int) {
		must[bool](b)(s.Heard(ana, chat.MessageID{255, byte(n >> 16), byte(n >> 8), byte(n)}, "hello", now, now))
	})
	other := open(b, dir)
	timed("seen-by-others", func(n int) {
		version := must[int64](b)(other.Version())
		must[bool](b)(s.Heard(ana, chat.MessageID{254, byte(n >> 16), byte(n >> 8), byte(n)}, "hello", now, now))
		for must[int64](b)(other.Version()) == version {
			time.Sleep(time.Millisecond)
		}
	})
	check(b, other.Close())
	timed("open", func(int) {
		other, err := Open(dir)
		check(b, err)
		b.StopTimer()
		other.Close()
		b.StartTimer()
	})
	b.Run("delete-one-of-fifty", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			info, err := os.Stat(filepath.Join(dir, File))
			check(b, err)
			before := info.Size()
			must[int64](b)(s.Delete(ctx, Filter{Peer: key(byte(1 + n%50))}))
			info, err = os.Stat(filepath.Join(dir, File))
			check(b, err)
			b.ReportMetric(float64(before)/1e6, "before-MB")
			b.ReportMetric(float64(info.Size())/1e6, "after-MB")
		}
	})
}
