package dir

import (
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// stamp tells one state of a file from another without reading it. Where the
// system has it, the time is that of the inode's last change, which whoever
// writes the file cannot set.
type stamp struct {
	inode, device  uint64
	size           int64
	changed, nanos int64
}

func (s stamp) time() time.Time { return time.Unix(s.changed, s.nanos) }

func originOf(id gitops.ID) verdict.Origin { return verdict.Origin{Object: id.String()} }
