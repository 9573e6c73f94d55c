package record

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// Bounds on what a footer may claim.
const (
	maxFooter    = 64 << 20
	maxRowGroups = 1 << 20
)

// RowGroup is one record of a Parquet file.
type RowGroup struct {
	Rows   int64
	Offset int64 // of its first column
	Size   int64 // of all columns, compressed
	// Digest is SHA-256 over the columns: length of the path, path, values,
	// compressed size, compressed bytes.
	Digest [sha256.Size]byte
}

// Parquet returns the identity of the file's schema and hands out its row groups.
func Parquet(r io.ReaderAt, size int64, emit func(*RowGroup) error) (schema []byte, err error) {
	// The library reads foreign bytes; what it cannot take is the file's fault.
	defer func() {
		if p := recover(); p != nil {
			schema, err = nil, fmt.Errorf("%w: its footer breaks the reader: %v", ErrFormat, p)
		}
	}()
	var tail [8]byte
	if size < 12 {
		return nil, fmt.Errorf("%w: it is shorter than a Parquet file", ErrFormat)
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil {
		return nil, err
	}
	if footer := int64(binary.LittleEndian.Uint32(tail[:])); string(tail[4:]) != "PAR1" || footer > maxFooter || footer > size-12 {
		return nil, fmt.Errorf("%w: it does not end as a Parquet file", ErrFormat)
	}
	f, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	groups := f.Metadata().RowGroups
	if len(groups) > maxRowGroups {
		return nil, fmt.Errorf("%w: it has more than %d row groups", ErrFormat, maxRowGroups)
	}
	buffer := make([]byte, 256<<10)
	for i := range groups {
		g := &groups[i]
		out := &RowGroup{Rows: g.NumRows, Offset: -1}
		sum := sha256.New()
		for j := range g.Columns {
			c := &g.Columns[j].MetaData
			from, n := c.DataPageOffset, c.TotalCompressedSize
			if c.DictionaryPageOffset > 0 && c.DictionaryPageOffset < from {
				from = c.DictionaryPageOffset
			}
			if from < 4 || n < 0 || from > size || n > size-from {
				return nil, fmt.Errorf("%w: column %d of row group %d lies outside of the file", ErrFormat, j, i)
			}
			if out.Offset < 0 || from < out.Offset {
				out.Offset = from
			}
			out.Size += n
			var fixed [8]byte
			number := func(v int64) {
				binary.BigEndian.PutUint64(fixed[:], uint64(v))
				sum.Write(fixed[:])
			}
			number(int64(len(c.PathInSchema)))
			for _, p := range c.PathInSchema {
				number(int64(len(p)))
				sum.Write([]byte(p))
			}
			number(c.NumValues)
			number(n)
			if _, err := io.CopyBuffer(sum, onlyReader{io.NewSectionReader(r, from, n)}, buffer); err != nil {
				return nil, err
			}
		}
		sum.Sum(out.Digest[:0])
		if err := emit(out); err != nil {
			return nil, err
		}
	}
	return []byte(f.Schema().String()), nil
}

type onlyReader struct{ io.Reader }
