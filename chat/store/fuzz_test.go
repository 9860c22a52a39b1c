package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"earshot/chat/room"
)

// Whatever is in a write-ahead log, reading it ends, and no more is taken for written than the file has.
func FuzzLog(f *testing.F) {
	dir := f.TempDir()
	s := open(f, dir)
	must[bool](f)(s.Heard(ana, id(1), "text", now, now))
	check(f, s.Flush())
	f.Add(must[[]byte](f)(os.ReadFile(filepath.Join(dir, File+"-wal"))))
	check(f, s.Close())
	path := filepath.Join(f.TempDir(), "wal")
	f.Fuzz(func(t *testing.T, b []byte) {
		check(t, os.WriteFile(path, b, 0o600))
		l, err := readLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if l.size != int64(len(b)) || l.committed*(24+512) > len(b) || l.committed > 0 && !l.header || l.changed && l.committed == 0 {
			t.Fatalf("%d bytes are %+v", len(b), l)
		}
		l.continues(state{})
	})
}

// Whatever is in a journal, reading it ends, and returns only records that are there, in their order.
func FuzzJournal(f *testing.F) {
	var b []byte
	for i, r := range []record{
		{kind: met, id: id(9)},
		{kind: heard, key: ana.Key, id: id(1), name: "ana", text: "text"},
		{kind: declined, key: ana.Key, id: id(2), sent: 1},
		{kind: heardIn, key: ana.Key, id: id(3), text: "text", in: &inRoom{room: room.Here, head: "head"}},
		{kind: saidIn, id: id(4), text: "text", in: &inRoom{room: room.Here, head: "head", to: []member{{ana, true}}}},
	} {
		r.seq = uint64(i + 1)
		b = r.encode(b)
	}
	f.Add(b)
	f.Add(b[100:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		all, whole := salvage(b)
		var again []byte
		for i := range all {
			if again = all[i].encode(again); i > 0 && all[i].seq <= all[i-1].seq {
				t.Fatal("records are out of order")
			}
		}
		if len(again) > len(b) || whole && !bytes.HasPrefix(b, again[:min(8, len(again))]) {
			t.Fatalf("%d records of %d bytes come from %d", len(all), len(again), len(b))
		}
	})
}
