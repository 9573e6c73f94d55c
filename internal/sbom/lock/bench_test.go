package lock

import (
	"fmt"
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

// BenchmarkLockFiles reads files of 5,000 packages each.
func BenchmarkLockFiles(b *testing.B) {
	const count = 5000
	each := func(format string) string {
		var s strings.Builder
		for i := range count {
			fmt.Fprintf(&s, format, i)
		}
		return s.String()
	}
	hash := strings.Repeat("a", 64)
	for _, test := range []struct {
		name  string
		parse parser
		data  string
	}{
		{"package-lock", parseNPM, `{"lockfileVersion": 3, "packages": {` + strings.TrimSuffix(each(`"node_modules/p%d": {"version": "1.0.0", "resolved": "https://registry.example/p.tgz", "integrity": "sha512-AAECAwQFBgcICQ==", "dependencies": {"a": "^1"}},`), ",") + "}}"},
		{"yarn", parseYarn, each("p%d@^1.0.0:\n  version \"1.0.0\"\n  resolved \"https://registry.example/p.tgz\"\n  integrity sha512-AAEC\n  dependencies:\n    a \"^1\"\n\n")},
		{"pnpm", parsePNPM, "lockfileVersion: '9.0'\npackages:\n" + each("  p%d@1.0.0:\n    resolution: {integrity: sha512-AAEC}\n    engines: {node: '>=6'}\n\n")},
		{"uv", parseUV, each("[[package]]\nname = \"p%d\"\nversion = \"1.0\"\nsource = { registry = \"https://index.example/simple\" }\nwheels = [\n    { url = \"https://files.example/p.whl\", hash = \"sha256:" + hash + "\", size = 1 },\n]\n\n")},
		{"requirements", parseRequirements, each("p%d==1.0 \\\n    --hash=sha256:" + hash + "\n")},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.SetBytes(int64(len(test.data)))
			b.ReportAllocs()
			start := cpu(b)
			for b.Loop() {
				l := &list{ctx: b.Context(), file: newFile("x")}
				if err := test.parse(l, []byte(test.data)); err != nil || len(l.packages) != count {
					b.Fatal(len(l.packages), err)
				}
			}
			b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
		})
	}
}
