package tensor_test

import (
	"bytes"
	"syscall"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/tensor"
)

// benchmark scans content again and again and reports the CPU time that one
// scan takes, which other work on the machine changes less than wall time.
func benchmark(b *testing.B, content []byte) {
	b.Helper()
	formats := scan.NewFormats(scan.Limits{}, tensor.Formats()...)
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	before := used()
	for b.Loop() {
		r := formats.Scan(b.Context(), scan.NewFile(bytes.NewReader(content), int64(len(content))), scan.Options{})
		if r.Verdict != scan.Clean {
			b.Fatal(r.Findings)
		}
	}
	b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op")
}

func BenchmarkSafetensorsOf5000Tensors(b *testing.B) {
	benchmark(b, safetensors(manyTensors(5000), 5000*16))
}

func BenchmarkGGUFOf150kTokens(b *testing.B) { benchmark(b, vocabulary(150_000)) }

func BenchmarkRData(b *testing.B) {
	items := make([]rItem, 5000)
	for i := range items {
		items[i] = frame()
	}
	benchmark(b, rds('X', 3, vector(0, items...)))
}
