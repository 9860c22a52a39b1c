package session

import (
	"bytes"

	"earshot/chat/wire"
)

// Scratch is what Open and Next work in. One serves any number of sessions, one at a time.
type Scratch struct {
	plain    bytes.Buffer
	frame    wire.Frame
	text     []byte
	room     int // for frames in the datagram being made
	most     int // for a frame that the peer takes only whole
	before   before
	datagram [wire.MaxDatagram]byte
}

// before is what the message frames of a datagram say, which one after them need not
// repeat (SPEC §6).
type before struct{ seq, sent uint64 }

// shorten leaves out of f what follows from the frames before it.
func (b *before) shorten(f *wire.Frame) {
	was := *b
	b.note(f)
	if was.seq != 0 && f.Seq == was.seq+1 {
		f.Seq = 0
	}
	if f.Sent == was.sent {
		f.Sent = 0
	}
}

// expand adds to f what was left out.
func (b *before) expand(f *wire.Frame) {
	if f.Type != wire.FrameMessage {
		return
	}
	if f.Seq == 0 && b.seq != 0 {
		f.Seq = b.seq + 1
	}
	if f.ID != nil && f.Sent == 0 {
		f.Sent = b.sent
	}
	b.note(f)
}

func (b *before) note(f *wire.Frame) {
	b.seq = f.Seq
	if f.ID != nil {
		b.sent = f.Sent
	}
}

func (w *Scratch) control(frameType uint16, token uint64) {
	w.frame = wire.Frame{Type: frameType, Seq: token}
	wire.AppendFrame(&w.plain, &w.frame)
}
