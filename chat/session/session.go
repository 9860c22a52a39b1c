// Package session seals and delivers: one Session is one pair of keys and one
// ordered, acknowledged stream of messages each way (chat/SPEC.md §5 and §7).
//
// It is pure. The caller brings datagrams and the time, asks Next for what to send
// until there is nothing, and comes back at Wake. A Session is not safe for
// concurrent use.
package session

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"earshot/chat/wire"
)

// Constants of the protocol (SPEC §5, §7, §8).
const (
	MaxText      = 64 << 10                // bytes of one message
	FragmentSize = 1024                    // bytes of text in one message frame
	MaxFragments = MaxText / FragmentSize  // of one message; one more for one with a form
	Window       = 128                     // fragments in flight, and held out of order
	MaxDeclines  = 16                      // messages declined, and not confirmed
	ReplayWindow = 1024                    // counters
	MinRTO       = 10 * time.Millisecond   // RFC 6298 says 1 s, made for the Internet
	InitialRTO   = 100 * time.Millisecond  // before the first measurement
	MaxRTO       = 2000 * time.Millisecond // between two tries to somebody silent
)

// Reasons why Open refuses a datagram. Each means: drop it, the session goes on.
var (
	ErrReplay    = errors.New("session: counter seen before or too old")
	ErrForged    = errors.New("session: seal does not open")
	ErrMalformed = errors.New("session: sealed frames are malformed")
)

// Message is one text on its way in or out.
type Message struct {
	ID   [16]byte
	Text string
	Sent time.Time // by the sender's clock, to the millisecond
	Form uint8     // what Text is, when not just a text (SPEC §6)
	Room string    // the sender's own note where it was said; it isn't sent
}

// Receipt says that the peer has accepted a message, or declined it.
type Receipt struct {
	Message
	RTT      time.Duration // from its first transmission to the acknowledgement of all of it
	Declined wire.Reason   // 0: it is accepted
}

// Session is one pair of keys and its two streams.
type Session struct {
	local, remote uint32 // session indices (SPEC §3)
	sealer        cipher.AEAD
	opener        cipher.AEAD
	counter       uint64 // of the next datagram sealed
	window        replay
	nonce         [chacha20poly1305.NonceSize]byte // kept here so that it need not be allocated

	heard        time.Time // last authentic datagram
	waitingSince time.Time // first unanswered transmission that wants an answer; zero: none
	violated     bool

	send sender
	recv receiver

	unacked int       // datagrams since the last ack
	ackBy   time.Time // when an ack that waits must go; zero: none waits

	ackDue, pongDue, pingDue, byeDue bool
	checkDue, checkedDue             bool
	tellDue, toldDue                 bool
	typingDue, peerTyping            bool
	notedDue                         bool
	pinged, checking, telling        bool
	closing, peerLeft                bool
	token, answer                    uint64 // of our check; of the peer's

	noted uint64 // the greatest last fragment of a message that the peer has declined

	version, took uint64 // of our state; of the peer's latest
	state, news   []byte // ours; the peer's, until it is taken
	tell          tell
	arriving      *arriving // a state of the peer's that comes in parts; nil: none
}

// New makes a session from the keys of a handshake that ended at now. Local is the
// index by which the peer addresses this side, remote the one to address it by.
func New(now time.Time, sendKey, recvKey [32]byte, local, remote uint32) *Session {
	s := &Session{local: local, remote: remote, heard: now}
	s.sealer, s.opener = mustAEAD(sendKey), mustAEAD(recvKey)
	s.send.window = startWindow
	s.send.next, s.recv.next = 1, 1
	s.send.path.size = wire.MaxDatagram
	return s
}

func mustAEAD(key [32]byte) cipher.AEAD {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic(err) // the key's size is in its type
	}
	return aead
}

// Local is the index by which the peer addresses this session.
func (s *Session) Local() uint32 { return s.local }

// Remote is the index by which this side addresses the peer's.
func (s *Session) Remote() uint32 { return s.remote }

