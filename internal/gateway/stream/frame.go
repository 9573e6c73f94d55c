package stream

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"io"
	"unicode/utf8"

	"github.com/apexlogic/apex/verdict"
)

// The kinds of frames (RFC 6455, section 5.2).
const (
	frameMore   = 0x0
	frameText   = 0x1
	frameBinary = 0x2
	frameClose  = 0x8
	framePing   = 0x9
	framePong   = 0xa
)

// Bounds of the format.
const (
	maxFrameHeader = 14
	maxControl     = 125
	// maxFragments bounds the frames of one message, so that empty ones are no way
	// to keep a gateway busy; a message of the default length in pieces of 256 bytes.
	maxFragments = 4096
	// firstPiece is what is asked for before anything of a payload came: a length
	// that is only claimed costs no memory.
	firstPiece = 4 << 10
)

// frames reads the messages of one side of a WebSocket. Nothing that the RFC
// leaves to an extension passes: no extension was agreed on.
type frames struct {
	from   *bufio.Reader
	masked bool // as the frames of a client are, and those of a server are not
	most   int64
	// control is told of each control frame, which may stand between the pieces
	// of a message.
	control func(kind byte, payload []byte) error
	// room is for the message, and judge says what it is when there is none.
	room  room
	judge *judge

	message []byte // behind room for the header that it is passed on with
	small   [maxControl]byte
	head    [maxFrameHeader]byte
}

// next reads a whole message, unmasked, and returns it with its kind. It holds
// until the next call.
func (f *frames) next() (kind byte, message []byte, err error) {
	if cap(f.message) > keptBytes {
		f.message = nil
		f.room.empty()
	}
	f.message = append(f.message[:0], make([]byte, maxFrameHeader)...)
	for n := 0; ; {
		h, err := f.header()
		if err != nil {
			return 0, nil, err
		}
		if h.kind >= frameClose {
			payload := f.small[:h.length]
			if err := f.payload(payload, h, 0); err != nil {
				return 0, nil, err
			}
			if err := f.control(h.kind, payload); err != nil {
				return 0, nil, err
			}
			continue
		}
		switch {
		case kind == 0 && h.kind == frameMore:
			return 0, nil, cut(verdict.StreamInvalid, "a piece of a message goes on what never began")
		case kind != 0 && h.kind != frameMore:
			return 0, nil, cut(verdict.StreamInvalid, "a message begins within another")
		case kind == 0:
			kind = h.kind
		}
		if n++; n > maxFragments {
			return 0, nil, cut(verdict.StreamLimit, "a message has more than %d pieces", maxFragments)
		}
		if h.length > f.most-int64(len(f.message)-maxFrameHeader) {
			return 0, nil, cut(verdict.StreamLimit, "a message has more than %d bytes", f.most)
		}
		if err := f.append(h); err != nil {
			return 0, nil, err
		}
		if h.last {
			break
		}
	}
	message = f.message[maxFrameHeader:]
	if kind == frameText && !utf8.Valid(message) {
		return 0, nil, cut(verdict.StreamInvalid, "a text message is not UTF-8")
	}
	return kind, message, nil
}

// append reads the payload of a frame behind what is there of the message, in
// steps that grow with what came.
func (f *frames) append(h frameHeader) error {
	for done := int64(0); done < h.length; {
		at := len(f.message)
		step := min(h.length-done, max(firstPiece, int64(at)))
		if int64(cap(f.message)-at) < step {
			if err := f.room.hold(f.judge, at+int(step)); err != nil {
				return err
			}
			f.message = append(make([]byte, 0, at+int(step)), f.message...)
		}
		f.message = f.message[:at+int(step)]
		if err := f.payload(f.message[at:], h, done); err != nil {
			return err
		}
		done += step
	}
	return nil
}

// payload fills into, which begins at byte from of the frame's payload.
func (f *frames) payload(into []byte, h frameHeader, from int64) error {
	if _, err := io.ReadFull(f.from, into); err != nil {
		return brokenOff(err)
	}
	if h.masked {
		mask(into, h.mask, int(from%4))
	}
	return nil
}

type frameHeader struct {
	last, masked bool
	kind         byte
	length       int64
	mask         [4]byte
}

