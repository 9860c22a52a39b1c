package wire

import "bytes"

// Limits of rooms (SPEC §13).
const (
	RoomTags    = 8    // of private rooms in a RoomState
	MaxRooms    = 16   // open ones in a RoomState
	MaxParents  = 8    // of a message said in a room
	MaxRoomHead = 512  // bytes of a RoomHead
	MaxState    = 1000 // bytes of a RoomState
	TagSize     = 16   // bytes of a tag, and of a private room's id
	ParentSize  = 24   // bytes of a parent: an id, and the beginning of its author's
)

// FormRoom is the form of a message that was said in a room (SPEC §6).
const FormRoom = 1

// RoomState says in which rooms a node is (SPEC §13.2).
type RoomState struct {
	Open    []string `cbor:"1,keyasint,omitempty"`
	Tags    [][]byte `cbor:"2,keyasint"` // RoomTags of them
	Passing bool     `cbor:"3,keyasint,omitempty"`
}

// RoomHead precedes the text of a message said in a room (SPEC §13.5).
type RoomHead struct {
	Name    string   `cbor:"1,keyasint,omitempty"` // of an open room
	Private []byte   `cbor:"2,keyasint,omitempty"` // id of a private one
	Clock   uint64   `cbor:"3,keyasint"`
	Parents [][]byte `cbor:"4,keyasint,omitempty"`
	Earlier [][]byte `cbor:"5,keyasint,omitempty"` // parents that nobody waits for
}

// MarshalRoomState returns s as it stands in a rooms frame. It fails when s is too long.
func MarshalRoomState(s *RoomState) ([]byte, error) { return marshalTo(s, MaxState) }

// MarshalRoomHead returns h. It fails when h is too long.
func MarshalRoomHead(h *RoomHead) ([]byte, error) { return marshalTo(h, MaxRoomHead) }

func marshalTo(v any, limit int) ([]byte, error) {
	var buf bytes.Buffer
	if err := encoding.MarshalToBuffer(v, &buf); err != nil {
		return nil, err
	}
	if buf.Len() > limit {
		return nil, ErrMalformed
	}
	return buf.Bytes(), nil
}

// ParseRoomState reads what MarshalRoomState wrote.
func ParseRoomState(b []byte) (s RoomState, err error) {
	rest, err := decoding.UnmarshalFirst(b, &s)
	if err != nil || len(rest) > 0 || len(b) > MaxState || len(s.Open) > MaxRooms || len(s.Tags) != RoomTags {
		return RoomState{}, ErrMalformed
	}
	for _, tag := range s.Tags {
		if len(tag) != TagSize {
			return RoomState{}, ErrMalformed
		}
	}
	return s, nil
}

// ParseRoomHead reads the head that the message begins with, and returns the text behind it.
func ParseRoomHead(message string) (h RoomHead, text string, err error) {
	b := []byte(message[:min(len(message), MaxRoomHead)])
	rest, err := decoding.UnmarshalFirst(b, &h)
	if err != nil {
		return RoomHead{}, "", ErrMalformed
	}
	text = message[len(b)-len(rest):]
	if (h.Name == "") == (h.Private == nil) || h.Private != nil && len(h.Private) != TagSize || len(h.Parents) > MaxParents || len(h.Earlier) > MaxParents || text == "" {
		return RoomHead{}, "", ErrMalformed
	}
	for _, parents := range [][][]byte{h.Parents, h.Earlier} {
		for _, p := range parents {
			if len(p) != ParentSize {
				return RoomHead{}, "", ErrMalformed
			}
		}
	}
	return h, text, nil
}
