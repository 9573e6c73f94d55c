package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/advisory/order"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/bump"
	"github.com/apexlogic/apex/internal/sbom/purl"
)

const (
	// maxPinFiles bounds the files with pins; large repositories have some
	// hundred.
	maxPinFiles = 10_000
	// maxPinBytes bounds them all together: they are kept until the plan is proved.
	maxPinBytes = 256 << 20
)

// pinFiles are the files of a folder that pin versions, and its lock files.
type pinFiles struct {
	root  *os.Root
	files map[string]*bump.File
	links map[string]bool // those that are read through a symbolic link
	locks map[string]bool
	gaps  []string
	bytes int
	// family names, by path, the requirements that belong together because one
	// takes in the other.
	family map[string]string
	// named are the pins of each package, by ecosystem and name in normal form.
	named map[string][]pinAt
	// settled is what each lock file settles, by name in normal form.
	settled map[string]map[string]bool
}

// pinAt is one pin of one file.
type pinAt struct {
	path string
	pin  int
}

// readPins reads the files with pins below a folder. Links of folders are not
// followed.
func readPins(ctx context.Context, dir string) (*pinFiles, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	p := &pinFiles{root: root, files: map[string]*bump.File{}, links: map[string]bool{}, locks: map[string]bool{}, family: map[string]string{}, settled: map[string]map[string]bool{}}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && name == ".":
			return err
		case err != nil:
			return nil // the inventory names it
		case d.IsDir() && bump.Skips(name):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		if _, lock := bump.LockOf(name); lock {
			p.locks[name] = true
		}
		if bump.Wants(name) {
			return p.read(name, bump.Read)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for pins in %s: %w", dir, err)
	}
	if err := p.include(); err != nil {
		return nil, fmt.Errorf("look for pins in %s: %w", dir, err)
	}
	return p, nil
}

// read adds one file. What cannot be read is a gap.
func (p *pinFiles) read(name string, parse func(string, []byte) (*bump.File, error)) error {
	info, err := p.root.Lstat(name)
	link := err == nil && info.Mode()&fs.ModeSymlink != 0
	if link {
		info, err = p.root.Stat(name)
	}
	if err != nil || !info.Mode().IsRegular() {
		return nil // a link that leads nowhere or out of the folder, a folder
	}
	if len(p.files) == maxPinFiles {
		return fmt.Errorf("%w of %d files with pins", bounded.ErrTooMany, maxPinFiles)
	}
	data, err := readWithin(p.root, name)
	var f *bump.File
	if err == nil {
		f, err = parse(name, data)
	}
	if err != nil {
		p.gaps = append(p.gaps, name+": "+strings.TrimPrefix(err.Error(), name+": "))
		return nil
	}
	if p.bytes += len(data); p.bytes > maxPinBytes {
		return fmt.Errorf("%w of %d bytes of files with pins", bounded.ErrTooLarge, maxPinBytes)
	}
	if link {
		p.links[name] = true
		for i := range f.Pins {
			f.Pins[i].Held, f.Pins[i].Command = "the file is a symbolic link: change what it leads to", ""
		}
	}
	p.files[name] = f
	return nil
}

func readWithin(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	return bounded.ReadAll(f, bump.MaxFile)
}

// include reads what requirements take in under other names, and finds out
// which belong together.
func (p *pinFiles) include() error {
	pending := p.paths()
	for len(pending) > 0 {
		name := pending[0]
		pending = pending[1:]
		for _, other := range p.files[name].Includes {
			if p.files[other] == nil {
				if err := p.read(other, bump.ReadIncluded); err != nil {
					return err
				}
				if p.files[other] == nil {
					continue
				}
				pending = append(pending, other)
			}
			if a, b := p.familyOf(name), p.familyOf(other); a != b {
				p.family[max(a, b)] = min(a, b)
			}
		}
	}
	return nil
}

// familyOf names the family by the first of its files.
func (p *pinFiles) familyOf(name string) string {
	root := name
	for p.family[root] != "" {
		root = p.family[root]
	}
	for name != root { // the next search is short
		name, p.family[name] = p.family[name], root
	}
	return root
}

