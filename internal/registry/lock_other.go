//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package registry

import (
	"errors"
	"os"
)

// Without flock(2) and synchronised directories the package's promises do not
// hold, so [New] refuses.
const (
	lockShared = iota
	lockExclusive
	lockTry
)

const locksSupported = false

var errBusy = errors.New("another request holds the lock")

func flock(*os.File, int) error { return errors.ErrUnsupported }
