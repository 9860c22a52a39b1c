package session

import (
	"math"
	"slices"
	"time"

	"earshot/chat/wire"
)

// keepHeld is the most room that an idle receiver holds on to.
const keepHeld = 16

// segment is a fragment that has arrived and waits for its turn.
type segment struct {
	seq   uint64
	id    [16]byte
	sent  uint64 // ms since 1970
	count uint8  // fragments of the message; 0: not its first fragment
	form  uint8
	data  string
	parts *parts // nil: all of it is here
}

// parts is what has arrived of something that comes in parts (SPEC §7.19).
type parts struct {
	whole []byte
	have  uint16 // bit i: its block i
}

// take takes a part, and reports whether that completes the whole.
func (p *parts) take(f *wire.Frame) (complete bool, err error) {
	at := int(f.Block) * wire.PartUnit
	switch end := at + len(f.Data); {
	case int(f.Whole) != len(p.whole), end > len(p.whole), len(f.Data)%wire.PartUnit != 0 && end != len(p.whole):
		return false, ErrMalformed
	}
	copy(p.whole[at:], f.Data)
	p.have |= (1<<blocks(len(f.Data)) - 1) << f.Block
	return p.have == 1<<blocks(len(p.whole))-1, nil
}

// blocks is how many blocks n bytes take.
func blocks(n int) int { return (n + wire.PartUnit - 1) / wire.PartUnit }

// segmentSize is what a segment costs beside its text.
const segmentSize = 80

// receiver is the receiving half of a session (SPEC §7).
type receiver struct {
	next       uint64    // number of the first fragment not yet accepted
	held       []segment // sorted by number, all within Window of next
	size       int       // bytes that held, partial and whole take
	whole      string    // the text of the next message, once it is complete and of several fragments
	assembling bool
	partial    partial
	declines   []decline // not confirmed, the oldest first
}

// decline is a message that was complete and isn't kept.
type decline struct {
	last   uint64 // number of its last fragment
	id     [16]byte
	reason wire.Reason
}

// partial is a message of which some fragments are accepted.
type partial struct {
	first segment
	have  uint8
	text  []byte
}

// fragment takes a message frame. Duplicates and what lies beyond the window are
// ignored: the acknowledgement that answers them says why.
func (r *receiver) fragment(f *wire.Frame) error {
	starts := f.ID != nil
	switch {
	case f.Seq == 0, len(f.Data) == 0, len(f.Data) > FragmentSize:
		return ErrMalformed
	case f.Form > wire.FormRoom, f.Count == 1:
		return ErrMalformed
	case starts && (len(f.ID) != 16 || f.Count > MaxFragments+f.Form || f.Block != 0):
		return ErrMalformed
	case f.Whole > FragmentSize, f.Whole == 0 && f.Block != 0, f.Block >= FragmentSize/wire.PartUnit:
		return ErrMalformed
	case f.Seq < r.next || f.Seq >= r.next+Window:
		return nil
	}
	at := len(r.held)
	for at > 0 && r.held[at-1].seq >= f.Seq {
		at--
	}
	if at == len(r.held) || r.held[at].seq != f.Seq {
		g := segment{seq: f.Seq}
		if f.Whole != 0 {
			g.parts = &parts{whole: make([]byte, f.Whole)}
			if _, err := g.parts.take(f); err != nil {
				return err
			}
			r.size += int(f.Whole)
		} else {
			g.data = string(f.Data)
			r.size += len(g.data)
		}
		r.size += segmentSize
		r.held = slices.Insert(r.held, at, g)
	} else if g := &r.held[at]; g.parts == nil {
		return nil
	} else if f.Whole == 0 { // the path carries it now
		r.size += len(f.Data) - len(g.parts.whole)
		g.data, g.parts = string(f.Data), nil
	} else if complete, err := g.parts.take(f); err != nil {
		return err
	} else if complete {
		g.data, g.parts = string(g.parts.whole), nil
	}
	if g := &r.held[at]; starts {
		g.id, g.sent, g.count, g.form = [16]byte(f.ID), f.Sent, max(1, f.Count), f.Form
	}
	return nil
}

