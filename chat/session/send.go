package session

import (
	"time"

	"earshot/chat/internal/deque"
	"earshot/chat/wire"
)

// Constants of this implementation: how fast it sends, which the peer need not know.
const (
	startWindow = 32 // fragments in flight before anything is known of the path
	minWindow   = 8
	reordering  = 3                // datagrams that may pass a fragment before it counts as lost (RFC 9002 §6.1.1)
	granularity = time.Millisecond // the least time that one may (RFC 9002 §6.1.2)
	frameHead   = 48               // the most that a message frame adds to its text
	partHead    = frameHead + 8    // the same of a part

	holdFrom = 4                // fragments in flight from which on small ones wait for company
	holdFor  = time.Millisecond // how long at most

	corkDatagrams = 8 // full ones, that are more than enough to go in one call of the system

	fullDatagram = 900              // bytes from which on a datagram counts as full
	ackEvery     = 3                // full datagrams in order that one ack may answer
	ackDelay     = time.Millisecond // how long at most an ack waits for more of them
)

// outgoing is a message on its way.
type outgoing struct {
	Message
	last      uint64    // number of its last fragment; 0: not yet cut to the end
	firstSent time.Time // when its first fragment was first sent
	declined  wire.Reason
}

// fragment is a piece of a message that has been sent at least once.
type fragment struct {
	message  uint64 // which message, counted over the session's life
	from, to int    // which bytes of its text
	part     int    // bytes of these already sent, while it goes in parts
	counter  uint64 // of the datagram that carried it last
	size     int    // of that datagram
	sent     time.Time
	again    bool // once taken for lost: gives no measurement (Karn)
	sacked   bool // has arrived, but not everything before it is accepted
	lost     bool // to be sent again
}

// sender is the sending half of a session (SPEC §7).
type sender struct {
	queue   deque.Deque[outgoing]
	base    uint64 // messages already gone from the queue's front
	cut     int    // index in queue of the message to be cut next
	off     int    // bytes of it already cut
	next    uint64 // number of the next new fragment
	flight  deque.Deque[fragment]
	flying  int // fragments in flight neither sacked nor lost
	losses  int // fragments marked lost and not yet sent again
	unsent  int // bytes that the messages not yet cut would fill
	window  int // how many may be
	growth  int // acknowledgements since the window last grew, beyond slow start
	slow    int // slow start ends here; 0: not yet met a loss
	reduced time.Time
	rtt     rtt
	pacer   pacer
	held    time.Time // until when small messages are held back; zero: they are not
	known   uint64    // highest counter of a datagram that has arrived
	suspect time.Time // when to look again at what was passed by; zero: nothing was
	timer   time.Time // when to take what is unanswered for lost; zero: nothing is
	done    deque.Deque[Receipt]
	path    path
	divides bool // the peer takes fragments in parts
}

func (s *sender) push(m Message) {
	s.queue.Push(outgoing{Message: m})
	s.unsent += len(m.Text) + frameHead
}

// drop forgets everything that is still to be said.
func (s *sender) drop() {
	s.queue, s.flight = deque.Deque[outgoing]{}, deque.Deque[fragment]{}
	s.cut, s.off, s.flying, s.losses, s.unsent = 0, 0, 0, 0, 0
	s.timer, s.held, s.suspect, s.pacer = time.Time{}, time.Time{}, time.Time{}, pacer{}
}

func (s *sender) receipt() (Receipt, bool) {
	if s.done.Len() == 0 {
		return Receipt{}, false
	}
	return s.done.Pop(), true
}

func (s *sender) take() []Message {
	all := make([]Message, s.queue.Len())
	for i := range all {
		all[i] = s.queue.At(i).Message
	}
	s.drop()
	return all
}

// first is the number of the oldest fragment in flight.
func (s *sender) first() uint64 { return s.next - uint64(s.flight.Len()) }

// hold reports whether what is unsent should wait: while much is in flight, the next
// acknowledgement is near and a datagram may as well be filled until then. A message
// that finds the line quiet never waits.
func (s *sender) hold(now time.Time) bool {
	switch {
	case s.flying < holdFrom, s.flying >= s.window, s.unsent == 0, s.unsent >= wire.MaxPlain, s.losses > 0:
		s.held = time.Time{}
	case s.held.IsZero():
		s.held = now.Add(holdFor)
	case !now.Before(s.held):
		s.held = time.Time{}
	}
	return !s.held.IsZero()
}

// waiting reports whether there is something that the window has room for.
func (s *sender) waiting() bool {
	return s.flying < s.window && (s.losses > 0 || s.cut < s.queue.Len() && s.flight.Len() < Window)
}

// may reports whether there is something to send that pacing lets go now.
func (s *sender) may(now time.Time) bool {
	if !s.waiting() {
		s.pacer.until = time.Time{}
		return false
	}
	return s.pacer.may(now, s.rtt.smoothed, s.spread())
}

