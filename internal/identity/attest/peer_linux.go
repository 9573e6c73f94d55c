package attest

import (
	"errors"
	"syscall"
)

func peerOf(raw syscall.RawConn) (p Peer, err error) {
	failed := raw.Control(func(fd uintptr) {
		var c *syscall.Ucred
		if c, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			p = Peer{PID: int(c.Pid), UID: int(c.Uid), GID: int(c.Gid)}
		}
	})
	return p, errors.Join(failed, err)
}
