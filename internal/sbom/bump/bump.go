// Package bump changes the versions that files pin, and nothing else in them:
// comments, order, spaces and line ends stay byte for byte.
//
// Start at [Read], which finds the [Pin]s of one file, and [File.Apply], which
// puts other versions in their place; [Relock] names the command that makes a
// lock file anew, which only its own tool can do.
//
// Each format has one source file that finds pins and their places; what they
// share is the replacing. After it the file is read again, and its pins must be
// the same with the new versions, or there is no result. A version comes from an
// advisory and lands in a file that is executed: whatever is not plainly a
// version of the ecosystem is refused.
//
// Sources: pip's requirements file format, PEP 508, PEP 621, PEP 735, Pipenv's
// Pipfile, docs.npmjs.com (package.json), go.dev/ref/mod, and Docker's
// reference of the Dockerfile.
package bump

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/sbom/python"
)

const (
	// MaxFile is how many bytes a file with pins may have: requirements with
	// all hashes of a thousand packages have 2 MB.
	MaxFile = 16 << 20
	// maxPins bounds the pins of one file; the largest go.mod files have 1,500.
	maxPins = 20_000
	// maxVersion bounds a version, in bytes; the longest that are seen have 80.
	maxVersion = 250
	// maxName bounds a name, in bytes, as lock files are bounded.
	maxName = 1024
)

// ErrOther is returned for a file that is of no format with pins.
var ErrOther = errors.New("not a file whose pins are known")

// Range is what a pin allows beside its version.
type Range uint8

// The ranges.
const (
	Exact Range = iota // this version alone; in go.mod, at least this one
	Caret              // "^1.2.3": what keeps the leftmost number that is not 0
	Tilde              // "~1.2.3": what keeps the first two numbers
)

// Pin is one place of a file that names the version of a package.
type Pin struct {
	// Ecosystem as OSV spells it; of a distribution's packages with the release.
	Ecosystem string
	// Name as the file spells it.
	Name string
	// Version as the file spells it, without what is said about the range.
	Version string
	Range   Range
	// Line counts from 1.
	Line int
	// Held says why no other version can be put here; "" when it can. Command
	// is what does it then, where a command does.
	Held, Command string

	begin      int // where the pin begins, for showing it
	start, end int // where its version is
	tail       int // bytes behind it that are shown as well: a quote
}

// Edit asks for another version of a package wherever a file pins From.
type Edit struct{ Ecosystem, Name, From, To string }

// File is a file whose pins are known.
type File struct {
	// Path is slash-separated and relative to the folder that is looked at.
	Path string
	Pins []Pin
	// Includes are the paths of files that it takes in, of requirements alone.
	Includes []string
	// Unread says what in it could not be decided, such as packages of a
	// distribution whose release is not told.
	Unread []string

	data   []byte
	format *format
}

// format is one kind of file.
type format struct {
	wants func(path string) bool
	// find adds the pins, with their places in f.data.
	find func(f *File) error
	// spell writes a version as the file would have it; nil: as it is.
	spell func(p *Pin, version string) (string, error)
}

// formats lists the kinds of files. It is a function, so that nothing is made
// before it is needed.
func formats() []format {
	return []format{
		{wants: isRequirements, find: findRequirements},
		{wants: called("pyproject.toml"), find: findPyproject},
		{wants: called("Pipfile"), find: findPipfile},
		{wants: called("package.json"), find: findPackageJSON},
		{wants: called("go.mod"), find: findGoMod, spell: spellGo},
		{wants: isDockerfile, find: findDockerfile},
	}
}

func called(name string) func(string) bool {
	return func(p string) bool { return path.Base(p) == name }
}

// Wants reports whether a file at the path is of a format with pins. What is
// below the folders of installed packages is theirs, and is not.
func Wants(at string) bool {
	return !Skips(at) && slices.ContainsFunc(formats(), func(f format) bool { return f.wants(at) })
}

// Skips reports whether the path is, or is inside of, a folder in which a
// package manager or Git keeps what is not the project's own.
func Skips(at string) bool {
	for part := range strings.SplitSeq(at, "/") {
		switch part {
		case "node_modules", "site-packages", "dist-packages", ".git":
			return true
		}
	}
	return strings.Contains(at, "/pkg/mod/")
}

// Read finds the pins of the file at the path, which decides what format it is.
// The error is ErrOther for none; any other means that it is not valid, or
// larger than the limits. data is kept, and must not change.
func Read(at string, data []byte) (*File, error) {
	all := formats()
	i := slices.IndexFunc(all, func(f format) bool { return f.wants(at) })
	if i < 0 {
		return nil, fmt.Errorf("%s: %w", at, ErrOther)
	}
	return read(at, data, &all[i])
}

// ReadIncluded is Read of a file that requirements take in, whatever its name.
func ReadIncluded(at string, data []byte) (*File, error) {
	return read(at, data, &format{wants: isRequirements, find: findRequirements})
}

