package handshake

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"github.com/flynn/noise"

	"earshot/chat/wire"
)

// lowOrderPoints are the seven encodings of RFC 7748's points of low order, of which the
// highest bit is ignored, as written down elsewhere (cr.yp.to/ecdh.html).
func lowOrderPoints(t testing.TB) (all [][]byte) {
	for _, s := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		high := bytes.Clone(b)
		high[31] |= 0x80
		all = append(all, b, high)
	}
	return all
}

// A low-order key is refused in whatever place, before anything is computed with it where
// it comes in the clear.
func TestLowOrderPoints(t *testing.T) {
	for _, point := range lowOrderPoints(t) {
		low, err := ecdh.X25519().NewPublicKey(point)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key(t).ECDH(low); err == nil {
			t.Errorf("%x is not of low order", point)
		}

		hello := append(bytes.Clone(point), padding[:]...)
		if err := CheckHello(hello); !errors.Is(err, ErrDrop) {
			t.Errorf("hello %x: got %v, want ErrDrop", point, err)
		}
		if _, err := Respond(key(t), key(t), ofB, intro('b'), hello); !errors.Is(err, ErrDrop) {
			t.Errorf("hello %x: answered: %v", point, err)
		}

		p := begin(t)
		reply := append(bytes.Clone(point), p.r.Reply()[32:]...)
		if _, _, err := p.i.ReadReply(reply, ofB, public(p.b)); !errors.Is(err, ErrDrop) || !errors.Is(err, errLowOrder) {
			t.Errorf("reply %x: got %v, want ErrDrop", point, err)
		}
		p.finish(t)

		// Whoever shows such a static key need not hold anything: all agreements with it are zero.
		q := begin(t)
		r := stranger(t, false, point)
		if _, _, _, err := r.ReadMessage(nil, q.i.Hello()); err != nil {
			t.Fatal(err)
		}
		reply, _, _, err = r.WriteMessage(nil, payload(ofB, intro('x')))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := q.i.ReadReply(reply, ofB, [32]byte{}); !errors.Is(err, ErrDrop) {
			t.Errorf("responder's static key %x: got %v, want ErrDrop", point, err)
		}
		q.finish(t)

		i := stranger(t, true, point)
		hello, _, _, err = i.WriteMessage(nil, padding[:])
		if err != nil {
			t.Fatal(err)
		}
		s, err := Respond(key(t), key(t), ofB, intro('b'), hello)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := i.ReadMessage(nil, s.Reply()); err != nil {
			t.Fatal(err)
		}
		final, _, _, err := i.WriteMessage(nil, payload(ofA, intro('x')))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadFinal(final, ofA); !errors.Is(err, ErrDrop) || !errors.Is(err, errLowOrder) {
			t.Errorf("initiator's static key %x: got %v, want ErrDrop", point, err)
		}
	}
}

// loose is a key agreement that shows any static key, and agrees on zero with it.
type loose struct{ *keys }

func (l loose) DH(private, public []byte) ([]byte, error) {
	if string(private) == staticName {
		return make([]byte, 32), nil
	}
	return l.keys.DH(private, public)
}

func (l loose) GenerateKeypair(r io.Reader) (noise.DHKey, error) { return l.keys.GenerateKeypair(r) }

