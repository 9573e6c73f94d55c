package tensor

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/apexlogic/apex/internal/model/scan"
)

// rNA is the integer NA of R.
const rNA = math.MinInt32

// rSource reads the numbers and strings of one of R's three encodings: XDR,
// which is big-endian, the machine's own, which is little-endian on all that
// are left, and text.
type rSource struct {
	*cursor
	text bool
}

// int reads one integer.
func (s *rSource) int() (int32, error) {
	if !s.text {
		n, err := s.u32()
		return int32(n), err
	}
	word, err := s.word()
	if err != nil {
		return 0, err
	}
	if string(word) == "NA" {
		return rNA, nil
	}
	n, err := strconv.ParseInt(string(word), 10, 32)
	if err != nil {
		return 0, errShort
	}
	return int32(n), nil
}

// word reads up to white space. Numbers take less than wordMost bytes.
func (s *rSource) word() ([]byte, error) {
	const wordMost = 128
	for {
		b, err := s.take(1)
		if err != nil {
			return nil, err
		}
		if !isSpace(b[0]) {
			s.pos--
			break
		}
	}
	b, err := s.take(min(wordMost, s.left()))
	if err != nil {
		return nil, err
	}
	end := bytes.IndexAny(b, " \t\n\r")
	if end < 0 && len(b) == wordMost {
		return nil, errShort
	}
	if end >= 0 {
		s.pos -= int64(len(b) - end)
		b = b[:end]
	}
	return b, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// skipElements steps over n numbers of so many bytes each; in text, over words.
func (s *rSource) skipElements(n, bytes int64) error {
	if !s.text {
		if n > s.left()/bytes {
			return errShort
		}
		return s.skip(n * bytes)
	}
	if n > s.left()/2 {
		return errShort
	}
	words := n
	if bytes == 16 { // a complex number is two
		words = 2 * n
	}
	const costWord scan.Cost = 60
	for range words {
		if err := s.place.Spend(costWord); err != nil {
			return err
		}
		if _, err := s.word(); err != nil {
			return err
		}
	}
	return nil
}

// string reads n bytes; of more than rName it returns none.
func (s *rSource) string(n int64) ([]byte, error) {
	const rName = 256
	if !s.text {
		if n > rName {
			return nil, s.skip(n)
		}
		return s.take(n)
	}
	if n > s.left() {
		return nil, errShort
	}
	// In text the bytes are escaped, and follow white space.
	var out []byte
	for begun := false; n > 0; {
		b, err := s.take(1)
		if err != nil {
			return nil, err
		}
		c := b[0]
		if !begun && isSpace(c) {
			continue
		}
		begun = true
		if c == '\\' {
			if c, err = s.escape(); err != nil {
				return nil, err
			}
		}
		if len(out) < rName {
			out = append(out, c)
		}
		n--
	}
	return out, nil
}

func (s *rSource) escape() (byte, error) {
	b, err := s.take(1)
	if err != nil {
		return 0, err
	}
	c := b[0]
	if c < '0' || c > '7' {
		return c, nil // which character it stands for does not matter
	}
	n := c - '0'
	for range 2 {
		b, err := s.take(1)
		if err != nil {
			return 0, err
		}
		if b[0] < '0' || b[0] > '7' {
			s.pos--
			break
		}
		n = n<<3 | b[0] - '0'
	}
	return n, nil
}

// openR tells which encoding follows, and steps over its mark. ok is false for
// what is none. Of the versions R looks at the first one only, so the others
// cannot tell whether R would read the file; typical says that they are what R
// writes, which matters for text.
func openR(c *cursor) (s *rSource, typical, ok bool, err error) {
	b, err := c.take(2)
	if err != nil {
		return nil, false, false, err
	}
	s = &rSource{cursor: c}
	switch string(b) {
	case "X\n":
		c.order = binary.BigEndian
	case "B\n":
		c.order = binary.LittleEndian
	case "A\n":
		s.text = true
	default:
		return nil, false, false, nil
	}
	version, err := s.int()
	if err != nil || version != 2 && version != 3 {
		return s, false, false, nil
	}
	typical = true
	for range 2 { // the R that wrote it, and the oldest that reads it
		n, err := s.int()
		if err != nil {
			return s, false, false, nil
		}
		typical = typical && n >= 1<<16 && n < 1<<20
	}
	if version == 3 { // the encoding of strings
		n, err := s.int()
		if err != nil || n < 0 {
			return s, false, false, nil
		}
		if _, err := s.string(int64(n)); err != nil {
			return s, false, false, nil
		}
	}
	return s, typical, true, nil
}
