//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package registry

import (
	"errors"
	"os"
	"syscall"
)

// The locks are flock(2): they hold between goroutines and between processes
// alike, because each request opens the file for itself, and the kernel
// releases them when a process dies.
const (
	lockShared    = syscall.LOCK_SH
	lockExclusive = syscall.LOCK_EX
	// lockTry fails with errBusy instead of waiting.
	lockTry = syscall.LOCK_EX | syscall.LOCK_NB
)

const locksSupported = true

var errBusy = errors.New("another request holds the lock")

func flock(f *os.File, how int) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), how); err {
		case nil:
			return nil
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return errBusy
		default:
			return &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
	}
}
