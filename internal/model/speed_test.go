//go:build unix

package model_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/corpus"
	"github.com/apexlogic/apex/internal/model/oms"
	"github.com/apexlogic/apex/internal/model/scan"
)

// mostMemory is the largest resident set of the process so far, in MiB. It is
// a figure of one benchmark only when that runs alone.
func mostMemory(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Maxrss) / 1024
}

// measured runs do b.N times and reports its CPU time.
func measured(b *testing.B, do func()) {
	b.Helper()
	before := spentTime(b)
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((spentTime(b)-before).Milliseconds())/float64(b.N), "CPU-ms/op")
	b.ReportMetric(mostMemory(b), "MiB-RSS")
}

// A hole is where nothing was written.
type hole int64

// sparse writes a file of texts and holes.
func sparse(tb testing.TB, name string, parts ...any) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var at int64
	for _, part := range parts {
		switch part := part.(type) {
		case hole:
			at += int64(part)
		case string:
			n, err := f.WriteAt([]byte(part), at)
			if err != nil {
				tb.Fatal(err)
			}
			at += int64(n)
		}
	}
	if err := f.Truncate(at); err != nil {
		tb.Fatal(err)
	}
	return path
}

func le(n, value uint64) string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], value)
	return string(b[:n])
}

// stateDict is the pickle of an empty dictionary, which torch.save writes for a
// model without parameters; the storages beside it are as large as any.
const stateDict = "\x80\x02}."

// torchZip writes what torch.save does: a pickle and storages of the size each.
func torchZip(tb testing.TB, storages int, size int64) string {
	type member struct {
		name, content string
		hole          int64
	}
	members := []member{{"m/data.pkl", stateDict, 0}, {"m/byteorder", "little", 0}}
	for i := range storages {
		members = append(members, member{fmt.Sprintf("m/data/%d", i), "", size})
	}
	members = append(members, member{"m/version", "3\n", 0})
	var parts []any
	var directory strings.Builder
	at := int64(0)
	for _, m := range members {
		n := max(int64(len(m.content)), m.hole)
		wide := n >= 1<<32-1
		short, extra := le(4, uint64(n)), ""
		if wide {
			short, extra = "\xff\xff\xff\xff", le(2, 1)+le(2, 16)+le(8, uint64(n))+le(8, uint64(n))
		}
		head := le(2, 45) + le(2, 0x800) + le(2, 0) + le(4, 0) + le(4, 0) + short + short + le(2, uint64(len(m.name)))
		local := "PK\x03\x04" + head + le(2, uint64(len(extra))) + m.name + extra
		values := ""
		if wide {
			values = le(8, uint64(n)) + le(8, uint64(n))
		}
		values += le(8, uint64(at))
		directory.WriteString("PK\x01\x02" + le(2, 45) + head + le(2, uint64(4+len(values))) + le(2, 0) + le(2, 0) + le(2, 0) + le(4, 0) +
			"\xff\xff\xff\xff" + m.name + le(2, 1) + le(2, uint64(len(values))) + values)
		parts = append(parts, local, m.content, hole(m.hole))
		at += int64(len(local)) + n
	}
	count, length := uint64(len(members)), uint64(directory.Len())
	end := "PK\x06\x06" + le(8, 44) + le(2, 45) + le(2, 45) + le(4, 0) + le(4, 0) + le(8, count) + le(8, count) + le(8, length) + le(8, uint64(at)) +
		"PK\x06\x07" + le(4, 0) + le(8, uint64(at)+length) + le(4, 1) +
		"PK\x05\x06" + le(2, 0) + le(2, 0) + "\xff\xff\xff\xff" + "\xff\xff\xff\xff" + "\xff\xff\xff\xff" + le(2, 0)
	return sparse(tb, "model.pt", append(parts, directory.String(), end)...)
}

func safetensorsOf(tb testing.TB, size int64) string {
	header := fmt.Sprintf(`{"model.weight":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}`, size/4, size)
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	return sparse(tb, "model.safetensors", le(8, uint64(len(header)))+header, hole(size))
}

