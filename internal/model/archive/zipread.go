package archive

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"

	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	// smallMember is how long a stored member may be to be read whole for its
	// checksum alone.
	smallMember = 1 << 20
	// checkedMember is how long a stored member may be that a format has read.
	checkedMember = 64 << 20
	// unlistedSearch bounds the search for members that no directory names.
	unlistedSearch = 64 << 20
	// unlistedMost bounds how many of them are read.
	unlistedMost = 256
)

// Methods of compression (APPNOTE 4.4.5).
const (
	methodStored  = 0
	methodDeflate = 8
	methodBzip2   = 12
	methodLZMA    = 14
	methodZstd    = 93
	methodXZ      = 95
)

func isDirectoryError(err error) bool { return errors.Is(err, errDirectory) }

// looseLocal takes the lengths where a local header should be, as torch's
// getRecordOffset does, which looks at nothing else.
func looseLocal(f *scan.File, at int64) (local, bool) {
	if at < 0 || at > f.Size()-localSize {
		return local{}, false
	}
	b, err := f.Read(at, localSize)
	if err != nil {
		return local{}, false
	}
	le := binary.LittleEndian
	l := local{at: at, packed: -1, size: -1, method: le.Uint16(b[8:]),
		data: at + localSize + int64(le.Uint16(b[26:])) + int64(le.Uint16(b[28:]))}
	return l, l.data <= f.Size()
}

// read has every format look at a member's content, once for all readings that
// come to the same bytes.
func (z *zipFile) read(r reading) error {
	key := readingKey{r.method, r.start, r.packed}
	if z.done[key] {
		return nil
	}
	z.done[key] = true
	if err := z.p.Spend(scan.CostMember); err != nil {
		return err
	}
	if r.method == methodStored {
		return z.stored(r)
	}
	packed := z.f.Section(r.start, r.packed)
	if packed.Size() == 0 {
		return nil
	}
	open, cost := unpacker(r)
	where := scan.Where{Member: printable(r.name), Offset: -1}
	if open == nil {
		if !r.secret || r.check {
			z.p.Report(ruleZipMember, where, fmt.Sprintf("it is packed by the method %d, which is not read here", r.method))
		}
		return nil
	}
	return z.p.Scoped(func() error { return z.unpack(packed, r, open, cost) })
}

// stored reads a member that is as it is.
func (z *zipFile) stored(r reading) error {
	where := scan.Where{Member: printable(r.name), Offset: -1}
	if r.check && r.size != r.packed && !r.secret {
		z.p.Report(ruleZipSize, where, fmt.Sprintf("it is stored in %d bytes and said to have %d", r.packed, r.size))
	}
	f := z.f.Section(r.start, max(r.packed, r.size))
	check := r.check && !r.secret && !z.noCRC && r.size == r.packed && f.Size() == r.size
	if f.Size() <= smallMember {
		b, err := f.Read(0, f.Size())
		if err != nil {
			return err
		}
		if err := z.p.Spend(scan.Cost(len(b)) * scan.CostRead); err != nil {
			return err
		}
		if sum := crc32.ChecksumIEEE(b); check && sum != r.crc {
			z.p.Report(ruleZipCRC, where, fmt.Sprintf("its checksum is %08x and should be %08x", sum, r.crc))
		}
		inner := scan.Bytes(b)
		if f.IsDear() {
			inner = inner.Dear()
		}
		z.p.Inside(printable(r.name), r.start, inner)
		return nil
	}
	if took := z.p.Inside(printable(r.name), r.start, f); !took || !check || f.Size() > checkedMember || f.IsDear() {
		return nil
	}
	if err := z.p.Spend(scan.Cost(f.Size()) * scan.CostRead); err != nil {
		return err
	}
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, f.Size())); err != nil {
		return err
	}
	if sum.Sum32() != r.crc {
		z.p.Report(ruleZipCRC, where, fmt.Sprintf("its checksum is %08x and should be %08x", sum.Sum32(), r.crc))
	}
	return nil
}

// unpacker tells how a member is unpacked; open is nil when it is not.
func unpacker(r reading) (open func(*window, *scan.File) (io.Reader, error), cost scan.Cost) {
	switch r.method {
	case methodDeflate:
		return func(_ *window, f *scan.File) (io.Reader, error) {
			from := positioned(f)
			return &tail{Reader: flate.NewReader(from.Reader), from: from}, nil
		}, scan.CostInflate
	case methodBzip2:
		return func(_ *window, f *scan.File) (io.Reader, error) { return bzip2.NewReader(buffered(f)), nil }, scan.CostSlow
	case methodLZMA:
		return func(w *window, f *scan.File) (io.Reader, error) { return openZipLZMA(w, f, r.size) }, scan.CostSlow
	case methodXZ:
		return openXZ, scan.CostSlow
	case methodZstd:
		return openZstd, scan.CostInflate
	}
	return nil, 0
}

