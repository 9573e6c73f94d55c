package archive_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// bigTorch writes a zip64 of torch.save whose tensors are holes in the file:
// count tensors of size bytes each. It returns the length.
func bigTorch(t testing.TB, w io.WriterAt, pickle string, count int, size int64, small string) int64 {
	t.Helper()
	le := binary.LittleEndian
	var at int64
	var central []byte
	put := func(b []byte) {
		if _, err := w.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
		at += int64(len(b))
	}
	member := func(name string, content []byte, hole int64) {
		length := int64(len(content)) + hole
		crc := crc32.ChecksumIEEE(content)
		if hole > 0 {
			crc = 7 // not verified
		}
		local := at
		h := make([]byte, 30)
		copy(h, "PK\x03\x04")
		le.PutUint16(h[4:], 45)
		le.PutUint16(h[6:], 0x0808)
		le.PutUint16(h[26:], uint16(len(name)))
		pad := (64 - (at+30+int64(len(name))+4)%64) % 64
		le.PutUint16(h[28:], uint16(4+pad))
		put(h)
		put([]byte(name))
		put(append([]byte{'F', 'B', byte(pad), 0}, make([]byte, pad)...))
		put(content)
		at += hole
		d := make([]byte, 24)
		copy(d, "PK\x07\x08")
		le.PutUint32(d[4:], crc)
		le.PutUint64(d[8:], uint64(length))
		le.PutUint64(d[16:], uint64(length))
		put(d)
		c := make([]byte, 46)
		copy(c, "PK\x01\x02")
		le.PutUint16(c[6:], 45)
		le.PutUint16(c[8:], 0x0808)
		le.PutUint32(c[16:], crc)
		for _, i := range []int{20, 24, 42} {
			le.PutUint32(c[i:], 0xffffffff)
		}
		le.PutUint16(c[28:], uint16(len(name)))
		extra := extraField(1, le.AppendUint64(le.AppendUint64(le.AppendUint64(nil, uint64(length)), uint64(length)), uint64(local)))
		le.PutUint16(c[30:], uint16(len(extra)))
		central = append(append(append(central, c...), name...), extra...)
	}
	members := count + 5
	member("archive/data.pkl", []byte(pickle), 0)
	member("archive/byteorder", []byte("little"), 0)
	for i := range count {
		member(fmt.Sprintf("archive/data/%d", i), nil, size)
		if small != "" {
			member(fmt.Sprintf("archive/data/%d", count+i), []byte(small), 0)
			members++
		}
	}
	member("archive/version", []byte("3\n"), 0)
	member("archive/.data/serialization_id", []byte("1234"), 0)
	member("archive/.format_version", []byte("1"), 0)
	start := at
	put(central)
	r := make([]byte, 56+20+22)
	copy(r, "PK\x06\x06")
	le.PutUint64(r[4:], 44)
	le.PutUint64(r[24:], uint64(members))
	le.PutUint64(r[32:], uint64(members))
	le.PutUint64(r[40:], uint64(len(central)))
	le.PutUint64(r[48:], uint64(start))
	copy(r[56:], "PK\x06\x07")
	le.PutUint64(r[64:], uint64(at))
	le.PutUint32(r[72:], 1)
	copy(r[76:], "PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	put(r)
	return at
}

func sparse(t testing.TB, pickle string, count int, size int64, small string) (*os.File, int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "model.pt"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, bigTorch(t, f, pickle, count, size, small)
}

func TestA100GBTorchFileIsReadInLittleMemory(t *testing.T) {
	f, size := sparse(t, payload, 100, 1<<30, "")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res := formats(scan.Limits{}).Scan(t.Context(), scan.NewFile(f, size), scan.Options{})
	runtime.ReadMemStats(&after)
	wantRules(t, res, scan.Malicious, "test.evil")
	if len(res.Findings) != 1 {
		t.Error(said(res))
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 32<<20 {
		t.Errorf("%d bytes were allocated for %d", taken, size)
	}
}

// counted counts what a remote file would be asked for.
type counted struct {
	from            io.ReaderAt
	requests, bytes int
}

func (c *counted) ReadAt(b []byte, off int64) (int, error) {
	c.requests++
	c.bytes += len(b)
	return c.from.ReadAt(b, off)
}

func TestARemoteTorchFileTakesFewRequests(t *testing.T) {
	for name, one := range map[string]struct {
		pickle  string
		small   string
		verdict scan.Verdict
	}{
		"a good one":              {tame, "", scan.Clean},
		"a bad one":               {payload, "", scan.Malicious},
		"with hundreds of biases": {tame, noise(3000), scan.Clean},
		"with a pickle of 3 MiB":  {payload + noise(3<<20), noise(3000), scan.Malicious},
	} {
		t.Run(name, func(t *testing.T) {
			f, size := sparse(t, one.pickle, 300, 40<<20, one.small)
			from := &counted{from: f}
			res := formats(scan.Limits{}).Scan(t.Context(), scan.NewFile(from, size).Dear(), scan.Options{})
			wantRules(t, res, one.verdict, "zip.remote.weights")
			if from.requests > 20 || from.bytes > 16<<20 {
				t.Errorf("%d requests for %d bytes", from.requests, from.bytes)
			}
			t.Logf("%d requests for %d bytes of %d", from.requests, from.bytes, size)
		})
	}
}

func TestRemoteArchivesThatWereNotReadAreNotClean(t *testing.T) {
	far := make([]part, 0, 60)
	for i := range 30 { // members that can hold code, with weights between them
		far = append(far, part{name: fmt.Sprintf("a/code/%d.bin", i), content: tame, method: 8}, part{name: fmt.Sprintf("a/data/%d", i), content: noise(3 << 20)})
	}
	from := &counted{from: scan.Bytes(zipOf(far...))}
	res := formats(scan.Limits{}).Scan(t.Context(), scan.NewFile(from, int64(len(zipOf(far...)))).Dear(), scan.Options{})
	wantRules(t, res, scan.Unscannable, "zip.remote")
	if from.requests > 20 || from.bytes > 16<<20 {
		t.Errorf("%d requests for %d bytes", from.requests, from.bytes)
	}
	for _, b := range [][]byte{zipOf(torch(payload)...), stream(t, "gzip", payload), sevenOf("lzma", "a", payload, true)} {
		wantRules(t, formats(scan.Limits{}).Scan(t.Context(), scan.NewFile(scan.Bytes(b), int64(len(b))).Dear(), scan.Options{}), scan.Malicious, "test.evil")
	}
	long := stream(t, "gzip", payload+noise(6<<20))
	wantRules(t, formats(scan.Limits{}).Scan(t.Context(), scan.NewFile(scan.Bytes(long), int64(len(long))).Dear(), scan.Options{}), scan.Malicious, "test.evil", "stream.remote")
}

func cpu(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func bench(b *testing.B, f *scan.Formats, file func() *scan.File) {
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		f.Scan(b.Context(), file(), scan.Options{})
	}
	b.ReportMetric((cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

func BenchmarkTorchZip524MB(b *testing.B) {
	f, size := sparse(b, tame, 50, 524<<20/50, "")
	bench(b, formats(scan.Limits{}), func() *scan.File { return scan.NewFile(f, size) })
}

func BenchmarkZipOfManyMembers(b *testing.B) {
	parts := make([]part, 20_000)
	for i := range parts {
		parts[i] = part{name: fmt.Sprintf("folder/%d", i), content: tame}
	}
	file := zipOf(parts...)
	bench(b, formats(scan.Limits{}), func() *scan.File { return scan.Bytes(file) })
}

func BenchmarkDeflatedMember32MiB(b *testing.B) {
	file := zipOf(part{name: "a", content: noise(32 << 20), method: 8})
	b.SetBytes(32 << 20)
	bench(b, formats(scan.Limits{}), func() *scan.File { return scan.Bytes(file) })
}

func BenchmarkXZ8MiB(b *testing.B) {
	file := stream(b, "xz", noise(1<<20)+noise(1<<20)+noise(6<<20))
	b.SetBytes(8 << 20)
	bench(b, formats(scan.Limits{}), func() *scan.File { return scan.Bytes(file) })
}
