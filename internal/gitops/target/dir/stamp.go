package dir

import (
	"io/fs"
	"syscall"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// stamp tells one state of a file from another without reading it. The time of
// the last change of its inode cannot be set by whoever writes the file.
type stamp struct {
	inode, device  uint64
	size           int64
	changed, nanos int64
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode, s.device = sys.Ino, uint64(sys.Dev)
		s.changed, s.nanos = int64(sys.Ctim.Sec), int64(sys.Ctim.Nsec)
	}
	return s
}

func (s stamp) time() time.Time { return time.Unix(s.changed, s.nanos) }

func originOf(id gitops.ID) verdict.Origin { return verdict.Origin{Object: id.String()} }
