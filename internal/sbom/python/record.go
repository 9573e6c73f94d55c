package python

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"
)

const (
	// maxRecordFiles bounds the rows of a RECORD that are looked at; the largest
	// wheels have some ten thousand files.
	maxRecordFiles = 200_000
	// maxModulePath and maxModuleDepth bound a module's path, because every folder
	// around it is looked at; the deepest real ones have some twelve.
	maxModulePath  = 1024
	maxModuleDepth = 64
)

// RecordFile is one row of a RECORD file.
type RecordFile struct {
	// Path is relative to the folder that holds the dist-info folder; it may
	// begin with "../" or be absolute.
	Path string
	// Hash is "sha256=<base64url without padding>", "" where none is recorded.
	Hash string
	// Size in bytes as written, "" where none is recorded.
	Size string
}

// ParseRecord reads the rows of a RECORD file (PEP 376, PEP 427). Rows that have
// no path are left out, and those after the 200,000th.
func ParseRecord(data []byte) []RecordFile {
	var out []RecordFile
	for len(data) > 0 && len(out) < maxRecordFiles {
		var line []byte
		line, data = cutLine(data)
		var f RecordFile
		f.Path, line = cutField(line)
		f.Hash, line = cutField(line)
		f.Size, _ = cutField(line)
		if f.Path != "" {
			out = append(out, f)
		}
	}
	return out
}

// cutField returns the first field of a line of comma-separated values.
func cutField(line []byte) (string, []byte) {
	if len(line) == 0 || line[0] != '"' {
		value, rest, _ := bytes.Cut(line, []byte(","))
		return string(value), rest
	}
	var value []byte
	for i := 1; i < len(line); i++ {
		if line[i] != '"' {
			value = append(value, line[i])
			continue
		}
		if i+1 < len(line) && line[i+1] == '"' { // a doubled quote is one
			value = append(value, '"')
			i++
			continue
		}
		_, rest, _ := bytes.Cut(line[i+1:], []byte(","))
		return string(value), rest
	}
	return string(value), nil
}

// modulesOf returns the names by which a program imports the package. The files
// that it installed say it best, because top_level.txt names only "google" for
// google.protobuf; the table of well-known packages stands in for both.
func modulesOf(name string, record, topLevel []byte) []string {
	if m := recordModules(record); len(m) > 0 {
		return m
	}
	var out []string
	for len(topLevel) > 0 && len(out) < maxModules {
		var line []byte
		line, topLevel = cutLine(topLevel)
		if m := field(line); isDotted(m) {
			out = append(out, m)
		}
	}
	if len(out) > 0 {
		slices.Sort(out)
		return slices.Compact(out)
	}
	names, _ := ImportNames(name)
	return names
}

// recordModules finds the importable roots among the files of a RECORD: the
// outermost folders that have an __init__, and modules outside of any such.
func recordModules(record []byte) []string {
	packages := map[string]bool{} // folders with an __init__
	loose := map[string]bool{}    // folder/module of every other module
	for _, f := range ParseRecord(record) {
		module, ok := moduleFile(f.Path)
		if !ok {
			continue
		}
		folder, base := path.Split(module)
		if folder = strings.TrimSuffix(folder, "/"); base == "__init__" {
			packages[folder] = true
		} else {
			loose[module] = true
		}
	}
	out := map[string]bool{}
	for folder := range packages {
		if !within(packages, path.Dir(folder)) {
			out[dotted(folder)] = true
		}
	}
	for module := range loose {
		folder := path.Dir(module)
		switch {
		case folder == ".":
			out[dotted(module)] = true
		case !within(packages, folder):
			out[dotted(folder)] = true // a namespace package
		}
	}
	delete(out, "")
	names := slices.Sorted(maps.Keys(out))
	return names[:min(len(names), maxModules)]
}

// moduleFile returns the path without the ending of a file that can be imported.
func moduleFile(p string) (module string, ok bool) {
	if p == "" || p[0] == '/' || strings.HasPrefix(p, "..") || strings.HasPrefix(p, "__pycache__/") {
		return "", false
	}
	folder, base := path.Split(p)
	name, ending, ok := strings.Cut(base, ".")
	if !ok || len(p) > maxModulePath || strings.Count(p, "/") > maxModuleDepth {
		return "", false
	}
	switch {
	case ending == "py":
	// Extension modules: "so", "abi3.so", "cpython-311-x86_64-linux-gnu.so", "cp311-win_amd64.pyd".
	// A shared library is called lib… and goes on after its ending: it is no module.
	case ending == "so", ending == "abi3.so", ending == "pyd",
		strings.HasPrefix(ending, "cpython-") && strings.HasSuffix(ending, ".so"),
		strings.HasPrefix(ending, "cp") && strings.HasSuffix(ending, ".pyd"):
		if strings.HasPrefix(name, "lib") && ending == "so" {
			return "", false
		}
	default:
		return "", false
	}
	return folder + name, true
}

// within says whether the folder or one around it is a package.
func within(packages map[string]bool, folder string) bool {
	for folder != "." && folder != "/" && folder != "" {
		if packages[folder] {
			return true
		}
		folder = path.Dir(folder)
	}
	return false
}

// dotted returns the import name of a folder or module, "" when it has none.
func dotted(p string) string {
	name := strings.ReplaceAll(p, "/", ".")
	if strings.Contains(p, ".") || !isDotted(name) { // name-1.0.data/scripts, folders with dashes
		return ""
	}
	return name
}
