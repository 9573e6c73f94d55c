package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxDirectory bounds what is read before anything is checked.
const (
	maxDirectory = 256 << 20
	footerSize   = 12 + int64(len(indexMagic))
)

// Index is an opened records file. Its chunks are read when they are needed, and
// checked against the manifest. It is safe for use by one goroutine at a time.
type Index struct {
	r      io.ReaderAt
	closer io.Closer
	size   int64
	files  map[string]directoryEntry
	chunks int // that were read
}

// OpenIndex opens a records file that [Make] wrote.
func OpenIndex(path string) (*Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var x *Index
		if x, err = newIndex(f, info.Size()); err == nil {
			x.closer = f
			return x, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("records file %s: %w", path, err)
}

// Close closes the file.
func (x *Index) Close() error {
	if x == nil || x.closer == nil {
		return nil
	}
	return x.closer.Close()
}

func newIndex(r io.ReaderAt, size int64) (*Index, error) {
	var head [len(indexMagic)]byte
	if _, err := r.ReadAt(head[:], 0); err != nil || string(head[:]) != indexMagic {
		return nil, errors.New("it does not begin as one")
	}
	if size < int64(len(indexMagic))+footerSize {
		return nil, errors.New("it ends too early")
	}
	footer := make([]byte, footerSize)
	if _, err := r.ReadAt(footer, size-footerSize); err != nil {
		return nil, err
	}
	at, n := binary.BigEndian.Uint64(footer), int64(binary.BigEndian.Uint32(footer[8:]))
	if string(footer[12:]) != indexMagic || n > maxDirectory || n > size-footerSize || at != uint64(size-footerSize-n) {
		return nil, errors.New("it ends too early, or was not finished")
	}
	data := make([]byte, n)
	if _, err := r.ReadAt(data, int64(at)); err != nil {
		return nil, err
	}
	var list []directoryEntry
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("its directory: %w", err)
	}
	x := &Index{r: r, size: size, files: make(map[string]directoryEntry, len(list))}
	for _, d := range list {
		if d.Level < 0 || d.Level > maxLevel {
			return nil, fmt.Errorf("%.100q has a tree of %d levels", d.Path, d.Level)
		}
		x.files[d.Path] = d
	}
	return x, nil
}

// node is a chunk, and where its records are in the data file.
type node struct {
	level          int
	hash           hash
	records, bytes int64
	first, offset  int64 // index and offset of its first record
	at, length     int64 // of the chunk in the records file
}

// leaf is one record.
type leaf struct {
	hash                  hash
	index, offset, length int64
	id                    string
}

// top returns the top chunk of a file.
func (x *Index) top(f *File) (node, error) {
	want, ok := hashOf(f.Index)
	d, there := x.files[f.Path]
	if !ok || !there {
		return node{}, fmt.Errorf("records file: it does not hold %q; is it another manifest's?", f.Path)
	}
	return node{level: d.Level, hash: want, records: f.Records, at: d.Offset, length: d.Length}, nil
}

// read reads a chunk and checks that it is the one that its parent names.
func (x *Index) read(n *node) (entries, places []byte, err error) {
	size := n.length
	if n.level > 0 {
		size = n.length / childSize * (childSize + placeSize)
	}
	if n.length < 0 || n.length > maxChunk || n.at < 0 || n.at > x.size || size > x.size-n.at {
		return nil, nil, errors.New("records file: a chunk lies outside of it")
	}
	data := make([]byte, size)
	if _, err := x.r.ReadAt(data, n.at); err != nil {
		return nil, nil, fmt.Errorf("records file: %w", err)
	}
	x.chunks++
	entries, places = data[:n.length], data[n.length:]
	if chunkHash(n.level, entries) != n.hash {
		return nil, nil, errors.New("records file: a chunk is not what the manifest says; it was changed, or is another manifest's")
	}
	return entries, places, nil
}

// children reads a chunk of a level above 0.
func (x *Index) children(n *node) ([]node, error) {
	entries, places, err := x.read(n)
	if err != nil {
		return nil, err
	}
	if len(entries)%childSize != 0 {
		return nil, errors.New("records file: a chunk of no whole entries")
	}
	var out []node
	first, offset := n.first, n.offset
	for len(entries) > 0 {
		c := node{level: n.level - 1, hash: hash(entries), first: first, offset: offset,
			records: int64(binary.BigEndian.Uint64(entries[sha256.Size:])), bytes: int64(binary.BigEndian.Uint64(entries[sha256.Size+8:])),
			at: int64(binary.BigEndian.Uint64(places)), length: int64(binary.BigEndian.Uint32(places[8:]))}
		if c.records < 0 || c.bytes < 0 {
			return nil, errors.New("records file: a chunk of negative size")
		}
		first, offset = first+c.records, offset+c.bytes
		out = append(out, c)
		entries, places = entries[childSize:], places[placeSize:]
	}
	return out, nil
}

// leaves reads a chunk of level 0.
func (x *Index) leaves(n *node) ([]leaf, error) {
	b, _, err := x.read(n)
	if err != nil {
		return nil, err
	}
	broken := errors.New("records file: an entry is cut off")
	var out []leaf
	index, offset := n.first, n.offset
	for len(b) > 0 {
		if len(b) < sha256.Size {
			return nil, broken
		}
		l := leaf{hash: hash(b), index: index}
		b = b[sha256.Size:]
		var v [3]uint64
		for i := range v {
			var k int
			if v[i], k = binary.Uvarint(b); k <= 0 || v[i] > 1<<62 {
				return nil, broken
			}
			b = b[k:]
		}
		if v[2] > uint64(len(b)) {
			return nil, broken
		}
		l.id, b = string(b[:v[2]]), b[v[2]:]
		l.offset, l.length = offset+int64(v[0]), int64(v[1])
		offset = l.offset + l.length
		index++
		out = append(out, l)
	}
	return out, nil
}
