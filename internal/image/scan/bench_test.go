//go:build unix

package scan

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// trivyReport is a Trivy report of n findings with texts as long as real ones.
func trivyReport(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"SchemaVersion":2,"ArtifactName":"a","Results":[{"Target":"t","Class":"os-pkgs","Vulnerabilities":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"VulnerabilityID":"CVE-2026-%d","PkgID":"p%d@1","PkgName":"p%d","PkgIdentifier":{"PURL":"pkg:deb/debian/p%d@1"},"InstalledVersion":"1","FixedVersion":"2","Status":"fixed","Layer":{"DiffID":"sha256:%064d"},"SeveritySource":"nvd","Severity":"HIGH","Title":"t","Description":%q,"CVSS":{"nvd":{"V3Vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","V3Score":9.8}},"References":[%s"https://example.com"]}`,
			i, i, i, i, i, strings.Repeat("word ", 100), strings.Repeat(`"https://example.com/advisory/0123456789",`, 15))
	}
	b.WriteString(`]}]}`)
	return []byte(b.String())
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkParseReport(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("Trivy/findings=%d", n), func(b *testing.B) {
			data := trivyReport(n)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			start := cpuTime()
			for b.Loop() {
				if r, err := ParseReport(data); err != nil || len(r.Findings) != n {
					b.Fatalf("%d findings, %v", len(r.Findings), err)
				}
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}
