package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/room"
)

func somebody(n byte, name string) chat.Person { return chat.Person{Key: key(n), Name: name} }

var trio = []chat.Person{somebody(1, "ana"), somebody(2, "bob"), somebody(3, "carol")}

// tick is the clock some ms after now.
func tick(clock uint64) uint64 { return uint64(millis(now)) + clock }

func saying(n int, clock uint64) chat.Saying {
	return chat.Saying{ID: id(n), Text: fmt.Sprint("message ", n), Sent: now, Room: room.Here, Head: "head", Clock: tick(clock)}
}

func delivery(t *testing.T, s *Store, n int) (delivered, total int, missing []string) {
	t.Helper()
	delivered, total, people, err := s.Delivery(id(n))
	check(t, err)
	for _, p := range people {
		missing = append(missing, p.Name)
	}
	return delivered, total, missing
}

// What is said in a room is kept once, and waits for each member by itself.
func TestSaidIn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if own := must[[]bool](t)(s.SaidIn(saying(1, 10), trio)); !slices.Equal(own, []bool{true, true, true}) {
		t.Errorf("may send at once: %v", own)
	}
	check(t, s.Delivered(key(2), id(1), now))
	if n, of, missing := delivery(t, s, 1); n != 1 || of != 3 || !slices.Equal(missing, []string{"ana", "carol"}) {
		t.Errorf("%d of %d, missing %v", n, of, missing)
	}
	check(t, s.Close())

	s = open(t, dir)
	if people := must[[]Person](t)(s.People()); len(people) > 0 {
		t.Errorf("known for something said in a room: %v", people)
	}
	if all := must[[]Message](t)(s.Log(Filter{})); len(all) != 1 || all[0].Text != "message 1" || all[0].Room != room.Here || !all[0].Out || all[0].Clock != tick(10) {
		t.Errorf("the log: %+v", all)
	}
	if all := must[[]Message](t)(s.Undelivered()); len(all) != 2 || all[0].Text != "message 1" || all[0].Peer != key(1) || all[0].Room != room.Here {
		t.Errorf("the outbox: %+v", all)
	}
	if s.Waits(key(2)) || !s.Waits(key(3)) {
		t.Error("waits for who has it, or not for who hasn't")
	}
	_, err := s.Said(chat.Saying{To: key(1), ID: id(2), Text: "between us", Sent: now})
	check(t, err)
	all := must[[]chat.Saying](t)(s.Outbox(key(1)))
	want := saying(1, 10)
	want.To = key(1)
	want.Sent = all[0].Sent
	if len(all) != 2 || all[0] != want || all[1].Text != "between us" || all[1].Room != "" {
		t.Errorf("to be sent: %+v", all)
	}
	// Something waits for carol that nobody sends: what is said now must come after it.
	if own := must[[]bool](t)(s.SaidIn(saying(3, 11), trio)); !slices.Equal(own, []bool{true, true, false}) {
		t.Errorf("may send at once: %v", own)
	}
	check(t, s.Exclude(key(2), id(3), now))
	if n, of, missing := delivery(t, s, 3); n != 0 || of != 2 || len(missing) != 2 {
		t.Errorf("%d of %d, missing %v", n, of, missing)
	}
	if _, err := s.Expire(); err != nil {
		t.Error(err)
	}
}

// With something said in a room all goes that was kept of who has it; what waits for a member stays.
func TestDeleteSaidIn(t *testing.T) {
	s := open(t, t.TempDir())
	for n := 1; n <= 2; n++ {
		must[[]bool](t)(s.SaidIn(saying(n, uint64(n)), trio[:2]))
		check(t, s.Delivered(key(1), id(n), now))
	}
	check(t, s.Flush())
	s.Release(key(2))
	check(t, s.Cancel(id(1), Failed))
	if n := must[int64](t)(s.Delete(ctx, Filter{Room: room.Here})); n != 1 {
		t.Errorf("%d deleted", n)
	}
	if all := must[[]Message](t)(s.Undelivered()); len(all) != 1 || all[0].Text != "message 2" {
		t.Errorf("the outbox: %+v", all)
	}
	if err := s.Retry(id(1), now); !errors.Is(err, ErrNotQueued) {
		t.Errorf("what is deleted can be said again: %v", err)
	}
	// An earlier version left the rows of the members.
	check(t, s.writing(func() error {
		_, err := s.write.exec(`DELETE FROM messages WHERE peer = -1`)
		return err
	}))
	if all := must[[]chat.Saying](t)(s.Outbox(key(2))); len(all) > 0 || s.Waits(key(2)) {
		t.Errorf("to be sent: %+v", all)
	}
}

