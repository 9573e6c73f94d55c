package scanhub

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
	"github.com/apexlogic/apex/internal/scanhub/tools"
)

// report is what a tool says about lines of 500 files of 400 lines: n results
// of the size that real ones have.
func report(tool, n int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"version":"2.1.0","$schema":"https://json.schemastore.org/sarif-2.1.0.json","runs":[{"tool":{"driver":{"name":"tool%d","semanticVersion":"1.0.0","rules":[`, tool)
	cwes := []int{89, 78, 22, 327, 798, 918, 79, 502}
	for i, cwe := range cwes {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"R%d","shortDescription":{"text":"rule %d"},"help":{"text":%q},"properties":{"tags":["CWE-%d"],"security-severity":"7.5"}}`, i, i, strings.Repeat("help ", 100), cwe)
	}
	b.WriteString(`]}},"results":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		line := (i/500*7+tool)%400 + 1
		fmt.Fprintf(&b, `{"ruleId":"R%d","ruleIndex":%d,"level":"error","message":{"text":"Untrusted input number %d reaches a sink; validate it before use."},`+
			`"locations":[{"physicalLocation":{"artifactLocation":{"uri":"pkg%d/file%d.go","uriBaseId":"%%SRCROOT%%"},"region":{"startLine":%d,"endLine":%d,"startColumn":3,"endColumn":40,"snippet":{"text":"\tquery(\"SELECT %d\" + x)\n"}}}}],`+
			`"partialFingerprints":{"primaryLocationLineHash":"%016x:1"},"codeFlows":[{"threadFlows":[{"locations":[{"location":{"physicalLocation":{"artifactLocation":{"uri":"pkg%d/file%d.go"},"region":{"startLine":%d}}}}]}]}],"properties":{"confidence":"HIGH"}}`,
			(i/500)%8, (i/500)%8, i, i%20, i%500, line, line, line, i*tool, i%20, i%500, line)
	}
	b.WriteString(`]}]}`)
	return []byte(b.String())
}

// sources lays the files that report is about.
func sources(tb testing.TB) string {
	dir := tb.TempDir()
	for i := range 500 {
		name := filepath.Join(dir, fmt.Sprintf("pkg%d/file%d.go", i%20, i))
		os.MkdirAll(filepath.Dir(name), 0o755)
		var b strings.Builder
		for l := range 400 {
			fmt.Fprintf(&b, "\tquery(\"SELECT %d\" + x)\n", l%150)
		}
		if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// BenchmarkMerge reads five reports of 10,000 results each, merges and decides.
func BenchmarkMerge(b *testing.B) {
	dir := sources(b)
	var reports [][]byte
	size := 0
	for tool := range 5 {
		// Two tools say the same, so that there is something to merge.
		reports = append(reports, report(tool/2, 10_000))
		size += len(reports[tool])
	}
	table := tools.Tool{Name: "x"}
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	var found int
	var peak uint64
	for b.Loop() {
		var scans []Scan
		for i, data := range reports {
			runs, err := sarif.Read(data, dir)
			if err != nil {
				b.Fatal(err)
			}
			for j := range runs[0].Results {
				table.Normalize(&runs[0].Results[j])
			}
			scans = append(scans, Scan{Tool: fmt.Sprint("tool", i), Status: Scanned, Results: runs[0].Results})
		}
		m, err := Merge(scans, dir, nil)
		if err != nil {
			b.Fatal(err)
		}
		Decide(m, nil, Threshold{}, time.Unix(0, 0))
		found = len(m.Findings)
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		peak = max(peak, mem.HeapAlloc)
	}
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(found), "findings")
	b.ReportMetric(float64(size)/1e6, "MB")
	b.ReportMetric(float64(peak)/(1<<20), "heap-MiB")
}
