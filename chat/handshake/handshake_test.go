package handshake

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/flynn/noise"

	"earshot/chat/wire"
)

func key(t testing.TB) *ecdh.PrivateKey {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ofA and ofB are the indices of the two sides.
const ofA, ofB = 0x01020304, 0x0a0b0c0d

func intro(fill byte) []byte { return bytes.Repeat([]byte{fill}, wire.IntroSize) }

// pair is a handshake up to message 2.
type pair struct {
	a, b *ecdh.PrivateKey
	i    *Initiator
	r    *Responder
}

func begin(t testing.TB) pair { return beginAs(t, key(t), key(t)) }

func beginAs(t testing.TB, a, b *ecdh.PrivateKey) pair {
	p := pair{a: a, b: b}
	var err error
	if p.i, err = Initiate(p.a, key(t), ofA, intro('a')); err != nil {
		t.Fatal(err)
	}
	if p.r, err = Respond(p.b, key(t), ofB, intro('b'), p.i.Hello()); err != nil {
		t.Fatal(err)
	}
	return p
}

func public(k *ecdh.PrivateKey) [32]byte { return [32]byte(k.PublicKey().Bytes()) }

// finish completes p and checks that both sides hold the same.
func (p pair) finish(t testing.TB) {
	t.Helper()
	final, ri, err := p.i.ReadReply(p.r.Reply(), ofB, public(p.b))
	if err != nil {
		t.Fatalf("the genuine reply is refused: %v", err)
	}
	rr, err := p.r.ReadFinal(final, ofA)
	if err != nil {
		t.Fatalf("the genuine final is refused: %v", err)
	}
	if ri.Peer != public(p.b) || rr.Peer != public(p.a) {
		t.Error("a side holds another identity than the peer's")
	}
	if ri.Send != rr.Recv || ri.Recv != rr.Send || ri.Send == ri.Recv {
		t.Error("the keys don't match")
	}
	if !bytes.Equal(ri.Intro, intro('b')) || !bytes.Equal(rr.Intro, intro('a')) {
		t.Error("an introduction changed")
	}
}

func TestHandshake(t *testing.T) {
	p := begin(t)
	if n := len(p.i.Hello()); n != wire.HelloSize-24 {
		t.Errorf("message 1 has %d bytes", n)
	}
	if n := len(p.r.Reply()); n != wire.ReplySize-12 {
		t.Errorf("message 2 has %d bytes", n)
	}
	p.finish(t)
}

// damage returns copies of b that are no longer genuine: every byte flipped,
// and other lengths.
func damage(b []byte) map[string][]byte {
	all := map[string][]byte{"empty": {}, "short": b[:len(b)-1], "half": b[:len(b)/2], "long": append(bytes.Clone(b), 0)}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 1 << (i % 8)
		all["flipped byte "+string(rune('0'+i%10))+" at "+string(rune(i))] = c
	}
	low := bytes.Clone(b) // a low-order public key: the agreement would be all zeros
	clear(low[:32])
	all["low-order key"] = low
	return all
}

// A forged message 2 or 3 is dropped, and the genuine one still ends the handshake.
func TestForgeriesLeaveTheHandshakeAlive(t *testing.T) {
	p := begin(t)
	for what, forged := range damage(p.r.Reply()) {
		if _, _, err := p.i.ReadReply(forged, ofB, public(p.b)); !errors.Is(err, ErrDrop) {
			t.Fatalf("reply, %s: got %v, want ErrDrop", what, err)
		}
	}
	other := begin(t)
	if _, _, err := p.i.ReadReply(other.r.Reply(), ofB, public(p.b)); !errors.Is(err, ErrDrop) {
		t.Errorf("reply of another handshake: got %v, want ErrDrop", err)
	}
	final, _, err := p.i.ReadReply(p.r.Reply(), ofB, public(p.b))
	if err != nil {
		t.Fatal(err)
	}
	for what, forged := range damage(final) {
		if _, err := p.r.ReadFinal(forged, ofA); !errors.Is(err, ErrDrop) {
			t.Fatalf("final, %s: got %v, want ErrDrop", what, err)
		}
	}
	if _, err := p.r.ReadFinal(final, ofA); err != nil {
		t.Errorf("after all forgeries the genuine final is refused: %v", err)
	}
}

