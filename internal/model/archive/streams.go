package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/apexlogic/apex/internal/model/scan"
)

// maxStreams bounds how many streams of one file are looked at by themselves.
const maxStreams = 1 << 16

// search returns where a file has a signature, behind its beginning, and isAt
// says yes.
func search(p *scan.Place, f *scan.File, signature string, isAt func(b []byte) bool) (found []int64, err error) {
	const block, look = 1 << 20, 16 // what isAt sees at least
	for from := int64(1); from < f.Size(); from += block {
		b, err := f.Read(from, min(block+look, f.Size()-from))
		if err != nil {
			return nil, err
		}
		if err := p.Spend(scan.Cost(len(b)) * scan.CostRead); err != nil {
			return nil, err
		}
		for i := 0; len(found) < maxStreams; i++ {
			next := bytes.Index(b[i:], []byte(signature))
			if next < 0 || i+next >= block {
				break
			}
			if i += next; isAt(b[i:]) {
				found = append(found, from+int64(i))
			}
		}
	}
	return found, nil
}

func bzip2Starts(p *scan.Place, f *scan.File, _ io.Reader) ([]int64, error) {
	return search(p, f, "BZh", isBzip2)
}

func xzStarts(p *scan.Place, f *scan.File, _ io.Reader) ([]int64, error) {
	return search(p, f, "\xfd7zXZ\x00", func(b []byte) bool {
		return len(b) >= 12 && crc32.ChecksumIEEE(b[6:8]) == binary.LittleEndian.Uint32(b[8:])
	})
}

// errFrames is the end of a walk over frames that does not go on.
var errFrames = errors.New("no frame")

// frames walks over frames, each of which length measures, and returns where
// those behind the first that is no skippable one begin.
func frames(p *scan.Place, f *scan.File, length func(at int64) (int64, error)) (found []int64, err error) {
	first := true
	for at := int64(0); at < f.Size() && len(found) < maxStreams; {
		if err := p.Spend(200); err != nil {
			return nil, err
		}
		head, err := f.Read(at, min(8, f.Size()-at))
		if err != nil || len(head) < 8 {
			return found, err
		}
		if binary.LittleEndian.Uint32(head)&^0xf == 0x184d2a50 {
			at += 8 + int64(binary.LittleEndian.Uint32(head[4:]))
			continue
		}
		n, err := length(at)
		switch {
		case errors.Is(err, scan.ErrBudget):
			return nil, err
		case err != nil:
			return found, nil // what is broken is reported by who unpacks it
		}
		if !first {
			found = append(found, at)
		}
		first = false
		at += n
	}
	return found, nil
}

// isSkippable says whether a frame begins that readers of lz4 and of zstd pass
// over (RFC 8878 §3.1.2): its mark, and its length in four bytes.
func isSkippable(head []byte) bool {
	return len(head) >= 8 && binary.LittleEndian.Uint32(head)&^0xf == 0x184d2a50
}

// skipped returns where the first frame begins that is not passed over, and
// what stands there; the head is empty where there is none.
func skipped(p *scan.Place, f *scan.File) (at int64, head []byte, err error) {
	const most, mostDear = 1 << 16, 8 // over a network each may be a request
	for n := 0; at < f.Size(); n++ {
		if head, err = f.Read(at, min(8, f.Size()-at)); err != nil || !isSkippable(head) {
			return at, head, err
		}
		if n >= most || n >= mostDear && f.IsDear() {
			return 0, nil, fmt.Errorf("%w: more than %d frames of no content come first", scan.ErrBudget, n)
		}
		if err := p.Spend(200); err != nil {
			return 0, nil, err
		}
		at += 8 + int64(binary.LittleEndian.Uint32(head[4:]))
	}
	return f.Size(), nil, nil
}

// walk reads little numbers of a file, one after the other.
type walk struct {
	p  *scan.Place
	f  *scan.File
	at int64
}

func (w *walk) number(bytes int64) (n uint64, err error) {
	if err := w.p.Spend(100); err != nil {
		return 0, err
	}
	b, err := w.f.Read(w.at, bytes)
	if err != nil {
		return 0, errFrames
	}
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	w.at += bytes
	return n, nil
}

// zstdStarts walks over the frames by the headers of their blocks (RFC 8878
// §3.1.1).
func zstdStarts(p *scan.Place, f *scan.File, _ io.Reader) ([]int64, error) {
	return frames(p, f, func(at int64) (int64, error) {
		w := &walk{p, f, at}
		magic, err := w.number(4)
		if err != nil || magic != 0xfd2fb528 {
			return 0, otherwise(err)
		}
		flags, err := w.number(1)
		if err != nil {
			return 0, err
		}
		single := flags>>5&1 == 1
		if !single {
			w.at++ // the window
		}
		w.at += [4]int64{0, 1, 2, 4}[flags&3] // the dictionary
		if size := [4]int64{0, 2, 4, 8}[flags>>6]; size > 0 {
			w.at += size
		} else if single {
			w.at++
		}
		for {
			block, err := w.number(3)
			if err != nil {
				return 0, err
			}
			if size := int64(block >> 3); block>>1&3 == 1 {
				w.at++ // one byte, over and over
			} else {
				w.at += size
			}
			if block&1 == 1 {
				break
			}
		}
		if flags>>2&1 == 1 {
			w.at += 4
		}
		return w.at - at, nil
	})
}

// lz4Starts walks over the frames by the sizes of their blocks (LZ4 frame
// format). The old format has no end mark: its frames are not told apart.
func lz4Starts(p *scan.Place, f *scan.File, _ io.Reader) ([]int64, error) {
	return frames(p, f, func(at int64) (int64, error) {
		w := &walk{p, f, at}
		magic, err := w.number(4)
		if err != nil || magic != 0x184d2204 {
			return 0, otherwise(err)
		}
		flags, err := w.number(1)
		if err != nil {
			return 0, err
		}
		w.at += 2 // the largest block, the checksum of the header
		if flags>>3&1 == 1 {
			w.at += 8
		}
		if flags&1 == 1 {
			w.at += 4
		}
		for {
			size, err := w.number(4)
			if err != nil {
				return 0, err
			}
			if size == 0 {
				break
			}
			w.at += int64(size & 0x7fffffff)
			if flags>>4&1 == 1 {
				w.at += 4
			}
		}
		if flags>>2&1 == 1 {
			w.at += 4
		}
		return w.at - at, nil
	})
}

// otherwise is the error, or that there is no frame.
func otherwise(err error) error {
	if err == nil {
		return errFrames
	}
	return err
}
