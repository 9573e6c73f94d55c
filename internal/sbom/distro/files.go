package distro

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/apexlogic/apex/internal/sbom/extract"
)

const (
	diversions = "var/lib/dpkg/diversions"

	// maxList is a package's list of files; that of the largest kernel sources
	// has 6 MB.
	maxList = 32 << 20
	// maxLists is how many such lists are read.
	maxLists = maxRows
)

// File is what a package recorded about one of its files.
type File struct {
	// Path relative to the root, as the package names it: links in it are not
	// followed.
	Path string
	// Algorithm is "md5", "sha1", "sha256", "sha384" or "sha512", Sum its hex
	// digits; both are "" where the database holds none.
	Algorithm, Sum string
	// Package is the PURL of the package.
	Package string
	// Config marks files that administrators may change, Optional those that an
	// installation may leave out, as documentation.
	Config, Optional bool
}

// Files yields all files of the distribution's packages. What could not be read
// is joined in the error; what was yielded stands.
func Files(ctx context.Context, t extract.Tree, yield func(File)) error {
	return errors.Join(dpkgFiles(ctx, t, true, yield), apkFiles(ctx, t, yield), rpmFiles(ctx, t, yield))
}

// Owners finds the packages that own files: for each key of paths that a
// package names the value becomes the package's PURL. Paths are equal when they
// differ in what a merged /usr makes equal.
func Owners(ctx context.Context, t extract.Tree, paths map[string]string) error {
	same := make(map[string][]string, len(paths))
	for p := range paths {
		same[merged(p)] = append(same[merged(p)], p)
	}
	yield := func(f File) {
		for _, p := range same[merged(f.Path)] {
			paths[p] = f.Package
		}
	}
	return errors.Join(dpkgFiles(ctx, t, false, yield), apkFiles(ctx, t, yield), rpmFiles(ctx, t, yield))
}

// merged returns the path as it is where /bin, /sbin and /lib* are links into
// /usr (file-hierarchy(7)).
func merged(p string) string {
	first, _, ok := strings.Cut(p, "/")
	if ok {
		switch first {
		case "bin", "sbin", "lib", "lib64", "lib32", "libx32":
			return "usr/" + p
		}
	}
	return p
}

// dpkgFiles yields the files that dpkg's packages own: with their sums from the
// md5sums, or all that there are from the lists.
func dpkgFiles(ctx context.Context, t extract.Tree, sums bool, yield func(File)) error {
	d := t.Distribution()
	var problems []error
	status, err := t.Read(dpkgStatus, extract.MaxText)
	if err != nil && !absent(err) {
		return err
	}
	owners := map[string]string{} // "name" and "name:arch" to PURL
	err = readDpkg(ctx, bytes.NewReader(status), func(p *deb) {
		id := purl("deb", d, p.name, p.version, p.arch, "")
		owners[p.name+":"+p.arch] = id
		if owners[p.name] == "" || p.arch == "all" {
			owners[p.name] = id
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %w", dpkgStatus, err)
	}
	moved := readDiversions(t)
	read := func(dir, name, owner string, list bool) {
		data, err := t.Read(dir+name, maxList)
		if err != nil {
			problems = append(problems, err)
			return
		}
		bare, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimSuffix(name, ".list"), ".md5sums"), ":")
		for line := range strings.Lines(string(data)) {
			f := File{Package: owner}
			line = strings.TrimRight(line, "\r\n")
			if list {
				f.Path = line
			} else {
				// "<md5>  <path>"
				sum, rest, ok := strings.Cut(line, " ")
				if !ok || len(sum) != 32 {
					continue
				}
				f.Path, f.Algorithm, f.Sum = strings.TrimLeft(rest, " *"), "md5", strings.ToLower(sum)
			}
			if f.Path = inTree(f.Path); f.Path == "" {
				continue
			}
			if to, ok := moved[f.Path]; ok && to.by != bare {
				f.Path = to.path
			}
			f.Optional = optional(f.Path)
			yield(f)
		}
	}
	names, err := t.List(strings.TrimSuffix(dpkgInfo, "/"))
	if err != nil && !absent(err) {
		problems = append(problems, err)
	}
	suffix := ".list"
	if sums {
		suffix = ".md5sums"
	}
	for i, name := range names {
		if i > maxLists || ctx.Err() != nil {
			return errors.Join(append(problems, ctx.Err())...)
		}
		if stem, ok := strings.CutSuffix(name, suffix); ok && owners[stem] != "" {
			read(dpkgInfo, name, owners[stem], !sums)
		}
	}
	// Distroless images have a paragraph and its md5sums beside it for each package.
	names, err = t.List(strings.TrimSuffix(dpkgStatusD, "/"))
	if err != nil && !absent(err) {
		problems = append(problems, err)
	}
	for i, name := range names {
		if i > maxLists || ctx.Err() != nil {
			return errors.Join(append(problems, ctx.Err())...)
		}
		stem, ok := strings.CutSuffix(name, ".md5sums")
		if !ok {
			continue
		}
		data, err := t.Read(dpkgStatusD+stem, maxList)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		err = readDpkg(ctx, bytes.NewReader(data), func(p *deb) {
			read(dpkgStatusD, name, purl("deb", d, p.name, p.version, p.arch, ""), false)
		})
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", dpkgStatusD+stem, err))
		}
	}
	return errors.Join(problems...)
}

// diverted is where dpkg puts a file instead, unless the package by brings it
// (dpkg-divert(1)).
type diverted struct{ path, by string }

// readDiversions reads dpkg's list: three lines each, the path, where it goes,
// and the package for which it does not.
func readDiversions(t extract.Tree) map[string]diverted {
	data, err := t.Read(diversions, maxList)
	if err != nil {
		return nil
	}
	lines := strings.Split(string(data), "\n")
	out := map[string]diverted{}
	for i := 0; i+2 < len(lines); i += 3 {
		out[inTree(lines[i])] = diverted{inTree(lines[i+1]), lines[i+2]}
	}
	return out
}

// optional reports whether installations are used to leave the file out: the
// path-exclude of container images, nodocs of rpm.
func optional(p string) bool {
	for _, dir := range []string{"usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/", "usr/share/lintian/", "usr/share/linda/", "usr/share/groff/", "usr/share/gtk-doc/", "usr/share/licenses/"} {
		if strings.HasPrefix(p, dir) {
			return true
		}
	}
	return false
}

func inTree(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func apkFiles(ctx context.Context, t extract.Tree, yield func(File)) error {
	d := t.Distribution()
	var problems []error
	seen := map[string]bool{}
	for _, at := range []string{apkOld, apkNew} {
		data, err := t.Read(at, extract.MaxText)
		if absent(err) {
			continue
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if seen[string(data)] {
			continue // lib is a link to usr/lib
		}
		seen[string(data)] = true
		var files []apkFile
		err = readApk(ctx, bytes.NewReader(data), func(p *apk) {
			id := purl("apk", d, p.name, p.version, p.arch, "")
			for _, f := range files {
				out := File{Path: inTree(f.path), Package: id, Config: strings.HasPrefix(f.path, "etc/"), Optional: optional(f.path)}
				out.Algorithm, out.Sum = apkSum(f.sum)
				yield(out)
			}
			files = files[:0]
		}, func(f apkFile) { files = append(files, f) })
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", at, err))
		}
	}
	return errors.Join(problems...)
}