// ready reports whether fill is to send something now.
func (s *sender) ready(now time.Time) bool { return s.waiting() && !s.hold(now) && s.may(now) }

// fill adds to w what may be sent now and fits, lost fragments first, and reports
// whether it added something. Counter is that of the datagram being filled.
func (s *sender) fill(now time.Time, w *Scratch, counter uint64) (added bool) {
	first := s.flight.Len() // fragment that this datagram carries
	for i := 0; s.losses > 0 && s.flying < s.window; i++ {
		f := s.flight.At(i)
		if !f.lost {
			continue
		}
		some, whole := s.write(w, f, s.first()+uint64(i))
		if added = added || some; whole {
			s.flies(f, now, counter)
			first = min(first, i)
		} else {
			s.sized(w, first, counter)
			return added
		}
	}
	for s.cut < s.queue.Len() && s.flying < s.window && s.flight.Len() < Window {
		m := s.queue.At(s.cut)
		f := fragment{
			message: s.base + uint64(s.cut), from: s.off, to: min(s.off+FragmentSize, len(m.Text)),
			counter: counter, sent: now,
		}
		some, whole := s.write(w, &f, s.next)
		if !some {
			break
		}
		added = true
		if f.from == 0 {
			m.firstSent = now
		}
		s.unsent -= f.to - f.from
		if s.off = f.to; s.off == len(m.Text) {
			s.unsent -= frameHead
			m.last = s.next
			s.cut, s.off = s.cut+1, 0
		}
		s.next++
		if !whole { // the rest goes before anything else
			f.lost = true
			s.losses++
			s.flight.Push(f)
			break
		}
		s.flight.Push(f)
		s.flying++
	}
	s.sized(w, first, counter)
	return added
}

// flies notes that all of fragment f, which was to be sent again, is on its way.
func (s *sender) flies(f *fragment, now time.Time, counter uint64) {
	f.lost, f.sent, f.counter, f.part = false, now, counter, 0
	s.losses--
	s.flying++
}

// sized notes the size of the datagram in w with the fragments that it carries, of which first is the first.
func (s *sender) sized(w *Scratch, first int, counter uint64) {
	size := w.plain.Len() + wire.SealedHeader + wire.Tag
	for i := first; i < s.flight.Len(); i++ {
		if f := s.flight.At(i); f.counter == counter {
			f.size = size
		}
	}
}

// write adds fragment f, whose number is seq, to w if there is room: some of it, where the peer takes parts
// and the path carries no more.
func (s *sender) write(w *Scratch, f *fragment, seq uint64) (some, whole bool) {
	from, room := f.from+f.part, w.room-w.plain.Len()
	to := f.to
	if from != f.from || to-from+frameHead > room {
		switch path := s.path.size - wire.SealedHeader - wire.Tag; {
		case from == f.from && to-from+frameHead <= path:
			return false, false // the next datagram carries it whole
		case s.divides:
			if to = from + wholeUnits(to-from, room-partHead); to <= from {
				return false, false
			}
			f.part = to - f.from
		case w.plain.Len() > 0 || to-from+frameHead > w.most:
			return false, false
		}
	}
	m := s.queue.At(int(f.message - s.base))
	out := &w.frame
	w.text = append(w.text[:0], m.Text[from:to]...)
	*out = wire.Frame{Type: wire.FrameMessage, Seq: seq, Data: w.text}
	if to-from < f.to-f.from {
		out.Block, out.Whole = uint8((from-f.from)/wire.PartUnit), uint16(f.to-f.from)
	}
	if from == 0 {
		out.ID = m.ID[:]
		out.Sent = uint64(m.Sent.UnixMilli())
		out.Form = m.Form
		if n := (len(m.Text) + FragmentSize - 1) / FragmentSize; n > 1 {
			out.Count = uint8(n)
		}
	}
	w.before.shorten(out)
	wire.AppendFrame(&w.plain, out)
	return true, to == f.to
}

// wholeUnits is how many of the n bytes left of something go in a part for which there is room.
func wholeUnits(n, room int) int {
	if n <= room {
		return n
	}
	return room / wire.PartUnit * wire.PartUnit
}

// ack takes an acknowledgement (SPEC §7).
func (s *sender) ack(now time.Time, a *wire.Frame) error {
	if a.Seq > s.next || a.Seq == 0 {
		return ErrMalformed
	}
	if a.Seq < s.first() {
		return nil // older than one already taken
	}
	var news news
	for s.first() < a.Seq {
		f := s.flight.Pop()
		s.arrived(&f, &news)
	}
	for s.queue.Len() > 0 {
		m := s.queue.At(0)
		if m.last == 0 || m.last >= a.Seq {
			break
		}
		s.done.Push(Receipt{m.Message, now.Sub(m.firstSent), m.declined})
		s.queue.Pop()
		s.base++
		s.cut--
	}
	for i := 1; i < s.flight.Len(); i++ {
		bit := uint64(1) << ((i - 1) % 64)
		if i <= 64 && a.Sack&bit != 0 || i > 64 && a.Sack2&bit != 0 {
			f := s.flight.At(i)
			s.arrived(f, &news)
			f.sacked = true
		}
	}
	if !news.any {
		return nil
	}
	s.rtt.backoff = 0
	if !news.measured.IsZero() {
		s.rtt.sample(now.Sub(news.measured))
	}
	s.timer = time.Time{}
	s.known = max(s.known, news.highest)
	s.passed(now)
	s.path.suspect(now, missedPassed)
	return nil
}

