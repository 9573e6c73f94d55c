package python

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

func wantsConda(p string, _ fs.FileMode, _ int64) bool {
	if !strings.HasSuffix(p, ".json") {
		return false
	}
	folder, _, _ := cutLast(p)
	return folder == "conda-meta" || strings.HasSuffix(folder, "/conda-meta")
}

func cutLast(p string) (folder, base string, ok bool) {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return "", p, false
	}
	return p[:i], p[i+1:], true
}

// condaRecord is what conda, mamba and micromamba write for one package.
type condaRecord struct {
	Name    string          `json:"name"`
	Version string          `json:"version"`
	Build   string          `json:"build"`
	Channel string          `json:"channel"`
	Subdir  string          `json:"subdir"`
	Arch    string          `json:"arch"`
	License string          `json:"license"`
	MD5     string          `json:"md5"`
	SHA256  string          `json:"sha256"`
	Fn      string          `json:"fn"`
	Spec    string          `json:"requested_spec"`
	Files   []string        `json:"files"`
	Noarch  json.RawMessage `json:"noarch"`
}

// extractConda reads one record of an environment that conda manages. A Python
// package that left no dist-info there is added once more, as the PyPI package
// that it was built from.
func extractConda(_ context.Context, f *extract.File, add func(fact.Package)) error {
	data, err := read(f, extract.MaxText)
	if err != nil {
		return err
	}
	var c condaRecord
	const depth = 16 // five are seen; "link" and "paths_data" may grow
	if err := bounded.JSON(data, depth, &c); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if c.Name == "" || c.Version == "" {
		return extract.ErrSkip // pinned, history.json and other files of conda
	}
	if len(c.Name) > maxName || len(c.Version) > maxName {
		return fmt.Errorf("%s: its name or version is longer than %d bytes", f.Path, maxName)
	}
	p := fact.Package{
		Ecosystem: "conda", Name: c.Name, Version: c.Version, Arch: c.Arch, Path: f.Path, Layer: -1, By: "conda",
		PURL: purl("conda", c.Name, c.Version, "build", c.Build, "channel", channel(c.Channel), "subdir", c.Subdir, "type", archiveType(c.Fn)),
	}
	if c.License != "" {
		p.Licenses = []string{c.License}
	}
	if c.SHA256 != "" {
		p.Hashes = append(p.Hashes, "sha256:"+c.SHA256)
	}
	if c.MD5 != "" {
		p.Hashes = append(p.Hashes, "md5:"+c.MD5)
	}
	if c.Spec != "" && c.Spec != "None" {
		p.Attributes = append(p.Attributes, "direct")
	}
	modules, described := condaPython(c.Files)
	p.Modules = modules
	add(p)
	if len(modules) == 0 || described {
		return nil
	}
	py := fact.Package{
		Ecosystem: Ecosystem, Name: pypiName(c.Name), Version: c.Version, Licenses: p.Licenses, Path: f.Path, Layer: -1,
		By: "conda", Owner: p.PURL, Modules: modules, Attributes: []string{"mapped"},
	}
	py.PURL = PURL(py.Name, py.Version)
	add(py)
	return nil
}

// condaPython says which modules the files of a package are, and whether they
// describe themselves, so that the other extractors find them.
func condaPython(files []string) (modules []string, described bool) {
	var record strings.Builder
	for _, name := range files {
		_, rest, ok := strings.Cut(name, "site-packages/")
		if !ok {
			continue
		}
		if strings.HasSuffix(rest, ".dist-info/METADATA") || strings.HasSuffix(rest, ".egg-info/PKG-INFO") || strings.HasSuffix(rest, ".egg-info") {
			described = true
		}
		if !strings.ContainsAny(rest, "\n\r\",") {
			record.WriteString(rest)
			record.WriteString(",,\n")
		}
	}
	return recordModules([]byte(record.String())), described
}

// channel returns the channel's name, without the host and what may be secret.
func channel(c string) string {
	if strings.Contains(c, "://") {
		c = CleanURL(c)
		c = strings.TrimSuffix(c, "/")
		if subdir := path.Base(c); subdir == "noarch" || strings.Contains(subdir, "-64") || strings.HasSuffix(subdir, "-aarch64") {
			c = path.Dir(c)
		}
		c = path.Base(c)
	}
	return c
}

func archiveType(fn string) string {
	switch {
	case strings.HasSuffix(fn, ".conda"):
		return "conda"
	case strings.HasSuffix(fn, ".tar.bz2"):
		return "tar.bz2"
	}
	return ""
}

// pypiName returns what a conda package is called on PyPI.
func pypiName(conda string) string {
	switch conda {
	case "pytorch", "pytorch-cpu", "pytorch-gpu", "libtorch":
		return "torch"
	case "opencv", "py-opencv", "libopencv":
		return "opencv-python"
	case "tensorflow-base":
		return "tensorflow"
	case "matplotlib-base":
		return "matplotlib"
	case "msgpack-python":
		return "msgpack"
	case "redis-py":
		return "redis"
	case "python-graphviz":
		return "graphviz"
	case "py-xgboost", "py-xgboost-cpu", "py-xgboost-gpu":
		return "xgboost"
	case "pyarrow-core":
		return "pyarrow"
	case "ray-core", "ray-default", "ray-serve":
		return "ray"
	case "dask-core":
		return "dask"
	case "python-flatbuffers":
		return "flatbuffers"
	case "python-kubernetes":
		return "kubernetes"
	case "python-lmdb":
		return "lmdb"
	case "brotlipy", "brotli-python":
		return "brotli"
	case "apache-airflow-base", "airflow":
		return "apache-airflow"
	case "pytables":
		return "tables"
	}
	return conda
}
