package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A segment is a header and frames. A frame, all numbers big-endian:
//
//	u32  CRC-32C of all that follows
//	u32  length of what follows
//	u8   kind: 1 = record, 2 = erased record
//	u8   code of the type; 0: u8 length and the type's name follow
//	16   id (UUIDv7; holds the time in milliseconds)
//	u16  microseconds of the time after the millisecond, 0 to 999
//	16   salt, then the data to the frame's end     (kind 1)
//	32   body digest, nothing else                  (kind 2)
//
// A record of a listed type costs 44 bytes more than its data. There is one
// encoding of a record only: a listed type that is spelled out is refused.
const (
	frameHead = 8 // checksum and length
	frameMeta = 2 + 16 + 2

	frameRecord = 1
	frameErased = 2

	minFrameBody = frameMeta + saltSize
	maxFrameBody = frameMeta + 1 + MaxType + saltSize + MaxData
)

// typeCodes lists the types that take one byte; the index is the code.
var typeCodes = [...]string{1: TypeVerdict, 2: TypeUsage, 3: TypeErasure}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	// errIncomplete: the bytes end before the frame does.
	errIncomplete = errors.New("the frame is cut off")
	// errFrame: the bytes are not a frame.
	errFrame = errors.New("not a valid frame")
)

// frame is one decoded frame. Its data aliases the bytes it was read from.
type frame struct {
	meta
	erased bool
	salt   [saltSize]byte
	data   []byte
	size   int // of the whole frame, in bytes
}

// appendRecord appends a record's frame to b.
func appendRecord(b []byte, m *meta, salt [saltSize]byte, data []byte) []byte {
	start := len(b)
	b = appendFrameMeta(b, frameRecord, m)
	b = append(b, salt[:]...)
	b = append(b, data...)
	return finishFrame(b, start)
}

// appendErased appends the frame that stays when salt and data are erased.
func appendErased(b []byte, m *meta) []byte {
	start := len(b)
	b = appendFrameMeta(b, frameErased, m)
	b = append(b, m.body[:]...)
	return finishFrame(b, start)
}

func appendFrameMeta(b []byte, kind byte, m *meta) []byte {
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	if code := typeCode(m.typ); code != 0 {
		b = append(b, code)
	} else {
		b = append(b, 0, byte(len(m.typ)))
		b = append(b, m.typ...)
	}
	b = append(b, m.id[:]...)
	return binary.BigEndian.AppendUint16(b, m.micro)
}

func finishFrame(b []byte, start int) []byte {
	f := b[start:]
	binary.BigEndian.PutUint32(f[4:], uint32(len(f)-frameHead))
	// The length is covered too: a flipped bit in it must not make the reader
	// look elsewhere.
	binary.BigEndian.PutUint32(f, crc32.Checksum(f[4:], castagnoli))
	return b
}

func typeCode(t string) byte {
	for i, name := range typeCodes {
		if i > 0 && name == t {
			return byte(i)
		}
	}
	return 0
}

// decodeFrame reads the frame that b begins with. The error wraps errIncomplete
// when b could be the beginning of a frame, and errFrame when it cannot.
func decodeFrame(b []byte) (frame, error) {
	var f frame
	if len(b) < frameHead {
		return f, errIncomplete
	}
	n := binary.BigEndian.Uint32(b[4:])
	if n < minFrameBody || n > maxFrameBody {
		return f, fmt.Errorf("%w: length %d is not within %d and %d", errFrame, n, minFrameBody, maxFrameBody)
	}
	if len(b) < frameHead+int(n) {
		return f, errIncomplete
	}
	b = b[:frameHead+int(n)]
	if sum := crc32.Checksum(b[4:], castagnoli); sum != binary.BigEndian.Uint32(b) {
		return f, fmt.Errorf("%w: checksum %08x, the bytes give %08x", errFrame, binary.BigEndian.Uint32(b), sum)
	}
	f.size = len(b)
	return f, f.decodeBody(b[frameHead:])
}

func (f *frame) decodeBody(b []byte) error {
	kind, code := b[0], int(b[1])
	b = b[2:]
	switch {
	case code == 0:
		n := int(b[0])
		if len(b) < 1+n {
			return fmt.Errorf("%w: its type is cut off", errFrame)
		}
		f.typ, b = string(b[1:1+n]), b[1+n:]
		if checkType(f.typ) != nil || typeCode(f.typ) != 0 {
			return fmt.Errorf("%w: type %.64q", errFrame, f.typ)
		}
	case code < len(typeCodes):
		f.typ = typeCodes[code]
	default:
		return fmt.Errorf("%w: unknown type code %d", errFrame, code)
	}
	if len(b) < 18 {
		return fmt.Errorf("%w: its id is cut off", errFrame)
	}
	f.id = ID(b[:16])
	f.micro = binary.BigEndian.Uint16(b[16:])
	if !f.id.valid() || f.micro > 999 {
		return fmt.Errorf("%w: id %s, microseconds %d", errFrame, f.id, f.micro)
	}
	b = b[18:]
	switch kind {
	case frameRecord:
		if len(b) < saltSize || len(b) > saltSize+MaxData {
			return fmt.Errorf("%w: %d bytes of salt and data", errFrame, len(b))
		}
		f.salt, f.data = [saltSize]byte(b), b[saltSize:]
	case frameErased:
		if len(b) != hashSize {
			return fmt.Errorf("%w: body digest of %d bytes", errFrame, len(b))
		}
		f.erased, f.body = true, [hashSize]byte(b)
	default:
		return fmt.Errorf("%w: unknown kind %d", errFrame, kind)
	}
	return nil
}

// digest fills in the body digest, which a record's frame does not hold.
func (f *frame) digest() {
	if !f.erased {
		f.body = bodyDigest(f.salt, f.data)
	}
}
