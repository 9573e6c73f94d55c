//go:build !linux

package dir

import "io/fs"

// stampOf has no more than the time of the last write here, which can be set:
// what a writer hides that way is found when it is asked for, not by a walk.
func stampOf(info fs.FileInfo) stamp {
	at := info.ModTime()
	return stamp{size: info.Size(), changed: at.Unix(), nanos: int64(at.Nanosecond())}
}
