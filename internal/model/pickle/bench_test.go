package pickle_test

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model/pickle"
	"github.com/apexlogic/apex/internal/model/scan"
)

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// flood is opcodes over and over.
func flood(unit string, ops int) []byte {
	return append(append([]byte("\x80\x04N"), bytes.Repeat([]byte(unit), ops/2)...), '.')
}

func benchmark(b *testing.B, content []byte, ops int) {
	formats := scan.NewFormats(scan.Limits{}, pickle.Formats()...)
	file := func() *scan.File { return scan.Bytes(content) }
	if res := formats.Scan(b.Context(), file(), scan.Options{}); res.Verdict != clean {
		b.Fatal(res.Verdict, res.Findings)
	}
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	start := cpu()
	for b.Loop() {
		formats.Scan(b.Context(), file(), scan.Options{})
	}
	spent := float64(cpu()-start) / float64(b.N)
	b.ReportMetric(spent/1e6, "cpu-ms/op")
	if ops > 0 {
		b.ReportMetric(spent/float64(ops), "cpu-ns/opcode")
	}
}

// BenchmarkFlood runs 1.2 million opcodes of each kind.
func BenchmarkFlood(b *testing.B) {
	const ops = 1_200_000
	for _, unit := range []struct{ name, code string }{
		{"push and pop", "N0"}, {"numbers", "K\x010"}, {"texts", "\x8c\x02ab0"}, {"memo", "\x94\x94"}, {"tuples", ")0"},
		{"lists", "]0"}, {"marks", "(1"}, {"gets", "\x94h\x00"},
	} {
		b.Run(unit.name, func(b *testing.B) { benchmark(b, flood(unit.code, ops), ops) })
	}
}

func BenchmarkCalls(b *testing.B) {
	const calls = 100_000
	a := proto(2).global("collections", "OrderedDict").raw("q\x00")
	for range calls {
		a.raw(")R0h\x00")
	}
	benchmark(b, a.stop(), 4*calls)
}

// BenchmarkTexts reads 3 MB of texts in a list.
func BenchmarkTexts(b *testing.B) {
	a := proto(2).raw("](")
	n := 0
	for ; len(a.b) < 3_000_000; n++ {
		a.text(fmt.Sprintf("layer.%d.weight", n)).raw("q\x01")
	}
	benchmark(b, a.raw("e").stop(), 2*n)
}

// BenchmarkStateDict reads what names 2000 tensors.
func BenchmarkStateDict(b *testing.B) {
	a := proto(2).raw("}(")
	for i := range 2000 {
		a.text(fmt.Sprintf("layer.%d.weight", i)).tensor("FloatStorage", fmt.Sprint(i), 0)
	}
	benchmark(b, a.raw("u").stop(), 0)
}

// BenchmarkOneText passes over 64 MiB of text.
func BenchmarkOneText(b *testing.B) {
	content := proto(4).raw("\x8d", le64(64<<20)).raw(string(make([]byte, 64<<20))).stop()
	benchmark(b, content, 0)
}

func BenchmarkSmall(b *testing.B) { benchmark(b, ordered().stop(), 0) }
