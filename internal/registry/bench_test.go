package registry

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what this process, client and registry, has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchServe(b *testing.B) *killable {
	b.Helper()
	dir := b.TempDir()
	local, err := OpenLocal(dir)
	if err != nil {
		b.Fatal(err)
	}
	reg, err := New(Options{Dir: dir, Auth: local})
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(reg)
	b.Cleanup(func() {
		srv.Close()
		reg.Close()
	})
	return &killable{url: srv.URL, user: LocalUser, pass: local.Token()}
}

func measured(b *testing.B, size int, one func(i int) bool) {
	b.SetBytes(int64(size))
	cpu := cpuTime(b)
	b.ResetTimer()
	for i := range b.N {
		if !one(i) {
			b.Fatal("the request failed")
		}
	}
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
}

func BenchmarkPushBlob(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			k := benchServe(b)
			rest := strings.Repeat("x", size-20)
			measured(b, size, func(i int) bool {
				data := fmt.Sprintf("%020d", i) + rest
				return k.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(digestOf([]byte(data))), data)
			})
		})
	}
}

func BenchmarkPullBlob(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			k := benchServe(b)
			data := strings.Repeat("x", size)
			d := string(digestOf([]byte(data)))
			if !k.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+d, data) {
				b.Fatal("the push failed")
			}
			measured(b, size, func(int) bool { return k.get("/v2/"+repo+"/blobs/"+d) == int64(size) })
		})
	}
}

func BenchmarkPushTag(b *testing.B) {
	k := benchServe(b)
	if !k.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(digestOf([]byte("{}"))), "{}") {
		b.Fatal("the push failed")
	}
	measured(b, 0, func(i int) bool {
		m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"size":2,"digest":%q},"layers":[],"annotations":{"n":"%d"}}`,
			typeOCIManifest, typeConfig, digestOf([]byte("{}")), i)
		return k.do("PUT", fmt.Sprint("/v2/", repo, "/manifests/v", i), m)
	})
}

func (k *killable) get(path string) int64 {
	req, err := http.NewRequest("GET", k.url+path, nil)
	if err != nil {
		return -1
	}
	req.SetBasicAuth(k.user, k.pass)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return -1
	}
	return n
}