func ggufOf(tb testing.TB, size int64) string {
	text := func(s string) string { return le(8, uint64(len(s))) + s }
	head := "GGUF" + le(4, 3) + le(8, 1) + le(8, 1) + text("general.architecture") + le(4, 8) + text("llama") +
		text("w") + le(4, 1) + le(8, uint64(size/4)) + le(4, 0) + le(8, 0)
	head += strings.Repeat("\x00", (32-len(head)%32)%32)
	return sparse(tb, "model.gguf", head, hole(size))
}

// BenchmarkLargeModels scans models that are sparse on disk, of which nothing
// but headers should be read.
func BenchmarkLargeModels(b *testing.B) {
	const huge = 100 << 30
	for _, one := range []struct {
		name  string
		write func(testing.TB) string
	}{
		{"torch 524 MB", func(tb testing.TB) string { return torchZip(tb, 50, 10<<20) }},
		{"torch 100 GB", func(tb testing.TB) string { return torchZip(tb, 10, huge/10) }},
		{"safetensors 100 GB", func(tb testing.TB) string { return safetensorsOf(tb, huge) }},
		{"GGUF 100 GB", func(tb testing.TB) string { return ggufOf(tb, huge) }},
	} {
		b.Run(one.name, func(b *testing.B) {
			f, err := os.Open(one.write(b))
			if err != nil {
				b.Skip(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				b.Fatal(err)
			}
			s := model.New(scan.Limits{})
			measured(b, func() {
				if res := s.File(b.Context(), scan.NewFile(f, info.Size()), scan.Options{}); res.Verdict != scan.Clean {
					b.Fatalf("%v %+v", res.Verdict, res.Findings)
				}
			})
		})
	}
}

// BenchmarkCorpus scans all files of the corpus once, in one process.
func BenchmarkCorpus(b *testing.B) {
	var files [][]byte
	for _, cases := range []func(func(corpus.Case) bool){corpus.Malicious(), corpus.Benign()} {
		for c := range cases {
			for _, name := range slices.Sorted(maps.Keys(c.Files)) {
				files = append(files, c.Files[name])
			}
		}
	}
	s := model.New(scan.Limits{})
	var took []time.Duration
	measured(b, func() {
		took = took[:0]
		for _, content := range files {
			before := spentTime(b)
			s.File(b.Context(), scan.Bytes(content), scan.Options{})
			took = append(took, spentTime(b)-before)
		}
	})
	slices.Sort(took)
	b.ReportMetric(float64(len(files)), "files")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-CPU-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "worst-CPU-ms")
}

// BenchmarkExamine hashes and scans in one pass, beside hashing alone.
func BenchmarkExamine(b *testing.B) {
	const size = 1 << 30
	one := filepath.Dir(safetensorsOf(b, size))
	two := filepath.Dir(safetensorsOf(b, size))
	if err := os.Link(safetensorsOf(b, size), filepath.Join(two, "second.safetensors")); err != nil {
		b.Skip(err)
	}
	b.Run("SHA-256 alone", func(b *testing.B) {
		b.SetBytes(size)
		measured(b, func() {
			f, err := os.Open(filepath.Join(one, "model.safetensors"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			if _, err := io.CopyBuffer(sha256.New(), struct{ io.Reader }{f}, make([]byte, 256<<10)); err != nil {
				b.Fatal(err)
			}
		})
	})
	for _, with := range []struct {
		name    string
		root    string
		files   int64
		workers int
	}{{"one file", one, 1, 1}, {"two files", two, 2, 1}, {"two files, two workers", two, 2, 2}} {
		b.Run(with.name, func(b *testing.B) {
			b.SetBytes(with.files * size)
			s := model.New(scan.Limits{})
			measured(b, func() {
				e, err := s.Examine(b.Context(), with.root, oms.Options{Work: oms.Work{Workers: with.workers}}, scan.Options{})
				if err != nil || e.Report.Verdict != scan.Clean {
					b.Fatal(err, e.Report.Verdict)
				}
			})
		})
	}
}
