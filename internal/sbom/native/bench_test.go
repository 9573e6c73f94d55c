package native

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cpu returns how long the process has computed so far: wall time says little on
// a machine that others use.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkExtensionModule looks for every library that can be linked into a
// module of 16 MiB, and finds none.
func BenchmarkExtensionModule(b *testing.B) {
	data := elf{text: strings.Repeat("some words and numbers 1.2.3 of a program\x00", 16<<20/42)}.bytes()
	table := libraries()
	wanted := scanned(table, library{}, false, nil, true)
	b.SetBytes(int64(len(data)))
	start := cpu(b)
	for b.Loop() {
		p, err := outline(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		if hits := p.scan(wanted); len(hits) != 0 {
			b.Fatal(hits)
		}
	}
	b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
}