// header reads the head of a frame. The end between two messages is io.EOF.
func (f *frames) header() (h frameHeader, err error) {
	b := f.head[:2]
	if n, err := io.ReadFull(f.from, b); err != nil {
		if n > 0 {
			return h, brokenOff(err)
		}
		return h, err
	}
	h.last, h.kind, h.masked = b[0]&0x80 != 0, b[0]&0xf, b[1]&0x80 != 0
	h.length = int64(b[1] & 0x7f)
	switch {
	case b[0]&0x70 != 0:
		return h, cut(verdict.StreamInvalid, "a frame uses an extension, and none was agreed on")
	case h.kind > frameBinary && h.kind < frameClose || h.kind > framePong:
		return h, cut(verdict.StreamInvalid, "a frame is of no known kind")
	case h.kind >= frameClose && (!h.last || h.length > maxControl):
		return h, cut(verdict.StreamInvalid, "a control frame is in pieces or too long")
	case h.masked != f.masked:
		return h, cut(verdict.StreamInvalid, "a client masks its frames, and a server does not")
	}
	switch h.length {
	case 126:
		b = f.head[2:4]
		if _, err := io.ReadFull(f.from, b); err != nil {
			return h, brokenOff(err)
		}
		if h.length = int64(binary.BigEndian.Uint16(b)); h.length < 126 {
			return h, cut(verdict.StreamInvalid, "a frame's length is not in its shortest form")
		}
	case 127:
		b = f.head[2:10]
		if _, err := io.ReadFull(f.from, b); err != nil {
			return h, brokenOff(err)
		}
		n := binary.BigEndian.Uint64(b)
		if n <= 0xffff || n>>63 != 0 {
			return h, cut(verdict.StreamInvalid, "a frame's length is not in its shortest form")
		}
		h.length = int64(n)
	}
	if h.masked {
		if _, err := io.ReadFull(f.from, f.head[10:]); err != nil {
			return h, brokenOff(err)
		}
		h.mask = [4]byte(f.head[10:])
	}
	return h, nil
}

// brokenOff says that a message has no end.
func brokenOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// mask turns a payload into its masked form, or back; at is the position of its
// first byte within the key.
func mask(b []byte, key [4]byte, at int) {
	var turned [8]byte
	for i := range turned {
		turned[i] = key[(at+i)%4]
	}
	word := binary.LittleEndian.Uint64(turned[:])
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= turned[i]
	}
}

// frame puts a header before a payload that has room for one, and masks it for a
// server. It returns the frame, in the memory of room.
func frame(kind byte, room []byte, toServer bool) []byte {
	payload := room[maxFrameHeader:]
	n := 2
	switch {
	case len(payload) > 0xffff:
		n = 10
	case len(payload) > 125:
		n = 4
	}
	if toServer {
		n += 4
	}
	out := room[maxFrameHeader-n:]
	out[0], out[1] = 0x80|kind, byte(min(len(payload), 126))
	switch {
	case len(payload) > 0xffff:
		out[1] = 127
		binary.BigEndian.PutUint64(out[2:], uint64(len(payload)))
	case len(payload) > 125:
		binary.BigEndian.PutUint16(out[2:], uint16(len(payload)))
	}
	if toServer {
		out[1] |= 0x80
		key := out[n-4 : n]
		rand.Read(key) // never fails
		mask(payload, [4]byte(key), 0)
	}
	return out
}

// controlFrame is a frame of a short payload.
func controlFrame(kind byte, payload []byte, toServer bool) []byte {
	room := append(make([]byte, maxFrameHeader, maxFrameHeader+maxControl), payload...)
	return frame(kind, room, toServer)
}

// closing reads the payload of a close frame: nothing, or a code and a reason.
func closing(payload []byte) (code uint16, reason []byte, err error) {
	if len(payload) == 0 {
		return 0, nil, nil
	}
	if len(payload) == 1 {
		return 0, nil, cut(verdict.StreamInvalid, "a close frame has half a code")
	}
	code, reason = binary.BigEndian.Uint16(payload), payload[2:]
	switch {
	case code >= 3000 && code <= 4999, code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
	default:
		return 0, nil, cut(verdict.StreamInvalid, "a close frame has a code that nobody may send")
	}
	if !utf8.Valid(reason) {
		return 0, nil, cut(verdict.StreamInvalid, "the reason in a close frame is not UTF-8")
	}
	return code, reason, nil
}

// closeFrame is a close frame; code 0 gives none, as it came.
func closeFrame(code uint16, reason []byte, toServer bool) []byte {
	if code == 0 {
		return controlFrame(frameClose, nil, toServer)
	}
	payload := binary.BigEndian.AppendUint16(nil, code)
	return controlFrame(frameClose, append(payload, reason[:min(len(reason), maxControl-2)]...), toServer)
}
