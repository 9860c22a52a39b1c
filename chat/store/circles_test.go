package store

import (
	"fmt"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/room"
	"earshot/chat/wire"
)

// Somebody who forges circles in a large room, or parents that come after what names them, doesn't have all of it
// ranked anew each time that it is read.
func TestForgedCirclesCostLittle(t *testing.T) {
	const many = restedFrom
	s := open(t, t.TempDir())
	c := &crowd{t: t, name: room.Here}
	last := room.Ref{}
	for n := range many {
		h := wire.RoomHead{Name: room.Here, Clock: tick(uint64(n)), Parents: [][]byte{refBytes(last)}}
		m := chat.Saying{From: key(1), ID: id(n), Text: fmt.Sprint(n), Sent: now, Room: room.Here, Clock: h.Clock}
		m.Head = string(must[[]byte](t)(wire.MarshalRoomHead(&h)))
		keep(t, s, m)
		last = refOf(m.ID, m.From)
	}
	check(t, s.Flush())
	forge := func(n int) time.Duration {
		a, b := refOf(id(n), key(2)), refOf(id(n+1), key(2))
		keep(t, s, c.says(chat.Person{Key: key(2)}, n, tick(many), b))
		keep(t, s, c.says(chat.Person{Key: key(2)}, n+1, tick(many), a, last))
		check(t, s.Flush())
		began := time.Now()
		if all := must[[]Message](t)(s.Log(Filter{Room: room.Here, Limit: 100})); len(all) != 100 {
			t.Fatalf("%d messages", len(all))
		}
		return time.Since(began)
	}
	first := forge(many)
	var more time.Duration
	const times = 20
	for i := range times {
		more += forge(many + 2 + 2*i)
	}
	t.Logf("the first time %v, then %v", first, more/times)
	if more > times/2*first {
		t.Errorf("%d times more took %v, the first %v", times, more, first)
	}
	check(t, s.writing(func() error {
		_, err := s.write.exec(`UPDATE ranked SET rests = ?`, time.Now().UnixMilli()-1) // it has rested
		return err
	}))
	must[[]string](t)(s.rooms(room.Here))
	if ask[bool](t, s, `SELECT stale FROM ranked`) {
		t.Error("the room isn't ranked anew once it has rested")
	}
}
