package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/native/seek"
	"github.com/apexlogic/apex/internal/sbom/python"
)

// sharedObjects reads the libraries that wheels carry, those of NVIDIA, and those
// outside of where distributions put theirs; and what is linked into Python's
// extension modules.
func sharedObjects() extract.Extractor {
	table := libraries()
	return extract.Extractor{
		Name: "shared-object",
		Wants: func(p string, _ fs.FileMode, size int64) bool {
			const smallest = 64 // the header of ELF
			return size >= smallest && wantsLibrary(table, p)
		},
		Extract: func(ctx context.Context, f *extract.File, add func(fact.Package)) error {
			return extractLibrary(ctx, table, f, add)
		},
	}
}

func wantsLibrary(table []library, p string) bool {
	name := p[strings.LastIndexByte(p, '/')+1:]
	if !strings.Contains(name, ".so") && !strings.HasSuffix(name, ".dylib") && !strings.HasSuffix(name, ".dll") && !strings.HasSuffix(name, ".pyd") {
		return false
	}
	s, _, ok := stem(name)
	if !ok {
		return false
	}
	if inWheel(p) {
		return true
	}
	l, ok := lookUp(table, s)
	return ok && (l.nvidia || !ofDistribution(p))
}

// inWheel says whether the path is where pip puts things, or where wheels keep
// libraries.
func inWheel(p string) bool {
	return strings.Contains(p, ".libs/") || strings.Contains(p, ".dylibs/") || strings.Contains(p, "site-packages/") || strings.Contains(p, "dist-packages/")
}

// ofDistribution says whether distributions put their libraries there.
func ofDistribution(p string) bool {
	for _, folder := range []string{"usr/lib/", "usr/lib64/", "lib/", "lib64/", "usr/lib32/", "usr/libx32/"} {
		if strings.HasPrefix(p, folder) {
			return true
		}
	}
	return false
}

func extractLibrary(_ context.Context, table []library, f *extract.File, add func(fact.Package)) error {
	switch is, err := isProgram(f); {
	case err != nil:
		return err
	case !is:
		return extract.ErrSkip // a linker script, or a text that is called so
	}
	r, err := seek.Open(f)
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := outline(r)
	if errors.Is(err, errNoProgram) {
		return extract.ErrSkip
	}
	if err != nil {
		return fmt.Errorf("read the headers of %s: %w", f.Path, err)
	}
	soname, needed := p.names()
	file := path.Base(f.Path)
	own, known, carried := identify(table, file, soname)
	var wheel owner
	if inWheel(f.Path) {
		if wheel, err = ownerOf(f); err != nil {
			return err
		}
	}
	emit := func(name, version string, attributes ...string) {
		if name == "" {
			return
		}
		found := fact.Package{
			Ecosystem: "generic", Name: name, Version: version, State: fact.Installed, Path: f.Path, Layer: -1, By: "shared-object",
			Owner: wheel.purl, Attributes: attributes,
		}
		if inWheel(f.Path) {
			found.State = fact.Vendored
		}
		u := packageurl.PackageURL{Type: packageurl.TypeGeneric, Name: name, Version: version, Qualifiers: packageurl.Qualifiers{{Key: "file_name", Value: file}}}
		if u.Normalize() == nil {
			found.PURL = u.ToString()
		}
		add(found)
	}
	hits := p.scan(scanned(table, own, known, needed, inWheel(f.Path)))
	if known || carried {
		emitOwn(own, known, hits, file, soname, wheel, emit)
	}
	for _, h := range hits {
		if !known || h.library != own.name {
			emit(h.library, h.version, "static")
		}
	}
	return nil
}

// identify says which library a file is: a known one, or one that a wheel
// carries, by its own name.
func identify(table []library, file, soname string) (own library, known, carried bool) {
	for _, name := range []string{soname, file} {
		s, _, ok := stem(path.Base(name))
		if !ok {
			continue
		}
		if own, known = lookUp(table, s); known {
			return own, true, true
		}
	}
	s, _, _ := stem(file)
	return library{name: s}, false, strings.HasPrefix(s, "lib")
}

