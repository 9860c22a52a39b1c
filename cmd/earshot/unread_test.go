//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

// As in `earshot listen | head -1`.
func TestWhileRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := &process{out: w}
	ctx := p.whileRead(t.Context())
	select {
	case <-ctx.Done():
		t.Fatal("ended while it was read")
	case <-time.After(20 * time.Millisecond):
	}
	r.Close()
	select {
	case <-ctx.Done():
	case <-time.After(scriptPatience):
		t.Fatal("nobody noticed that it isn't read any more")
	}
	if err := context.Cause(ctx); !errors.Is(err, syscall.EPIPE) || p.report(err) != exitDone {
		t.Error(err)
	}
}