// What other processes say and hear is news, once and in order; what this one does isn't, even
// where both have heard the same.
func TestNews(t *testing.T) {
	dir := t.TempDir()
	here, there := open(t, dir), open(t, dir)
	expect := func(want ...string) {
		t.Helper()
		var got []string
		for {
			all := must[[]chat.Kept](t)(here.News())
			if len(all) == 0 {
				break
			}
			for _, k := range all {
				got = append(got, fmt.Sprint(k.Name, k.Out, k.Room, " ", k.Text))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the news are %.200q, %d in all; want %.200q, %d in all", got, len(got), want, len(want))
		}
	}
	must[bool](t)(there.Heard(trio[0], id(1), "before", now, now))
	check(t, there.Flush())
	expect()
	must[bool](t)(here.Heard(trio[0], id(2), "by this one", now, now))
	must[[]bool](t)(here.SaidIn(saying(3, 3), trio))
	expect()
	must[bool](t)(there.Heard(trio[0], id(4), "heard", now, now))
	must[bool](t)(here.Heard(trio[0], id(5), "by this one", now, now))
	must[bool](t)(there.Heard(trio[0], id(5), "by this one", now, now))
	must[bool](t)(there.Said(chat.Saying{To: key(2), Name: "bob", ID: id(6), Text: "said", Sent: now}))
	must[[]bool](t)(there.SaidIn(saying(7, 7), trio))
	must[bool](t)(there.HeardIn(trio[2], saying(8, 8), now))
	check(t, there.Flush())
	expect("anafalse heard", "bobtrue said", "true#here message 7", "carolfalse#here message 8")
	expect()
	must[int64](t)(there.Delete(ctx, Filter{}))
	expect()
	must[bool](t)(there.Heard(trio[0], id(9), "after a deletion", now, now))
	check(t, there.Flush())
	var many []string
	for n := range 2*newsAtOnce + 1 {
		must[bool](t)(there.Heard(trio[0], id(100+n), "one of many", now, now))
		must[bool](t)(here.Heard(trio[0], id(1000+n), "mine", now, now))
		many = append(many, "anafalse one of many")
	}
	check(t, there.Flush())
	expect(append([]string{"anafalse after a deletion"}, many...)...)
}

// Members of a process that was killed are sent to by the next.
func TestSaidInKilled(t *testing.T) {
	dir := t.TempDir()
	check(t, open(t, dir).Close())
	leaves(t, dir, 4,
		record{kind: saidIn, id: id(1), sent: millis(now), text: "said", in: &inRoom{room: room.Here, head: "head", clock: 5, to: []member{{trio[0], true}, {trio[1], true}}}},
		record{kind: delivered, key: key(1), id: id(1), received: millis(now)},
		record{kind: heardIn, key: key(2), id: id(2), name: "bob", text: "heard", received: millis(now), in: &inRoom{room: room.Here, clock: 6}},
		record{kind: excluded, key: key(9), id: id(1)})
	s := open(t, dir)
	if n, of, missing := delivery(t, s, 1); n != 1 || of != 2 || !slices.Equal(missing, []string{"bob"}) {
		t.Errorf("%d of %d, missing %v", n, of, missing)
	}
	if all := must[[]chat.Saying](t)(s.Outbox(key(2))); len(all) != 1 || all[0].Text != "said" || all[0].Head != "head" {
		t.Errorf("to be sent: %+v", all)
	}
	if must[bool](t)(s.HeardIn(trio[1], saying(2, 6), now)) {
		t.Error("taken again")
	}
	if people := must[[]Person](t)(s.People()); len(people) != 1 || people[0].Name != "bob" {
		t.Errorf("known: %v", people)
	}
}

func TestHeardIn(t *testing.T) {
	s := open(t, t.TempDir())
	for i, clock := range []uint64{30, 10, 20} {
		if !must[bool](t)(s.HeardIn(trio[i], saying(i, clock), now)) || must[bool](t)(s.HeardIn(trio[i], saying(i, clock), now)) {
			t.Errorf("message %d is new twice, or never", i)
		}
	}
	private := saying(7, 15)
	private.Room = "#dev·0123456789abcdef"
	must[bool](t)(s.HeardIn(trio[0], private, now))
	must[bool](t)(s.Heard(trio[0], id(8), "between us", now, now))
	check(t, s.Flush())
	for _, tt := range []struct {
		what string
		f    Filter
		want []string
	}{
		{"the lobby, by the clocks", Filter{Room: room.Here}, []string{"message 1", "message 2", "message 0"}},
		{"a private room, by its name", Filter{Room: "#dev"}, []string{"message 7"}},
		{"another room", Filter{Room: "#de"}, nil},
		{"with one", Filter{Peer: key(1)}, []string{"between us"}},
		{"all", Filter{}, []string{"message 0", "message 1", "message 2", "message 7", "between us"}},
		{"a search", Filter{Room: room.Here, Search: "message"}, []string{"message 0", "message 1", "message 2"}},
	} {
		got := texts(must[[]Message](t)(s.Log(tt.f)))
		if tt.f.Search != "" {
			slices.Sort(got)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
	}
	tail := must[[]chat.Trace](t)(s.Tail(room.Here, now))
	if len(tail) != 3 || tail[0] != (chat.Trace{ID: id(0), From: key(1), Clock: tick(30), Head: "head"}) || tail[2].Clock != tick(20) {
		t.Errorf("the tail: %+v", tail)
	}
	if n := must[int64](t)(s.Delete(ctx, Filter{Room: room.Here})); n != 3 {
		t.Errorf("%d deleted", n)
	}
	if must[bool](t)(s.HeardIn(trio[1], saying(1, 10), now)) {
		t.Error("what is deleted is taken again")
	}
	check(t, s.Forget(ctx, key(1)))
	if all := must[[]Message](t)(s.Log(Filter{})); len(all) > 0 {
		t.Errorf("left of who is forgotten: %+v", all)
	}
	if must[bool](t)(s.HeardIn(trio[0], private, now)) {
		t.Error("what the forgotten have said is taken again")
	}
}

// Who comes late is given what they weren't told in the last hours, once.
func TestShare(t *testing.T) {
	s := open(t, t.TempDir())
	clock := setClock(s)
	for n := range room.MaxRecent + 10 {
		must[[]bool](t)(s.SaidIn(saying(n, uint64(n)), trio[:1]))
		check(t, s.Flush())
		clock.passes(time.Minute)
	}
	if s.Spoke("#dev", now) || !s.Spoke(room.Here, now) {
		t.Error("has said something where it has not")
	}
	if all := must[[]chat.Saying](t)(s.Share(room.Here, trio[0], now)); len(all) > 0 {
		t.Errorf("%d given to who was told", len(all))
	}
	if all := must[[]chat.Saying](t)(s.Share(room.Here, trio[2], now)); len(all) != room.MaxRecent || all[0].ID != id(10) {
		t.Errorf("%d given", len(all))
	}
	clock.wall = clock.wall.Add(400 * day) // which nobody has seen pass
	clock.passes(room.Recent - 60*time.Minute)
	all := must[[]chat.Saying](t)(s.Share(room.Here, trio[1], now))
	if len(all) != 60 || all[0].ID != id(50) || all[0].Head != "head" || all[0].To != key(2) {
		t.Errorf("%d given, the first %+v", len(all), all[0])
	}
	if again := must[[]chat.Saying](t)(s.Share(room.Here, trio[1], now)); len(again) > 0 {
		t.Errorf("%d given again", len(again))
	}
	if n, of, _ := delivery(t, s, 60); n != 0 || of != 1 {
		t.Errorf("%d of %d: who came late counts", n, of)
	}
	if !s.Release(key(2)) || len(must[[]chat.Saying](t)(s.Outbox(key(2)))) != len(all) {
		t.Error("what was given up isn't sent again")
	}
	clock.passes(time.Hour)
	if s.Spoke(room.Here, now) || len(must[[]chat.Saying](t)(s.Share(room.Here, somebody(9, "eve"), now))) > 0 {
		t.Error("what was said 6 hours ago is given")
	}
}

func TestRoomsRemembered(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	private := chat.Membership{Name: "#dev", Key: room.Key{7}}
	check(t, s.SetRoom(private, true))
	check(t, s.SetRoom(chat.Membership{Name: room.Here}, false))
	check(t, s.Close())
	all := must[[]Room](t)(open(t, dir).Rooms())
	if !slices.Equal(all, []Room{{Membership: private, Joined: true}, {Membership: chat.Membership{Name: room.Here}}}) {
		t.Errorf("%+v", all)
	}
}

// More rooms than one can be in aren't joined, the lobby included unless it was left.
func TestRoomLimit(t *testing.T) {
	s := open(t, t.TempDir())
	dev := func(n int) chat.Membership { return chat.Membership{Name: fmt.Sprint("#dev", n)} }
	secret := func(n int) chat.Membership {
		return chat.Membership{Name: fmt.Sprint("#secret", n), Key: room.Key{1}}
	}
	for i := 1; i < room.MaxOpen; i++ {
		check(t, s.SetRoom(dev(i), true))
	}
	for i := range room.MaxPrivate {
		check(t, s.SetRoom(secret(i), true))
	}
	refused := func(m chat.Membership) {
		t.Helper()
		if err := s.SetRoom(m, true); !errors.Is(err, chat.ErrTooManyRooms) {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	refused(dev(0))
	refused(secret(room.MaxPrivate))
	check(t, s.SetRoom(dev(1), true)) // again
	check(t, s.SetRoom(chat.Membership{Name: room.Here}, false))
	check(t, s.SetRoom(dev(0), true))
	refused(chat.Membership{Name: room.Here})
	check(t, s.SetRoom(secret(0), false))
	check(t, s.SetRoom(secret(room.MaxPrivate), true))
}

// Where a running process is, all are, while it lives or until that is left.
func TestVisit(t *testing.T) {
	dir := t.TempDir()
	here, there := open(t, dir), open(t, dir)
	in := func(name string, k byte) chat.Membership { return chat.Membership{Name: name, Key: room.Key{k}} }
	expect := func(what string, s *Store, want ...chat.Membership) {
		t.Helper()
		var got []chat.Membership
		for _, r := range must[[]Room](t)(s.Rooms()) {
			if r.Joined {
				got = append(got, r.Membership)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: in %v, want %v", what, got, want)
		}
	}
	check(t, here.SetRoom(in("#b", 1), true))
	check(t, here.SetRoom(in("#c", 0), false))
	check(t, there.Visit([]chat.Membership{in("#d", 0), in("#b", 2), in("#c", 0)}))
	expect("here", here, in("#b", 1), in("#c", 0), in("#d", 0))
	expect("there", there, in("#b", 2), in("#c", 0), in("#d", 0))
	for i := range room.MaxOpen - 3 { // with #c, #d and the lobby
		check(t, here.SetRoom(in(fmt.Sprint("#e", i), 0), true))
		check(t, here.SetRoom(in(fmt.Sprint("#e", i), 0), true))
	}
	if err := here.SetRoom(in("#f", 0), true); !errors.Is(err, chat.ErrTooManyRooms) {
		t.Error(err)
	}
	for i := range room.MaxOpen - 3 {
		check(t, here.SetRoom(in(fmt.Sprint("#e", i), 0), false))
	}
	check(t, here.SetRoom(in("#c", 0), false))
	expect("after one was left", here, in("#b", 1), in("#d", 0))
	check(t, there.Close())
	expect("after the process has ended", here, in("#b", 1))
	check(t, here.writing(func() error { // as one that was killed leaves it
		_, err := here.write.exec(`INSERT INTO visits VALUES (7, '#killed', x'')`)
		return err
	}))
	must[[]chat.Key](t)(here.Waiting())
	expect("after a process was killed", here, in("#b", 1))
}

// Whatever is in a journal, reading it neither panics nor makes up what isn't there.
func FuzzRoomRecord(f *testing.F) {
	r := record{seq: 1, kind: saidIn, id: id(1), text: "text", in: &inRoom{room: room.Here, head: "head", to: []member{{trio[0], true}}}}
	f.Add(r.in.encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, rest := decodeIn(b)
		if in == nil {
			return
		}
		if again := append(in.encode(nil), rest...); len(again) != len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(again))
		}
	})
}

// BenchmarkSaidIn200 keeps something said in a room to 200, and that all have it.
func BenchmarkSaidIn200(b *testing.B) {
	s := open(b, b.TempDir())
	var to []chat.Person
	for i := range 200 {
		to = append(to, chat.Person{Key: chat.Key{byte(i), 1}, Name: "somebody"})
	}
	n := 0
	for b.Loop() {
		n++
		if _, err := s.SaidIn(saying(n, uint64(n)), to); err != nil {
			b.Fatal(err)
		}
		for _, p := range to {
			check(b, s.Delivered(p.Key, id(n), now))
		}
	}
	check(b, s.Flush())
}
