package repo

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // Git's checksum of packs; objects are hashed by hashObject
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// incoming is a pack that a server sends: it is read once while it arrives, into
// quarantine, then its differences are resolved, and then every object that one
// of its objects names has to be in it or among those that are here. So whatever
// leaves quarantine is whole, by whatever way it is reached, and what was whole
// before stays so.
type incoming struct {
	limits   Limits
	has      func(plumbing.Hash) (bool, error) // among the objects that are here
	unpacked int64                             // bytes inflated so far

	f        *os.File
	in       *tee
	inflater io.Reader
	scratch  []byte

	entries []received
	// Differences by the hash of their base, until the base is found.
	waiting map[plumbing.Hash][]int32
	// Objects that others name and that were not in the pack so far.
	named map[plumbing.Hash]struct{}
}

// received is one entry of the pack.
type received struct {
	indexed
	body  int64 // where its compressed content begins
	size  int64 // of that content, inflated
	kind  plumbing.ObjectType
	depth uint16 // differences down to a whole object
	done  bool   // its hash is known
	base  int32  // of a difference: the entry that it is to; -1 while unknown
	child int32  // the first difference to it, -1 for none
	next  int32  // the next difference to the same base
}

// receive reads a pack and moves it among the others; the result is its name, ""
// for a pack without objects.
func receive(ctx context.Context, dot *os.Root, r io.Reader, limits Limits, has func(plumbing.Hash) (bool, error)) (_ string, err error) {
	f, err := dot.OpenFile(newPack, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o444)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := &incoming{limits: limits, has: has, f: f, in: newTee(r, f), scratch: make([]byte, 32<<10),
		waiting: map[plumbing.Hash][]int32{}, named: map[plumbing.Hash]struct{}{}}
	sum, err := in.scan(ctx)
	if err != nil {
		return "", err
	}
	if len(in.entries) == 0 {
		return "", nil
	}
	if err := in.resolve(ctx); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	objects, err := in.check(ctx)
	if err != nil {
		return "", err
	}
	if err := writeIndex(dot, objects, sum); err != nil {
		return "", err
	}
	return adoptPack(dot, sum)
}

// scan reads the pack as it arrives and returns its checksum.
func (in *incoming) scan(ctx context.Context) ([]byte, error) {
	var head [packHeader]byte
	if _, err := io.ReadFull(in.in, head[:]); err != nil {
		return nil, early(err)
	}
	if !bytes.HasPrefix(head[:], []byte(packMagic)) {
		return nil, fmt.Errorf("%w: what it sends is not a pack of version 2", ErrCorrupt)
	}
	count := binary.BigEndian.Uint32(head[len(packMagic):])
	if int64(count) > int64(in.limits.Objects) {
		return nil, fmt.Errorf("%w: the pack has %d objects, the limit is %d", ErrTooLarge, count, in.limits.Objects)
	}
	for i := range count {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := in.entry(); err != nil {
			return nil, fmt.Errorf("object %d of %d in the pack: %w", i+1, count, err)
		}
	}
	sum, err := in.in.checksum()
	if err != nil {
		return nil, err
	}
	trailer := make([]byte, packTrailer)
	if _, err := io.ReadFull(in.in, trailer); err != nil {
		return nil, early(err)
	}
	if !bytes.Equal(sum, trailer) {
		return nil, fmt.Errorf("%w: the pack has not the checksum that it states", ErrCorrupt)
	}
	if _, err := in.in.ReadByte(); err == nil {
		return nil, fmt.Errorf("%w: something follows the pack", ErrCorrupt)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	_, err = in.in.checksum() // writes the trailer
	return sum, err
}

func early(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the pack ends early", ErrCorrupt)
	}
	return err
}

// entry reads one entry: an object, which is hashed, or a difference.
func (in *incoming) entry() error {
	e := received{base: -1, child: -1, next: -1}
	e.offset = in.in.begin()
	c, err := in.in.ReadByte()
	if err != nil {
		return early(err)
	}
	e.kind, e.size = plumbing.ObjectType(c>>4&7), int64(c&15)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if shift > 53 {
			return fmt.Errorf("%w: its size is not a number", ErrCorrupt)
		}
		if c, err = in.in.ReadByte(); err != nil {
			return early(err)
		}
		e.size |= int64(c&0x7f) << shift
	}
	n := int32(len(in.entries))
	limit := in.limits.Object
	switch e.kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		limit = objectLimit(e.kind, limit)
	case plumbing.OFSDeltaObject:
		if e.base, err = in.baseBehind(e.offset); err != nil {
			return err
		}
		e.next, in.entries[e.base].child = in.entries[e.base].child, n
	case plumbing.REFDeltaObject:
		var h plumbing.Hash
		if _, err := io.ReadFull(in.in, h[:]); err != nil {
			return early(err)
		}
		in.waiting[h] = append(in.waiting[h], n)
	default:
		return fmt.Errorf("%w: it has the unknown type %d", ErrCorrupt, e.kind)
	}
	if e.size > limit {
		return fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrTooLarge, e.size, limit)
	}
	e.body = in.in.offset()
	if err := in.content(&e); err != nil {
		return err
	}
	e.crc = in.in.crcSum()
	in.entries = append(in.entries, e)
	return nil
}

// baseBehind reads how far back the base of a difference is, and finds it.
func (in *incoming) baseBehind(at int64) (int32, error) {
	back := int64(-1)
	for more := true; more; {
		c, err := in.in.ReadByte()
		if err != nil {
			return 0, early(err)
		}
		if back > at {
			break
		}
		back = (back+1)<<7 | int64(c&0x7f)
		more = c&0x80 != 0
	}
	i, ok := slices.BinarySearchFunc(in.entries, at-back, func(e received, off int64) int {
		switch {
		case e.offset < off:
			return -1
		case e.offset > off:
			return 1
		}
		return 0
	})
	if !ok {
		return 0, fmt.Errorf("%w: it is a difference to what is not an object before it", ErrCorrupt)
	}
	return int32(i), nil
}

