package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
)

// tail is the content of the file of that name: up to where the newest segment
// is known to be on the disk. It is overwritten after every fsync and never
// synced itself, so after a power cut it may be old, but what it says is true:
// damage before the mark is damage, and only what lies behind it can be a torn,
// unacknowledged end. A disk overwrites a sector whole or not at all, so the
// file is never torn itself.
//
//	8   "APEXTAIL"
//	u64 segment
//	u64 bytes of it that were synced; 0: the segment may not exist yet
//	u32 CRC-32C of the above
type tail struct {
	segment uint64
	synced  int64
}

const (
	tailMagic = "APEXTAIL"
	tailSize  = 28
)

func (t tail) encode() []byte {
	b := append(make([]byte, 0, tailSize), tailMagic...)
	b = binary.BigEndian.AppendUint64(b, t.segment)
	b = binary.BigEndian.AppendUint64(b, uint64(t.synced))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeTail(b []byte) (tail, error) {
	switch {
	case len(b) != tailSize:
		return tail{}, fmt.Errorf("it has %d bytes instead of %d", len(b), tailSize)
	case string(b[:8]) != tailMagic:
		return tail{}, fmt.Errorf("it does not begin with %q", tailMagic)
	case crc32.Checksum(b[:24], castagnoli) != binary.BigEndian.Uint32(b[24:]):
		return tail{}, errors.New("its checksum does not match")
	}
	t := tail{binary.BigEndian.Uint64(b[8:]), int64(binary.BigEndian.Uint64(b[16:]))}
	if t.synced < 0 || t.synced > maxSegment {
		return tail{}, fmt.Errorf("it claims %d synced bytes", t.synced)
	}
	return t, nil
}

// readTail returns found=false when there is no such file.
func readTail(files FS, dir string) (t tail, found bool, err error) {
	name := filepath.Join(dir, tailName)
	data, err := readFile(files, name, 1<<10)
	if isNotExist(err) {
		return tail{}, false, nil
	}
	if err != nil {
		return tail{}, false, err
	}
	t, err = decodeTail(data)
	if err != nil {
		return tail{}, false, &DamageError{File: name, Err: err}
	}
	return t, true, nil
}
