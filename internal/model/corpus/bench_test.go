package corpus

import "testing"

func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		n := 0
		for c := range Malicious() {
			n += len(c.Files)
		}
		for c := range Benign() {
			n += len(c.Files)
		}
		b.ReportMetric(float64(n), "files")
	}
}
