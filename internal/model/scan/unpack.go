package scan

import (
	"errors"
	"fmt"
	"io"
)

// What is kept of an unpacked stream.
const (
	unpackWhole  = 32 << 20  // a stream up to this long is kept in memory
	unpackPrefix = 256 << 10 // of a longer one this much of the beginning,
	unpackWindow = 1 << 20   // and this much behind what was read last
)

// A stream is a bomb when it is long and swells more than honest data does.
// Deflate reaches 1032:1 on zeros; arrays of zeros do occur, short ones.
const (
	bombBytes = 16 << 20
	bombRatio = 250
	// runOutRatio is that of a stream whose end is not reached within the
	// limits: honest data of that length swells less.
	runOutRatio = 200
)

var ruleBomb = &Rule{ID: "archive.bomb", Severity: Doubtful,
	Why:        "A small file that unpacks to a huge one exhausts the memory or the disk of whoever loads it.",
	Mend:       "Do not unpack it; ask its author what the content is for.",
	References: []string{"CWE-409"}}

// ErrBomb is wrapped by the error about a stream that swells like a bomb; it
// has been reported already.
var ErrBomb = errors.New("it unpacks to far more than it is worth")

// Unpack returns what a packed stream holds as a file. open begins the stream
// anew each time; packed is how long it is packed, cost what a byte of what it
// holds takes. What is read is taken from the budget. The whole stream is read
// once here, so an error in it is found; the prefix that could be read is
// returned beside the error, nil when there is none.
//
// The file holds memory until the scan that asked for it returns, or the
// function of [Place.Scoped] does.
func (p *Place) Unpack(open func() (io.Reader, error), packed int64, cost Cost) (*File, error) {
	return p.unpack(open, packed, func() int64 { return packed }, cost)
}

// UnpackFile is [Place.Unpack] of a packed file, which open reads from its
// beginning: it sees a bomb that something harmless follows, too.
func (p *Place) UnpackFile(packed *File, open func(*File) (io.Reader, error), cost Cost) (*File, error) {
	m := &meter{from: packed}
	metered := *packed
	metered.reader, metered.whole = m, nil
	return p.unpack(func() (io.Reader, error) { return open(&metered) }, packed.Size(), func() int64 { return m.end }, cost)
}

// A meter knows how far a file was read.
type meter struct {
	from *File
	end  int64
}

// ReadAt implements io.ReaderAt.
func (m *meter) ReadAt(b []byte, off int64) (int, error) {
	n, err := m.from.ReadAt(b, off)
	m.end = max(m.end, off+int64(n))
	return n, err
}

func (p *Place) unpack(open func() (io.Reader, error), packed int64, consumed func() int64, cost Cost) (*File, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	swell := int64(1)
	if p.file != nil {
		swell = max(p.file.swell, 1)
	}
	// swells says whether so many bytes are ratio times what they were made of,
	// where the packed bytes came out of other streams too.
	swells := func(size, packed, ratio int64) bool {
		return size >= bombBytes && size/ratio >= max(packed, 1)/swell+1
	}
	var (
		kept    []byte
		release = func() {}
		block   = make([]byte, 64<<10)
		size    int64
	)
	defer func() { release() }()
	for {
		n, err := r.Read(block)
		size += int64(n)
		p.run.unpacked += int64(n)
		if spent := p.Spend(Cost(n)*cost + 1); spent != nil {
			if errors.Is(spent, ErrBudget) && swells(size, consumed(), runOutRatio) {
				p.Report(ruleBomb, Nowhere, fmt.Sprintf("%d bytes unpack to more than %d, and the end was not reached", consumed(), size))
			}
			return prefix(kept), spent
		}
		if room := unpackWhole - int64(len(kept)); room > 0 {
			if need := int64(len(kept) + n); need > int64(cap(kept)) {
				grown := min(max(2*int64(cap(kept)), need, 64<<10), unpackWhole)
				grown = max(grown, min(need, unpackWhole))
				again, err := p.Hold(grown)
				if err != nil {
					return prefix(kept), err
				}
				bigger := make([]byte, len(kept), grown)
				copy(bigger, kept)
				kept = bigger
				release()
				release = again
			}
			kept = append(kept, block[:min(int64(n), room)]...)
		}
		if swells(size, packed, bombRatio) {
			p.Report(ruleBomb, Nowhere, fmt.Sprintf("%d bytes unpack to more than %d", packed, size))
			return prefix(kept), fmt.Errorf("%w: %d bytes to more than %d", ErrBomb, packed, size)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return prefix(kept), err
		}
	}
	made := max(size/max(packed/swell, 1), 1) // of each byte of the outermost file
	if size <= unpackWhole {
		release = func() {} // held until the scan returns
		whole := Bytes(kept)
		whole.swell = made
		return whole, nil
	}
	long := NewFile(&unpacked{open: open, place: p, cost: cost, size: size, prefix: append([]byte(nil), kept[:unpackPrefix]...)}, size)
	long.swell = made
	return long, nil
}

func prefix(b []byte) *File {
	if len(b) == 0 {
		return nil
	}
	return Bytes(b)
}

// unpacked reads a stream that is too long to keep. Reading on is cheap,
// reading back further than the window begins the stream anew.
type unpacked struct {
	open   func() (io.Reader, error)
	place  *Place
	cost   Cost
	size   int64
	prefix []byte
	stream io.Reader
	window []byte // the last bytes that were read
	end    int64  // where the window ends
}

// ReadAt implements io.ReaderAt.
func (u *unpacked) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		switch start := u.end - int64(len(u.window)); {
		case at >= u.size:
			return n, io.EOF
		case at < int64(len(u.prefix)):
			n += copy(p[n:], u.prefix[at:])
		case u.stream != nil && at >= start && at < u.end:
			n += copy(p[n:], u.window[at-start:])
		default:
			if u.stream == nil || at < start {
				if u.stream, err = u.open(); err != nil {
					return n, err
				}
				u.window, u.end = u.window[:0], 0
			}
			if err := u.next(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// next reads one more block into the window.
func (u *unpacked) next() error {
	const block = 64 << 10
	if u.window == nil {
		u.window = make([]byte, 0, unpackWindow+block)
	}
	if len(u.window)+block > cap(u.window) {
		keep := u.window[len(u.window)-unpackWindow/2:]
		u.window = u.window[:copy(u.window[:cap(u.window)], keep)]
	}
	have := len(u.window)
	n, err := io.ReadFull(u.stream, u.window[have:have+block])
	u.window = u.window[:have+n]
	u.end += int64(n)
	if spent := u.place.Spend(Cost(n)*u.cost + 1); spent != nil {
		return spent
	}
	if n == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}
