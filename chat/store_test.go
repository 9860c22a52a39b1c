package chat_test

import (
	"earshot/chat"
	"earshot/chat/store"
)

func init() {
	chat.OpenStore = func(dir string) (chat.Store, error) { return store.Open(dir) }
}
