package shared

import (
	"errors"
	"net"
)

// What an answer of the store may be. A decision is two numbers; the longest
// answers are errors, which are a line, and the greeting.
const (
	maxLine  = 4 << 10
	maxBulk  = 64 << 10
	maxItems = 4096
	maxDepth = 4
)

var errAnswer = errors.New("the store's answer is larger or deeper than any that was asked for")

// boundedConn refuses answers that would make their reader allocate or recurse
// without end: the lengths in RESP come before what they count.
type boundedConn struct {
	net.Conn
	state respState
}

// Read hands on what passes.
func (c *boundedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.state.pass(p[:n]) {
		c.Conn.Close()
		return 0, errAnswer
	}
	return n, err
}

// respState follows RESP2 answers, byte by byte.
type respState struct {
	kind    byte  // of the line that is read; 0: between answers
	line    int   // bytes of it so far
	n       int64 // its number
	minus   bool
	bulk    int64 // bytes of a string to come, with its end
	waiting [maxDepth]int64
	depth   int
	broken  bool
}

// pass takes the next bytes; false when they are no answer that is taken.
func (s *respState) pass(p []byte) bool {
	for len(p) > 0 && !s.broken {
		if s.bulk > 0 {
			n := min(s.bulk, int64(len(p)))
			p, s.bulk = p[n:], s.bulk-n
			if s.bulk == 0 {
				s.item()
			}
			continue
		}
		s.next(p[0])
		p = p[1:]
	}
	return !s.broken
}

// next takes one byte of a line.
func (s *respState) next(b byte) {
	if s.kind == 0 {
		switch b {
		case '+', '-', ':', '$', '*':
			s.kind, s.line, s.n, s.minus = b, 0, 0, false
		default:
			s.broken = true
		}
		return
	}
	if s.line++; s.line > maxLine {
		s.broken = true
		return
	}
	if b == '\n' {
		s.endLine()
		return
	}
	if s.kind != '$' && s.kind != '*' {
		return
	}
	switch {
	case b == '-' && s.line == 1:
		s.minus = true
	case b >= '0' && b <= '9':
		if s.n = s.n*10 + int64(b-'0'); s.n > maxBulk {
			s.broken = true
		}
	case b != '\r':
		s.broken = true
	}
}

// endLine does what the line says.
func (s *respState) endLine() {
	kind := s.kind
	s.kind = 0
	if s.minus { // -1: there is none
		if s.n != 1 {
			s.broken = true
		}
		s.item()
		return
	}
	switch kind {
	case '$':
		s.bulk = s.n + 2
	case '*':
		if s.n > maxItems || s.depth == maxDepth {
			s.broken = true
			return
		}
		if s.n == 0 {
			s.item()
			return
		}
		s.waiting[s.depth] = s.n
		s.depth++
	default:
		s.item()
	}
}

// item ends an element, and the lists that it is the last of.
func (s *respState) item() {
	for s.depth > 0 {
		if s.waiting[s.depth-1]--; s.waiting[s.depth-1] > 0 {
			return
		}
		s.depth--
	}
}
