package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrLocked is wrapped by the error of [Open] while another process, or another
// Ledger of this one, holds the directory.
var ErrLocked = errors.New("the ledger is open elsewhere")

// lockPoll is how often a waiting opener asks again. flock(2) cannot be given a
// deadline.
const lockPoll = 20 * time.Millisecond

// lockDir takes the directory's lock, waiting at most wait. The lock goes with
// the process, however it ends; unclean says that the last holder was killed, or
// had failed: of what it wrote, not all may be on the disk.
func lockDir(ctx context.Context, dir string, wait time.Duration) (f *os.File, unclean bool, err error) {
	name := filepath.Join(dir, lockName)
	f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, false, fmt.Errorf("lock %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			holder := lockHolder(f)
			f.Close()
			return nil, false, fmt.Errorf("lock %s: %w, by %s: wait for it to end, or ask it", name, ErrLocked, holder)
		case <-time.After(lockPoll):
		}
	}
	info, err := f.Stat()
	if err == nil {
		unclean = info.Size() > 0
		err = f.Truncate(0)
	}
	if err == nil {
		host, _ := os.Hostname() // for people; nothing depends on it
		_, err = f.WriteAt(fmt.Appendf(nil, "process %d on %.64s\n", os.Getpid(), host), 0)
	}
	if err != nil {
		f.Close()
		return nil, false, err
	}
	return f, unclean, nil
}

func lockHolder(f *os.File) string {
	var b [128]byte
	n, _ := f.ReadAt(b[:], 0)
	text := strings.TrimSpace(strings.ToValidUTF8(string(b[:n]), "?"))
	if text == "" {
		return "a process that left no name"
	}
	return text
}

// unlockDir lets go. Only a holder that left nothing half done empties the file.
func unlockDir(f *os.File, clean bool) error {
	var err error
	if clean {
		err = f.Truncate(0)
	}
	return errors.Join(err, f.Close())
}
