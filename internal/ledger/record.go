package ledger

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Types that Apex writes. Callers are free to use others; the ones listed here
// take one byte in a segment instead of their spelling. See frame.go before
// adding one: the byte is part of the format.
const (
	TypeVerdict = "apex.verdict/v1" // a verdict, as JSON
	TypeUsage   = "apex.usage/v1"   // metered units, as JSON
	TypeErasure = "apex.erasure/v1" // written by [Ledger.Erase]
)

const (
	// MaxData bounds one record. A verdict with all its checks is a few KiB; a
	// document belongs in a store, and its digest here.
	MaxData = 1 << 20
	// MaxType bounds the name of a type.
	MaxType = 64
)

const (
	saltSize = 16
	hashSize = sha256.Size
)

// Domain separators. A hash made for one purpose is never one made for another.
const (
	domainBody   = "apex.ledger.body/v1\x00"
	domainRecord = "apex.ledger.record/v1\x00"
)

// ErrRecord is wrapped by errors about a record that the ledger does not take.
var ErrRecord = errors.New("record refused")

// Record is what a caller hands in: a type and bytes that only the caller
// understands.
type Record struct {
	Type string // 1 to MaxType bytes of printable ASCII without spaces
	Data []byte // at most MaxData bytes
}

func (r *Record) check() error {
	if err := checkType(r.Type); err != nil {
		return err
	}
	if len(r.Data) > MaxData {
		return fmt.Errorf("%w: %d bytes of data, at most %d fit; store the document elsewhere and record its digest", ErrRecord, len(r.Data), MaxData)
	}
	return nil
}

func checkType(t string) error {
	if len(t) == 0 || len(t) > MaxType {
		return fmt.Errorf("%w: a type has 1 to %d bytes, not %d", ErrRecord, MaxType, len(t))
	}
	for i := range len(t) {
		if t[i] <= ' ' || t[i] > '~' {
			return fmt.Errorf("%w: type %q holds a byte that is not printable ASCII", ErrRecord, t)
		}
	}
	return nil
}

// ID names a record: a UUIDv7 (RFC 9562 §5.7) whose time is the record's.
type ID [16]byte

// String returns the usual form with dashes.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// ParseID reads exactly what [ID.String] writes.
func ParseID(text string) (ID, error) {
	var id ID
	bad := fmt.Errorf("%.64q is not a record id: want a lower-case UUIDv7", text)
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return ID{}, bad
	}
	if _, err := hex.Decode(id[:], []byte(text[0:8]+text[9:13]+text[14:18]+text[19:23]+text[24:36])); err != nil {
		return ID{}, bad
	}
	if !id.valid() || id.String() != text {
		return ID{}, bad
	}
	return id, nil
}

// MarshalText writes the usual form.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the usual form.
func (id *ID) UnmarshalText(text []byte) error {
	got, err := ParseID(string(text))
	*id = got
	return err
}

func (id ID) valid() bool { return id[6]>>4 == 7 && id[8]>>6 == 2 }

// milli returns the milliseconds since 1970 that the id holds.
func (id ID) milli() int64 {
	return int64(binary.BigEndian.Uint64(id[0:8]) >> 16)
}

// Time returns when the id was made, to the millisecond.
func (id ID) Time() time.Time { return time.UnixMilli(id.milli()) }

// maxMilli is the last instant that a UUIDv7 can hold.
const maxMilli = 1<<48 - 1

// meta is all of a record but its data, with the digest that stands for the
// data where that is withheld or erased.
type meta struct {
	typ   string
	id    ID
	micro uint16 // microseconds after the id's millisecond, 0 to 999
	body  [hashSize]byte
}

func (m *meta) time() time.Time {
	return time.UnixMilli(m.id.milli()).Add(time.Duration(m.micro) * time.Microsecond).UTC()
}

// newMeta draws the id and the salt of a record that is made at now.
func newMeta(typ string, data []byte, now time.Time) (m meta, salt [saltSize]byte, err error) {
	milli := now.UnixMilli()
	if milli < 0 || milli > maxMilli {
		return m, salt, fmt.Errorf("%w: the clock says %s, which no record id can hold", ErrRecord, now)
	}
	var random [saltSize + 10]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	salt = [saltSize]byte(random[:saltSize])
	m.typ = typ
	m.micro = uint16(now.Nanosecond() / 1000 % 1000)
	binary.BigEndian.PutUint64(m.id[0:8], uint64(milli)<<16)
	copy(m.id[6:], random[saltSize:])
	m.id[6] = 0x70 | m.id[6]&0x0f
	m.id[8] = 0x80 | m.id[8]&0x3f
	m.body = bodyDigest(salt, data)
	return m, salt, nil
}

// bodyDigest hides data behind a salt: who holds the digest alone cannot test a
// guess of the data. Erasing salt and data leaves the digest, and so every
// proof, as it was.
func bodyDigest(salt [saltSize]byte, data []byte) [hashSize]byte {
	h := sha256.New()
	h.Write([]byte(domainBody))
	h.Write(salt[:])
	h.Write(data)
	var d [hashSize]byte
	h.Sum(d[:0])
	return d
}

// commitment is the record's leaf in its segment: a salted hash over version,
// type, id, time and data. Every part but the type has a fixed length.
func (m *meta) commitment() [hashSize]byte {
	var buf [len(domainRecord) + 1 + MaxType + 16 + 2 + hashSize]byte
	b := append(buf[:0], domainRecord...)
	b = append(b, byte(len(m.typ)))
	b = append(b, m.typ...)
	b = append(b, m.id[:]...)
	b = binary.BigEndian.AppendUint16(b, m.micro)
	b = append(b, m.body[:]...)
	return sha256.Sum256(b)
}
