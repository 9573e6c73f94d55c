package dataset

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"

	"github.com/apexlogic/apex/internal/dataset/record"
)

// The records file holds, for each file of a manifest, the hashes, lengths and
// ids of its records in a tree whose chunks end where the hashes say so: an
// insertion changes the chunks on one path and moves all others, so that two
// trees are compared by walking only what differs (a prolly tree; cf. content-
// defined chunking: Muthitacharoen, Chen, Mazières, SOSP 2001).
//
//	header     "apexrec1"
//	chunks     in the order in which they were completed, all files in one sequence
//	directory  JSON: for each file path, level and place of the top chunk
//	footer     offset of the directory (8 bytes), its length (4 bytes), "apexrec1"
//
// A chunk of level 0 is a sequence of entries: leaf hash (32), then as uvarints
// the bytes between the record before and this one, the record's length, and
// the id's length, then the id. A chunk of a higher level holds for each child
// its hash (32), records (8) and bytes (8), then for each child the offset (8)
// and length (4) of its chunk. Integers are big-endian.
//
// The hash of a chunk is SHA-256(0x01 ‖ level ‖ entries without the places).
// The manifest holds the hash of the top chunk, so everything that is read can
// be checked on the way down, and nothing else needs to be read.
const indexMagic = "apexrec1"

// The shape of the tree.
const (
	chunkMask  = 63  // a chunk ends after a hash whose last bits are zero: 64 entries
	chunkLeast = 2   // entries, so that each level is smaller than the one below
	chunkMost  = 512 // entries
	maxID      = 256 // bytes of an id that are kept
	maxLevel   = 40
	childSize  = sha256.Size + 16
	placeSize  = 12
	maxChunk   = chunkMost * (sha256.Size + 3*binary.MaxVarintLen64 + maxID)
)

// directoryEntry is where the tree of a file begins.
type directoryEntry struct {
	Path   string `json:"path"`
	Level  int    `json:"level"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// indexWriter writes a records file; without a file it only computes the roots.
type indexWriter struct {
	file   *os.File
	w      *bufio.Writer
	offset int64
	dir    []directoryEntry
	levels []*level
	last   int64 // end of the last record
}

// level is the unfinished chunk of one level.
type level struct {
	entries, places []byte
	n               int
	records, bytes  uint64
	chunks          int
	top             hash
	at, length      int64 // of the last chunk
}

func newIndexWriter(file *os.File) (*indexWriter, error) {
	w := &indexWriter{file: file}
	if file == nil {
		return w, nil
	}
	w.w = bufio.NewWriterSize(file, 1<<20)
	return w, w.write([]byte(indexMagic))
}

func (w *indexWriter) write(b []byte) error {
	w.offset += int64(len(b))
	if w.w == nil {
		return nil
	}
	_, err := w.w.Write(b)
	return err
}

// add appends one record of the current file.
func (w *indexWriter) add(h hash, offset, length int64, id string) error {
	if offset < w.last || length < 0 {
		return fmt.Errorf("%w: the record at byte %d overlaps the one before it", record.ErrFormat, offset)
	}
	l := w.level(0)
	l.entries = append(l.entries, h[:]...)
	l.entries = binary.AppendUvarint(l.entries, uint64(offset-w.last))
	l.entries = binary.AppendUvarint(l.entries, uint64(length))
	if len(id) > maxID {
		id = id[:maxID]
	}
	l.entries = binary.AppendUvarint(l.entries, uint64(len(id)))
	l.entries = append(l.entries, id...)
	l.records++
	l.bytes += uint64(offset + length - w.last)
	w.last = offset + length
	return w.grown(0, h)
}

func (w *indexWriter) level(i int) *level {
	for len(w.levels) <= i {
		w.levels = append(w.levels, &level{})
	}
	return w.levels[i]
}

// grown closes the chunk when the entry's hash says so.
func (w *indexWriter) grown(i int, h hash) error {
	l := w.levels[i]
	l.n++
	if l.n >= chunkMost || l.n >= chunkLeast && h[len(h)-1]&chunkMask == 0 {
		return w.close(i)
	}
	return nil
}

func chunkHash(level int, entries []byte) hash {
	h := sha256.New()
	h.Write([]byte{1, byte(level)})
	h.Write(entries)
	return hash(h.Sum(nil))
}

func (w *indexWriter) close(i int) error {
	l := w.levels[i]
	at := w.offset
	if err := w.write(l.entries); err != nil {
		return err
	}
	if err := w.write(l.places); err != nil {
		return err
	}
	l.top, l.at, l.length = chunkHash(i, l.entries), at, int64(len(l.entries))
	l.chunks++
	up := w.level(i + 1)
	up.entries = append(up.entries, l.top[:]...)
	up.entries = binary.BigEndian.AppendUint64(up.entries, l.records)
	up.entries = binary.BigEndian.AppendUint64(up.entries, l.bytes)
	up.places = binary.BigEndian.AppendUint64(up.places, uint64(at))
	up.places = binary.BigEndian.AppendUint32(up.places, uint32(l.length))
	up.records += l.records
	up.bytes += l.bytes
	l.entries, l.places, l.n, l.records, l.bytes = l.entries[:0], l.places[:0], 0, 0, 0
	return w.grown(i+1, l.top)
}

// end finishes the tree of a file and returns its root.
func (w *indexWriter) end(path string) (hash, error) {
	defer func() { w.levels, w.last = nil, 0 }()
	if len(w.levels) == 0 { // no records
		return chunkHash(0, nil), nil
	}
	for i := 0; ; i++ {
		l := w.level(i)
		if l.n > 0 {
			if err := w.close(i); err != nil {
				return hash{}, err
			}
		}
		if l.chunks == 1 {
			w.dir = append(w.dir, directoryEntry{path, i, l.at, l.length})
			return l.top, nil
		}
	}
}

// mark and rewind undo what was written about a file that turned out to be of
// another format.
func (w *indexWriter) mark() int64 { return w.offset }

func (w *indexWriter) rewind(mark int64) error {
	w.levels, w.last = nil, 0
	w.offset = mark
	if w.w == nil {
		return nil
	}
	if err := w.w.Flush(); err != nil {
		return err
	}
	if err := w.file.Truncate(mark); err != nil {
		return err
	}
	_, err := w.file.Seek(mark, 0)
	return err
}

// finish writes the directory.
func (w *indexWriter) finish() error {
	if w.w == nil {
		return nil
	}
	at := w.offset
	data, err := json.Marshal(w.dir)
	if err != nil {
		return err
	}
	if int64(len(data)) > maxDirectory {
		return fmt.Errorf("records file: its directory has more than %d bytes", maxDirectory)
	}
	data = binary.BigEndian.AppendUint64(data, uint64(at))
	data = binary.BigEndian.AppendUint32(data, uint32(len(data)-8))
	if err := w.write(append(data, indexMagic...)); err != nil {
		return err
	}
	return w.w.Flush()
}