// stranger is a party that shows the static key public, which it doesn't hold.
func stranger(t testing.TB, initiator bool, public []byte) *noise.HandshakeState {
	s, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: noise.NewCipherSuite(loose{newKeys(key(t), key(t))}, noise.CipherChaChaPoly, noise.HashBLAKE2s),
		Pattern:     noise.HandshakeXX, Initiator: initiator, Prologue: []byte(Prologue),
		StaticKeypair: noise.DHKey{Private: []byte(staticName), Public: public},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// However many finals are forged, and however well, the responder does the key agreements
// of one handshake; for one that doesn't open it does nothing over again.
func TestForgedFinalsAreCheap(t *testing.T) {
	p := begin(t)
	final, _, err := p.i.ReadReply(p.r.Reply(), ofB, public(p.b))
	if err != nil {
		t.Fatal(err)
	}
	state := p.r.state
	for n := range 100 {
		garbage := sha256.Sum256([]byte{byte(n)})
		if _, err := p.r.ReadFinal(append(garbage[:], final[32:]...), ofA); !errors.Is(err, ErrDrop) {
			t.Fatal(err)
		}
	}
	if p.r.state != state || len(p.r.keys.results) != 2 {
		t.Errorf("garbage had the state made anew, or took %d key agreements", len(p.r.keys.results))
	}
	for n := range 100 { // by who saw the final
		tampered := bytes.Clone(final)
		tampered[48+n] ^= 1
		if _, err := p.r.ReadFinal(tampered, ofA); !errors.Is(err, ErrDrop) {
			t.Fatal(err)
		}
	}
	if len(p.r.keys.results) != agreements {
		t.Errorf("%d key agreements", len(p.r.keys.results))
	}
	if _, err := p.r.ReadFinal(final, ofA); err != nil {
		t.Errorf("the genuine final: %v", err)
	}
}

// The initiator itself can't have more computed than its own handshake either.
func TestOneStaticKeyForEachHandshake(t *testing.T) {
	p := begin(t)
	var finals [][]byte
	for range 3 {
		i := &Initiator{keys: newKeys(key(t), p.i.keys.ephemeral), payload: payload(ofA, intro('a'))}
		if err := i.Rewind(); err != nil {
			t.Fatal(err)
		}
		final, _, err := i.ReadReply(p.r.Reply(), ofB, [32]byte{})
		if err != nil {
			t.Fatal(err)
		}
		finals = append(finals, final)
	}
	finals[0][100] ^= 1
	if _, err := p.r.ReadFinal(finals[0], ofA); !errors.Is(err, ErrDrop) || errors.Is(err, errSpent) {
		t.Errorf("the first: %v", err)
	}
	for _, final := range finals[1:] {
		if _, err := p.r.ReadFinal(final, ofA); !errors.Is(err, ErrDrop) || !errors.Is(err, errSpent) {
			t.Errorf("another: %v", err)
		}
	}
	finals[0][100] ^= 1
	if _, err := p.r.ReadFinal(finals[0], ofA); err != nil {
		t.Errorf("the first again, genuine: %v", err)
	}
}

// What one handshake seals is worth nothing in another, nor in another place.
func TestSwappedPayloads(t *testing.T) {
	p := begin(t)
	q := beginAs(t, p.a, p.b)
	swap := func(of, from []byte, at int) []byte { return append(bytes.Clone(of[:at]), from[at:]...) }
	const replyAt, finalAt = 32 + 32 + wire.Tag, 32 + wire.Tag
	if _, _, err := p.i.ReadReply(swap(p.r.Reply(), q.r.Reply(), replyAt), ofB, [32]byte{}); !errors.Is(err, ErrDrop) {
		t.Errorf("reply: got %v, want ErrDrop", err)
	}
	pf, _, err := p.i.ReadReply(p.r.Reply(), ofB, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	qf, _, err := q.i.ReadReply(q.r.Reply(), ofB, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	for what, forged := range map[string][]byte{
		"of another handshake": swap(pf, qf, finalAt),
		"key of another":       swap(qf, pf, finalAt),
		"of the reply":         swap(pf, p.r.Reply()[replyAt-finalAt:], finalAt),
		"as a whole":           qf,
	} {
		if _, err := p.r.ReadFinal(forged, ofA); !errors.Is(err, ErrDrop) {
			t.Errorf("final, %s: got %v, want ErrDrop", what, err)
		}
	}
	if _, err := p.r.ReadFinal(pf, ofA); err != nil {
		t.Errorf("the genuine final: %v", err)
	}
}

// A message under another index than its sender's is dropped, and the handshake goes on.
func TestAnotherIndex(t *testing.T) {
	p := begin(t)
	for _, index := range []uint32{0, ofA, ofB ^ 1} {
		if _, _, err := p.i.ReadReply(p.r.Reply(), index, public(p.b)); !errors.Is(err, ErrDrop) || !errors.Is(err, errIndex) {
			t.Errorf("reply under %x: got %v, want ErrDrop", index, err)
		}
	}
	final, _, err := p.i.ReadReply(p.r.Reply(), ofB, public(p.b))
	if err != nil {
		t.Fatalf("the genuine reply: %v", err)
	}
	for _, index := range []uint32{0, ofB, ofA ^ 1} {
		if _, err := p.r.ReadFinal(final, index); !errors.Is(err, ErrDrop) || !errors.Is(err, errIndex) {
			t.Errorf("final under %x: got %v, want ErrDrop", index, err)
		}
	}
	if _, err := p.r.ReadFinal(final, ofA); err != nil {
		t.Errorf("the genuine final: %v", err)
	}
}

// Every length but the right one is dropped, and the handshake goes on.
func TestTruncated(t *testing.T) {
	p := begin(t)
	for n := range p.r.Reply() {
		if _, _, err := p.i.ReadReply(p.r.Reply()[:n], ofB, public(p.b)); !errors.Is(err, ErrDrop) {
			t.Fatalf("reply of %d bytes: got %v, want ErrDrop", n, err)
		}
	}
	final, _, err := p.i.ReadReply(p.r.Reply(), ofB, public(p.b))
	if err != nil {
		t.Fatal(err)
	}
	for n := range final {
		if _, err := p.r.ReadFinal(final[:n], ofA); !errors.Is(err, ErrDrop) {
			t.Fatalf("final of %d bytes: got %v, want ErrDrop", n, err)
		}
	}
	if _, err := p.r.ReadFinal(final, ofA); err != nil {
		t.Errorf("the genuine final: %v", err)
	}
	for n := range 32 {
		if err := CheckHello(p.i.Hello()[:n]); !errors.Is(err, ErrDrop) {
			t.Errorf("hello of %d bytes: got %v, want ErrDrop", n, err)
		}
	}
}

func BenchmarkForgedFinals(b *testing.B) {
	p := begin(b)
	final, _, err := p.i.ReadReply(p.r.Reply(), ofB, public(p.b))
	if err != nil {
		b.Fatal(err)
	}
	for what, at := range map[string]int{"garbage": 0, "tampered": 100} {
		forged := bytes.Clone(final)
		forged[at] ^= 1
		b.Run(what, func(b *testing.B) {
			for b.Loop() {
				if _, err := p.r.ReadFinal(forged, ofA); err == nil {
					b.Fatal("taken")
				}
			}
		})
	}
}