// content inflates what an entry holds.
func (in *incoming) content(e *received) error {
	if err := in.spend(e.size); err != nil {
		return err
	}
	z, err := in.open(in.in)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	var keep *bytes.Buffer // what is parsed below
	var sum plumbing.Hasher
	out := io.Discard
	if !e.kind.IsDelta() {
		sum = plumbing.NewHasher(e.kind, e.size)
		if out = sum; e.kind != plumbing.BlobObject {
			keep = bytes.NewBuffer(make([]byte, 0, min(e.size, 64<<10)))
			out = io.MultiWriter(sum, keep)
		}
	}
	// Without its Reader interface hidden, a buffer would be asked to read itself.
	n, err := io.CopyBuffer(struct{ io.Writer }{out}, io.LimitReader(z, e.size+1), in.scratch)
	switch {
	case err != nil && in.in.err != nil:
		return in.in.err // of the stream, not of what is in it
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case n != e.size:
		return fmt.Errorf("%w: it has not the %d bytes that it states", ErrCorrupt, e.size)
	case e.kind.IsDelta():
		return nil
	}
	if e.hash, err = sumObject(sum); err != nil {
		return err
	}
	e.done = true
	if keep != nil {
		return in.links(e.kind, keep.Bytes())
	}
	return nil
}

func (in *incoming) open(r io.Reader) (io.Reader, error) {
	if in.inflater != nil {
		return in.inflater, in.inflater.(zlib.Resetter).Reset(r, nil)
	}
	z, err := zlib.NewReader(r)
	if err != nil {
		return nil, err
	}
	in.inflater = z
	return z, nil
}

// spend takes bytes off the budget of what may be inflated.
func (in *incoming) spend(n int64) error {
	if in.unpacked += n; in.unpacked > in.limits.Unpacked {
		return fmt.Errorf("%w: the pack unpacks to more than %d bytes", ErrTooLarge, in.limits.Unpacked)
	}
	return nil
}

// links notes which objects an object needs.
func (in *incoming) links(kind plumbing.ObjectType, data []byte) error {
	err := eachLink(kind, data, func(l linked) { in.named[l.hash] = struct{}{} })
	// Each may be in the pack, or be one of about as many that are here.
	if most := 2*in.limits.Objects + MaxFiles; err == nil && len(in.named) > most {
		err = fmt.Errorf("%w: its objects name more than %d others", ErrTooLarge, most)
	}
	return err
}

// check makes sure that all objects are whole and returns them for the index.
func (in *incoming) check(ctx context.Context) ([]indexed, error) {
	objects := make([]indexed, len(in.entries))
	for i, e := range in.entries {
		objects[i] = e.indexed
		delete(in.named, e.hash)
	}
	slices.SortFunc(objects, func(a, b indexed) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	for i := range objects[1:] {
		if objects[i].hash == objects[i+1].hash {
			return nil, fmt.Errorf("%w: the pack holds the object %s twice", ErrCorrupt, objects[i].hash)
		}
	}
	for h := range in.named {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ok, err := in.has(h)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("%w: the pack needs the object %s, which is neither in it nor here", ErrIncomplete, h)
		}
	}
	return objects, nil
}

// tee reads a stream byte by byte or in pieces, and writes what was read, no
// more, to a file and into the checksums.
type tee struct {
	src             io.Reader
	out             io.Writer
	buf             []byte
	from, at, until int   // of buf: consumed and not yet written; next; end
	written         int64 // bytes before from
	sum             hash.Hash
	crc             uint32
	err             error // of src or out, other than io.EOF
}

func newTee(src io.Reader, out io.Writer) *tee {
	return &tee{src: src, out: out, buf: make([]byte, 64<<10), sum: sha1.New()}
}

func (t *tee) offset() int64 { return t.written + int64(t.at-t.from) }

// begin starts the next entry's CRC and returns its offset.
func (t *tee) begin() int64 {
	_ = t.flush() // its error is kept
	t.crc = 0
	return t.offset()
}

func (t *tee) crcSum() uint32 {
	_ = t.flush()
	return t.crc
}

func (t *tee) checksum() ([]byte, error) {
	err := t.flush()
	return t.sum.Sum(nil), err
}

func (t *tee) flush() error {
	chunk := t.buf[t.from:t.at]
	if len(chunk) == 0 || t.err != nil {
		return t.err
	}
	t.sum.Write(chunk)
	t.crc = crc32.Update(t.crc, crc32.IEEETable, chunk)
	_, t.err = t.out.Write(chunk)
	t.written += int64(len(chunk))
	t.from = t.at
	return t.err
}

// fill reads more when everything is consumed.
func (t *tee) fill() error {
	if t.at < t.until {
		return nil
	}
	if err := t.flush(); err != nil {
		return err
	}
	t.from, t.at, t.until = 0, 0, 0
	for range 100 { // a reader that returns nothing that often is broken
		n, err := t.src.Read(t.buf)
		t.until = n
		if n > 0 {
			return nil
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.err = err
			}
			return err
		}
	}
	return io.ErrNoProgress
}

func (t *tee) ReadByte() (byte, error) {
	if err := t.fill(); err != nil {
		return 0, err
	}
	t.at++
	return t.buf[t.at-1], nil
}

func (t *tee) Read(p []byte) (int, error) {
	if err := t.fill(); err != nil {
		return 0, err
	}
	n := copy(p, t.buf[t.at:t.until])
	t.at += n
	return n, nil
}
