//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package artifact

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// isOurs says whether nobody but this user and root can have made the file.
func isOurs(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == uint32(os.Geteuid()) || st.Uid == 0)
}

// hasOneName says whether the file is found under no other name, by which it
// could be changed later, or which would be changed with it now.
func hasOneName(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 1
}

// lockFolder keeps other pulls out until the file is closed; it does not wait.
func lockFolder(root *os.Root) (*os.File, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case nil:
			return f, nil
		case syscall.EINTR:
		default:
			return nil, errors.Join(err, f.Close())
		}
	}
}