// Counter is the number of datagrams sealed so far.
func (s *Session) Counter() uint64 { return s.counter }

// Heard is when the last authentic datagram came, or the session began.
func (s *Session) Heard() time.Time { return s.heard }

// WaitingSince is when the first transmission was made that has had no answer of
// any kind; zero when none is outstanding.
func (s *Session) WaitingSince() time.Time { return s.waitingSince }

// PeerLeft reports whether the peer has said goodbye.
func (s *Session) PeerLeft() bool { return s.peerLeft }

// Violated reports whether the peer broke the stream's rules under a valid seal
// (SPEC §7). Such a session is of no more use.
func (s *Session) Violated() bool { return s.violated }

// setNonce writes the nonce of SPEC §5: four zero bytes and the counter, little-endian,
// as Noise has it for ChaChaPoly.
func (s *Session) setNonce(counter uint64) []byte {
	binary.LittleEndian.PutUint64(s.nonce[4:], counter)
	return s.nonce[:]
}

// Open takes a sealed datagram, which it decrypts in place, and reports whether
// its counter is the highest so far (its source is then the peer's latest address).
// What it completes is then at Incoming and Receipt.
func (s *Session) Open(now time.Time, datagram []byte, w *Scratch) (latest bool, err error) {
	_, counter, sealed, err := wire.ParseSealed(datagram)
	if err != nil {
		return false, ErrMalformed
	}
	if !s.window.fresh(counter) {
		return false, ErrReplay
	}
	plain, err := s.opener.Open(sealed[:0], s.setNonce(counter), sealed, datagram[:wire.SealedHeader])
	if err != nil {
		return false, ErrForged
	}
	latest = s.window.mark(counter)
	s.unacked++
	s.heard = now
	s.waitingSince = time.Time{}
	if s.pinged {
		s.pinged = false
		s.send.rtt.backoff = 0
	}
	f := &w.frame
	w.before = before{}
	full := len(datagram) >= fullDatagram
	for len(plain) > 0 {
		if plain, err = wire.NextFrame(plain, f); err != nil {
			return latest, ErrMalformed
		}
		w.before.expand(f)
		if err := s.frame(now, f, full); err != nil {
			return latest, err
		}
	}
	return latest, nil
}

func (s *Session) frame(now time.Time, f *wire.Frame, full bool) error {
	switch f.Type {
	case wire.FrameMessage:
		s.owe(now, full && f.Seq == s.recv.next+uint64(len(s.recv.held)))
		return s.recv.fragment(f)
	case wire.FrameAck:
		return s.send.ack(now, f)
	case wire.FramePing:
		s.pongDue = true
	case wire.FrameCheck:
		s.checkedDue, s.answer = true, f.Seq
	case wire.FrameChecked:
		if s.checking && f.Seq == s.token {
			s.checking, s.checkDue = false, false
		} else if f.Seq&probeToken != 0 {
			s.send.path.passes(f.Seq)
		}
	case wire.FrameRooms:
		return s.rooms(f)
	case wire.FrameTold:
		if s.telling && f.Seq == s.version {
			s.telling, s.tellDue, s.state = false, false, nil
			s.send.path.arrived(s.tell.size)
		}
	case wire.FrameTyping:
		s.peerTyping = true
	case wire.FrameDeclined:
		if f.Seq == 0 || f.Seq >= s.send.next || len(f.ID) != 16 {
			return ErrMalformed
		}
		s.send.declined(f)
		s.notedDue, s.noted = true, max(s.noted, f.Seq)
	case wire.FrameNoted:
		s.recv.noted(f.Seq)
	case wire.FrameBye:
		s.peerLeft = true
		s.byeDue = !s.closing // answered once for each
	}
	return nil
}

// Holds reports whether what was pushed waits for company, so that there is no need to
// ask Next before Wake.
func (s *Session) Holds(now time.Time) bool {
	return !s.send.held.IsZero() && now.Before(s.send.held) && s.send.unsent < wire.MaxPlain
}

