package dir

import (
	"io/fs"
	"syscall"
)

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode, s.device = sys.Ino, uint64(sys.Dev)
		s.changed, s.nanos = int64(sys.Ctim.Sec), int64(sys.Ctim.Nsec)
	}
	return s
}
