package footprint

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// program is how much of the program may be resident at rest: what the runtime, a
// listener and a watch need is less.
const program = 24 << 20

// used is how long the process has computed.
func used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is how many bytes of files are resident in the process; see proc(5), statm.
func resident() int {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 3 {
		return 0
	}
	pages, err := strconv.Atoi(fields[2])
	if err != nil {
		return 0
	}
	return pages * os.Getpagesize()
}

// drop lets go of the program's pages that are as they are in its file. The kernel
// maps those that are asked for again, from its cache or from the file.
func drop() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, m := range unchanged(maps, self) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED) // advice: what is not taken stays
	}
}

// mapping is a part of memory.
type mapping struct{ from, to uintptr }

// unchanged returns the parts of the program that nobody can write to, and that
// nobody has written to before, as a dynamic linker does: dropping would undo that.
// See proc(5), smaps.
func unchanged(smaps io.Reader, program string) (all []mapping) {
	var m mapping
	ours := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 3 && f[0] == "Anonymous:":
			if ours && f[1] == "0" {
				all = append(all, m)
			}
			ours = false
		case len(f) >= 5 && strings.Contains(f[0], "-"):
			m, ours = fixed(f, program)
		}
	}
	return all
}

// fixed is where the mapping is that a line begins with, and whether it is a part
// of the program that nobody can write to.
func fixed(f []string, program string) (mapping, bool) {
	if len(f) != 6 || f[5] != program || len(f[1]) != 4 || f[1][1] != '-' || f[1][3] != 'p' {
		return mapping{}, false
	}
	low, high, _ := strings.Cut(f[0], "-")
	from, err := strconv.ParseUint(low, 16, 64)
	if err != nil {
		return mapping{}, false
	}
	to, err := strconv.ParseUint(high, 16, 64)
	return mapping{uintptr(from), uintptr(to)}, err == nil && from < to
}
