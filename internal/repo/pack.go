package repo

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// go-git reads packs that git has checked. A pack that nobody checked can name
// an object as its own base, which ends go-git's process in a stack overflow,
// and can state any size. So packs are read here, with a limit on every step
// (gitformat-pack(5), version 2 of both files).

const (
	maxPacks = 1000
	// git never writes longer chains (pack.depth, core.maxDelta).
	maxChain = 4096
	// A base may be larger than what is made of it, but not without end.
	maxBase = 4 * MaxFile
	// All that is inflated on the way to one object.
	maxInflate = 16 * MaxFile

	packHeader = 12
	idxHeader  = 8
	fanoutSize = 256 * 4
)

// pack is one pack with its index, both open. One goroutine uses it at a time.
type pack struct {
	name   string
	data   io.ReaderAt
	idx    io.ReaderAt
	size   int64 // of data
	fanout [256]uint32
	files  []*os.File

	inflater io.Reader // used again and again; nil at first
	names    []byte    // of all objects, once they were loaded
}

func (p *pack) close() error {
	var errs []error
	for _, f := range p.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// openPacks opens all packs of the repository.
func openPacks(dot *os.Root) (_ []*pack, err error) {
	const dir = "objects/pack"
	list, err := fs.ReadDir(dot.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var packs []*pack
	defer func() {
		if err != nil {
			for _, p := range packs {
				err = errors.Join(err, p.close())
			}
		}
	}()
	for _, e := range list {
		base, isIdx := strings.CutSuffix(e.Name(), ".idx")
		if !isIdx {
			continue
		}
		if len(packs) == maxPacks {
			return packs, fmt.Errorf("%w: more than %d packs: run git gc", ErrTooLarge, maxPacks)
		}
		p, err := openPack(dot, path.Join(dir, base))
		if errors.Is(err, fs.ErrNotExist) {
			continue // git gc is removing it: its objects are in another one by now
		}
		if err != nil {
			return packs, fmt.Errorf("pack %s: %w", base, err)
		}
		packs = append(packs, p)
	}
	return packs, nil
}

func openPack(dot *os.Root, base string) (*pack, error) {
	p := &pack{name: path.Base(base)}
	for _, suffix := range []string{".pack", ".idx"} {
		f, err := dot.Open(base + suffix)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p.files = append(p.files, f)
	}
	p.data, p.idx = p.files[0], p.files[1]
	if err := p.check(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// check reads what both files say about themselves.
func (p *pack) check() error {
	var sizes [2]int64
	for i, f := range p.files {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%w: it is not a regular file", ErrCorrupt)
		}
		sizes[i] = info.Size()
	}
	p.size = sizes[0]
	head := make([]byte, idxHeader+fanoutSize)
	if _, err := p.idx.ReadAt(head, 0); err != nil || !bytes.HasPrefix(head, []byte("\xfftOc\x00\x00\x00\x02")) {
		return fmt.Errorf("%w: its index is not of version 2: run git index-pack", ErrCorrupt)
	}
	before := uint32(0)
	for i := range p.fanout {
		p.fanout[i] = binary.BigEndian.Uint32(head[idxHeader+4*i:])
		if p.fanout[i] < before {
			return fmt.Errorf("%w: its index is not in order", ErrCorrupt)
		}
		before = p.fanout[i]
	}
	const perObject, trailer = 20 + 4 + 4, 2 * 20
	if sizes[1] < idxHeader+fanoutSize+int64(before)*perObject+trailer {
		return fmt.Errorf("%w: its index ends early", ErrCorrupt)
	}
	return nil
}

// offset finds where an object is; ok is false when it is not in this pack.
func (p *pack) offset(h plumbing.Hash) (at int64, ok bool, err error) {
	low := uint32(0)
	if h[0] > 0 {
		low = p.fanout[h[0]-1]
	}
	high, total := p.fanout[h[0]], int64(p.fanout[255])
	const names = idxHeader + fanoutSize
	var name plumbing.Hash
	for low < high {
		mid := low + (high-low)/2
		if p.names != nil {
			copy(name[:], p.names[int64(mid)*20:])
		} else if _, err := p.idx.ReadAt(name[:], names+int64(mid)*20); err != nil {
			return 0, false, err
		}
		switch c := bytes.Compare(name[:], h[:]); {
		case c < 0:
			low = mid + 1
		case c > 0:
			high = mid
		default:
			at, err := p.position(int64(mid), total)
			return at, err == nil, err
		}
	}
	return 0, false, nil
}

// load keeps the names of all objects in memory, for whoever looks up many.
func (p *pack) load() error {
	if p.names != nil {
		return nil
	}
	names := make([]byte, int64(p.fanout[255])*20) // the index is known to be longer
	if _, err := p.idx.ReadAt(names, idxHeader+fanoutSize); err != nil {
		return fmt.Errorf("pack %s: %w", p.name, err)
	}
	p.names = names
	return nil
}

// list returns all objects in the order in which they are in the pack.
func (p *pack) list() ([]indexed, error) {
	if err := p.load(); err != nil {
		return nil, err
	}
	total := int64(p.fanout[255])
	sums := make([]byte, total*4)
	if _, err := p.idx.ReadAt(sums, idxHeader+fanoutSize+total*20); err != nil {
		return nil, err
	}
	out := make([]indexed, total)
	for i := range out {
		at, err := p.position(int64(i), total)
		if err != nil {
			return nil, err
		}
		out[i] = indexed{plumbing.Hash(p.names[i*20 : i*20+20]), at, binary.BigEndian.Uint32(sums[i*4:])}
	}
	slices.SortFunc(out, func(a, b indexed) int { return cmp.Compare(a.offset, b.offset) })
	return out, nil
}

// position reads the offset of the n-th object; packs over 2 GiB have a second table.
func (p *pack) position(n, total int64) (int64, error) {
	var b [8]byte
	small := idxHeader + fanoutSize + total*(20+4)
	if _, err := p.idx.ReadAt(b[:4], small+n*4); err != nil {
		return 0, err
	}
	at := int64(binary.BigEndian.Uint32(b[:4]))
	if at > math.MaxInt32 {
		if _, err := p.idx.ReadAt(b[:], small+total*4+(at&math.MaxInt32)*8); err != nil {
			return 0, fmt.Errorf("%w: its index ends early", ErrCorrupt)
		}
		at = int64(binary.BigEndian.Uint64(b[:]))
	}
	if at < packHeader || at >= p.size {
		return 0, fmt.Errorf("%w: its index points outside of it", ErrCorrupt)
	}
	return at, nil
}

// packed is one entry of a pack: an object, or the difference to its base.
type packed struct {
	kind plumbing.ObjectType
	size int64 // of what is inflated from body
	body int64 // where that begins
	base int64 // where the base is, for differences
}

// entry reads the header of the entry at an offset.
func (p *pack) entry(at int64) (packed, error) {
	const longest = 10 + 20 // the size, and a hash or an offset
	buf := make([]byte, longest)
	n, err := p.data.ReadAt(buf, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return packed{}, err
	}
	r := bytes.NewReader(buf[:n])
	c, err := r.ReadByte()
	if err != nil {
		return packed{}, fmt.Errorf("%w: it ends early", ErrCorrupt)
	}
	e := packed{kind: plumbing.ObjectType(c >> 4 & 7), size: int64(c & 15)}
	for shift := 4; c&0x80 != 0; shift += 7 {
		if c, err = r.ReadByte(); err != nil || shift > 53 {
			return packed{}, fmt.Errorf("%w: an object's size is not a number", ErrCorrupt)
		}
		e.size |= int64(c&0x7f) << shift
	}
	if e.base, err = p.base(e.kind, at, r); err != nil {
		return packed{}, err
	}
	e.body = at + int64(n-r.Len())
	return e, nil
}

// base reads where the base of a difference is; whole objects have none.
func (p *pack) base(kind plumbing.ObjectType, at int64, r *bytes.Reader) (int64, error) {
	switch kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		return 0, nil
	case plumbing.OFSDeltaObject:
		back := int64(-1)
		for more := true; more; {
			c, err := r.ReadByte()
			if err != nil || back > at {
				return 0, fmt.Errorf("%w: a difference has no base", ErrCorrupt)
			}
			back = (back+1)<<7 | int64(c&0x7f)
			more = c&0x80 != 0
		}
		if back <= 0 || at-back < packHeader {
			return 0, fmt.Errorf("%w: a difference has its base outside of it", ErrCorrupt)
		}
		return at - back, nil
	case plumbing.REFDeltaObject:
		var h plumbing.Hash
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return 0, fmt.Errorf("%w: a difference has no base", ErrCorrupt)
		}
		base, ok, err := p.offset(h)
		if err == nil && !ok {
			err = fmt.Errorf("%w: the base %s of a difference is not in it", ErrCorrupt, h)
		}
		return base, err
	}
	return 0, fmt.Errorf("%w: an object has the unknown type %d", ErrCorrupt, kind)
}

// chain is the way from an object down to the whole one that it is made of.
func (p *pack) chain(at int64) ([]packed, error) {
	var chain []packed
	for {
		e, err := p.entry(at)
		if err != nil {
			return nil, err
		}
		chain = append(chain, e)
		if !e.kind.IsDelta() {
			return chain, nil
		}
		if len(chain) == maxChain {
			return nil, fmt.Errorf("%w: an object is made of more than %d differences", ErrTooLarge, maxChain)
		}
		at = e.base
	}
}

// read returns the object at an offset, of at most limit bytes.
func (p *pack) read(at, limit int64) (plumbing.ObjectType, []byte, error) {
	chain, err := p.chain(at)
	if err != nil {
		return 0, nil, err
	}
	if size, err := p.resultSize(chain[0]); err != nil {
		return 0, nil, err
	} else if size > limit {
		return 0, nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrTooLarge, size, limit)
	}
	budget := int64(maxInflate)
	var data []byte
	for i := len(chain) - 1; i >= 0; i-- {
		raw, err := p.inflate(chain[i])
		if err != nil {
			return 0, nil, err
		}
		if i == len(chain)-1 {
			data = raw
		} else if data, err = applyDelta(data, raw, maxBase); err != nil {
			return 0, nil, err
		}
		if budget -= int64(len(raw) + len(data)); budget < 0 {
			return 0, nil, fmt.Errorf("%w: it takes more than %d bytes to make", ErrTooLarge, maxInflate)
		}
	}
	return chain[len(chain)-1].kind, data, nil
}

