package session

import (
	"bytes"

	"earshot/chat/wire"
)

// How each side tells the other which rooms it is in (SPEC §13.2).

// tell is how the state was told last.
type tell struct {
	part    int    // bytes of it already sent, while it goes in parts
	counter uint64 // of the datagram that had all of it
	size    int    // of that datagram; 0: there was none
}

// arriving is a state of which parts are here.
type arriving struct {
	version uint64
	parts
}

// rooms takes a state of the peer's, or a part of it.
func (s *Session) rooms(f *wire.Frame) error {
	switch {
	case f.Whole > wire.MaxState, f.Block > wire.MaxState/wire.PartUnit:
		return ErrMalformed
	case f.Seq <= s.took:
		s.toldDue = true
		return nil
	case f.Whole == 0:
		s.took, s.news = f.Seq, bytes.Clone(f.Data)
		s.toldDue, s.arriving = true, nil
		return nil
	case s.arriving == nil || f.Seq > s.arriving.version:
		s.arriving = &arriving{f.Seq, parts{whole: make([]byte, f.Whole)}}
	case f.Seq < s.arriving.version:
		return nil
	}
	complete, err := s.arriving.take(f)
	if complete {
		s.took, s.news = f.Seq, s.arriving.whole
		s.toldDue, s.arriving = true, nil
	}
	return err
}

// Version is the version of the state told last; 0: none was.
func (s *Session) Version() uint64 { return s.version }

// Tell tells the peer a state of at most [wire.MaxState] bytes, of the version after
// Version, instead of any told before (SPEC §13.2). Telling is true until the peer has taken it.
func (s *Session) Tell(state []byte) {
	s.version++
	s.state, s.telling, s.tellDue, s.tell = state, true, true, tell{}
}

// Telling reports whether the state told last may not be known to the peer.
func (s *Session) Telling() bool { return s.telling }

// Heralds reports whether there is News.
func (s *Session) Heralds() bool { return s.news != nil }

// News returns what the peer has told last, and its version, once; nil: nothing new.
func (s *Session) News() (state []byte, version uint64) {
	state, s.news = s.news, nil
	return state, s.took
}

// tells adds our state to w, or a part of it, and reports whether there is room for some.
func (s *Session) tells(w *Scratch) bool {
	from, to, room := s.tell.part, len(s.state), w.room-w.plain.Len()
	if from > 0 || to+frameHead > room {
		switch path := s.send.path.size - wire.SealedHeader - wire.Tag; {
		case from == 0 && to+frameHead <= path:
			return false // the next datagram has room for all of it
		case s.send.divides:
			if to = from + wholeUnits(to-from, room-partHead); to <= from {
				return false
			}
			s.tell.part = to
		case w.plain.Len() > 0 || to+frameHead > w.most:
			return false
		}
	}
	w.frame = wire.Frame{Type: wire.FrameRooms, Seq: s.version, Data: s.state[from:to]}
	if to-from < len(s.state) {
		w.frame.Block, w.frame.Whole = uint8(from/wire.PartUnit), uint16(len(s.state))
	}
	wire.AppendFrame(&w.plain, &w.frame)
	s.tellDue = to < len(s.state)
	return true
}

// tellAgain has the state told once more, since no answer came.
func (s *Session) tellAgain() {
	if s.tell.size > 0 {
		s.send.path.lost(s.tell.counter, s.tell.size)
	}
	s.tellDue, s.tell = true, tell{}
}
