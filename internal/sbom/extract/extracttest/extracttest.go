// Package extracttest runs extractors over file systems that tests make.
//
// Start with [Files] for the file system and [Find] for what is found in it.
package extracttest

import (
	"errors"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

// Files makes a file system of pairs of path and content.
func Files(pairs ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return out
}

// Tree is a file system as extractors see one. It is of no distribution.
type Tree struct{ FS fs.FS }

// Read returns a file's bytes, at most limit of them.
func (t Tree) Read(path string, limit int64) ([]byte, error) {
	f, err := t.FS.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return bounded.ReadAll(f, limit)
}

// List returns the names in a folder; folders end in a slash.
func (t Tree) List(path string) ([]string, error) {
	entries, err := fs.ReadDir(t.FS, path)
	var out []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		out = append(out, name)
	}
	return out, err
}

// Distribution is none.
func (Tree) Distribution() fact.Distribution { return fact.Distribution{} }

// File is one file of the file system. It can only be streamed, which is the
// harder case for those who would rather read it in parts.
func File(fsys fs.FS, path string) *extract.File {
	f := &extract.File{Path: path, Tree: Tree{fsys}, Open: func() (io.ReadCloser, error) { return fsys.Open(path) }}
	if info, err := fs.Stat(fsys, path); err == nil {
		f.Size, f.Mode = info.Size(), info.Mode()
	}
	return f
}

// Find runs the extractors over all files, in the order of paths, and returns
// what they find and what they could not read. A package that does not say which
// extractor found it, or not in this file, or that claims a layer, fails the test.
func Find(t testing.TB, fsys fs.FS, extractors []extract.Extractor) ([]fact.Package, error) {
	t.Helper()
	var out []fact.Package
	var problems []error
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f := File(fsys, p)
		for _, x := range extractors {
			if !x.Wants(p, f.Mode, f.Size) {
				continue
			}
			err := x.Extract(t.Context(), f, func(found fact.Package) {
				if found.Path != p || found.By != x.Name || found.Layer != -1 {
					t.Errorf("%s by %s (layer %d) was found in %s by %s", found.Path, found.By, found.Layer, p, x.Name)
				}
				out = append(out, found)
			})
			if err != nil && !errors.Is(err, extract.ErrSkip) {
				problems = append(problems, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, errors.Join(problems...)
}