// After a genuine reply that is left the same hello waits: another is taken, and so is that one again.
func TestDeclinedReply(t *testing.T) {
	p := begin(t)
	hello := bytes.Clone(p.i.Hello())
	other, err := Respond(p.b, key(t), ofB+1, intro('c'), hello)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := p.i.ReadReply(other.Reply(), ofB+1, public(p.b)); err != nil {
			t.Fatalf("the genuine reply is refused: %v", err)
		}
		if err := p.i.Rewind(); err != nil || !bytes.Equal(p.i.Hello(), hello) {
			t.Fatalf("left: %v, or another hello", err)
		}
	}
	p.finish(t)
}

func TestLowOrderHello(t *testing.T) {
	hello := bytes.Clone(begin(t).i.Hello())
	clear(hello[:32])
	if _, err := Respond(key(t), key(t), ofB, intro('b'), hello); !errors.Is(err, ErrDrop) {
		t.Errorf("got %v, want ErrDrop", err)
	}
}

// Whoever proves another key than the one asked for learns nothing of who asks, and
// does not stop the right one from answering.
func TestAnotherIdentity(t *testing.T) {
	p := begin(t)
	impostor, err := Respond(key(t), key(t), ofB, intro('x'), p.i.Hello())
	if err != nil {
		t.Fatal(err)
	}
	final, r, err := p.i.ReadReply(impostor.Reply(), ofB, public(p.b))
	if !errors.Is(err, ErrAbandon) || final != nil {
		t.Fatalf("got %v and %d bytes to send, want ErrAbandon and none", err, len(final))
	}
	if r.Peer != public(impostor.keys.static) {
		t.Error("the result does not say who it was")
	}
	p.finish(t)
}

// A node of another version, whose prologue differs, can't be led to an older one.
func TestAnotherVersion(t *testing.T) {
	k := newKeys(key(t), key(t))
	later, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: noise.NewCipherSuite(k, noise.CipherChaChaPoly, noise.HashBLAKE2s),
		Pattern:     noise.HandshakeXX, Initiator: true, Prologue: []byte("earshot/2"),
		StaticKeypair: noise.DHKey{Private: []byte(staticName), Public: k.static.PublicKey().Bytes()},
	})
	if err != nil {
		t.Fatal(err)
	}
	hello, _, _, err := later.WriteMessage(nil, padding[:])
	if err != nil {
		t.Fatal(err)
	}
	r, err := Respond(key(t), key(t), ofB, intro('b'), hello)
	if err != nil {
		t.Fatal(err) // message 1 proves nothing yet
	}
	if _, _, _, err := later.ReadMessage(nil, r.Reply()); err == nil {
		t.Error("a handshake with another prologue went on")
	}
}

func FuzzMachines(f *testing.F) {
	p := begin(f)
	f.Add(p.i.Hello(), p.r.Reply(), p.r.Reply())
	f.Fuzz(func(t *testing.T, hello, reply, final []byte) {
		if r, err := Respond(p.b, key(t), ofB, intro('b'), hello); err == nil {
			if _, err := r.ReadFinal(final, ofA); err == nil {
				t.Error("a final that nobody made was taken")
			}
		}
		q := begin(t)
		if _, _, err := q.i.ReadReply(reply, ofB, [32]byte{}); err == nil {
			t.Error("a reply that nobody made was taken")
		}
		q.finish(t)
	})
}

func BenchmarkHandshake(b *testing.B) {
	p := pair{a: key(b), b: key(b)}
	b.ReportAllocs()
	for b.Loop() {
		i, _ := Initiate(p.a, key(b), ofA, intro('a'))
		r, _ := Respond(p.b, key(b), ofB, intro('b'), i.Hello())
		final, _, err := i.ReadReply(r.Reply(), ofB, public(p.b))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.ReadFinal(final, ofA); err != nil {
			b.Fatal(err)
		}
	}
}