// content inflates the body of an entry while it is read. One reader serves all
// entries in turn: its tables are larger than most objects.
func (p *pack) content(e packed) (io.Reader, error) {
	body := bufio.NewReaderSize(io.NewSectionReader(p.data, e.body, p.size-e.body), 4<<10)
	if p.inflater != nil {
		return p.inflater, p.inflater.(zlib.Resetter).Reset(body, nil)
	}
	z, err := zlib.NewReader(body)
	if err != nil {
		return nil, err
	}
	p.inflater = z
	return z, nil
}

func (p *pack) inflate(e packed) ([]byte, error) {
	if e.size > maxBase {
		return nil, fmt.Errorf("%w: it is made of %d bytes, the limit is %d", ErrTooLarge, e.size, maxBase)
	}
	z, err := p.content(e)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	data := make([]byte, 0, min(e.size, 64<<10))
	out := bytes.NewBuffer(data)
	if _, err := out.ReadFrom(io.LimitReader(z, e.size+1)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if int64(out.Len()) != e.size {
		return nil, fmt.Errorf("%w: an object has not the %d bytes that it states", ErrCorrupt, e.size)
	}
	return out.Bytes(), nil
}

// resultSize is the size of the object that an entry makes; of a difference
// only the beginning is inflated.
func (p *pack) resultSize(e packed) (int64, error) {
	if !e.kind.IsDelta() {
		return e.size, nil
	}
	z, err := p.content(e)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	head := make([]byte, 2*binary.MaxVarintLen64)
	n, err := io.ReadFull(z, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	_, to, _, err := deltaSizes(head[:n])
	return to, err
}

// deltaSizes reads the two sizes that a difference begins with.
func deltaSizes(delta []byte) (from, to int64, rest []byte, err error) {
	a, n := binary.Uvarint(delta)
	if n > 0 {
		delta = delta[n:]
		var b uint64
		if b, n = binary.Uvarint(delta); n > 0 && a <= math.MaxInt64 && b <= math.MaxInt64 {
			return int64(a), int64(b), delta[n:], nil
		}
	}
	return 0, 0, nil, fmt.Errorf("%w: a difference states no sizes", ErrCorrupt)
}

// applyDelta makes an object of at most limit bytes out of its base.
func applyDelta(base, delta []byte, limit int64) ([]byte, error) {
	from, to, ops, err := deltaSizes(delta)
	if err != nil {
		return nil, err
	}
	if from != int64(len(base)) {
		return nil, fmt.Errorf("%w: a difference is to a base of %d bytes, not %d", ErrCorrupt, from, len(base))
	}
	if to > limit {
		return nil, fmt.Errorf("%w: it would have %d bytes, the limit is %d", ErrTooLarge, to, limit)
	}
	broken := fmt.Errorf("%w: a difference does not fit its base", ErrCorrupt)
	out := make([]byte, 0, min(to, 64<<10))
	for len(ops) > 0 {
		var piece []byte
		op := ops[0]
		if ops = ops[1:]; op&0x80 != 0 {
			var args [7]int64
			for i := range args {
				if op>>i&1 == 1 {
					if len(ops) == 0 {
						return nil, broken
					}
					args[i], ops = int64(ops[0]), ops[1:]
				}
			}
			at := args[0] | args[1]<<8 | args[2]<<16 | args[3]<<24
			size := args[4] | args[5]<<8 | args[6]<<16
			if size == 0 {
				size = 0x10000
			}
			if at+size > int64(len(base)) {
				return nil, broken
			}
			piece = base[at : at+size]
		} else {
			if op == 0 || int(op) > len(ops) {
				return nil, broken
			}
			piece, ops = ops[:op], ops[op:]
		}
		if int64(len(out)+len(piece)) > to {
			return nil, broken
		}
		out = append(out, piece...)
	}
	if int64(len(out)) != to {
		return nil, broken
	}
	return out, nil
}
