package native

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/native/seek"
)

const (
	// smallestGo is what no Go program is smaller than: "hello" has over a megabyte.
	smallestGo = 256 << 10
	// maxDeps bounds the modules of one program.
	maxDeps = 20_000
)

// goProgram reads the build information of Go programs and of libraries that Go
// built.
func goProgram() extract.Extractor {
	return extract.Extractor{
		Name: "go-program",
		Wants: func(p string, mode fs.FileMode, size int64) bool {
			if size < smallestGo {
				return false
			}
			return mode&0o111 != 0 || strings.HasSuffix(p, ".exe") || strings.HasSuffix(p, ".so") || strings.HasSuffix(p, ".dll") ||
				strings.HasSuffix(p, ".dylib") || strings.Contains(p, "bin/")
		},
		Extract: extractGo,
	}
}

func extractGo(_ context.Context, f *extract.File, add func(fact.Package)) error {
	switch is, err := isProgram(f); {
	case err != nil:
		return err
	case !is:
		return extract.ErrSkip
	}
	r, err := seek.Open(f)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := ReadBuildInfo(r)
	if errors.Is(err, ErrNotGo) {
		return extract.ErrSkip
	}
	if err != nil {
		return fmt.Errorf("read the Go build information of %s: %w", f.Path, err)
	}
	for _, p := range goPackages(info) {
		p.Path, p.Layer, p.By = f.Path, -1, "go-program"
		add(p)
	}
	if len(info.Deps) > maxDeps {
		return fmt.Errorf("%s names more than %d modules", f.Path, maxDeps)
	}
	return nil
}

// isProgram looks at the first bytes only: most files that may be run are
// scripts, and a stream need not be kept for them.
func isProgram(f *extract.File) (bool, error) {
	r, err := f.Open()
	if err != nil {
		return false, fmt.Errorf("open %s: %w", f.Path, err)
	}
	defer r.Close()
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		return false, err
	}
	switch binary.BigEndian.Uint32(head[:]) {
	case 0x7f454c46, 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe, 0xcafebabe, 0xcafebabf:
		return true, nil
	}
	return head[0] == 'M' && head[1] == 'Z', nil
}

// goPackages lists what a program was built from: the standard library, itself,
// and its modules.
func goPackages(info *debug.BuildInfo) []fact.Package {
	out := []fact.Package{goModule("stdlib", stdlibVersion(info.GoVersion))}
	if m := info.Main; m.Path != "" {
		version, devel := m.Version, m.Version == "" || m.Version == "(devel)"
		if devel {
			version = linkedVersion(info)
		}
		p := goModule(m.Path, version)
		p.Attributes = append(p.Attributes, "main")
		if devel {
			p.Attributes = append(p.Attributes, "devel")
		}
		p.Hashes = sum(m.Sum)
		out = append(out, p)
	}
	for _, d := range info.Deps[:min(len(info.Deps), maxDeps)] {
		if d == nil || d.Path == "" {
			continue
		}
		used, local := d, false
		if d.Replace != nil {
			// A replacement with a version is another module. A folder is the
			// same module with changes that nothing here can tell.
			if local = d.Replace.Version == "" || d.Replace.Version == "(devel)"; !local {
				used = d.Replace
			}
		}
		p := goModule(used.Path, used.Version)
		p.Hashes = sum(used.Sum)
		if local {
			p.Attributes = append(p.Attributes, "replaced")
			p.Hashes = nil
		}
		if used.Version == "(devel)" {
			p.Version, p.PURL = "", goModule(used.Path, "").PURL
			p.Attributes = append(p.Attributes, "devel")
		}
		out = append(out, p)
	}
	return out
}

// goModule makes a package of a module. Versions keep their "v", which the
// standard library has none of.
func goModule(path, version string) fact.Package {
	path, version = clean(path), clean(version)
	u := packageurl.PackageURL{Type: packageurl.TypeGolang, Name: path, Version: version}
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		u.Namespace, u.Name = path[:i], path[i+1:]
	}
	p := fact.Package{Ecosystem: "Go", Name: path, Version: version, State: fact.Linked}
	if u.Normalize() == nil {
		p.PURL = u.ToString()
	}
	return p
}

// clean keeps what a program says of itself printable and short.
func clean(s string) string {
	const most = 1024
	return strings.ToValidUTF8(s[:min(len(s), most)], "\uFFFD")
}

// sum keeps the checksum of go.sum as it is written there.
func sum(s string) []string {
	if !strings.HasPrefix(s, "h1:") || len(s) > 64 {
		return nil
	}
	return []string{s}
}

// stdlibVersion turns "go1.22.3", "go1.23rc1" and "go1.21.9 X:boringcrypto" into
// the version by which advisories know the standard library, "" for a toolchain
// that was built from a working copy.
func stdlibVersion(goVersion string) string {
	v, _, _ := strings.Cut(strings.TrimSpace(goVersion), " ")
	v, ok := strings.CutPrefix(v, "go")
	if !ok {
		return ""
	}
	v, _, _ = strings.Cut(v, "-") // vendors add their own: "go1.22.3-fips"
	v, _, _ = strings.Cut(v, "+")
	pre := ""
	for _, mark := range []string{"rc", "beta"} {
		if before, after, found := strings.Cut(v, mark); found {
			v, pre = before, "-"+mark+"."+after
		}
	}
	for range 2 - min(2, strings.Count(v, ".")) {
		v += ".0"
	}
	for i := range len(v) {
		if c := v[i]; c != '.' && (c < '0' || c > '9') {
			return ""
		}
	}
	return v + pre
}

// linkedVersion finds what "-ldflags -X importpath.Version=v1.2.3" told a
// program that was built from a working copy, for a variable of the program's
// own. Nothing else says which release of itself it is.
func linkedVersion(info *debug.BuildInfo) string {
	for _, s := range info.Settings {
		if s.Key != "-ldflags" {
			continue
		}
		for word := range strings.FieldsSeq(s.Value) {
			word = strings.Trim(strings.TrimPrefix(word, "-X="), `"'`)
			name, value, ok := strings.Cut(word, "=")
			i := strings.LastIndexByte(name, '.')
			if !ok || i < 0 || !isVersionName(name[i+1:]) {
				continue
			}
			if in := name[:i]; in != "main" && in != info.Main.Path && !strings.HasPrefix(in, info.Main.Path+"/") {
				continue
			}
			value = strings.TrimPrefix(strings.Trim(value, `"'`), "v")
			if isRelease(value) {
				return "v" + value
			}
		}
	}
	return ""
}

func isVersionName(name string) bool {
	switch strings.ToLower(name) {
	case "version", "gitversion", "buildversion", "appversion", "releaseversion":
		return true
	}
	return false
}

// isRelease says whether the text is three numbers, and what semantic versioning
// allows after them.
func isRelease(v string) bool {
	core, _, _ := strings.Cut(v, "+")
	core, _, _ = strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	if len(parts) != 3 || len(v) > 128 {
		return false
	}
	for _, part := range parts {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return strings.Trim(v, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-+") == ""
}
