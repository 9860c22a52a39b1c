package app

import (
	"time"

	"earshot/chat"
)

// shareEvery is how often members of rooms are given what other processes have said there
// without knowing of them, which asks the store about each.
const shareEvery = time.Second

// follower brings what other processes of this person say and hear.
type follower struct {
	*App
	news   []chat.Kept     // not taken yet
	spoken map[string]bool // rooms in which they have said something since
	shared time.Time
}

// overhear makes events of what they have said and heard, and of what the node has left to the store, as far
// as there is capacity.
func (f *follower) overhear() {
	for {
		left := f.Node.Left()
		for ; len(f.news) > 0; f.news = f.news[1:] {
			k := f.news[0]
			if !f.Node.Overhear(k) {
				return
			}
			if k.Out && k.Room != "" {
				f.spoken[chat.RoomName(k.Room)] = true
			}
		}
		var err error
		if f.news, err = f.Store.News(); err != nil || len(f.news) == 0 && f.Node.CaughtUp(left) {
			return
		}
	}
}

// rest gives what the closed node has left to the store.
func (f *follower) rest(take func(chat.Event)) {
	if !f.Node.Behind() {
		return
	}
	for {
		for _, k := range f.news {
			if !k.Out && !f.Book.Blocked(k.To) {
				take(k.Event())
			}
		}
		var err error
		if f.news, err = f.Store.News(); err != nil || len(f.news) == 0 {
			return
		}
	}
}

// share gives what they have said in rooms to members who weren't told it.
func (f *follower) share(now time.Time) {
	if len(f.spoken) == 0 || now.Sub(f.shared) < shareEvery {
		return
	}
	for name := range f.spoken {
		f.Node.Share(name)
	}
	clear(f.spoken)
	f.shared = now
}