func read(at string, data []byte, how *format) (*File, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%s: %w of %d bytes", at, bounded.ErrTooLarge, MaxFile)
	}
	f := &File{Path: at, data: data, format: how}
	if err := how.find(f); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	slices.SortStableFunc(f.Pins, func(a, b Pin) int { return a.start - b.start })
	// Lines are counted once, from pin to pin.
	line, done := 1, 0
	for i := range f.Pins {
		p := &f.Pins[i]
		if p.start < done || p.end < p.start || p.end > len(data) {
			return nil, fmt.Errorf("%s: the pins of %s and another overlap", at, p.Name)
		}
		line += bytes.Count(data[done:p.start], []byte("\n"))
		p.Line, done = line, p.start
	}
	return f, nil
}

// add keeps a pin, unless it cannot be one.
func (f *File) add(p Pin) error {
	if p.Name == "" || len(p.Name) > maxName || !isVersion(p.Version) {
		return nil
	}
	if len(f.Pins) == maxPins {
		return fmt.Errorf("%w of %d pins", bounded.ErrTooMany, maxPins)
	}
	f.Pins = append(f.Pins, p)
	return nil
}

// Text is the pin as the file writes it, from its name to its version, in one
// line; with a version, what it would be.
func (f *File) Text(p *Pin, version string) string {
	text := string(f.data[p.begin:p.start])
	if version == "" {
		version = string(f.data[p.start:p.end])
	}
	return strings.Join(strings.Fields(text+version+string(f.data[p.end:p.end+p.tail])), " ")
}

// Spell writes a version of an advisory as this pin would have it: Go's with
// its "v". The error says why the pin cannot have it.
func (f *File) Spell(p *Pin, version string) (string, error) {
	if f.format.spell != nil {
		var err error
		if version, err = f.format.spell(p, version); err != nil {
			return "", err
		}
	}
	if !isVersion(version) || strings.ContainsAny(version, ":~") && !isDistribution(p.Ecosystem) {
		return "", fmt.Errorf("%.80q is not a version that %s could have", version, p.Ecosystem)
	}
	return version, nil
}

// Data is what the file holds; it is not to be changed.
func (f *File) Data() []byte { return f.data }

// Apply returns the file with other versions. What it does not pin stays as it
// is: applied to its own result it changes nothing. Pins that are held are an
// error, as is a version that the pin could not have.
func (f *File) Apply(edits []Edit) ([]byte, error) {
	wanted := map[int]string{} // by pin
	for _, e := range edits {
		for i := range f.Pins {
			p := &f.Pins[i]
			if !e.is(p) {
				continue
			}
			if p.Held != "" {
				return nil, fmt.Errorf("%s:%d: %s: %s", f.Path, p.Line, p.Name, p.Held)
			}
			version, err := f.Spell(p, e.To)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %s: %w", f.Path, p.Line, p.Name, err)
			}
			if old, twice := wanted[i]; twice && old != version {
				return nil, fmt.Errorf("%s:%d: %s is to become both %s and %s", f.Path, p.Line, p.Name, old, version)
			}
			wanted[i] = version
		}
	}
	out := make([]byte, 0, len(f.data)+16*len(wanted))
	done := 0
	for i := range f.Pins {
		if version, ok := wanted[i]; ok {
			out = append(append(out, f.data[done:f.Pins[i].start]...), version...)
			done = f.Pins[i].end
		}
	}
	out = append(out, f.data[done:]...)
	if err := f.check(out, wanted); err != nil {
		return nil, err
	}
	return out, nil
}

// check reads what came out, and finds the same pins with the new versions.
func (f *File) check(out []byte, wanted map[int]string) error {
	again, err := read(f.Path, out, f.format)
	if err != nil {
		return fmt.Errorf("read what was changed: %w", err)
	}
	same := len(again.Pins) == len(f.Pins)
	for i := 0; same && i < len(f.Pins); i++ {
		want, got := f.Pins[i], again.Pins[i]
		if version, ok := wanted[i]; ok {
			want.Version = version
			if want.Ecosystem == golang && want.Name == stdlib {
				want.Version = FullGo(version)
			}
		}
		same = got.Ecosystem == want.Ecosystem && got.Name == want.Name && got.Version == want.Version && got.Range == want.Range && got.Line == want.Line
	}
	if !same {
		return fmt.Errorf("%s: what was changed does not read as it should; change it by hand", f.Path)
	}
	return nil
}

// is reports whether the edit is about the pin.
func (e *Edit) is(p *Pin) bool {
	return p.Ecosystem == e.Ecosystem && p.Version == e.From && SameName(p.Ecosystem, p.Name, e.Name)
}

// The ecosystems that more than one format speaks of.
const (
	pypi   = python.Ecosystem
	npm    = "npm"
	golang = "Go"
)

func isDistribution(ecosystem string) bool {
	return strings.HasPrefix(ecosystem, "Debian") || strings.HasPrefix(ecosystem, "Ubuntu")
}

// SameName reports whether two names of the ecosystem mean one package.
func SameName(ecosystem, a, b string) bool {
	return a == b || ecosystem == pypi && python.Normalize(a) == python.Normalize(b)
}

// isVersion reports whether the text is of the characters that versions are
// made of. None of them means anything to a shell, to TOML, JSON or pip, except
// "~" at the beginning of a word, which a version does not begin with.
func isVersion(s string) bool {
	if s == "" || len(s) > maxVersion || !isAlphanumeric(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && strings.IndexByte(".+-_!~:", c) < 0 {
			return false
		}
	}
	return strings.ContainsAny(s, "0123456789")
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
