package chat_test

import (
	"time"

	"earshot/chat"
	"earshot/chat/store"
)

func init() {
	chat.OpenStore = func(dir string, clock func() (time.Duration, time.Time)) (chat.Store, error) {
		s, err := store.Open(dir)
		if err == nil && clock != nil {
			s.SetClock(clock)
		}
		return s, err
	}
}