// peek returns the next message in order when all of it is here, taking in the
// fragments before its last. The last is left to advance.
func (r *receiver) peek() (m Message, ok bool, err error) {
	for len(r.held) > 0 && r.held[0].seq == r.next && r.held[0].parts == nil {
		g := &r.held[0]
		if (g.count != 0) == r.assembling {
			return m, false, ErrMalformed // a first fragment amid another message, or a later one of none
		}
		if g.count == 1 {
			return message(g, g.data), true, nil
		}
		if !r.assembling {
			r.assembling = true
			r.partial = partial{first: *g} // no room yet for what is only promised
		}
		p := &r.partial
		if p.have+1 == p.first.count {
			if r.whole == "" {
				r.whole = string(p.text) + g.data
				r.size += len(r.whole)
			}
			return message(&p.first, r.whole), true, nil
		}
		p.have++
		p.text = append(p.text, g.data...)
		r.size += len(g.data)
		r.advance()
	}
	return m, false, nil
}

func message(first *segment, text string) Message {
	return Message{ID: first.id, Text: text, Sent: time.UnixMilli(int64(min(first.sent, math.MaxInt64))), Form: first.form}
}

// accept takes the message that peek returned.
func (r *receiver) accept() {
	r.size -= len(r.partial.text) + len(r.whole)
	r.assembling, r.partial, r.whole = false, partial{}, ""
	r.advance()
}

// decline takes the message that peek returned as not kept (SPEC §7.12).
func (r *receiver) decline(reason wire.Reason) {
	first := &r.held[0]
	if r.assembling {
		first = &r.partial.first
	}
	r.declines = append(r.declines, decline{last: r.next, id: first.id, reason: reason})
	r.accept()
}

// MayDecline reports whether few enough declines are unconfirmed for another (SPEC §7.15).
func (s *Session) MayDecline() bool { return len(s.recv.declines) < MaxDeclines }

// Decline ends the message that Incoming returned without it being kept. The peer, which must
// understand that (SPEC §6), gets it back as a Receipt with the reason. MayDecline must be true.
func (s *Session) Decline(reason wire.Reason) {
	s.recv.decline(reason)
	s.ackDue = true
}

// noted forgets the declines that the peer has confirmed.
func (r *receiver) noted(last uint64) {
	r.declines = slices.DeleteFunc(r.declines, func(d decline) bool { return d.last <= last })
}

// advance moves past the fragment at the front.
func (r *receiver) advance() {
	r.next++
	r.size -= segmentSize + len(r.held[0].data)
	r.held = slices.Delete(r.held, 0, 1)
	if len(r.held) == 0 && cap(r.held) > keepHeld {
		r.held = nil
	}
}

// ack says what has been accepted, of what is below first, and what has arrived (SPEC §7).
func (r *receiver) ack(first uint64) wire.Frame {
	a := wire.Frame{Type: wire.FrameAck, Seq: min(r.next, first)}
	arrived := func(seq uint64) {
		switch d := seq - a.Seq; {
		case d == 0: // arrived, not accepted: Seq itself says so
		case d <= 64:
			a.Sack |= 1 << (d - 1)
		case d <= 128:
			a.Sack2 |= 1 << (d - 65)
		}
	}
	for seq := a.Seq; seq < min(r.next, a.Seq+Window+1); seq++ { // a peer that confirms nothing may be far behind
		arrived(seq)
	}
	for i := range r.held {
		if r.held[i].parts == nil {
			arrived(r.held[i].seq)
		}
	}
	return a
}

// acknowledge adds the ack to w, and before it the declines that it rests on (SPEC §7.13).
func (r *receiver) acknowledge(w *Scratch) {
	first := r.next
	for _, d := range r.declines {
		if w.plain.Len()+declinedSize+controlSize > min(w.room, leastRoom) {
			first = d.last
			break
		}
		w.frame = wire.Frame{Type: wire.FrameDeclined, Seq: d.last, ID: d.id[:], Reason: d.reason}
		wire.AppendFrame(&w.plain, &w.frame)
	}
	w.frame = r.ack(first)
	wire.AppendFrame(&w.plain, &w.frame)
}
