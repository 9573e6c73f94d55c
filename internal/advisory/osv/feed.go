package osv

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
)

// RecordError is about one record of a feed; the records around it are fine.
type RecordError struct {
	Where string // the line or the file in the archive
	Err   error
}

func (e *RecordError) Error() string { return e.Where + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *RecordError) Unwrap() error { return e.Err }

// RecordsFile is [Records] of a file.
func RecordsFile(ctx context.Context, path string) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			yield(nil, err)
			return
		}
		if !info.Mode().IsRegular() {
			yield(nil, fmt.Errorf("read %s: not a regular file", path))
			return
		}
		for r, err := range Records(ctx, f, info.Size()) {
			if err != nil {
				err = fmt.Errorf("read %s: %w", path, err)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// Records steps through a feed of size bytes: a zip of JSON files (OSV's
// all.zip), JSON lines, or one record; the latter two may be gzipped. The form
// is told by the content.
//
// An error beside no record is either a *RecordError, after which the feed
// goes on, or the end of the feed, which was then not read wholly.
func Records(ctx context.Context, r io.ReaderAt, size int64) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		var magic [4]byte
		n, err := r.ReadAt(magic[:], 0)
		if err != nil && !errors.Is(err, io.EOF) {
			yield(nil, err)
			return
		}
		content := io.Reader(io.NewSectionReader(r, 0, size))
		switch {
		case bytes.HasPrefix(magic[:n], []byte("PK\x03\x04")), bytes.HasPrefix(magic[:n], []byte("PK\x05\x06")):
			fromZip(ctx, r, size, yield)
			return
		case bytes.HasPrefix(magic[:n], []byte{0x1f, 0x8b}):
			z, err := gzip.NewReader(content)
			if err != nil {
				yield(nil, fmt.Errorf("open the gzip stream: %w", err))
				return
			}
			content = z
		}
		fromText(ctx, content, yield)
	}
}

// fromText reads one record or JSON lines. A record that is spread over lines
// is told from JSON lines by its first line, which is no whole object.
func fromText(ctx context.Context, r io.Reader, yield func(*Record, error) bool) {
	in := bufio.NewReaderSize(&capped{r: r, left: MaxFeed}, 1<<16)
	var line []byte
	for number, records := 1, 0; ; number++ {
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		var err error
		line, err = readLine(in, line[:0])
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			yield(nil, fmt.Errorf("line %d: %w", number, err))
			return
		}
		text := bytes.TrimSpace(line)
		if number == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
			if !ended && spread(text) {
				rest, err := bounded.ReadAll(in, int64(MaxRecord-len(text)))
				if err != nil {
					yield(nil, err)
					return
				}
				one(append(text, rest...), "the record", yield)
				return
			}
		}
		if len(text) > 0 {
			if records++; records > MaxRecords {
				yield(nil, fmt.Errorf("the feed has more than %d records", MaxRecords))
				return
			}
			if !one(text, fmt.Sprintf("line %d", number), yield) {
				return
			}
		}
		if ended {
			if records == 0 {
				yield(nil, errors.New("the feed is empty"))
			}
			return
		}
	}
}

// spread reports whether the text can only be the beginning of an object.
func spread(text []byte) bool {
	return len(text) > 0 && text[0] == '{' && text[len(text)-1] != '}'
}

// readLine appends the next line to line, without its end.
func readLine(in *bufio.Reader, line []byte) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > MaxRecord {
			return line, fmt.Errorf("%w of %d bytes", bounded.ErrTooLarge, MaxRecord)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func fromZip(ctx context.Context, r io.ReaderAt, size int64, yield func(*Record, error) bool) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		yield(nil, fmt.Errorf("open the archive: %w", err))
		return
	}
	if len(z.File) > MaxRecords {
		yield(nil, fmt.Errorf("the archive has more than %d files", MaxRecords))
		return
	}
	left, records := int64(MaxFeed), 0
	for _, f := range z.File {
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		if !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		records++
		data, err := fromFile(f)
		if left -= int64(len(data)); left < 0 {
			yield(nil, fmt.Errorf("the archive's content is %w of %d bytes", bounded.ErrTooLarge, int64(MaxFeed)))
			return
		}
		if err != nil {
			if !yield(nil, &RecordError{clip(f.Name), err}) {
				return
			}
			continue
		}
		if !one(data, clip(f.Name), yield) {
			return
		}
	}
	if records == 0 {
		yield(nil, errors.New("the archive holds no .json file"))
	}
}

func fromFile(f *zip.File) ([]byte, error) {
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return bounded.ReadAll(in, MaxRecord)
}

func one(data []byte, where string, yield func(*Record, error) bool) bool {
	r, err := Decode(data)
	if err != nil {
		return yield(nil, &RecordError{where, err})
	}
	return yield(r, nil)
}

// capped fails where io.LimitReader would end silently.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("the feed is %w of %d bytes", bounded.ErrTooLarge, int64(MaxFeed))
	}
	return n, err
}
