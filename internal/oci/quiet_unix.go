//go:build unix

package oci

import (
	"net"
	"syscall"
)

// quiet reports whether a connection that was kept still stands and nothing
// came over it meanwhile: what is said without having been asked is no answer.
func quiet(conn net.Conn) bool {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	stands := false
	var b [1]byte
	// Control and not Read, which would mind the deadline of the last exchange.
	err = raw.Control(func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		stands = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
	})
	return err == nil && stands
}