// Corks reports whether what was pushed may as well wait for a moment and go together with
// more: much is in flight, and not yet enough for a few full datagrams unsent.
func (s *Session) Corks() bool {
	return s.send.flying >= holdFrom && s.send.losses == 0 && s.send.unsent < corkDatagrams*wire.MaxPlain
}

// owe makes an ack due, at once unless it may wait: what comes in order in a full
// datagram is followed by more (SPEC §7.4).
func (s *Session) owe(now time.Time, mayWait bool) {
	switch {
	case !mayWait:
		s.ackDue = true
	case s.ackBy.IsZero():
		s.ackBy = now.Add(ackDelay)
	}
}

// Push queues a message to be sent after those before it.
func (s *Session) Push(m Message) { s.send.push(m) }

// Ping asks the peer for a sign of life.
func (s *Session) Ping() { s.pingDue = true }

// Typing tells the peer, once and with nothing to answer, that the person is writing; false
// takes that back, if it hasn't gone yet.
func (s *Session) Typing(on bool) { s.typingDue = on }

// PeerTyping reports whether the peer has told so since the last call.
func (s *Session) PeerTyping() bool {
	told := s.peerTyping
	s.peerTyping = false
	return told
}

// Check asks the peer to repeat token, which nobody can guess, from its new address
// (SPEC §5). Checking is true until it has.
func (s *Session) Check(token uint64) { s.token, s.checking, s.checkDue = token, true, true }

// Checking reports whether a check is unanswered.
func (s *Session) Checking() bool { return s.checking }

// Close says goodbye instead of anything else still to be said, and again until the
// peer has answered with its own, when PeerLeft is true.
func (s *Session) Close() {
	s.closing, s.byeDue = true, true
	s.telling, s.tellDue = false, false
	s.send.drop()
}

// Confirm makes the next datagram due even if there is nothing to say: the first
// one from a responder tells the initiator that its last handshake message came.
func (s *Session) Confirm() { s.ackDue = true }

// Incoming returns the next message that is complete and in order. It stays the
// next until Accept, and is acknowledged only then: so "delivered" is true when the
// sender reads it, and a receiver that can't keep up slows its sender down.
func (s *Session) Incoming() (Message, bool) {
	m, ok, err := s.recv.peek()
	if err != nil {
		s.violated = true
	}
	return m, ok
}

// Accept takes the message that Incoming returned.
func (s *Session) Accept() {
	s.recv.accept()
	if s.ackBy.IsZero() {
		s.ackDue = true // the ack of its arrival did not say that it was accepted
	}
}

// Held is how many bytes the session keeps of messages that are not accepted.
func (s *Session) Held() int { return s.recv.size }

// Accepted is the number of fragments accepted so far.
func (s *Session) Accepted() uint64 { return s.recv.next - 1 }

// Receipt returns the next message that the peer has accepted or declined since the last call.
func (s *Session) Receipt() (Receipt, bool) { return s.send.receipt() }

// Take takes back, in order, every message pushed that the peer has not
// acknowledged. The caller carries them over to another session.
func (s *Session) Take() []Message { return s.send.take() }

// Pending is the number of messages not yet acknowledged.
func (s *Session) Pending() int { return s.send.queue.Len() }

// arm sets or stops the retransmission timer.
func (s *Session) arm(now time.Time) {
	s.send.arm(now, s.pinged || s.checking || s.telling || s.closing && !s.peerLeft)
}

