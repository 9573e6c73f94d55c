package archive_test

import (
	"archive/tar"
	"reflect"
	"testing"

	"github.com/apexlogic/apex/internal/model/archive"
	"github.com/apexlogic/apex/internal/model/scan"
)

// fuzz feeds a format through the engine: no scanner may break, and the same
// bytes give the same result, whether they are read from memory or in pieces.
func fuzz(f *testing.F, formats *scan.Formats) {
	f.Fuzz(func(t *testing.T, b []byte) {
		once := formats.Scan(t.Context(), scan.Bytes(b), scan.Options{})
		if has(once, "scan.internal") {
			t.Fatalf("a scanner broke: %s", said(once))
		}
		again := formats.Scan(t.Context(), scan.NewFile(scan.Bytes(b), int64(len(b))), scan.Options{})
		if !reflect.DeepEqual(once, again) {
			t.Fatalf("two results:\n%s\n%s", said(once), said(again))
		}
		dear := formats.Scan(t.Context(), scan.NewFile(scan.Bytes(b), int64(len(b))).Dear(), scan.Options{})
		if has(dear, "scan.internal") {
			t.Fatalf("a scanner broke on a remote file: %s", said(dear))
		}
	})
}

// small are limits that keep one input short.
var small = scan.Limits{Work: 200_000_000, Memory: 64 << 20, Depth: 4, Findings: 100, Tensors: 1}

func FuzzZip(f *testing.F) {
	for _, b := range [][]byte{zipOf(torch(payload)...), zipOf(part{name: "../a", content: payload, method: 8}, part{name: "b", unlisted: true, content: tame}),
		zipWith(zipTail{prefix: payload, comment: string(zipOf(torch(tame)...)), zip64: true}, torch(tame)...),
		zipWith(zipTail{relative: true, prefix: payload, trailing: "x"}, part{name: "a.zip", content: string(zipOf(torch(payload)...))}),
		mar(`{"model":{"handler":"handler.py"}}`), zipOf(part{name: "a", method: 14, content: tame}, part{name: "b", method: 95, content: tame})} {
		f.Add(b)
	}
	fuzz(f, scan.NewFormats(small, archive.Zip(), evil()))
}

func FuzzTar(f *testing.F) {
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatGNU, tar.FormatPAX} {
		f.Add(tarOf(f, format, item{name: "data.pkl", content: payload}, item{name: "l", link: "../x", kind: tar.TypeSymlink}, item{name: "0.jpg", content: tame}))
	}
	f.Add(append(tarOf(f, tar.FormatPAX, item{name: "a", content: tame, pax: map[string]string{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}}), payload...))
	fuzz(f, scan.NewFormats(small, archive.Tar(), evil()))
}

func FuzzSevenZip(f *testing.F) {
	for _, method := range []string{"copy", "deflate", "lzma"} {
		f.Add(sevenOf(method, "data.pkl", payload, false))
		f.Add(sevenOf(method, "../data.pkl", tame, true))
	}
	fuzz(f, scan.NewFormats(small, archive.SevenZip(), evil()))
}

func FuzzStreams(f *testing.F) {
	for _, name := range []string{"gzip", "zlib", "zfile", "xz", "lzma", "zstd", "lz4"} {
		f.Add(stream(f, name, payload))
		f.Add(append(stream(f, name, tame+tame), stream(f, name, payload)...))
	}
	fuzz(f, scan.NewFormats(small, append(archive.Streams(), evil())...))
}

func FuzzExecutable(f *testing.F) {
	for _, b := range [][]byte{elf(2, false), elf(3, true), pe(2), macho(2), fat(), []byte("#!/usr/bin/env -S python3 -x\n"), []byte("MZqFpD")} {
		f.Add(b)
	}
	fuzz(f, scan.NewFormats(small, archive.Executable(), archive.Foreign()))
}