// passed takes for lost what was sent before something that has arrived, and long
// enough before: by the count of datagrams or by time (RFC 9002 §6.1).
func (s *sender) passed(now time.Time) {
	s.suspect = time.Time{}
	patience := max(s.rtt.smoothed*9/8, granularity)
	for i := range s.flight.Len() {
		f := s.flight.At(i)
		if f.sacked || f.lost || f.counter >= s.known {
			continue
		}
		if at := f.sent.Add(patience); f.counter+reordering <= s.known || !now.Before(at) {
			s.lose(now, f)
		} else if s.suspect.IsZero() || at.Before(s.suspect) {
			s.suspect = at
		}
	}
}

// declined notes that the peer will not have kept a message when it acknowledges it (SPEC §7.14).
func (s *sender) declined(f *wire.Frame) {
	for i := range s.cut {
		if m := s.queue.At(i); m.last == f.Seq && m.ID == [16]byte(f.ID) {
			m.declined = f.Reason
			if f.Reason < wire.NotInRoom || f.Reason > wire.NotNow {
				m.declined = wire.NotNow
			}
		}
	}
}

// news is what one acknowledgement tells.
type news struct {
	any      bool
	highest  uint64    // counter of a datagram known to have arrived
	measured time.Time // when the latest fragment fit for measuring was sent
}

// arrived notes that fragment f is at the peer.
func (s *sender) arrived(f *fragment, n *news) {
	if f.sacked {
		return
	}
	n.any = true
	if !f.lost {
		s.path.arrived(f.size)
		if f.to-f.from > s.path.size && !s.divides { // it went whole, or it wouldn't have arrived
			s.path.grown(f.to - f.from)
		}
	}
	n.highest = max(n.highest, f.counter)
	if !f.again && f.sent.After(n.measured) {
		n.measured = f.sent
	}
	if f.lost {
		f.lost = false
		s.losses--
	} else {
		s.flying--
	}
	switch {
	case s.window >= Window:
	case s.slow == 0 || s.window < s.slow:
		s.window++
	default:
		if s.growth++; s.growth >= s.window {
			s.window, s.growth = s.window+1, 0
		}
	}
}

// lose takes fragment f for lost, and slows down once for all that were in flight
// together with it.
func (s *sender) lose(now time.Time, f *fragment) {
	if f.sent.After(s.reduced) {
		s.window = max(minWindow, s.window/2)
		s.slow = s.window
		s.reduced = now
	}
	f.lost, f.again, f.part = true, true, 0
	s.losses++
	s.flying--
	s.path.lost(f.counter, f.size)
}

// shrunk takes for lost what went in datagrams larger than the path carries.
func (s *sender) shrunk(now time.Time) {
	for i := range s.flight.Len() {
		if f := s.flight.At(i); f.size > s.path.size && !f.sacked && !f.lost {
			s.lose(now, f)
		}
	}
	s.rtt.backoff = 0
}

// spread is how many datagrams a full window takes, of one fragment each or of a part.
func (s *sender) spread() int { return s.window * (1 + FragmentSize/s.path.size) }

// expired reports whether the timer has run out, and then takes all that is
// unanswered for lost. When all has arrived and the peer only can't accept it yet,
// the oldest fragment is sent again to draw an acknowledgement.
func (s *sender) expired(now time.Time) bool {
	if !s.suspect.IsZero() && !now.Before(s.suspect) {
		s.passed(now)
	}
	if s.timer.IsZero() || now.Before(s.timer) {
		return false
	}
	s.timer = time.Time{}
	s.rtt.backoff++
	for i := range s.flight.Len() {
		f := s.flight.At(i)
		if !f.sacked && !f.lost {
			s.lose(now, f)
		}
	}
	if s.losses == 0 && s.flight.Len() > 0 {
		f := s.flight.At(0)
		f.sacked, f.lost, f.again, f.part = false, true, true, 0
		s.losses++
	}
	s.path.suspect(now, missedTimeouts)
	return true
}

// arm sets the timer when something awaits an answer, and stops it when nothing does.
func (s *sender) arm(now time.Time, waiting bool) {
	switch {
	case s.flight.Len() == 0 && !waiting:
		s.timer, s.suspect = time.Time{}, time.Time{}
		s.rtt.backoff = 0
	case s.timer.IsZero():
		s.timer = now.Add(s.rtt.timeout())
	}
}
