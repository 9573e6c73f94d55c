package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// position is where writing goes on.
type position struct {
	next  uint64    // number of the segment that is begun next
	file  File      // the segment that is written on; nil: begin a new one
	size  int64     // of file
	count uint64    // records in file
	begun time.Time // when file was begun
}

// recoverDir finds where writing goes on, and mends what a crash may leave: a
// segment whose header was never written, and a torn end behind the last
// record. Anything else that is wrong is a *DamageError, and nothing is changed.
func recoverDir(ctx context.Context, files FS, dir, origin string, segmentBytes int64, log *slog.Logger) (position, error) {
	mark, known, err := readTail(files, dir)
	if err != nil {
		return position{}, err
	}
	last, any, err := lastSegment(files, dir, mark.segment)
	if err != nil {
		return position{}, err
	}
	if !any {
		if known && mark.synced > 0 {
			return position{}, missingSegment(dir, mark)
		}
		return position{}, nil
	}
	if known && last < mark.segment && mark.synced > 0 {
		return position{}, missingSegment(dir, mark)
	}
	if !known || mark.segment != last {
		mark = tail{segment: last}
	}
	sealed, err := exists(files, sealPath(dir, last))
	if err != nil {
		return position{}, err
	}
	if sealed { // whole on the disk before it was sealed; checked when it is read
		return position{next: last + 1}, nil
	}
	// So it was when the log has it, though its seal was lost: not one record
	// more may go into it, and none of it is a torn end.
	integrated, err := integratedSize(dir)
	if err != nil {
		return position{}, err
	}
	inLog := last < integrated
	if inLog {
		info, err := files.Stat(segmentPath(dir, last))
		if err != nil {
			return position{}, err
		}
		mark, known = tail{last, max(info.Size(), segmentHead)}, true
	}
	p, err := recoverSegment(ctx, files, dir, origin, mark, known, log)
	if err != nil || p.file == nil {
		return p, err
	}
	if inLog && p.count == 0 {
		p.file.Close()
		return position{}, &DamageError{File: segmentPath(dir, last), Offset: segmentHead, Err: errors.New("it holds no record, but the log has its seal")}
	}
	if inLog || p.size >= segmentBytes {
		return position{next: last + 1}, p.file.Close()
	}
	return p, nil
}

func missingSegment(dir string, mark tail) error {
	return &DamageError{
		File: segmentPath(dir, mark.segment),
		Err:  fmt.Errorf("the segment is missing, of which %d bytes were on the disk", mark.synced),
	}
}

// recoverSegment reads the newest segment, which nothing has sealed, from end to
// end.
func recoverSegment(ctx context.Context, files FS, dir, origin string, mark tail, known bool, log *slog.Logger) (position, error) {
	name := segmentPath(dir, mark.segment)
	f, err := files.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return position{}, err
	}
	p := position{next: mark.segment + 1, file: f}
	fail := func(err error) (position, error) {
		f.Close()
		return position{}, err
	}
	size, begun, err := readHeader(f, mark.segment, origin)
	if err != nil {
		// No record is written before the header is synced.
		if mark.synced == 0 && headerUnwritten(f) {
			log.WarnContext(ctx, "ledger: removing a segment that was begun and not written", "file", name)
			if err := errors.Join(f.Close(), files.Remove(name), files.SyncDir(filepath.Dir(name))); err != nil {
				return position{}, err
			}
			return position{next: mark.segment}, nil
		}
		return fail(&DamageError{File: name, Err: err})
	}
	p.begun = begun
	if size < mark.synced {
		return fail(&DamageError{File: name, Offset: size, Err: fmt.Errorf("the file ends here, but %d bytes of it were on the disk", mark.synced)})
	}
	s := newScanner(f, name, segmentHead, size)
	for {
		_, err = s.next()
		if err != nil {
			break
		}
		if p.count++; p.count%4096 == 0 && ctx.Err() != nil {
			return fail(ctx.Err())
		}
	}
	p.size = s.off
	var damage *DamageError
	switch {
	case errors.Is(err, io.EOF):
	case !errors.As(err, &damage):
		return fail(err)
	case damage.Offset < mark.synced:
		return fail(err)
	case !known && !errors.Is(err, errIncomplete):
		// Without the mark only a frame that the file's end cuts off is surely
		// not an acknowledged one.
		return fail(err)
	default:
		log.WarnContext(ctx, "ledger: cutting off a torn, unacknowledged end", "file", name, "offset", s.off, "bytes", size-s.off, "why", damage.Err)
		if err := f.Truncate(s.off); err != nil {
			return fail(err)
		}
		size = s.off
	}
	if mark.synced < size {
		if err := resync(f, max(mark.synced, segmentHead), size); err != nil {
			return fail(fmt.Errorf("%s: %w", name, err))
		}
	}
	return p, nil
}

// headerUnwritten says whether the file is what a crash right after creating it
// leaves: shorter than a header, or nothing but zeros.
func headerUnwritten(f File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	if info.Size() < segmentHead {
		return true
	}
	if info.Size() > segmentHead {
		return false
	}
	var head [segmentHead]byte
	_, err = f.ReadAt(head[:], 0)
	return err == nil && head == [segmentHead]byte{}
}

// resync writes the bytes behind the mark once more before it syncs them. After
// a failed fsync the kernel may hold pages as clean that never reached the disk;
// a second fsync would succeed without writing them.
func resync(f File, from, to int64) error {
	buf := make([]byte, min(max(to-from, 0), scanBuffer))
	for off := from; off < to; {
		n := int(min(to-off, int64(len(buf))))
		if _, err := f.ReadAt(buf[:n], off); err != nil {
			return err
		}
		if _, err := f.WriteAt(buf[:n], off); err != nil {
			return err
		}
		off += int64(n)
	}
	return f.Sync()
}

// lastSegment returns the highest number of a segment file. It asks for the
// numbers from hint on, which is cheap for a long directory, and reads the
// directory when hint itself is not there.
func lastSegment(files FS, dir string, hint uint64) (n uint64, any bool, err error) {
	for n = hint; ; n++ {
		ok, err := exists(files, segmentPath(dir, n))
		if err != nil {
			return 0, false, err
		}
		if !ok {
			break
		}
		any = true
	}
	if any {
		return n - 1, true, nil
	}
	entries, err := files.ReadDir(filepath.Join(dir, segmentsName))
	if err != nil && !isNotExist(err) {
		return 0, false, err
	}
	n = 0
	for _, e := range entries {
		if m, ok := parseSegmentName(e.Name(), ".seg"); ok {
			n, any = max(m, n), true
		}
	}
	return n, any, nil
}

// parseSegmentName reads "NNNNNNNNNNNN" and the suffix.
func parseSegmentName(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 12 {
		return 0, false
	}
	var n uint64
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		n = n*10 + uint64(digits[i]-'0')
	}
	return n, true
}
