// Package record cuts data files into records: the lines of JSONL, the rows of
// CSV, the samples of webdataset tars, the row groups of Parquet.
//
// Start with [JSONL], [CSV], [Tar] or [Parquet]. Each reads a stream or file
// once and hands out one record after the other in bounded memory. What does not
// keep to its format is an error, never a guess: [ErrFormat] tells it apart from
// a failure to read.
//
// Sources: jsonlines.org, RFC 4180, POSIX pax, the webdataset file format, and
// the Apache Parquet format.
package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Max is the longest record, in bytes: one has to fit into memory, and loaders
// of training data hold many at once.
const Max = 64 << 20

// ErrFormat is wrapped by every error about content that is not of the format.
var ErrFormat = errors.New("not of this format")

// Record is one line, row or sample.
type Record struct {
	Offset int64  // of its first byte
	Bytes  []byte // without the line break; valid until the next record
}

// JSONL hands out the lines of r that hold more than white space.
func JSONL(r io.Reader, emit func(Record) error) error {
	b := bufio.NewReaderSize(r, 1<<20)
	var offset int64
	var long []byte
	for {
		line, err := b.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if len(long)+len(line) > Max {
				return fmt.Errorf("%w: the line at byte %d is longer than %d bytes", ErrFormat, offset, Max)
			}
			long = append(long, line...)
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(long) > 0 {
			if len(long)+len(line) > Max {
				return fmt.Errorf("%w: the line at byte %d is longer than %d bytes", ErrFormat, offset, Max)
			}
			long = append(long, line...)
			line = long
			long = long[:0]
		}
		size := int64(len(line))
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(bytes.TrimSpace(line)) > 0 {
			if err := emit(Record{offset, line}); err != nil {
				return err
			}
		}
		offset += size
		if err != nil {
			return nil
		}
	}
}

// CSV hands out the rows of r, the header among them as the first one. Quoted
// fields may hold line breaks. Empty lines are no rows.
func CSV(r io.Reader, delimiter byte, emit func(Record) error) error {
	b := bufio.NewReaderSize(r, 1<<20)
	var offset int64
	var row []byte
	s := start
	for {
		line, err := b.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if len(row)+len(line) > Max {
			return fmt.Errorf("%w: the row at byte %d is longer than %d bytes; is a quote missing?", ErrFormat, offset, Max)
		}
		row = append(row, line...)
		var ok bool
		if s, ok = s.over(line, delimiter); !ok {
			return fmt.Errorf("%w: a quote in the row at byte %d is neither at an end of its field nor doubled", ErrFormat, offset)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		end := errors.Is(err, io.EOF)
		if s == quoted {
			if end {
				return fmt.Errorf("%w: a quote in the row at byte %d is not closed", ErrFormat, offset)
			}
			continue
		}
		size := int64(len(row))
		text := bytes.TrimSuffix(bytes.TrimSuffix(row, []byte("\n")), []byte("\r"))
		if len(text) > 0 {
			if err := emit(Record{offset, text}); err != nil {
				return err
			}
		}
		offset += size
		row, s = row[:0], start
		if end {
			return nil
		}
	}
}

// state is where in a field the reader of a row is.
type state byte

const (
	start  state = iota // at its beginning
	plain               // in a field without quotes
	quoted              // between quotes
	closed              // after a quote: the end of the field or half of a doubled one
)

// over steps over b; false: a quote is where none may be. A quote inside of a
// field without quotes is an ordinary character, as nearly all readers take it.
func (s state) over(b []byte, delimiter byte) (state, bool) {
	for _, c := range b {
		switch s {
		case start, plain:
			switch {
			case c == delimiter || c == '\n':
				s = start
			case c == '"' && s == start:
				s = quoted
			default:
				s = plain
			}
		case quoted:
			if c == '"' {
				s = closed
			}
		case closed:
			switch c {
			case '"':
				s = quoted
			case delimiter, '\n':
				s = start
			case '\r':
			default:
				return s, false
			}
		}
	}
	return s, true
}

// Fields cuts a row that [CSV] handed out into its fields, into out. The fields
// are valid until the row is not.
func Fields(row []byte, delimiter byte, out []string) []string {
	out = out[:0]
	for {
		if len(row) > 0 && row[0] == '"' {
			var text []byte
			rest := row[1:]
			for {
				i := bytes.IndexByte(rest, '"')
				if i < 0 { // CSV hands out no such row
					text, rest = append(text, rest...), nil
					break
				}
				text = append(text, rest[:i]...)
				if rest = rest[i+1:]; len(rest) == 0 || rest[0] != '"' {
					break
				}
				text, rest = append(text, '"'), rest[1:]
			}
			out = append(out, string(text))
			i := bytes.IndexByte(rest, delimiter)
			if i < 0 {
				return out
			}
			row = rest[i+1:]
			continue
		}
		i := bytes.IndexByte(row, delimiter)
		if i < 0 {
			return append(out, string(row))
		}
		out = append(out, string(row[:i]))
		row = row[i+1:]
	}
}
