package graph

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

// pb writes a message: fields one after the other.
type pb []byte

func (b pb) num(field protowire.Number, v uint64) pb {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func (b pb) str(field protowire.Number, s string) pb {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func (b pb) msg(field protowire.Number, inner ...pb) pb {
	for _, m := range inner {
		b = b.str(field, string(m))
	}
	return b
}

// entry writes a map entry whose value is a message or a string.
func (b pb) entry(field protowire.Number, key, value string) pb {
	return b.msg(field, pb{}.str(1, key).str(2, value))
}

// look is a format beside those under test that takes what begins with a word,
// so that tests see what is handed on.
func look(word string) scan.Format {
	rule := &scan.Rule{ID: "test.inside", Severity: scan.Harmful}
	return scan.Format{Name: "inside", Rules: []*scan.Rule{rule},
		Claim: func(f *scan.File) bool { return f.HasPrefix(word) },
		Scan: func(p *scan.Place, _ *scan.File) error {
			p.Report(rule, scan.At(0), "seen")
			return nil
		}}
}

func examine(ctx context.Context, content []byte, extra ...scan.Format) scan.Result {
	formats := scan.NewFormats(scan.Limits{}, append(Formats(), extra...)...)
	return formats.Scan(ctx, scan.Bytes(content), scan.Options{Tensors: true})
}

// outcome is a verdict and the rules that were broken, with their number where
// there are several.
func outcome(res scan.Result) string {
	words := []string{res.Verdict.String()}
	count := map[string]int{}
	for _, f := range res.Findings {
		if count[f.Rule]++; count[f.Rule] == 1 {
			words = append(words, f.Rule)
		}
	}
	return strings.Join(words, " ")
}

// checkOutcome compares; want may leave out notes.
func checkOutcome(t *testing.T, res scan.Result, want string) {
	t.Helper()
	if got := outcome(res); got != want {
		var details strings.Builder
		for _, f := range res.Findings {
			fmt.Fprintf(&details, "\n  %s %s: %s", f.Rule, f.Where, f.Detail)
		}
		t.Errorf("got %q, want %q%s", got, want, details.String())
	}
}

// checkSane asserts what holds for any bytes: the scanner does not break, and
// says the same of the same bytes.
func checkSane(t *testing.T, content []byte) scan.Result {
	t.Helper()
	res := examine(t.Context(), content)
	for _, f := range res.Findings {
		if f.Rule == "scan.internal" {
			t.Fatalf("the scanner broke: %s", f.Detail)
		}
	}
	if again := examine(t.Context(), content); !reflect.DeepEqual(res, again) {
		t.Fatalf("first %v\nthen %v", res, again)
	}
	return res
}

// prefixes cuts content at some places, for what must hold when a file ends early.
func prefixes(content []byte) [][]byte {
	var all [][]byte
	for n := range len(content) {
		if n < 64 || n%7 == 0 {
			all = append(all, content[:n])
		}
	}
	return all
}

// dearFile counts the reads of a file that stands for a remote one.
type dearFile struct {
	content []byte
	size    int64 // zeros follow the content
	reads   int
	bytes   int
}

func (d *dearFile) ReadAt(p []byte, off int64) (int, error) {
	d.reads++
	d.bytes += len(p)
	clear(p)
	if off < int64(len(d.content)) {
		copy(p, d.content[off:])
	}
	return len(p), nil
}

// measure runs a benchmark and tells its CPU time, which other work on the
// machine does not change much.
func measure(b *testing.B, content []byte, format scan.Format) {
	b.Helper()
	formats := scan.NewFormats(scan.Limits{}, format)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		if res := formats.Scan(b.Context(), scan.Bytes(content), scan.Options{}); res.Verdict != scan.Clean {
			b.Fatal(res)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func cpuTime(b *testing.B) int64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}