// scanned returns the libraries whose marks are looked for: its own, and what
// can be linked into it, which it does not ask the loader for.
func scanned(table []library, own library, known bool, needed []string, inWheel bool) []library {
	var out []library
	for _, l := range table {
		if known && l.name == own.name {
			if len(l.marks) > 0 && !slices.ContainsFunc(out, func(o library) bool { return o.name == l.name }) {
				out = append(out, l)
			}
			continue
		}
		if !l.static || !inWheel || own.nvidia {
			continue
		}
		asked := slices.ContainsFunc(needed, func(n string) bool {
			s, _, _ := stem(n)
			return slices.Contains(l.stems, s)
		})
		if !asked {
			out = append(out, l)
		}
	}
	return out
}

// emitOwn adds the library that the file is, with the best version there is:
// what its code says, NVIDIA's wheel, the file's name, and last the SONAME.
func emitOwn(own library, known bool, hits []hit, file, soname string, wheel owner, emit func(name, version string, attributes ...string)) {
	for _, h := range hits {
		if known && h.library == own.name {
			emit(own.name, h.version)
			return
		}
	}
	if own.nvidia && strings.HasPrefix(wheel.name, "nvidia-") && wheel.version != "" {
		emit(own.name, wheel.version)
		return
	}
	_, digits, _ := stem(file)
	if own.numbered && isVersion(digits, 3) {
		emit(own.name, digits)
		return
	}
	if digits == "" {
		_, digits, _ = stem(path.Base(soname))
	}
	if digits == "" {
		emit(own.name, "")
		return
	}
	emit(own.name, digits, "soname")
}

// owner is the wheel that brought a file.
type owner struct{ name, version, purl string }

// ownerOf finds the dist-info beside the folder that a library is in: of
// "numpy.libs", "PIL/.dylibs", "nvidia/cublas/lib" or "torch/lib".
func ownerOf(f *extract.File) (owner, error) {
	site, inside := "", f.Path
	for _, folder := range []string{"site-packages/", "dist-packages/"} {
		if i := strings.LastIndex(f.Path, folder); i >= 0 {
			site, inside = f.Path[:i+len(folder)-1], f.Path[i+len(folder):]
		}
	}
	if site == "" {
		// pip --target and Lambda layers: the folder around the wheel's own.
		i := strings.Index(f.Path, ".libs/")
		if i < 0 {
			i = strings.Index(f.Path, "/.dylibs/")
		}
		if i < 0 {
			return owner{}, nil
		}
		j := strings.LastIndexByte(f.Path[:i], '/')
		if j < 0 {
			return owner{}, nil
		}
		site, inside = f.Path[:j], f.Path[j+1:]
	}
	if f.Tree == nil {
		return owner{}, nil
	}
	names, err := f.Tree.List(site)
	if errors.Is(err, fs.ErrNotExist) {
		return owner{}, nil
	}
	if err != nil {
		return owner{}, fmt.Errorf("list %s to find the wheel of %s: %w", site, f.Path, err)
	}
	top, rest, _ := strings.Cut(inside, "/")
	second, _, _ := strings.Cut(rest, "/")
	for _, n := range names {
		base, ok := strings.CutSuffix(n, ".dist-info/")
		if !ok {
			continue
		}
		name, version, _ := strings.Cut(base, "-")
		name = python.Normalize(name)
		if brings(name, top, second) {
			return owner{name, version, python.PURL(name, version)}, nil
		}
	}
	return owner{}, nil
}

// brings says whether a project's wheel has that top-level folder.
func brings(project, top, second string) bool {
	if libs, ok := strings.CutSuffix(top, ".libs"); ok {
		return python.Normalize(libs) == project
	}
	if top == "nvidia" {
		want := "nvidia-" + python.Normalize(second)
		return project == want || strings.HasPrefix(project, want+"-cu")
	}
	if python.Normalize(top) == project {
		return true
	}
	names, known := python.ImportNames(project)
	top, _, _ = strings.Cut(top, ".") // _yaml.cpython-311-x86_64-linux-gnu.so
	return known && slices.Contains(names, top)
}