func (p *pinFiles) paths() []string {
	out := make([]string, 0, len(p.files))
	for name := range p.files {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (p *pinFiles) unread() []string {
	var out []string
	for _, name := range p.paths() {
		out = append(out, p.files[name].Unread...)
	}
	return out
}

// join adds to what the inventory lists the pins that it does not. A pin that
// allows several versions says nothing where a lock file settles on one.
func (p *pinFiles) join(packages []fact.Package) []fact.Package {
	type key struct{ path, ecosystem, name, version string }
	have := map[key]bool{}
	for i := range packages {
		k := &packages[i]
		name := normalName(k.Ecosystem, k.Name)
		have[key{k.Path, k.Ecosystem, name, k.Version}] = true
		if p.locks[k.Path] {
			if p.settled[k.Path] == nil {
				p.settled[k.Path] = map[string]bool{}
			}
			p.settled[k.Path][k.Ecosystem+" "+name] = true
		}
	}
	out := slices.Clone(packages)
	p.named = map[string][]pinAt{}
	for _, at := range p.paths() {
		f := p.files[at]
		for i := range f.Pins {
			pin := &f.Pins[i]
			name := normalName(pin.Ecosystem, pin.Name)
			p.named[pin.Ecosystem+" "+name] = append(p.named[pin.Ecosystem+" "+name], pinAt{at, i})
			k := key{at, pin.Ecosystem, name, pin.Version}
			if have[k] || pin.Range != bump.Exact && p.lockOf(at, pin) != "" {
				continue
			}
			have[k] = true
			added := fact.Package{Ecosystem: pin.Ecosystem, Name: pin.Name, Version: pin.Version, State: fact.Declared, Path: at, Layer: -1, By: "pins"}
			added.PURL = purl.To(added)
			out = append(out, added)
		}
	}
	return out
}

func normalName(ecosystem, name string) string {
	rules, _ := order.For(ecosystem)
	return rules.Name(name)
}

// lockOf is the lock file that settles a pin: the nearest one, in the file's
// folder or above, that names the package. "" when there is none.
func (p *pinFiles) lockOf(at string, pin *bump.Pin) string {
	names := bump.Locks(at)
	for folder := path.Dir(at); ; folder = path.Dir(folder) {
		for _, name := range names {
			if lock := path.Join(folder, name); p.settled[lock][pin.Ecosystem+" "+normalName(pin.Ecosystem, pin.Name)] {
				return lock
			}
		}
		if folder == "." {
			return ""
		}
	}
}

// places finds the pins that decide about a package in a file: its own and
// those of the requirements around it, or those of the manifests whose lock
// file it is.
func (p *pinFiles) places(pkg *fact.Package) []pinAt {
	_, lock := bump.LockOf(pkg.Path)
	family := p.familyOf(pkg.Path)
	var out []pinAt
	for _, at := range p.named[pkg.Ecosystem+" "+normalName(pkg.Ecosystem, pkg.Name)] {
		pin := &p.files[at.path].Pins[at.pin]
		if !lock && pin.Version == pkg.Version && p.familyOf(at.path) == family || lock && p.lockOf(at.path, pin) == pkg.Path && allows(pin, pkg.Version) {
			out = append(out, at)
		}
	}
	return out
}

// allows reports whether the pin allows the version.
func allows(pin *bump.Pin, version string) bool {
	rules, _ := order.For(pin.Ecosystem)
	c, err := rules.Compare(pin.Version, version)
	if err != nil || c > 0 {
		return false
	}
	switch pin.Range {
	case bump.Caret:
		return majorSemVer(pin.Version) == majorSemVer(version)
	case bump.Tilde:
		return numbers(pin.Version, 2) == numbers(version, 2)
	}
	return c == 0
}

// relock lists the commands that lock files need after the files changed.
func (p *pinFiles) relock(files []fixFile) []FixCommand {
	var out []FixCommand
	add := func(folder, command string) {
		if c := (FixCommand{folder, command}); command != "" && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	for i := range files {
		at := files[i].path
		if path.Base(at) == "go.mod" {
			add(path.Dir(at), "go mod tidy")
			continue
		}
		names := bump.Locks(at)
		for folder := path.Dir(at); ; folder = path.Dir(folder) {
			found := false
			for _, name := range names {
				if lock := path.Join(folder, name); p.locks[lock] {
					l, _ := bump.LockOf(lock)
					add(folder, l.Relock())
					found = true
				}
			}
			if found || folder == "." {
				break
			}
		}
	}
	return out
}
