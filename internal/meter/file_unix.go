//go:build unix

package meter

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/apexlogic/apex/internal/clock"
)

// An epoch on disk is two files. "<epoch>.cells" is a memory-mapped array of
// counters, one per cache line so that two hot cells do not share one.
// "<epoch>.keys" names them: line i is the key of cell i, and is written before
// the cell is given out. The process that owns an epoch holds a lock on its
// keys file; an epoch that nobody holds is dead.
const (
	cellBytes   = 64
	cellsSuffix = ".cells"
	keysSuffix  = ".keys"
)

type mapped struct {
	base string
	mem  []byte
	keys *os.File
}

// Open starts a new epoch in dir and hands the totals of every dead epoch there
// to the sink. A dead epoch that the sink refuses is kept, and reported as an
// error beside the usable meter.
func Open(ctx context.Context, dir string, c clock.Clock, sink Sink) (*Meter, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open meter: %w", err)
	}
	recovered := recoverDead(ctx, dir, c, sink)
	epoch := newEpoch()
	cs, err := create(filepath.Join(dir, epoch))
	if err != nil {
		return nil, fmt.Errorf("open meter: %w", err)
	}
	return newMeter(c, cs, epoch), recovered
}

func create(base string) (*mapped, error) {
	// The cells are there before the keys file names the epoch, so that whoever
	// finds a keys file finds its cells.
	cellsFile, err := os.OpenFile(base+cellsSuffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer cellsFile.Close()
	if err := cellsFile.Truncate(maxKeys * 2 * cellBytes); err != nil {
		return nil, err
	}
	keys, err := os.OpenFile(base+keysSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(keys.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		keys.Close()
		return nil, err
	}
	mem, err := syscall.Mmap(int(cellsFile.Fd()), 0, maxKeys*2*cellBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		keys.Close()
		return nil, err
	}
	return &mapped{base: base, mem: mem, keys: keys}, nil
}

func (f *mapped) add(i int, key Key) (*uint64, error) {
	if (i+1)*cellBytes > len(f.mem) {
		return nil, errFull
	}
	line, err := json.Marshal(struct {
		Cell int `json:"cell"`
		Key
	}{i, key})
	if err != nil {
		return nil, err
	}
	if _, err := f.keys.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	return (*uint64)(unsafe.Pointer(&f.mem[i*cellBytes])), nil
}

func (f *mapped) retire() error {
	// The mapping stays: a late Add must not fault. Its pages go with the process.
	err := errors.Join(os.Remove(f.base+keysSuffix), os.Remove(f.base+cellsSuffix))
	return errors.Join(err, f.keys.Close())
}

func recoverDead(ctx context.Context, dir string, c clock.Clock, sink Sink) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if epoch, ok := strings.CutSuffix(e.Name(), keysSuffix); ok {
			if err := recoverEpoch(ctx, filepath.Join(dir, epoch), epoch, c, sink); err != nil {
				errs = append(errs, fmt.Errorf("recover usage of epoch %s: %w", epoch, err))
			}
		}
	}
	return errors.Join(errs...)
}

func recoverEpoch(ctx context.Context, base, epoch string, c clock.Clock, sink Sink) error {
	keys, err := os.OpenFile(base+keysSuffix, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // its owner retired it meanwhile
	}
	if err != nil {
		return err
	}
	defer keys.Close()
	if err := syscall.Flock(int(keys.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil // it is alive
	}
	counts, err := os.ReadFile(base + cellsSuffix)
	if errors.Is(err, os.ErrNotExist) {
		return os.Remove(base + keysSuffix)
	}
	if err != nil {
		return err
	}
	usage := Usage{Schema: UsageSchema, Epoch: epoch, At: c.Now()}
	lines := bufio.NewScanner(keys)
	for lines.Scan() {
		var named struct {
			Cell int `json:"cell"`
			Key
		}
		if err := json.Unmarshal(lines.Bytes(), &named); err != nil {
			break // a torn last line: its cell was never given out
		}
		if named.Cell < 0 || (named.Cell+1)*cellBytes > len(counts) {
			return fmt.Errorf("key of cell %d, which does not exist", named.Cell)
		}
		total := atomic.LoadUint64((*uint64)(unsafe.Pointer(&counts[named.Cell*cellBytes])))
		if total > 0 {
			usage.Lines = append(usage.Lines, Line{named.Key, total})
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(usage.Lines) > 0 {
		if err := sink.Use(ctx, usage); err != nil {
			return err
		}
	}
	return errors.Join(os.Remove(base+keysSuffix), os.Remove(base+cellsSuffix))
}
