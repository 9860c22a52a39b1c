package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"earshot/cmd/earshot/internal/app"
	"earshot/cmd/earshot/internal/console"
)

// sheet is paper without a line editor.
type sheet process

func (p *sheet) Print(text string) { _ = (*process)(p).print(text) }
func (p *sheet) SetPrompt(string)  {}
func (p *sheet) Answer()           {}
func (p *sheet) Hide(string) bool  { return !term.IsTerminal(int(p.in.Fd())) }
func (p *sheet) Width() int        { return 0 }

// bareLines reads in line by line, ahead of what they wait for. What can't be said is told by Do.
func bareLines(ctx context.Context, in *os.File, stamp func() int64) <-chan console.Line {
	lines := make(chan console.Line, 100)
	go func() {
		send := func(l console.Line) bool {
			select {
			case lines <- l:
				return true
			case <-ctx.Done():
				return false
			}
		}
		for l := range readLines(in) {
			line := console.Line{Text: l.text, Stamp: stamp(), Err: l.err}
			if l.refused != "" {
				line = console.Line{Stamp: stamp(), Refused: fmt.Sprintf("line %d %s: not sent", l.number, l.refused)}
			}
			if !send(line) {
				return
			}
		}
		send(console.Line{Err: io.EOF})
	}()
	return lines
}

// unsaid reports what this process leaves behind undelivered.
func unsaid(a *app.App, s *app.Session) error {
	count, to := 0, ""
	for _, w := range s.Undelivered() {
		label := s.Label(w.Conv)
		if w.Conv.Room != "" {
			label = "everybody in " + label
		}
		if a.Settled(w.Conv.Key, w.Line.ID) {
			continue
		}
		if count++; to == "" || to == label {
			to = label
		} else {
			to = "others"
		}
	}
	if count == 0 {
		return nil
	}
	return &undelivered{count: count, to: to, kept: a.Store != nil}
}
