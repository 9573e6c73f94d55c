//go:build unix

package bounded

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const descriptor = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}`

// documents are what is checked most, from the smallest.
func documents() map[string][]byte {
	finding := fmt.Sprintf(`{"VulnerabilityID":"CVE-2026-1","PkgID":"p@1","PkgName":"p","PkgIdentifier":{"PURL":"pkg:deb/debian/p@1"},"InstalledVersion":"1","FixedVersion":"2","Status":"fixed","Layer":{"DiffID":"sha256:%064d"},"Severity":"HIGH","Title":"t","Description":%q,"CVSS":{"nvd":{"V3Vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","V3Score":9.8}},"References":[%s"https://example.com"]}`,
		1, strings.Repeat("word ", 100), strings.Repeat(`"https://example.com/advisory/0123456789",`, 15))
	return map[string][]byte{
		"manifest": []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` + descriptor + `,"layers":[` + descriptor + `],"subject":` + descriptor + `}`),
		"bundle":   []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"a"}},"dsseEnvelope":{"payload":"` + strings.Repeat("QUJD", 1000) + `","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"` + strings.Repeat("QUJD", 24) + `"}]}}`),
		"report":   []byte(`{"SchemaVersion":2,"Results":[{"Vulnerabilities":[` + strings.Repeat(finding+",", 299) + finding + `]}]}`),
	}
}

func BenchmarkCheckJSON(b *testing.B) {
	for _, name := range []string{"manifest", "bundle", "report"} {
		doc := documents()[name]
		for _, how := range []struct {
			name  string
			check func([]byte) error
		}{
			{"here", func(data []byte) error { return CheckJSON(data, 64) }},
			{"tokens", func(data []byte) error { return checkTokens(data, 64) }},
			{"valid-only", func(data []byte) error {
				if !json.Valid(data) {
					return fmt.Errorf("invalid")
				}
				return nil
			}},
		} {
			b.Run(name+"/"+how.name, func(b *testing.B) {
				b.SetBytes(int64(len(doc)))
				b.ReportAllocs()
				began := cpuTime()
				for b.Loop() {
					if err := how.check(doc); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpuTime()-began)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// hostile is a document of about size bytes made of part, which gets a number.
func hostile(size int, open, part, end string) []byte {
	var b strings.Builder
	b.Grow(size + 64)
	b.WriteString(open)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, part, i)
	}
	b.WriteString(end)
	return []byte(b.String())
}

// BenchmarkHostile checks 64 MiB that are made to be dear. Most are refused on
// the way; what counts is what that costs.
func BenchmarkHostile(b *testing.B) {
	const size = 64 << 20
	for _, tc := range []struct{ name, open, part, end string }{
		{"one object of distinct keys", `{`, `"%x":0`, `}`},
		{"one list of numbers", `[`, `%d`, `]`},
		{"objects of 33 keys", `[`, `{"` + strings.ReplaceAll("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,aa,bb,cc,dd,ee,ff", ",", `":0,"`) + `":0,"%d":0}`, `]`},
		{"objects with escaped keys", `[`, `{"\u0061%d":0}`, `]`},
		{"long keys that differ in the middle", `{`, `"` + strings.Repeat("k", 1<<20) + "%08d" + strings.Repeat("k", 1<<20) + `":0`, `}`},
		{"one string", `["%d `, strings.Repeat("ä", 1<<20) + "%d", `"]`},
	} {
		b.Run(strings.ReplaceAll(tc.name, " ", "-"), func(b *testing.B) {
			doc := hostile(size, tc.open, tc.part, tc.end)
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			runtime.GC()
			began := cpuTime()
			for b.Loop() {
				_ = CheckJSON(doc, 64)
			}
			b.ReportMetric(float64(cpuTime()-began)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}
