//go:build !linux

package attest

import (
	"errors"
	"syscall"
)

func peerOf(syscall.RawConn) (Peer, error) {
	return Peer{}, errors.New("who is at the other end of a unix socket is told on Linux only")
}
