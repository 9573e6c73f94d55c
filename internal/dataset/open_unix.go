//go:build unix

package dataset

import "syscall"

const openWithoutWaiting = syscall.O_NONBLOCK
