package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A pkt-line has four hex digits of length, themselves included, and at most
// this many bytes after them (gitprotocol-common(5)).
const maxPkt = 65520 - 4

// pktKind tells a line with content from the special ones.
type pktKind uint8

const (
	pktData  pktKind = iota
	pktFlush         // 0000: the message ends
	pktDelim         // 0001: the next section begins
	pktEnd           // 0002: the answer ends
)

// pktReader reads pkt-lines. What it returns is overwritten by the next line.
type pktReader struct {
	r   io.Reader
	buf []byte
}

func newPktReader(r io.Reader) *pktReader { return &pktReader{r: r, buf: make([]byte, maxPkt)} }

// next reads one line. io.EOF is returned only where a line may begin. A line
// by which the server refuses is an error that wraps ErrRemote.
func (p *pktReader) next() (pktKind, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return 0, nil, cutOff(err)
	}
	n, err := strconv.ParseUint(string(head[:]), 16, 16)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: a line has the length %q", ErrProtocol, head[:])
	}
	switch n {
	case 0:
		return pktFlush, nil, nil
	case 1:
		return pktDelim, nil, nil
	case 2:
		return pktEnd, nil, nil
	case 3:
		return 0, nil, fmt.Errorf("%w: a line has the length 3", ErrProtocol)
	}
	if n-4 > maxPkt {
		return 0, nil, fmt.Errorf("%w: a line has more than %d bytes", ErrProtocol, maxPkt)
	}
	data := p.buf[:n-4]
	if _, err := io.ReadFull(p.r, data); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, cutOff(err)
	}
	if why, ok := strings.CutPrefix(string(data[:min(len(data), 4+maxSaid)]), "ERR "); ok {
		return 0, nil, said(why)
	}
	return pktData, data, nil
}

// line is next without the line feed that most lines end in.
func (p *pktReader) line() (pktKind, string, error) {
	kind, data, err := p.next()
	return kind, strings.TrimSuffix(string(data), "\n"), err
}

// cutOff names an answer that ends in the middle.
func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: its answer ends early", ErrProtocol)
	}
	return err
}

// maxSaid is how much of a server's own words goes into an error.
const maxSaid = 200

// said quotes a server: its words are foreign.
func said(why string) error {
	why = strings.TrimSpace(why)
	return fmt.Errorf("%w: it says %q", ErrRemote, why[:min(len(why), maxSaid)])
}

// pktLine appends one line.
func pktLine(out []byte, format string, args ...any) []byte {
	text := fmt.Sprintf(format, args...)
	return fmt.Appendf(out, "%04x%s", len(text)+4, text)
}

// What ends a message and parts it.
const (
	flushPkt = "0000"
	delimPkt = "0001"
)

// maxProgress is how many bytes of progress are read. None is asked for; some
// servers send a few lines nevertheless.
const maxProgress = 1 << 20

// sideBand is the stream of one channel of an answer in which progress and
// errors come between the data.
type sideBand struct {
	lines    *pktReader
	acks     bool // version 0: lines about what both have may come before
	left     []byte
	progress int
	ended    bool
}

func (s *sideBand) Read(b []byte) (int, error) {
	for len(s.left) == 0 {
		if s.ended {
			return 0, io.EOF
		}
		kind, data, err := s.lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return 0, cutOff(io.ErrUnexpectedEOF)
		case err != nil:
			return 0, err
		case kind != pktData:
			s.ended = true
		case len(data) == 0:
			return 0, fmt.Errorf("%w: a line names no channel", ErrProtocol)
		case s.acks && bytes.HasPrefix(data, []byte("ACK ")):
			s.progress += 4 + len(data)
		case data[0] == 1:
			s.left, s.acks = data[1:], false
			if len(data) == 1 { // "still working": counted, or it could go on for ever
				s.progress += 5
			}
		case data[0] == 2:
			s.progress += 5 + len(data)
		case data[0] == 3:
			return 0, said(string(data[1:]))
		default:
			return 0, fmt.Errorf("%w: a line is for the channel %d", ErrProtocol, data[0])
		}
		if s.progress > maxProgress {
			return 0, fmt.Errorf("%w: more than %d bytes of progress messages", ErrTooLarge, maxProgress)
		}
	}
	n := copy(b, s.left)
	s.left = s.left[n:]
	return n, nil
}

// budget counts what comes from a server, over all answers to one look or fetch.
type budget struct {
	r     io.Reader
	left  *int64
	limit int64
}

func (b budget) Read(p []byte) (int, error) {
	if *b.left <= 0 {
		// One more byte tells an answer that fits exactly.
		var one [1]byte
		if n, err := b.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("%w: the server sent more than %d bytes", ErrTooLarge, b.limit)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), *b.left)])
	*b.left -= int64(n)
	return n, err
}
