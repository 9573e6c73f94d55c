package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// The log holds frames, each the records that one fsync made durable together:
//
//	magic "apx1" | length of the payload | CRC-32C of the payload | CRC-32C of the 12 bytes before
//
// all numbers 32 bits, big-endian. A frame is written only after the one before
// it is on the disk, so a broken frame can only be the last one, unless the disk
// lost something: then the log is not opened.
const (
	logName   = "objects.log"
	magic     = "apx1"
	frameHead = 16
	// A frame holds what was waiting; a waiting record is at most one object.
	maxFrame = 64 << 20
	// The log is rewritten when it is this much larger than what it holds, and
	// twice as large: a rewrite then costs as much as the writes since the last.
	compactSlack = 8 << 20
	// A log that is longer is not ours: 100,000 objects of 1 MiB do not fit a
	// store that keeps them in memory either.
	maxLog = 4 << 30
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	// ErrCorrupt is wrapped when the log's bytes are not what was written.
	ErrCorrupt = errors.New("the embedded store is damaged: restore it from a backup, or remove it and apply again")
	// ErrLocked is wrapped while another process holds the directory.
	ErrLocked = errors.New("the embedded store is open elsewhere")
	errClosed = errors.New("the embedded store is closed")
)

// pending is a record that waits for its fsync; install is called when it is
// durable, in the order of the log.
type pending struct {
	record  []byte
	install func()
	// turn gets true when this one is to write for all that wait, false when it
	// has been written.
	turn chan bool
	err  error
}

// journal is the durable log. A nil *journal keeps nothing.
type journal struct {
	dir  string
	lock *os.File

	mu    sync.Mutex
	queue []*pending
	busy  bool
	err   error // after a failed write nothing may follow

	// Of whoever is busy.
	file *os.File
	size int64
	live func() [][]byte // all records of the store, for a rewrite
	keep func() int64    // how many bytes those are
}

// openJournal locks the directory and calls each with every record, in order.
func openJournal(dir string, each func(record []byte) error) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	j := &journal{dir: dir, lock: lock}
	if err := j.read(each); err != nil {
		lock.Close()
		if j.file != nil {
			j.file.Close()
		}
		return nil, err
	}
	return j, nil
}

