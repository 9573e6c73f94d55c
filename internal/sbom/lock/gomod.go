package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/apexlogic/apex/internal/fact"
)

// maxGoSum bounds go.sum; those of the largest programs have 1 MB.
const maxGoSum = 32 << 20

// parseGoMod reads go.mod, and the hashes of go.sum beside it. Since Go 1.17 it
// names every module that is needed, in the version that is used; before that
// only the least versions of some.
func parseGoMod(l *list, data []byte) error {
	f, err := modfile.Parse(l.file.Path, data, nil)
	if err != nil {
		var list modfile.ErrorList
		if errors.As(err, &list) && len(list) > 0 {
			err = list[0].Err // one is enough, and they may be thousands
		}
		return err
	}
	sums, err := goSums(l)
	if err != nil {
		return err
	}
	state := fact.Declared
	if f.Go != nil && semver.Compare("v"+f.Go.Version, "v1.17") >= 0 {
		state = fact.Locked
	}
	// The last replacement of a version counts, and one of a version before one
	// of all versions.
	type module struct{ path, version string }
	replaced := map[module]modfile.Replace{}
	for _, r := range f.Replace {
		replaced[module{r.Old.Path, r.Old.Version}] = *r
	}
	for _, r := range f.Require {
		name, version, local := r.Mod.Path, r.Mod.Version, false
		by, ok := replaced[module{name, version}]
		if !ok {
			by, ok = replaced[module{name, ""}]
		}
		if ok {
			if local = by.New.Version == ""; !local {
				name, version = by.New.Path, by.New.Version
			}
		}
		p := golang.at(name, version)
		p.State = state
		p.Attributes = attributes(attribute{"direct", !r.Indirect}, attribute{"replaced", local})
		if sum := sums[name+" "+version]; sum != "" && !local {
			p.Hashes = []string{sum}
		}
		if err := l.put(p); err != nil {
			return err
		}
	}
	return l.goStandard(f)
}

// goStandard adds the standard library in the version that go.mod asks for,
// which a newer toolchain may exceed.
func (l *list) goStandard(f *modfile.File) error {
	version := ""
	switch {
	case f.Toolchain != nil && strings.HasPrefix(f.Toolchain.Name, "go"):
		version, _, _ = strings.Cut(strings.TrimPrefix(f.Toolchain.Name, "go"), "-")
	case f.Go != nil:
		version = f.Go.Version
	default:
		return nil
	}
	if strings.Count(version, ".") == 1 && !strings.ContainsAny(version, "rb") {
		version += ".0"
	}
	p := golang.at("stdlib", version)
	p.State = fact.Declared
	return l.put(p)
}

// goSums returns the hashes of modules by "path version". They stay as go.sum
// has them, "h1:" and base64: they are of a list of files, not of an archive.
func goSums(l *list) (map[string]string, error) {
	if l.file.Tree == nil {
		return nil, nil
	}
	data, err := l.file.Tree.Read(path.Join(path.Dir(l.file.Path), "go.sum"), maxGoSum)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read go.sum beside it: %w", err)
	}
	out := map[string]string{}
	for len(data) > 0 && len(out) < maxPackages {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		fields := bytes.Fields(line[:min(len(line), 4*maxName)])
		if len(fields) == 3 && bytes.HasPrefix(fields[2], []byte("h1:")) && len(fields[2]) < 64 && !bytes.HasSuffix(fields[1], []byte("/go.mod")) {
			out[string(fields[0])+" "+string(fields[1])] = string(fields[2])
		}
	}
	return out, nil
}