// openZipLZMA reads the header of APPNOTE 5.8.8: a version, the length of the
// properties, the properties.
func openZipLZMA(w *window, f *scan.File, size int64) (io.Reader, error) {
	const header, properties = 4, 5
	b, err := f.Read(0, min(f.Size(), header+properties))
	if err != nil {
		return nil, err
	}
	if len(b) < header+properties || binary.LittleEndian.Uint16(b[2:]) != properties {
		return nil, fmt.Errorf("LZMA properties of another length are %w", errUnsupported)
	}
	classic := binary.LittleEndian.AppendUint64(bytes.Clone(b[header:]), uint64(max(size, -1)))
	return lzmaReader(w, classic, io.NewSectionReader(f, header+properties, f.Size()))
}

// unpack unpacks one member, compares it with what the directory says of it,
// and has every format look at it.
func (z *zipFile) unpack(f *scan.File, r reading, open func(*window, *scan.File) (io.Reader, error), cost scan.Cost) error {
	var (
		first io.Reader
		sum   hash.Hash32
	)
	p, where := z.p, scan.Where{Member: printable(r.name), Offset: -1}
	w := &window{place: p.Place}
	inner, err := p.UnpackFile(f, func(f *scan.File) (io.Reader, error) {
		opened, err := open(w, f)
		if err != nil || first != nil || !r.check {
			return opened, err
		}
		first, sum = opened, crc32.NewIEEE() // of the first time through
		return io.TeeReader(opened, sum), nil
	}, cost)
	if inner != nil && inner.Size() > 0 {
		p.Inside(where.Member, -1, inner)
	}
	if err != nil {
		if !over(err) && p.Context().Err() == nil && !r.secret {
			p.Report(ruleZipMember, where, fmt.Sprintf("it cannot be unpacked: %v", err))
		}
		return ended(p.Place, err)
	}
	if !r.check || r.secret {
		return nil
	}
	if inner.Size() != r.size {
		p.Report(ruleZipSize, where, fmt.Sprintf("it unpacks to %d bytes and is said to have %d", inner.Size(), r.size))
	}
	if sum.Sum32() != r.crc {
		p.Report(ruleZipCRC, where, fmt.Sprintf("its checksum is %08x and should be %08x", sum.Sum32(), r.crc))
	}
	if t, ok := first.(*tail); ok && t.from.at() < f.Size() {
		return z.behind(f, where, t.from.at())
	}
	return nil
}

// behind reports what stands behind the end of a packed member.
func (z *zipFile) behind(f *scan.File, where scan.Where, end int64) error {
	rest := f.Section(end, f.Size()-end)
	if zero, err := isZero(z.p.Place, rest); err != nil || zero {
		return err
	}
	z.p.Report(ruleZipSize, where, fmt.Sprintf("%d bytes follow the end of what is packed", rest.Size()))
	z.p.Inside(where.Member, -1, rest)
	return nil
}

// unlisted searches for local headers between from and to, and queues what
// they begin. report says whether they are news.
func (z *zipFile) unlisted(from, to int64, report bool) (n int, err error) {
	const block = 1 << 20
	to = min(to, from+unlistedSearch)
	for at := from; at < to; at += block {
		size := min(block+3, to-at) // 3: a signature may begin in one block and end in the next
		if err := z.p.Spend(scan.Cost(size) * scan.CostRead); err != nil {
			return n, err
		}
		b, err := z.f.Read(at, size)
		if err != nil {
			return n, err
		}
		for i := 0; n < unlistedMost; i += 4 {
			next := bytes.Index(b[i:], []byte("PK\x03\x04"))
			if next < 0 {
				break
			}
			i += next
			l, ok := readLocal(z.f, at+int64(i))
			if !ok || l.data > to || l.name == "" {
				continue
			}
			n++
			z.found(l, to, report)
		}
	}
	return n, nil
}

// found queues a member that only its own header names.
func (z *zipFile) found(l local, to int64, report bool) {
	if report {
		z.p.Report(ruleZipUnlisted, scan.At(l.at), fmt.Sprintf("a member called %q", cut(l.name)))
	}
	checkName(z.p, l.name, l.at)
	packed := to - l.data
	if l.packed >= 0 {
		packed = min(l.packed, packed)
	}
	if packed > 0 && !(strings.HasSuffix(l.name, "/") && l.packed == 0) {
		z.queue = append(z.queue, reading{name: l.name, method: l.method, start: l.data, packed: packed, size: -1,
			secret: true}) // secret: where it ends is not known
	}
}
