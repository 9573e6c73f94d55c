package hdf5

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

func FuzzFile(f *testing.F) {
	for _, tc := range cases() {
		if len(tc.file) < 1<<16 {
			f.Add(tc.file)
		}
	}
	names, err := filepath.Glob("testdata/*.h5")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		f.Add(read(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<18 {
			t.Skip()
		}
		first, _ := examineBytes(t, data)
		again, _ := examineBytes(t, data)
		if !reflect.DeepEqual(first, again) {
			t.Fatalf("two results:\n%s\n%s", describe(first), describe(again))
		}
		for _, finding := range first.Findings {
			if finding.Rule == "scan.internal" {
				t.Fatalf("%v", finding)
			}
		}
	})
}

func BenchmarkFile(b *testing.B) {
	content := read(b, "keras-earliest.h5")
	formats := scan.NewFormats(scan.Limits{}, Format())
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if res := formats.Scan(b.Context(), scan.Bytes(content), scan.Options{}); res.Verdict != scan.Clean {
			b.Fatal(res.Verdict)
		}
	}
}
