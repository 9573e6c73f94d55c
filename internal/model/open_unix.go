//go:build unix

package model

import "syscall"

const openWithoutWaiting = syscall.O_NONBLOCK
