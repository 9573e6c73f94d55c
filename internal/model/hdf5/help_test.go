package hdf5

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// handed collects what is handed on to other formats.
type handed map[string]string

// format is one that takes everything inside of a file.
func (h handed) format() scan.Format {
	return scan.Format{Name: "handed",
		Claim: func(f *scan.File) bool { return !f.HasPrefix(signature) },
		Scan: func(p *scan.Place, f *scan.File) error {
			if p.Depth() == 0 {
				return scan.ErrOther
			}
			b, err := f.Read(0, f.Size())
			if err != nil {
				return err
			}
			h[p.Member()] = string(b)
			return nil
		}}
}

// examineBytes scans a file and returns what was handed on.
func examineBytes(t testing.TB, content []byte) (scan.Result, handed) {
	t.Helper()
	return examineFile(t, scan.Bytes(content))
}

func examineFile(t testing.TB, f *scan.File) (scan.Result, handed) {
	t.Helper()
	h := handed{}
	formats := scan.NewFormats(scan.Limits{}, Format(), h.format())
	return formats.Scan(t.Context(), f, scan.Options{Tensors: true}), h
}

// said are the rules of the findings, sorted, each once.
func said(res scan.Result) string {
	var ids []string
	for _, f := range res.Findings {
		ids = append(ids, f.Rule)
	}
	slices.Sort(ids)
	return strings.Join(slices.Compact(ids), " ")
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func describe(res scan.Result) string {
	var b strings.Builder
	fmt.Fprintln(&b, res.Verdict, res.Formats)
	for _, f := range res.Findings {
		fmt.Fprintf(&b, "  %s %s: %s\n", f.Rule, f.Where, f.Detail)
	}
	return b.String()
}
