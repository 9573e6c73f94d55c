package peers

import (
	"os"
	"syscall"
	"testing"
)

// forget drops a file from the page cache, so that it is read as an installed
// program is. What a linker has just written lies there in large folios, of
// which the kernel maps more than was asked for: 6 MB of apex.
func forget(b *testing.B, path string) {
	b.Helper()
	f, err := os.Open(path)
	must(b, err)
	defer f.Close()
	must(b, f.Sync())  // what is not written yet cannot be dropped
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	if _, _, e := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); e != 0 {
		b.Fatalf("forget %s: %v", path, e)
	}
}
