package oms

import (
	"io/fs"
	"syscall"
)

// system fills in what only the operating system knows of a file.
func (s *stamp) system(info fs.FileInfo) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Device, s.Inode, s.Ctime = uint64(st.Dev), st.Ino, st.Ctimespec.Nano()
	}
}