// Wake is when Next must be asked again if nothing happens before; zero: never.
func (s *Session) Wake() time.Time {
	at := s.send.timer
	for _, t := range [...]time.Time{s.send.held, s.send.suspect, s.send.pacer.until, s.ackBy, s.send.path.wake()} {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

const (
	controlSize  = 98 // the most that all frames but messages, rooms and declined take together
	declinedSize = 34 // the most that a declined frame takes
)

// leastLimit is the smallest limit of Next that has room for all but messages.
const leastLimit = wire.SealedHeader + wire.Tag + controlSize

// talks reports whether a datagram goes out anyway, which an ack can ride in.
func (s *Session) talks(now time.Time) bool {
	return s.pongDue || s.pingDue || s.typingDue || s.checkDue || s.checkedDue || s.tellDue || s.toldDue || s.notedDue || s.byeDue || s.send.ready(now)
}

// Next returns the next datagram to send now, of at most limit bytes, or nil. The
// result lies in w and is good until w is used again.
func (s *Session) Next(now time.Time, w *Scratch, limit int) []byte {
	if s.send.expired(now) {
		s.pingDue = s.pingDue || s.pinged
		s.checkDue = s.checkDue || s.checking
		s.byeDue = s.byeDue || s.closing && !s.peerLeft
		if s.telling {
			s.tellAgain()
			s.send.path.suspect(now, missedTimeouts)
		}
	}
	mayProbe := limit >= wire.MaxDatagram && !s.closing
	if !mayProbe {
		s.send.path.postpone(now)
	}
	if limit < leastLimit {
		s.send.held, s.send.pacer.until, s.ackBy = time.Time{}, time.Time{}, time.Time{}
		s.ackDue = s.ackDue || s.unacked > 0
		if s.waitingSince.IsZero() {
			s.waitingSince = now // for leave to speak: without it, another session must be made
		}
		s.arm(now)
		return nil
	}
	if mayProbe && s.send.path.search != nil {
		if d := s.probe(now, w); d != nil {
			return d
		}
	}
	s.send.pacer.until = time.Time{}
	w.plain.Reset()
	w.before = before{}
	w.most = min(limit, wire.MaxDatagram) - wire.SealedHeader - wire.Tag
	w.room = min(limit, s.send.path.size) - wire.SealedHeader - wire.Tag
	eliciting := false
	if !s.ackBy.IsZero() {
		due := s.unacked >= ackEvery || !now.Before(s.ackBy)
		s.ackDue = s.ackDue || due || s.talks(now)
	}
	if s.ackDue || s.byeDue { // who leaves takes nothing more, so the last word says what came
		s.ackDue, s.ackBy, s.unacked = false, time.Time{}, 0
		s.recv.acknowledge(w)
	}
	if s.pongDue {
		s.pongDue = false
		w.control(wire.FramePong, 0)
	}
	if s.pingDue {
		s.pingDue, s.pinged, eliciting = false, true, true
		w.control(wire.FramePing, 0)
	}
	if s.typingDue {
		s.typingDue = false
		w.control(wire.FrameTyping, 0)
	}
	if s.checkedDue {
		s.checkedDue = false
		w.control(wire.FrameChecked, s.answer)
	}
	if s.checkDue {
		s.checkDue, eliciting = false, true
		w.control(wire.FrameCheck, s.token)
	}
	if s.toldDue {
		s.toldDue = false
		w.control(wire.FrameTold, s.took)
	}
	if s.notedDue {
		s.notedDue = false
		w.control(wire.FrameNoted, s.noted)
	}
	told := false
	if s.tellDue {
		told = s.tells(w)
		eliciting = eliciting || told
	}
	if s.byeDue {
		s.byeDue, eliciting = false, s.closing
		w.control(wire.FrameBye, 0)
	}
	if (w.plain.Len() > 0 || !s.send.hold(now)) && s.send.may(now) && s.send.fill(now, w, s.counter) {
		s.send.pacer.went(now, s.send.rtt.smoothed, s.send.spread())
		eliciting = true
	}
	s.arm(now)
	if w.plain.Len() == 0 {
		return nil
	}
	if eliciting && s.waitingSince.IsZero() {
		s.waitingSince = now
	}
	if told && s.tell.part == 0 {
		s.tell.counter, s.tell.size = s.counter, w.plain.Len()+wire.SealedHeader+wire.Tag
	}
	return s.seal(w)
}

// seal seals what is in w.
func (s *Session) seal(w *Scratch) []byte {
	out := wire.AppendSealedHeader(w.datagram[:0], s.remote, s.counter)
	out = s.sealer.Seal(out, s.setNonce(s.counter), w.plain.Bytes(), out[:wire.SealedHeader])
	s.counter++
	return out
}
