package native

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

// maxCUDA bounds version.json, which has 3 KB, and maxParts what it names.
const (
	maxCUDA  = 1 << 20
	maxParts = 1000
)

// cudaToolkit reads the version.json that NVIDIA's toolkit puts beside itself,
// in /usr/local/cuda-12.4, with or without a package manager.
func cudaToolkit() extract.Extractor {
	return extract.Extractor{
		Name: "cuda",
		Wants: func(p string, _ fs.FileMode, size int64) bool {
			folder, ok := strings.CutSuffix(p, "/version.json")
			return ok && size <= maxCUDA && strings.HasPrefix(folder[strings.LastIndexByte(folder, '/')+1:], "cuda")
		},
		Extract: extractCUDA,
	}
}

func extractCUDA(_ context.Context, f *extract.File, add func(fact.Package)) error {
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("open %s: %w", f.Path, err)
	}
	defer r.Close()
	data, err := bounded.ReadAll(r, maxCUDA)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	var parts map[string]struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	const depth = 4
	if err := (bounded.Rules{Depth: depth, Keys: maxParts}).Unmarshal(data, &parts); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		version := clean(parts[key].Version)
		if version == "" || key == "" || len(key) > 128 {
			continue
		}
		p := fact.Package{Ecosystem: "generic", Name: key, Version: version, State: fact.Installed, Path: f.Path, Layer: -1, By: "cuda"}
		u := packageurl.PackageURL{Type: packageurl.TypeGeneric, Name: key, Version: version}
		if u.Normalize() == nil {
			p.PURL = u.ToString()
		}
		add(p)
	}
	return nil
}
