package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/fxamacker/cbor/v2"
)

// Types of frame (SPEC §6). Unknown ones are ignored.
const (
	FrameMessage = 1 // one fragment of a message
	FrameAck     = 2
	FramePing    = 3
	FramePong    = 4
	FrameBye     = 5
	FrameCheck   = 6 // asks whether the peer receives at its new address
	FrameChecked = 7
	FrameRooms   = 8 // which rooms the sender is in
	FrameTold    = 9
	FrameTyping  = 10 // the person is writing

	FrameDeclined = 11 // a message is not kept
	FrameNoted    = 12 // declined frames have come
)

// Reason says why a message is declined (SPEC §7.16).
type Reason uint8

// Known reasons.
const (
	NotInRoom Reason = 1
	Quota     Reason = 2
	NotNow    Reason = 3
)

// Frame is every frame of SPEC §6 in one struct: a CBOR map with integer keys,
// of which each type uses some. Unknown keys are ignored, so that later versions
// can add to it. ID and Data alias the buffer that was decoded.
type Frame struct {
	Type  uint16 `cbor:"0,keyasint"`
	Seq   uint64 `cbor:"1,keyasint,omitempty"` // message: its number; ack: the first not yet accepted; check, checked: the token; rooms, told: the version; declined, noted: the last fragment of a message
	ID    Bytes  `cbor:"2,keyasint,omitempty"` // message: 16 bytes, on the first fragment only; declined: those of the message
	Sent  uint64 `cbor:"3,keyasint,omitempty"` // message: sender's clock, ms since 1970, on the first fragment only
	Count uint8  `cbor:"4,keyasint,omitempty"` // message: fragments in all, when more than one, on the first only
	Data  Bytes  `cbor:"5,keyasint,omitempty"` // message: this fragment's text; rooms: the state
	Sack  uint64 `cbor:"6,keyasint,omitempty"` // ack: bit i set: Seq+1+i has arrived
	Sack2 uint64 `cbor:"7,keyasint,omitempty"` // ack: bit i set: Seq+65+i has arrived
	Form  uint8  `cbor:"8,keyasint,omitempty"` // message: what it is, when not just text, on the first fragment only

	Reason Reason `cbor:"9,keyasint,omitempty"` // declined

	Block uint8  `cbor:"10,keyasint,omitempty"` // message, rooms: where Data stands in the whole, in units of PartUnit
	Whole uint16 `cbor:"11,keyasint,omitempty"` // message, rooms: bytes of the whole, when Data is only a part of it
}

// PartUnit is what the parts of a fragment or state begin at multiples of (SPEC §7.19).
const PartUnit = 64

// Introduction is what each side says of itself inside the handshake (SPEC §4).
type Introduction struct {
	Name     string `cbor:"1,keyasint"`
	Instance []byte `cbor:"2,keyasint"` // 8 random bytes, new with every start of a node

	// Addrs is where the node says it can be reached, each as AppendAddr writes it.
	Addrs [][]byte `cbor:"3,keyasint,omitempty"`

	Capabilities Capabilities `cbor:"4,keyasint,omitempty"`

	// Whose says whether Name is the person's or the node's alone (SPEC §8.1). Zero: an
	// earlier version, which doesn't say.
	Whose uint8 `cbor:"5,keyasint,omitempty"`
}

// Capabilities is the set of what a node understands beyond the first version of the protocol
// (SPEC §6). Unknown bits are ignored.
type Capabilities uint64

// Known capabilities.
const (
	CanDecline     Capabilities = 1 << iota // understands declined frames
	SmallFragments                          // takes parts of fragments and of states (SPEC §7.19)
)

// Has reports whether c holds all of want.
func (c Capabilities) Has(want Capabilities) bool { return c&want == want }

// Values of Introduction.Whose.
const (
	PersonsName = 1
	NodesName   = 2
)

// MaxAddrs is how many addresses an Introduction holds at most.
const MaxAddrs = 8

// AppendAddr appends an address of 4 or 16 bytes and a port of 2, big-endian. A zone
// means nothing to anybody else and is left out.
func AppendAddr(b []byte, a netip.AddrPort) []byte {
	return binary.BigEndian.AppendUint16(append(b, a.Addr().AsSlice()...), a.Port())
}

// ParseAddr reads what AppendAddr wrote.
func ParseAddr(b []byte) (netip.AddrPort, error) {
	if len(b) < 2 {
		return netip.AddrPort{}, ErrMalformed
	}
	ip, ok := netip.AddrFromSlice(b[:len(b)-2])
	if !ok {
		return netip.AddrPort{}, ErrMalformed
	}
	return netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(b[len(b)-2:])), nil
}

// Bytes is a byte string that is decoded without a copy.
type Bytes []byte

// UnmarshalCBOR implements cbor.Unmarshaler for definite-length byte strings of
// up to 65535 bytes (RFC 8949 §3.1).
func (b *Bytes) UnmarshalCBOR(data []byte) error {
	const byteString = 2 << 5
	if len(data) == 0 || data[0]>>5<<5 != byteString {
		return ErrMalformed
	}
	var n, head int
	switch arg := data[0] & 0x1f; {
	case arg < 24:
		n, head = int(arg), 1
	case arg == 24 && len(data) >= 2:
		n, head = int(data[1]), 2
	case arg == 25 && len(data) >= 3:
		n, head = int(binary.BigEndian.Uint16(data[1:])), 3
	default:
		return ErrMalformed
	}
	if len(data) != head+n {
		return ErrMalformed
	}
	*b = data[head:]
	return nil
}

var (
	encoding = must(cbor.EncOptions{Sort: cbor.SortCoreDeterministic}.UserBufferEncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  8,
		MaxMapPairs:      64,
		MaxArrayElements: 64,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// AppendFrame appends f to buf.
func AppendFrame(buf *bytes.Buffer, f *Frame) {
	if err := encoding.MarshalToBuffer(f, buf); err != nil {
		panic(err) // a Frame has nothing that CBOR lacks
	}
}

// NextFrame decodes the first frame of b into f and returns what follows it.
func NextFrame(b []byte, f *Frame) (rest []byte, err error) {
	*f = Frame{}
	rest, err = decoding.UnmarshalFirst(b, f)
	if err != nil {
		return nil, ErrMalformed
	}
	return rest, nil
}

// MarshalIntroduction returns i in IntroSize bytes, padded with zeros. It fails
// when i does not fit.
func MarshalIntroduction(i *Introduction) ([]byte, error) {
	var buf bytes.Buffer
	if err := encoding.MarshalToBuffer(i, &buf); err != nil {
		return nil, err
	}
	if buf.Len() > IntroSize {
		return nil, ErrMalformed
	}
	return append(buf.Bytes(), make([]byte, IntroSize-buf.Len())...), nil
}

// ParseIntroduction reads what MarshalIntroduction wrote. The name is as the
// peer sent it: valid UTF-8 and shorter than IntroSize, nothing more.
func ParseIntroduction(b []byte) (i Introduction, err error) {
	if _, err := decoding.UnmarshalFirst(b, &i); err != nil || len(i.Instance) != 8 {
		return i, ErrMalformed
	}
	return i, nil
}
