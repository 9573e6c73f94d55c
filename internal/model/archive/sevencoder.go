package archive

import (
	"compress/bzip2"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/ulikunitz/xz/lzma"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Methods of 7z (Methods.txt of the LZMA SDK).
const (
	sevenCopy    = "\x00"
	sevenDelta   = "\x03"
	sevenLZMA    = "\x03\x01\x01"
	sevenLZMA2   = "\x21"
	sevenDeflate = "\x04\x01\x08"
	sevenBzip2   = "\x04\x02\x02"
	sevenZstd    = "\x04\xf7\x11\x01"
	sevenAES     = "\x06\xf1\x07\x01"
)

// isBranch says whether a method turns relative addresses of machine code into
// absolute ones. Such a filter is not undone: what is no machine code looks
// nearly the same, and the archive is reported either way.
func isBranch(id string) bool {
	switch id {
	case "\x03\x03\x01\x03", "\x03\x03\x02\x05", "\x03\x03\x04\x01", "\x03\x03\x05\x01", "\x03\x03\x07\x01", "\x03\x03\x08\x05", "\x04", "\x05", "\x06", "\x07", "\x08", "\x09", "\x0a":
		return true
	}
	return false
}

// cost is that of the slowest coder of a folder.
func (f *sevenFolder) cost() scan.Cost {
	cost := scan.CostRead
	for _, c := range f.coders {
		switch c.id {
		case sevenCopy, sevenAES:
		case sevenDeflate, sevenZstd, sevenDelta:
			cost = max(cost, scan.CostInflate)
		default:
			if !isBranch(c.id) {
				cost = max(cost, scan.CostSlow)
			}
		}
	}
	return cost
}

// folder tells how a folder is unpacked, and how long it is packed.
func (s *seven) folder(l *sevenList, n int) (open func(*window) (io.Reader, error), packed int64, err error) {
	f := &l.folders[n]
	main := f.main()
	if main < 0 {
		return nil, 0, fmt.Errorf("%w: the coders of a folder go in a circle", errSeven)
	}
	windows := 0
	for _, c := range f.coders {
		if c.in != 1 || c.out != 1 {
			return nil, 0, fmt.Errorf("a coder with several streams is %w", errUnsupported)
		}
		if c.id == sevenLZMA || c.id == sevenLZMA2 || c.id == sevenZstd {
			windows++
		}
	}
	if windows > 1 { // each takes memory, and no writer packs twice
		return nil, 0, fmt.Errorf("content that is packed twice is %w", errUnsupported)
	}
	if len(f.packed) != 1 || f.first >= len(l.packs) {
		return nil, 0, fmt.Errorf("%w: a folder has no packed stream", errSeven)
	}
	at := l.packAt + sevenStart
	for _, size := range l.packs[:f.first] {
		if at += size; at < 0 {
			break
		}
	}
	packed = l.packs[f.first]
	if at < sevenStart || at > s.f.Size() || packed > s.f.Size()-at {
		return nil, 0, fmt.Errorf("%w: the content of a folder lies behind the end", errSeven)
	}
	content := s.f.Section(at, packed)
	return func(w *window) (io.Reader, error) {
		r, err := f.reader(w, content, main, 0)
		if err != nil {
			return nil, err
		}
		return io.LimitReader(r, f.size()), nil
	}, packed, nil
}

// reader builds the chain of coders that ends in an output.
func (f *sevenFolder) reader(w *window, content *scan.File, coder, depth int) (io.Reader, error) {
	if depth > len(f.coders) {
		return nil, fmt.Errorf("%w: the coders of a folder go in a circle", errSeven)
	}
	var from io.Reader = buffered(content)
	for _, pair := range f.pairs {
		if pair[0] == coder {
			r, err := f.reader(w, content, pair[1], depth+1)
			if err != nil {
				return nil, err
			}
			from = r
		}
	}
	c := &f.coders[coder]
	switch c.id {
	case sevenCopy:
		return from, nil
	case sevenLZMA:
		if len(c.props) != 5 {
			return nil, fmt.Errorf("%w: LZMA has other properties", errSeven)
		}
		return lzmaReader(w, binary.LittleEndian.AppendUint64(append([]byte(nil), c.props...), uint64(f.unpacks[coder])), from)
	case sevenLZMA2:
		if len(c.props) != 1 {
			return nil, fmt.Errorf("%w: LZMA2 has other properties", errSeven)
		}
		size, err := lzma.DecodeDictCap(c.props[0])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errSeven, err)
		}
		if err := w.open(size); err != nil {
			return nil, err
		}
		return lzma.Reader2Config{DictCap: int(max(size, lzma.MinDictCap))}.NewReader2(from)
	case sevenDeflate:
		return flate.NewReader(from), nil
	case sevenBzip2:
		return bzip2.NewReader(from), nil
	case sevenZstd:
		return zstdReader(w, from)
	case sevenDelta:
		if len(c.props) != 1 {
			return nil, fmt.Errorf("%w: the delta filter has other properties", errSeven)
		}
		return &delta{from: from, state: make([]byte, int(c.props[0])+1)}, nil
	case sevenAES:
		return nil, fmt.Errorf("encryption is %w", errUnsupported)
	}
	if isBranch(c.id) {
		return from, nil
	}
	return nil, fmt.Errorf("the method %x is %w", c.id, errUnsupported)
}

// delta adds to each byte the one a fixed distance before.
type delta struct {
	from  io.Reader
	state []byte
	at    int
}

func (d *delta) Read(b []byte) (int, error) {
	n, err := d.from.Read(b)
	for i := range b[:n] {
		d.state[d.at] += b[i]
		b[i] = d.state[d.at]
		d.at = (d.at + 1) % len(d.state)
	}
	return n, err
}
