package main

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
)

// Times that can't be right are valid JSON, as they were sent as far as they can be written.
func TestUnlikelyTimes(t *testing.T) {
	for ms, want := range map[int64]string{
		0:                   `"1970-01-01T00:00:00.000Z"`,
		-1:                  `"1969-12-31T23:59:59.999Z"`,
		253_402_300_799_999: `"9999-12-31T23:59:59.999Z"`,
		253_402_300_800_000: `null`,
		math.MaxInt64:       `null`,
		-62_167_219_200_001: `null`,
	} {
		b, err := json.Marshal(stamp(time.UnixMilli(ms)))
		if err != nil || string(b) != want {
			t.Errorf("%d: %s, %v; want %s", ms, b, err, want)
		}
	}
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ana, now := chat.Person{Key: chat.Key{1}, Name: "ana"}, time.UnixMilli(time.Now().UnixMilli())
	for i, sent := range []time.Time{time.UnixMilli(0), time.UnixMilli(math.MaxInt64), now.Add(400 * 24 * time.Hour)} {
		if fresh, err := s.Heard(ana, chat.MessageID{byte(i)}, "hello", sent, now); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	all, err := s.Log(store.Filter{Since: now.Add(-time.Minute)})
	if err != nil || len(all) != 3 {
		t.Fatal(len(all), err)
	}
	for _, m := range all {
		if !m.At().Equal(now) {
			t.Errorf("sent %v: shown as of %v", m.Sent, m.At())
		}
	}
	if !all[0].Sent.Equal(time.UnixMilli(0)) || all[1].Sent.UnixMilli() != math.MaxInt64 {
		t.Errorf("not kept as sent: %v, %v", all[0].Sent, all[1].Sent)
	}
}
