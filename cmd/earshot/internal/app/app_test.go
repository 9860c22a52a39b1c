package app

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"earshot/chat"
	"earshot/chat/store"
	"earshot/discovery/lantest"
)

// A start that fails leaves nothing behind that the next one finds taken.
func TestStartFails(t *testing.T) {
	cfg := Config{Name: "ana", Dir: t.TempDir(), Interfaces: []string{lantest.Loopback(t)}, Log: slog.New(slog.DiscardHandler)}
	damaged := filepath.Join(cfg.Dir, store.File)
	if err := os.WriteFile(damaged, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var bad *store.Error
	if _, err := Start(cfg, true); !errors.As(err, &bad) {
		t.Fatalf("started on an empty database: %v", err)
	}
	if err := os.Remove(damaged); err != nil {
		t.Fatal(err)
	}
	a, err := Start(cfg, true)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(func(chat.Event) {})
	if a.Twin {
		t.Error("the one that failed is still there")
	}
}
