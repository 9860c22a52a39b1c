package app

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/discovery"
)

// Of changes that wait there is one for each peer, which tells what has come of them all.
func TestChangesAreMerged(t *testing.T) {
	ana, bob := discovery.Peer{ID: "a", Name: "ana"}, discovery.Peer{ID: "b", Name: "bob"}
	renamed := discovery.Peer{ID: "a", Name: "anna"}
	up, changed, down := discovery.Up, discovery.Changed, discovery.Down
	for _, c := range []struct {
		come, want []discovery.Event
	}{
		{[]discovery.Event{{Change: up, Peer: ana}, {Change: changed, Peer: renamed}}, []discovery.Event{{Change: up, Peer: renamed}}},
		{[]discovery.Event{{Change: up, Peer: ana}, {Change: up, Peer: bob}, {Change: down, Peer: ana}}, []discovery.Event{{Change: up, Peer: bob}}},
		{[]discovery.Event{{Change: down, Peer: ana}, {Change: up, Peer: renamed}}, []discovery.Event{{Change: changed, Peer: renamed}}},
		{[]discovery.Event{{Change: changed, Peer: ana}, {Change: down, Peer: ana}}, []discovery.Event{{Change: down, Peer: ana}}},
	} {
		var waiting changes
		for _, e := range c.come {
			waiting.add(e)
		}
		if fmt.Sprint([]discovery.Event(waiting)) != fmt.Sprint(c.want) {
			t.Errorf("%v became %v, want %v", c.come, waiting, c.want)
		}
	}
}

// What isn't taken of the outbox is told later, as it is then.
func TestOutboxTellsLater(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var told []string
	takes := false
	o := &outbox{tell: func(m store.Message) bool {
		if takes {
			told = append(told, m.Name+" "+m.Status.String())
		}
		return takes
	}}
	o.look(s)
	var ids []chat.MessageID
	for _, name := range []string{"ana", "bob"} {
		id, err := s.Queue(chat.Person{Name: name}, "hello", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if o.look(s); !o.left {
		t.Error("nothing is left to be told")
	}
	if err := s.Cancel(ids[0], store.Failed); err != nil {
		t.Fatal(err)
	}
	o.look(s)
	takes = true
	if o.look(s); !slices.Equal(told, []string{"ana failed", "bob queued"}) || o.left {
		t.Errorf("told %q", told)
	}
}
