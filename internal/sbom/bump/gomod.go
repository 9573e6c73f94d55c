package bump

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// stdlib is the name under which advisories speak of Go's standard library.
const stdlib = "stdlib"

// findGoMod finds the versions of what go.mod requires and replaces with, and
// of the toolchain. The inventory lists the same: a module that is replaced is
// not used, and one that is replaced by a folder has no version.
func findGoMod(f *File) error {
	const bom = "\xef\xbb\xbf"
	text, cut := strings.CutPrefix(string(f.data), bom)
	skipped := 0
	if cut {
		skipped = len(bom)
	}
	mod, err := modfile.Parse(f.Path, []byte(text), nil)
	if err != nil {
		var list modfile.ErrorList
		if errors.As(err, &list) && len(list) > 0 {
			err = list[0].Err // one is enough, and they may be thousands
		}
		return err
	}
	pin := func(line *modfile.Line, name, version string) error {
		begin, start, ok := within(text, line, name, version)
		if !ok {
			return nil // it is quoted
		}
		p := Pin{Ecosystem: golang, Name: name, Version: version, begin: begin, start: start, end: start + len(version)}
		return f.add(p.at(skipped))
	}
	replaced := map[module.Version]bool{}
	for _, r := range mod.Replace {
		replaced[r.Old] = true
	}
	for _, r := range mod.Require {
		if replaced[r.Mod] || replaced[module.Version{Path: r.Mod.Path}] {
			continue
		}
		if err := pin(r.Syntax, r.Mod.Path, r.Mod.Version); err != nil {
			return err
		}
	}
	for _, r := range mod.Replace {
		if r.New.Version == "" {
			continue
		}
		if err := pin(r.Syntax, r.New.Path, r.New.Version); err != nil {
			return err
		}
	}
	line, word, held := (*modfile.Line)(nil), "", ""
	switch {
	case mod.Toolchain != nil && strings.HasPrefix(mod.Toolchain.Name, "go"):
		line, word = mod.Toolchain.Syntax, strings.TrimPrefix(mod.Toolchain.Name, "go")
		if strings.Contains(word, "-") {
			held = "the toolchain is a build of somebody's own"
			word, _, _ = strings.Cut(word, "-")
		}
	case mod.Go != nil:
		line, word = mod.Go.Syntax, mod.Go.Version
		held = "the go line chooses the language as well; a toolchain line chooses the standard library alone"
	default:
		return nil
	}
	at := strings.LastIndex(text[line.Start.Byte:line.End.Byte], word)
	if at < 0 {
		return nil
	}
	start := line.Start.Byte + at
	p := Pin{Ecosystem: golang, Name: stdlib, Version: FullGo(word), Held: held, begin: line.Start.Byte, start: start, end: start + len(word)}
	return f.add(p.at(skipped))
}

// FullGo returns a version of Go with its patch level, as releases are called
// and advisories know them: "1.22" is "1.22.0".
func FullGo(version string) string {
	if strings.Count(version, ".") == 1 && !strings.ContainsAny(version, "rb") {
		version += ".0"
	}
	return version
}

// within finds the last "name version" of a line.
func within(text string, line *modfile.Line, name, version string) (begin, start int, ok bool) {
	whole := text[line.Start.Byte:line.End.Byte]
	at := strings.LastIndex(whole, version)
	if at < 0 || at+len(version) != len(strings.TrimRight(whole, " \t\r")) {
		return 0, 0, false
	}
	before := strings.TrimRight(whole[:at], " \t")
	if len(before) == at || !strings.HasSuffix(before, name) {
		return 0, 0, false
	}
	return line.Start.Byte + len(before) - len(name), line.Start.Byte + at, true
}

// spellGo writes "1.2.3" as modules have it, and refuses another major version:
// it is a module of another path.
func spellGo(p *Pin, version string) (string, error) {
	bare := strings.TrimPrefix(strings.TrimPrefix(version, "go"), "v")
	if p.Name == stdlib {
		return bare, nil
	}
	v := "v" + bare
	if !semver.IsValid(v) || semver.Canonical(v) != strings.TrimSuffix(v, semver.Build(v)) {
		return "", fmt.Errorf("%.80q is not a version that a Go module could have", version)
	}
	if strings.HasSuffix(p.Version, "+incompatible") && !strings.HasSuffix(v, "+incompatible") {
		v += "+incompatible"
	}
	_, major, ok := module.SplitPathVersion(p.Name)
	if !ok || module.CheckPathMajor(v, major) != nil {
		return "", fmt.Errorf("%s is a module of another path: its imports have to change", v)
	}
	return v, nil
}
