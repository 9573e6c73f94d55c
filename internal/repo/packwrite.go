package repo

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // Git's checksum of packs; objects are hashed by hashObject
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Packs are made in a directory of their own and moved beside the others when
// they are whole and checked. What a crash leaves is there, and is removed.
const (
	quarantine  = "objects/incoming"
	packDir     = "objects/pack"
	newPack     = quarantine + "/new.pack"
	newIdx      = quarantine + "/new.idx"
	packMagic   = "PACK\x00\x00\x00\x02"
	idxMagic    = "\xfftOc\x00\x00\x00\x02"
	packTrailer = sha1.Size
)

// indexed is one object of a pack, as its index lists it.
type indexed struct {
	hash   plumbing.Hash
	offset int64
	crc    uint32
}

// writeIndex writes the index of the pack in quarantine, whose checksum is sum.
// It sorts objects.
func writeIndex(dot *os.Root, objects []indexed, sum []byte) (err error) {
	slices.SortFunc(objects, func(a, b indexed) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	f, err := dot.OpenFile(newIdx, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o444)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha1.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, h), 64<<10)
	out := []byte(idxMagic)
	n := 0
	for first := range 256 {
		for n < len(objects) && int(objects[n].hash[0]) <= first {
			n++
		}
		out = binary.BigEndian.AppendUint32(out, uint32(n))
	}
	w.Write(out) // a bufio.Writer reports its first error when it is flushed
	for _, o := range objects {
		w.Write(o.hash[:])
	}
	for _, o := range objects {
		w.Write(binary.BigEndian.AppendUint32(out[:0], o.crc))
	}
	var far []byte
	for _, o := range objects {
		at := uint32(o.offset)
		if o.offset > math.MaxInt32 {
			at = 1<<31 | uint32(len(far)/8)
			far = binary.BigEndian.AppendUint64(far, uint64(o.offset))
		}
		w.Write(binary.BigEndian.AppendUint32(out[:0], at))
	}
	w.Write(far)
	w.Write(sum)
	if err := w.Flush(); err != nil {
		return err
	}
	if _, err := f.Write(h.Sum(nil)); err != nil {
		return err
	}
	return f.Sync()
}

// adoptPack moves the pack out of quarantine, its index last: a pack without one
// does not count. The result is its name without the suffix.
func adoptPack(dot *os.Root, sum []byte) (string, error) {
	base := fmt.Sprintf("%s/pack-%x", packDir, sum)
	if err := dot.Rename(newPack, base+".pack"); err != nil {
		return "", err
	}
	if err := dot.Rename(newIdx, base+".idx"); err != nil {
		return "", err
	}
	return path.Base(base), syncDir(dot, packDir)
}

func syncDir(dot *os.Root, name string) error {
	d, err := dot.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// packWriter writes a pack into quarantine.
type packWriter struct {
	dot     *os.Root
	f       *os.File
	w       *bufio.Writer
	off     int64
	objects []indexed
	deflate *zlib.Writer
	packed  bytes.Buffer
}

func newPackWriter(dot *os.Root) (*packWriter, error) {
	f, err := dot.OpenFile(newPack, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o444)
	if err != nil {
		return nil, err
	}
	w := &packWriter{dot: dot, f: f, w: bufio.NewWriterSize(f, 64<<10)}
	if w.deflate, err = zlib.NewWriterLevel(io.Discard, zlib.BestSpeed); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	_, err = w.w.WriteString(packMagic + "\x00\x00\x00\x00") // the count comes last
	w.off = packHeader
	return w, err
}

func (w *packWriter) close() error { return w.f.Close() }

// entryHeader is the type and size that an entry begins with.
func entryHeader(kind plumbing.ObjectType, size int64) []byte {
	c := byte(kind)<<4 | byte(size&15)
	var out []byte
	for size >>= 4; size > 0; size >>= 7 {
		out = append(out, c|0x80)
		c = byte(size & 0x7f)
	}
	return append(out, c)
}

// whole adds an object.
func (w *packWriter) whole(kind plumbing.ObjectType, h plumbing.Hash, data []byte) error {
	w.packed.Reset()
	w.deflate.Reset(&w.packed)
	if _, err := w.deflate.Write(data); err != nil {
		return err
	}
	if err := w.deflate.Close(); err != nil {
		return err
	}
	return w.add(h, entryHeader(kind, int64(len(data))), &w.packed)
}

// add adds an entry as it is.
func (w *packWriter) add(h plumbing.Hash, header []byte, body io.Reader) error {
	crc := crc32.NewIEEE()
	crc.Write(header)
	if _, err := w.w.Write(header); err != nil {
		return err
	}
	n, err := io.Copy(io.MultiWriter(w.w, crc), body)
	if err != nil {
		return err
	}
	w.objects = append(w.objects, indexed{h, w.off, crc.Sum32()})
	w.off += int64(len(header)) + n
	return nil
}

// finish writes the count, the checksum and the index, puts everything on the
// disk and moves it in place.
func (w *packWriter) finish() (string, error) {
	if err := w.w.Flush(); err != nil {
		return "", err
	}
	count := binary.BigEndian.AppendUint32(nil, uint32(len(w.objects)))
	if _, err := w.f.WriteAt(count, int64(len(packMagic))); err != nil {
		return "", err
	}
	h := sha1.New()
	if _, err := io.Copy(h, io.NewSectionReader(w.f, 0, w.off)); err != nil {
		return "", err
	}
	sum := h.Sum(nil)
	if _, err := w.f.WriteAt(sum, w.off); err != nil {
		return "", err
	}
	if err := w.f.Sync(); err != nil {
		return "", err
	}
	if err := writeIndex(w.dot, w.objects, sum); err != nil {
		return "", err
	}
	return adoptPack(w.dot, sum)
}
