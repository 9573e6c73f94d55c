package archive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/ulikunitz/xz/lzma"

	"github.com/apexlogic/apex/internal/model/scan"
)

// unxz reads the blocks of an xz file (xz file format §2 to §4). It is here
// because the window that a block asks for must be bounded before it is
// allocated. Checksums of the content are not verified: a loader that does
// verify them has handed on the content by then.
type unxz struct {
	window *window
	from   *bufio.Reader
	block  *lzma.Reader2
	counts *counter
	check  int64 // bytes of a block's checksum
}

// errXZ is wrapped by errors about the structure.
var errXZ = errors.New("no xz stream")

// counter counts the bytes that a block takes, because blocks are padded. It
// hands single bytes on, so that nobody reads ahead.
type counter struct {
	*bufio.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.Reader.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func openXZ(w *window, f *scan.File) (io.Reader, error) { return newXZ(w, buffered(f)) }

func newXZ(w *window, from *bufio.Reader) (io.Reader, error) {
	x := &unxz{window: w, from: from}
	if err := x.header(); err != nil {
		return nil, err
	}
	return x, nil
}

// header reads the header of a stream.
func (x *unxz) header() error {
	var b [12]byte
	if _, err := io.ReadFull(x.from, b[:]); err != nil {
		return broken(err)
	}
	if string(b[:6]) != "\xfd7zXZ\x00" || b[6] != 0 || b[7]&0xf0 != 0 || crc32.ChecksumIEEE(b[6:8]) != binary.LittleEndian.Uint32(b[8:]) {
		return fmt.Errorf("%w: its header is damaged", errXZ)
	}
	x.check = [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[b[7]]
	return nil
}

// Read implements io.Reader.
func (x *unxz) Read(b []byte) (int, error) {
	for {
		if x.block == nil {
			if err := x.next(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := x.block.Read(b)
		if errors.Is(err, io.EOF) {
			x.block, err = nil, x.skip((4-x.counts.n%4)%4+x.check)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// next begins a block, or the next stream; io.EOF is the end of the last.
func (x *unxz) next() error {
	if err := x.window.place.Spend(100); err != nil {
		return err
	}
	size, err := x.from.ReadByte()
	if err != nil {
		return broken(err)
	}
	if size == 0 {
		return x.index()
	}
	b := make([]byte, (int(size)+1)*4)
	b[0] = size
	if _, err := io.ReadFull(x.from, b[1:]); err != nil {
		return broken(err)
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return fmt.Errorf("%w: the header of a block is damaged", errXZ)
	}
	window, err := xzWindow(body)
	if err != nil {
		return err
	}
	if err := x.window.open(window); err != nil {
		return err
	}
	x.counts = &counter{Reader: x.from, n: int64(len(b))}
	x.block, err = lzma.Reader2Config{DictCap: int(max(window, lzma.MinDictCap))}.NewReader2(x.counts)
	return err
}

// xzWindow reads the one filter of a block's header, and the size of its
// window.
func xzWindow(b []byte) (int64, error) {
	flags, rest := b[1], b[2:]
	for _, has := range [2]bool{flags&0x40 != 0, flags&0x80 != 0} {
		if has {
			n := 0
			if _, n = binary.Uvarint(rest); n <= 0 {
				return 0, fmt.Errorf("%w: a size in the header of a block", errXZ)
			}
			rest = rest[n:]
		}
	}
	const lzma2 = 0x21
	if flags&0x3f != 0 || len(rest) < 3 || rest[0] != lzma2 || rest[1] != 1 {
		return 0, fmt.Errorf("an xz filter besides LZMA2 is %w", errUnsupported)
	}
	window, err := lzma.DecodeDictCap(rest[2])
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errXZ, err)
	}
	return window, nil
}

// index skips the index and the footer, and begins the next stream.
func (x *unxz) index() error {
	at := counter{Reader: x.from, n: 1}
	records, err := binary.ReadUvarint(&at)
	if err != nil {
		return broken(err)
	}
	for range records {
		for range 2 {
			if _, err := binary.ReadUvarint(&at); err != nil {
				return broken(err)
			}
		}
		if err := x.window.place.Spend(20); err != nil {
			return err
		}
	}
	if err := x.skip((4-at.n%4)%4 + 4); err != nil {
		return err
	}
	var footer [12]byte
	if _, err := io.ReadFull(x.from, footer[:]); err != nil {
		return broken(err)
	}
	if string(footer[10:]) != "YZ" {
		return fmt.Errorf("%w: its footer is damaged", errXZ)
	}
	for { // padding of zeros, by four
		b, err := x.from.Peek(1)
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		if err != nil {
			return err
		}
		if b[0] != 0 {
			return x.header()
		}
		if err := x.skip(1); err != nil {
			return err
		}
		if err := x.window.place.Spend(10); err != nil {
			return err
		}
	}
}

func (x *unxz) skip(n int64) error {
	if _, err := io.CopyN(io.Discard, x.from, n); err != nil {
		return broken(err)
	}
	return nil
}

// broken makes an unexpected end of a stream.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
