package sbom

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

// entry is one entry of a layer's archive.
type entry struct {
	name string
	text string
	kind byte // tar.TypeReg unless given
	link string
}

func file(name, text string) entry { return entry{name: name, text: text, kind: tar.TypeReg} }
func symlink(name, target string) entry {
	return entry{name: name, link: target, kind: tar.TypeSymlink}
}
func hardlink(name, target string) entry { return entry{name: name, link: target, kind: tar.TypeLink} }
func dir(name string) entry              { return entry{name: name, kind: tar.TypeDir} }

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: 0o644, Size: int64(len(e.text))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// layout writes an OCI image layout with the layers, gzipped.
func layout(t testing.TB, layers ...[]entry) string {
	t.Helper()
	var raw [][]byte
	for _, entries := range layers {
		raw = append(raw, archive(t, entries...))
	}
	return layoutOf(t, raw...)
}

func layoutOf(t testing.TB, layers ...[]byte) string {
	t.Helper()
	root := t.TempDir()
	blob := func(data []byte) string {
		sum := sha256.Sum256(data)
		name := hex.EncodeToString(sum[:])
		put(t, root, "blobs/sha256/"+name, string(data))
		return "sha256:" + name
	}
	marshal := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	type object = map[string]any
	descriptor := func(kind string, data []byte) object {
		return object{"mediaType": kind, "digest": blob(data), "size": len(data)}
	}
	diffIDs, stored := []string{}, []object{}
	for _, l := range layers {
		sum := sha256.Sum256(l)
		diffIDs = append(diffIDs, "sha256:"+hex.EncodeToString(sum[:]))
		var z bytes.Buffer
		w, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed)
		if _, err := w.Write(l); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		stored = append(stored, descriptor("application/vnd.oci.image.layer.v1.tar+gzip", z.Bytes()))
	}
	config := marshal(object{"os": "linux", "architecture": "amd64", "rootfs": object{"type": "layers", "diff_ids": diffIDs}})
	manifest := marshal(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor("application/vnd.oci.image.config.v1+json", config), "layers": stored,
	})
	index := marshal(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
		"manifests": []object{descriptor("application/vnd.oci.image.manifest.v1+json", manifest)},
	})
	put(t, root, "index.json", string(index))
	put(t, root, "oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	return root
}

func put(t testing.TB, root, name, text string) {
	t.Helper()
	full := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// open opens what lies at the path until the test ends.
func open(t testing.TB, path string) Source {
	t.Helper()
	src, err := Open(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

// notes is an extractor of files called NOTE: each line names a package. A line
// "read PATH" names what the file at the path says instead.
func notes() extract.Extractor {
	return extract.Extractor{
		Name:  "note",
		Wants: func(p string, _ fs.FileMode, _ int64) bool { return path.Base(p) == "NOTE" },
		Extract: func(_ context.Context, f *extract.File, add func(fact.Package)) error {
			r, err := f.Open()
			if err != nil {
				return err
			}
			defer r.Close()
			data, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(data)) {
				line = strings.TrimSpace(line)
				if name, ok := strings.CutPrefix(line, "read "); ok {
					more, err := f.Tree.Read(name, 1<<20)
					if err != nil {
						return err
					}
					line = strings.TrimSpace(string(more))
				}
				if line != "" {
					add(fact.Package{Ecosystem: "generic", Name: line})
				}
			}
			return nil
		},
	}
}

// takes collects with the one extractor.
func takes(t testing.TB, src Source, with ...extract.Extractor) fact.Inventory {
	t.Helper()
	c, err := collect(t.Context(), src, Options{Scratch: t.TempDir()}, with)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.inventory()
}

// short writes an inventory as "path name layer [removed]" lines.
func short(inv fact.Inventory) string {
	var b strings.Builder
	for _, p := range inv.Packages {
		b.WriteString(p.Path + " " + p.Name + " " + string(rune('0'+max(p.Layer, 0))))
		if p.Removed {
			b.WriteString(" removed")
		}
		b.WriteString("\n")
	}
	for _, g := range inv.Gaps {
		b.WriteString("gap " + g.Path + ": " + g.Why + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
