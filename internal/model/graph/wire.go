package graph

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	costField scan.Cost = 40  // one field walked over, measured
	costNode  scan.Cost = 250 // one operator judged by its name, measured

	maxDepth  = 64  // messages in messages; protobuf's own parsers stop at 100
	maxGroups = 32  // groups in groups, which no schema here uses
	maxName   = 512 // bytes of an operator's name or a key that are looked at
)

// broken is content that is not what the format says; a loader refuses it.
type broken struct {
	at   int64
	what string
}

func (b *broken) Error() string { return fmt.Sprintf("%s at byte %d", b.what, b.at) }

func isBroken(err error) bool {
	var b *broken
	return errors.As(err, &b)
}

// field is one field of a message.
type field struct {
	num protowire.Number
	typ protowire.Type
	at  int64  // of its tag
	val uint64 // of a varint
	off int64  // of the content of a length-delimited field,
	end int64  // and where that ends
	cut bool   // the content was to be longer than what it stands in
}

func (f *field) is(num protowire.Number, typ protowire.Type) bool {
	return f.num == num && f.typ == typ
}
func (f *field) len() int64 { return f.end - f.off }

// message is a protobuf message that is walked field by field, in the order of
// the file: fields may come in any order, more than once, and unknown.
type message struct {
	s       *source
	at, end int64
	cut     bool
}

func (s *source) message() message { return message{s: s, end: s.file.Size()} }

func (m *message) sub(f field) message { return message{s: m.s, at: f.off, end: f.end} }

// next reads the next field, and returns false at the end. An error is a
// *broken one, or says that reading failed.
func (m *message) next(f *field) (bool, error) {
	if m.cut {
		return false, &broken{m.end, "the data ends inside of a field"}
	}
	if m.at >= m.end {
		return false, nil
	}
	if err := m.raw(f); err != nil {
		return false, err
	}
	switch f.typ {
	case protowire.StartGroupType:
		if err := m.skipGroup(f.num); err != nil {
			return false, err
		}
	case protowire.EndGroupType:
		return false, &broken{f.at, "the end of a group that never began"}
	}
	m.cut = f.cut
	return true, nil
}

// skipGroup skips what is in a group.
func (m *message) skipGroup(num protowire.Number) error {
	open := make([]protowire.Number, 1, maxGroups)
	open[0] = num
	for len(open) > 0 {
		if m.at >= m.end {
			return &broken{m.at, "a group without an end"}
		}
		var f field
		err := m.raw(&f)
		switch {
		case err != nil:
			return err
		case f.cut:
			return &broken{f.at, "a field longer than the data"}
		case f.typ == protowire.StartGroupType:
			if len(open) == maxGroups {
				return &broken{f.at, "groups nested too deep"}
			}
			open = append(open, f.num)
		case f.typ == protowire.EndGroupType:
			if f.num != open[len(open)-1] {
				return &broken{f.at, "the end of another group"}
			}
			open = open[:len(open)-1]
		}
	}
	return nil
}

// raw reads one field, the beginnings and ends of groups included.
func (m *message) raw(f *field) error {
	*f = field{at: m.at}
	if err := m.s.spend(costField); err != nil {
		return err
	}
	b, err := m.s.peek(m.at, min(m.end-m.at, 20)) // a tag and a varint
	if err != nil {
		return err
	}
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return &broken{m.at, "no field begins"}
	}
	f.num, f.typ = num, typ
	b, m.at = b[n:], m.at+int64(n)
	switch typ {
	case protowire.VarintType:
		f.val, n = protowire.ConsumeVarint(b)
	case protowire.Fixed32Type:
		_, n = protowire.ConsumeFixed32(b)
	case protowire.Fixed64Type:
		_, n = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		var length uint64
		if length, n = protowire.ConsumeVarint(b); n > 0 {
			f.off = m.at + int64(n)
			f.end = m.end
			if f.cut = length > uint64(m.end-f.off); !f.cut {
				f.end = f.off + int64(length)
			}
			m.at = f.end
			return nil
		}
	case protowire.StartGroupType, protowire.EndGroupType:
		n = 0
	default:
		return &broken{f.at, "a field of an unknown kind"}
	}
	if n < 0 {
		return &broken{f.at, "a field that does not end"}
	}
	m.at += int64(n)
	return nil
}

// text returns the content of a field, at most limit bytes of it.
func (m *message) text(f field, limit int64) (string, error) {
	b, err := m.s.peek(f.off, min(f.len(), limit))
	return string(b), err
}

// each calls do for every field.
func (m message) each(do func(*message, field) error) error {
	var f field
	for {
		ok, err := m.next(&f)
		if err != nil || !ok {
			return err
		}
		if err := do(&m, f); err != nil {
			return err
		}
	}
}

// entry reads a map entry, or a message of its shape: a key and a value.
func (m message) entry() (key string, value field, err error) {
	err = m.each(func(m *message, f field) (err error) {
		switch {
		case f.is(1, protowire.BytesType):
			key, err = m.text(f, maxName)
		case f.is(2, protowire.BytesType):
			value = f
		}
		return err
	})
	return key, value, err
}

// claimWire says whether a file begins as a message in which sign finds a
// field that it knows. Fields that nobody knows are passed over; where they
// fill the head of the file, the answer is yes.
func claimWire(file *scan.File, sign func(f field, content []byte) bool) bool {
	head, err := file.Head()
	if err != nil || len(head) < 2 {
		return false
	}
	for at := 0; at < len(head); {
		num, typ, n := protowire.ConsumeTag(head[at:])
		if n < 0 {
			return file.Size() > int64(len(head)) && len(head)-at < 10
		}
		f := field{num: num, typ: typ, at: int64(at)}
		at += n
		switch typ {
		case protowire.BytesType:
			length, n := protowire.ConsumeVarint(head[at:])
			if n < 0 {
				return false
			}
			at += n
			f.off = int64(at)
			if length > uint64(math.MaxInt64-at) {
				f.end, f.cut = math.MaxInt64, true
			} else {
				f.end = int64(at) + int64(length)
			}
			if sign(f, head[at:min(f.end, int64(len(head)))]) {
				return true
			}
			if f.end > int64(len(head)) {
				return f.end <= file.Size()
			}
			at = int(f.end)
			continue
		case protowire.VarintType:
			f.val, n = protowire.ConsumeVarint(head[at:])
		default:
			n = protowire.ConsumeFieldValue(num, typ, head[at:])
		}
		if n < 0 {
			return false
		}
		at += n
		if sign(f, nil) {
			return true
		}
	}
	return file.Size() > int64(len(head))
}
