package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The directory of a ledger.
const (
	lockName     = "LOCK"     // flock; names its holder until that one closes without an error
	keyName      = "key"      // the signer's secret, where the ledger made it
	verifierName = "verifier" // the verifier key, one line
	tailName     = "tail"     // how much is known to be on the disk
	segmentsName = "segments" // NNNNNNNNNNNN.seg and, once sealed, .seal
	logName      = "log"      // the C2SP tlog-tiles log of seals
	tmpDir       = "tmp"      // files that are written before they get their name
)

// A segment file begins with a header of 64 bytes, numbers big-endian:
//
//	8   "APEXSEG1"
//	u64 number of the segment, from 0
//	i64 when it was begun, microseconds since 1970
//	32  SHA-256 of the log's origin: a segment moved to another ledger is noticed
//	u32 zero
//	u32 CRC-32C of the above
const (
	segmentMagic = "APEXSEG1"
	segmentHead  = 64
)

// maxSegment bounds a segment file: SegmentBytes at its largest, and the batch
// that went over it.
const maxSegment = maxSegmentBytes + maxBatch + segmentHead

// DamageError says that stored bytes are not what was written.
type DamageError struct {
	File   string // path as the ledger was opened
	Offset int64  // where the damaged part begins
	Err    error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %v; run a check of the whole ledger, and restore the file from a copy", e.File, e.Offset, e.Err)
}

// Unwrap returns the reason.
func (e *DamageError) Unwrap() error { return e.Err }

func segmentPath(dir string, n uint64) string {
	return filepath.Join(dir, segmentsName, fmt.Sprintf("%012d.seg", n))
}

func sealPath(dir string, n uint64) string {
	return filepath.Join(dir, segmentsName, fmt.Sprintf("%012d.seal", n))
}

func encodeHeader(n uint64, begun time.Time, origin string) []byte {
	b := append(make([]byte, 0, segmentHead), segmentMagic...)
	b = binary.BigEndian.AppendUint64(b, n)
	b = binary.BigEndian.AppendUint64(b, uint64(begun.UnixMicro()))
	sum := sha256.Sum256([]byte(origin))
	b = append(b, sum[:]...)
	b = append(b, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// checkHeader reads a header and says whether it is that of segment n of the
// log named origin.
func checkHeader(b []byte, n uint64, origin string) (begun time.Time, err error) {
	switch {
	case len(b) < segmentHead:
		return begun, errIncomplete
	case string(b[:8]) != segmentMagic:
		return begun, fmt.Errorf("its header does not begin with %q", segmentMagic)
	case crc32.Checksum(b[:60], castagnoli) != binary.BigEndian.Uint32(b[60:]):
		return begun, errors.New("the checksum of its header does not match")
	case binary.BigEndian.Uint32(b[56:]) != 0:
		return begun, errors.New("its header is of a later version")
	case binary.BigEndian.Uint64(b[8:]) != n:
		return begun, fmt.Errorf("its header says segment %d", binary.BigEndian.Uint64(b[8:]))
	}
	if sum := sha256.Sum256([]byte(origin)); string(sum[:]) != string(b[24:56]) {
		return begun, fmt.Errorf("it belongs to another log than %q", origin)
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(b[16:]))).UTC(), nil
}

// scanBuffer is what a scan reads at once.
const scanBuffer = 256 << 10

// scanner reads the frames of one segment in order. A frame's data is good
// until the next call.
type scanner struct {
	file  io.ReaderAt
	name  string
	off   int64 // of the next frame
	end   int64 // nothing is read from here on
	buf   []byte
	begin int // buf[begin:] is what the file holds from off on
}

func newScanner(file io.ReaderAt, name string, from, end int64) *scanner {
	return &scanner{file: file, name: name, off: from, end: end}
}

// next returns the next frame, io.EOF at the end, or a *DamageError.
func (s *scanner) next() (frame, error) {
	if s.off >= s.end {
		return frame{}, io.EOF
	}
	for {
		f, err := decodeFrame(s.buf[s.begin:])
		if err == nil {
			s.off += int64(f.size)
			s.begin += f.size
			return f, nil
		}
		if errors.Is(err, errIncomplete) {
			more, readErr := s.fill()
			if readErr != nil {
				return frame{}, fmt.Errorf("read %s: %w", s.name, readErr)
			}
			if more {
				continue
			}
		}
		return frame{}, &DamageError{File: s.name, Offset: s.off, Err: err}
	}
}

// fill reads on; it returns false when nothing is left.
func (s *scanner) fill() (bool, error) {
	have := len(s.buf) - s.begin
	left := s.end - s.off - int64(have)
	if left <= 0 {
		return false, nil
	}
	// Once what is there does not hold one frame, twice as much is asked for;
	// decodeFrame bounds a frame, and so this.
	want := int(min(left, int64(max(scanBuffer, have))))
	if cap(s.buf) < have+want {
		grown := make([]byte, have, have+want)
		copy(grown, s.buf[s.begin:])
		s.buf = grown
	} else {
		s.buf = s.buf[:copy(s.buf[:have], s.buf[s.begin:])]
	}
	s.begin = 0
	n, err := s.file.ReadAt(s.buf[have:have+want], s.off+int64(have))
	s.buf = s.buf[:have+n]
	if n == want {
		return true, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return false, fmt.Errorf("the file ends at byte %d: %w", s.off+int64(have+n), io.ErrUnexpectedEOF)
	}
	return false, err
}

// openSegment opens segment n for reading and checks its header. It returns the
// file's size.
func openSegment(files FS, dir string, n uint64, origin string) (File, int64, time.Time, error) {
	name := segmentPath(dir, n)
	f, err := files.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, time.Time{}, err
	}
	size, begun, err := readHeader(f, n, origin)
	if err != nil {
		f.Close()
		return nil, 0, time.Time{}, &DamageError{File: name, Err: err}
	}
	return f, size, begun, nil
}

func readHeader(f File, n uint64, origin string) (size int64, begun time.Time, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, begun, err
	}
	if info.Size() > maxSegment {
		return 0, begun, fmt.Errorf("it has %d bytes, at most %d are ever written", info.Size(), int64(maxSegment))
	}
	var head [segmentHead]byte
	got, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, begun, err
	}
	begun, err = checkHeader(head[:got], n, origin)
	return info.Size(), begun, err
}

func exists(files FS, name string) (bool, error) {
	_, err := files.Stat(name)
	if isNotExist(err) {
		return false, nil
	}
	return err == nil, err
}