func (j *journal) read(each func([]byte) error) error {
	// What a rewrite left that did not come to its end.
	if err := os.Remove(filepath.Join(j.dir, logName+".new")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var err error
	j.file, err = os.OpenFile(filepath.Join(j.dir, logName), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > maxLog {
		return fmt.Errorf("%s has %d bytes: %w", j.file.Name(), info.Size(), ErrCorrupt)
	}
	if info.Size() == 0 {
		return syncDir(j.dir)
	}
	good, err := readFrames(j.file, info.Size(), each)
	if err != nil {
		return fmt.Errorf("%s: %w", j.file.Name(), err)
	}
	if good < info.Size() {
		if err := j.file.Truncate(good); err != nil {
			return err
		}
		if err := j.file.Sync(); err != nil {
			return err
		}
	}
	j.size = good
	return nil
}

// readFrames calls each for the records of every whole frame and returns where
// those end. Bytes after it are the remains of a write that nobody was told
// about, and no frame follows them; else the error is ErrCorrupt.
func readFrames(r io.ReaderAt, size int64, each func([]byte) error) (good int64, err error) {
	head := make([]byte, frameHead)
	for good < size {
		if size-good < frameHead {
			return good, nil
		}
		if _, err := r.ReadAt(head, good); err != nil {
			return good, err
		}
		n, sum, ok := readHead(head)
		if !ok {
			return good, nothingAfter(r, good, size)
		}
		if good+frameHead+n > size {
			return good, nil
		}
		payload := make([]byte, n)
		if _, err := r.ReadAt(payload, good+frameHead); err != nil && n > 0 {
			return good, err
		}
		if crc32.Checksum(payload, castagnoli) != sum {
			if good+frameHead+n < size {
				return good, fmt.Errorf("frame at byte %d: %w", good, ErrCorrupt)
			}
			return good, nil
		}
		for len(payload) > 0 {
			n, k := binary.Uvarint(payload)
			if k <= 0 || n > uint64(len(payload)-k) {
				return good, fmt.Errorf("record in the frame at byte %d: %w", good, ErrCorrupt)
			}
			if err := each(payload[k : k+int(n)]); err != nil {
				return good, err
			}
			payload = payload[k+int(n):]
		}
		good += frameHead + n
	}
	return good, nil
}

func readHead(head []byte) (n int64, sum uint32, ok bool) {
	n = int64(binary.BigEndian.Uint32(head[4:]))
	ok = string(head[:4]) == magic && n <= maxFrame &&
		crc32.Checksum(head[:12], castagnoli) == binary.BigEndian.Uint32(head[12:])
	return n, binary.BigEndian.Uint32(head[8:]), ok
}

// nothingAfter looks for a frame's head behind a broken one. There is none when
// the machine died while the last frame was written.
func nothingAfter(r io.ReaderAt, from, size int64) error {
	if size-from > maxFrame+frameHead {
		return fmt.Errorf("frame at byte %d: %w", from, ErrCorrupt)
	}
	rest := make([]byte, size-from)
	if _, err := r.ReadAt(rest, from); err != nil {
		return err
	}
	for at := 1; ; at++ {
		i := bytes.Index(rest[at:], []byte(magic))
		if i < 0 || at+i+frameHead > len(rest) {
			return nil
		}
		at += i
		if _, _, ok := readHead(rest[at : at+frameHead]); ok {
			return fmt.Errorf("frame at byte %d: %w", from, ErrCorrupt)
		}
	}
}

// append makes the record durable and then calls install. Records that wait at
// the same time share an fsync.
func (j *journal) append(record []byte, install func()) error {
	if j == nil {
		install()
		return nil
	}
	p := &pending{record: record, install: install, turn: make(chan bool, 1)}
	j.mu.Lock()
	if j.err != nil {
		err := j.err
		j.mu.Unlock()
		return err
	}
	j.queue = append(j.queue, p)
	lead := !j.busy
	j.busy = true
	j.mu.Unlock()
	if lead || <-p.turn {
		j.flush()
	}
	return p.err
}

// flush writes what waits, the caller's record among it, and hands over.
func (j *journal) flush() {
	j.mu.Lock()
	batch, size := 0, 0
	for batch < len(j.queue) && (batch == 0 || size+len(j.queue[batch].record)+binary.MaxVarintLen64 < maxFrame) {
		size += len(j.queue[batch].record) + binary.MaxVarintLen64
		batch++
	}
	now := j.queue[:batch:batch]
	j.queue = j.queue[batch:]
	err := j.err
	j.mu.Unlock()

	if err == nil {
		err = j.write(now)
	}
	for _, p := range now {
		p.err = err
		if err == nil {
			p.install()
		}
	}
	if err == nil {
		err = j.compact()
	}

	j.mu.Lock()
	if err != nil && j.err == nil {
		j.err = fmt.Errorf("the embedded store cannot write any more, open it again: %w", err)
	}
	if len(j.queue) > 0 {
		j.queue[0].turn <- true
	} else {
		j.busy, j.queue = false, nil
	}
	j.mu.Unlock()
	for _, p := range now {
		// The caller's own turn is not waited for; its channel has room.
		select {
		case p.turn <- false:
		default:
		}
	}
}

func (j *journal) write(batch []*pending) error {
	records := make([][]byte, len(batch))
	for i, p := range batch {
		records[i] = p.record
	}
	frame := encodeFrame(records)
	if _, err := j.file.WriteAt(frame, j.size); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.size += int64(len(frame))
	return nil
}

func encodeFrame(records [][]byte) []byte {
	size := frameHead
	for _, r := range records {
		size += len(r) + binary.MaxVarintLen64
	}
	frame := make([]byte, frameHead, size)
	for _, r := range records {
		frame = binary.AppendUvarint(frame, uint64(len(r)))
		frame = append(frame, r...)
	}
	copy(frame, magic)
	binary.BigEndian.PutUint32(frame[4:], uint32(len(frame)-frameHead))
	binary.BigEndian.PutUint32(frame[8:], crc32.Checksum(frame[frameHead:], castagnoli))
	binary.BigEndian.PutUint32(frame[12:], crc32.Checksum(frame[:12], castagnoli))
	return frame
}

// compact writes the log anew when most of it is history.
func (j *journal) compact() error {
	keep := j.keep()
	if j.size < 2*keep || j.size < keep+compactSlack {
		return nil
	}
	name := filepath.Join(j.dir, logName)
	f, err := os.OpenFile(name+".new", os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	size, err := writeFrames(f, j.live())
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err == nil {
		err = syncDir(j.dir)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("rewrite the log: %w", err)
	}
	j.file.Close()
	j.file, j.size = f, size
	return nil
}

// writeFrames writes the records in frames of about a megabyte.
func writeFrames(w io.Writer, records [][]byte) (size int64, err error) {
	for len(records) > 0 {
		n, bytes := 0, 0
		for n < len(records) && (n == 0 || bytes < 1<<20) {
			bytes += len(records[n])
			n++
		}
		k, err := w.Write(encodeFrame(records[:n]))
		size += int64(k)
		if err != nil {
			return size, err
		}
		records = records[n:]
	}
	return size, nil
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == errClosed {
		return nil
	}
	j.err = errClosed
	return errors.Join(j.file.Close(), j.lock.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
