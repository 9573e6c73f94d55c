package sbom

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkImage takes the inventory of an image of 2 GB as frameworks have
// them: a distribution, 400 wheels with 150,000 modules, and 1.6 GB of shared
// objects that do not compress. It reports CPU time and the peak of memory:
//
//	go test -run '^$' -bench Image -benchtime 1x ./internal/sbom
func BenchmarkImage(b *testing.B) {
	path := largeImage(b)
	for _, mode := range []string{"Collect", "Examine"} {
		b.Run(mode, func(b *testing.B) {
			src := open(b, path)
			resetPeak(b)
			before := cpu(b)
			for b.Loop() {
				var packages int
				if mode == "Collect" {
					inv, err := Collect(b.Context(), src, Options{Scratch: b.TempDir()})
					if err != nil {
						b.Fatal(err)
					}
					packages = len(inv.Packages)
				} else {
					inv, report, err := Examine(b.Context(), src, Options{Scratch: b.TempDir()})
					if err != nil {
						b.Fatal(err)
					}
					if len(report.Findings) > 0 || report.Checked < 150_000 {
						b.Fatalf("%d checked, findings %+v", report.Checked, report.Findings[:min(3, len(report.Findings))])
					}
					packages = len(inv.Packages)
				}
				if packages != 800 {
					b.Fatalf("%d packages", packages)
				}
			}
			b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(peak(b), "peak-MiB")
		})
	}
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resetPeak makes the kernel forget the peak of memory so far (proc(5), clear_refs).
func resetPeak(b *testing.B) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Logf("the peak of memory includes what made the image: %v", err)
	}
}

func peak(b *testing.B) float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kib float64
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Sscan(rest, &kib)
		}
	}
	return kib / 1024
}

// layerWriter writes one layer to disk as it comes.
type layerWriter struct {
	*tar.Writer
	z           *gzip.Writer
	out         *bufio.Writer
	file        *os.File
	diff, whole hash.Hash
	n           counter
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

func newLayer(b *testing.B, root string) *layerWriter {
	f, err := os.CreateTemp(root, "layer")
	if err != nil {
		b.Fatal(err)
	}
	l := &layerWriter{file: f, diff: sha256.New(), whole: sha256.New(), out: bufio.NewWriter(f)}
	l.z, _ = gzip.NewWriterLevel(io.MultiWriter(l.out, l.whole, &l.n), gzip.BestSpeed)
	l.Writer = tar.NewWriter(io.MultiWriter(l.z, l.diff))
	return l
}

func (l *layerWriter) add(b *testing.B, name string, size int64, r io.Reader) {
	if err := l.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(l.Writer, r); err != nil {
		b.Fatal(err)
	}
}

// done returns the layer's digest, size and diffID.
func (l *layerWriter) done(b *testing.B, root string) (string, int64, string) {
	for _, close := range []func() error{l.Close, l.z.Close, l.out.Flush, l.file.Close} {
		if err := close(); err != nil {
			b.Fatal(err)
		}
	}
	sum := hex.EncodeToString(l.whole.Sum(nil))
	if err := os.MkdirAll(filepath.Join(root, "blobs/sha256"), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(l.file.Name(), filepath.Join(root, "blobs/sha256", sum)); err != nil {
		b.Fatal(err)
	}
	return "sha256:" + sum, l.n.n, "sha256:" + hex.EncodeToString(l.diff.Sum(nil))
}

func largeImage(b *testing.B) string {
	root := b.TempDir()
	type object = map[string]any
	var layers []object
	diffIDs := []string{}
	end := func(l *layerWriter) {
		digest, size, diff := l.done(b, root)
		layers = append(layers, object{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size})
		diffIDs = append(diffIDs, diff)
	}
	base := newLayer(b, root)
	var packages []string
	for i := range 400 {
		packages = append(packages, fmt.Sprintf("package%d 1.%d-1+deb12u1", i, i))
		var files strings.Builder
		for j := range 50 {
			fmt.Fprintf(&files, "/usr/share/package%d/file%d\n", i, j)
		}
		base.add(b, fmt.Sprintf("var/lib/dpkg/info/package%d.list", i), int64(files.Len()), strings.NewReader(files.String()))
	}
	for _, e := range []entry{file("etc/os-release", bookworm), file("var/lib/dpkg/status", status(packages...))} {
		base.add(b, e.name, int64(len(e.text)), strings.NewReader(e.text))
	}
	end(base)
	const site = "usr/local/lib/python3.11/site-packages"
	text := strings.Repeat("import os\n", 60)
	for n := range 4 {
		l := newLayer(b, root)
		for i := range 100 {
			name := fmt.Sprintf("wheel%d", 100*n+i)
			var files []entry
			for j := range 375 {
				files = append(files, file(fmt.Sprintf("%s/%s/sub%d/module%d.py", site, name, j/20, j), text))
			}
			for _, e := range wheel(site, name, "1.0", files...) {
				l.add(b, e.name, int64(len(e.text)), strings.NewReader(e.text))
			}
		}
		end(l)
	}
	l := newLayer(b, root)
	noise := rand.NewChaCha8([32]byte{7})
	for i := range 16 {
		l.add(b, fmt.Sprintf("%s/nvidia/lib%d.so", site, i), 100<<20, io.LimitReader(noise, 100<<20))
	}
	end(l)
	blob := func(v any) object {
		data, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		sum := sha256.Sum256(data)
		put(b, root, "blobs/sha256/"+hex.EncodeToString(sum[:]), string(data))
		return object{"digest": "sha256:" + hex.EncodeToString(sum[:]), "size": len(data)}
	}
	config := blob(object{"os": "linux", "architecture": "amd64", "rootfs": object{"type": "layers", "diff_ids": diffIDs}})
	config["mediaType"] = "application/vnd.oci.image.config.v1+json"
	manifest := blob(object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers})
	manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
	index, err := json.Marshal(object{"schemaVersion": 2, "manifests": []object{manifest}})
	if err != nil {
		b.Fatal(err)
	}
	put(b, root, "index.json", string(index))
	put(b, root, "oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	return root
}
