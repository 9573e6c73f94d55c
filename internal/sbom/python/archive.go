package python

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/native/seek"
)

const (
	// maxDirectory is how many bytes of an archive are read to list it: 8 MiB
	// hold some 80,000 names; the largest wheels have 15,000. What archive/zip
	// keeps of them is ten times that.
	maxDirectory = 8 << 20
	// maxNested bounds a wheel inside a zip, which is held in memory.
	maxNested = 64 << 20
	// maxNestedAll bounds all wheels of one zip together, in bytes of work.
	maxNestedAll = 512 << 20
	// maxFound is how many packages one archive may bring.
	maxFound = 10_000
)

func wantsArchive(p string, _ fs.FileMode, size int64) bool {
	const smallest = 22 // the end record of an empty zip
	if size < smallest || len(p) < 4 {
		return false
	}
	switch p[len(p)-4:] {
	case ".whl", ".egg", ".zip", ".pex", ".pyz":
		return true
	}
	return false
}

// extractArchive reads packages in zip archives: wheels and eggs that are
// imported as they are, Lambda layers and functions, PEX, and wheels in a zip.
func extractArchive(ctx context.Context, f *extract.File, add func(fact.Package)) error {
	r, err := seek.Open(f)
	if err != nil {
		return err
	}
	defer r.Close()
	a := archive{ctx: ctx, path: f.Path, add: add, nestedLeft: maxNestedAll}
	err = a.read(r, f.Size, true)
	if errors.Is(err, zip.ErrFormat) && !strings.HasSuffix(f.Path, ".whl") {
		return extract.ErrSkip
	}
	return err
}

type archive struct {
	ctx        context.Context
	path       string
	add        func(fact.Package)
	found      int
	nestedLeft int64
}

// read adds the packages of one archive. A wheel in a wheel is not looked for:
// nothing imports from there.
func (a *archive) read(r io.ReaderAt, size int64, outer bool) error {
	limited := &metered{r: r, left: maxDirectory}
	z, err := zip.NewReader(limited, size)
	if err != nil {
		if limited.exceeded {
			return fmt.Errorf("list %s: its directory is %w of %d bytes", a.path, bounded.ErrTooLarge, maxDirectory)
		}
		return fmt.Errorf("list %s: %w", a.path, err)
	}
	limited.unlimited = true
	// Entries whose name is the same as an earlier one's hide it or are hidden
	// by it, depending on who reads: both are looked at.
	byName := make(map[string]*zip.File, len(z.File))
	for _, e := range z.File {
		byName[e.Name] = e
	}
	var problems []error
	for _, e := range z.File {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		if problem := a.entry(e, byName, outer); problem != nil {
			problems = append(problems, problem)
		}
		if a.found > maxFound {
			return fmt.Errorf("%s: more than %d packages", a.path, maxFound)
		}
		if len(problems) > 10 {
			break
		}
	}
	return errors.Join(problems...)
}

// entry looks at one entry of the archive.
func (a *archive) entry(e *zip.File, byName map[string]*zip.File, outer bool) error {
	folder := path.Dir(e.Name)
	switch {
	case strings.HasSuffix(e.Name, ".dist-info/METADATA"):
	case strings.HasSuffix(e.Name, ".egg-info/PKG-INFO"), strings.HasSuffix(e.Name, "EGG-INFO/PKG-INFO"):
	case outer && strings.HasSuffix(e.Name, ".whl"):
		return a.nested(e)
	default:
		return nil
	}
	a.found++
	data, err := entryHead(e, maxMetadata)
	if err != nil {
		return fmt.Errorf("read %s in %s: %w", e.Name, a.path, err)
	}
	m, err := parseMetadata(data)
	if err != nil {
		return fmt.Errorf("%s in %s: %w", e.Name, a.path, err)
	}
	p := newPackage("python-archive", a.path, m)
	if stateOf(folder) == fact.Vendored {
		p.State = fact.Vendored
	}
	if p.Version == "" {
		_, p.Version = splitFolder(path.Base(folder))
		p.PURL = PURL(p.Name, p.Version)
	}
	var record, top []byte
	if b := byName[folder+"/RECORD"]; b != nil && b.UncompressedSize64 <= maxRecord {
		record, err = entryHead(b, maxRecord)
	}
	if b := byName[folder+"/top_level.txt"]; b != nil && err == nil {
		top, err = entryHead(b, maxSmall)
	}
	if len(p.Modules) == 0 {
		p.Modules = modulesOf(m.name, record, top)
	}
	a.add(p)
	return err
}

// nested reads a wheel inside the archive.
func (a *archive) nested(e *zip.File) error {
	if e.UncompressedSize64 > maxNested {
		return fmt.Errorf("%s in %s: %w of %d bytes", e.Name, a.path, bounded.ErrTooLarge, int64(maxNested))
	}
	if a.nestedLeft -= int64(e.UncompressedSize64); a.nestedLeft < 0 {
		return fmt.Errorf("%s: the wheels in it are together %w of %d bytes", a.path, bounded.ErrTooLarge, int64(maxNestedAll))
	}
	r, err := e.Open()
	if err != nil {
		return fmt.Errorf("read %s in %s: %w", e.Name, a.path, err)
	}
	defer r.Close()
	data, err := bounded.ReadAll(r, int64(e.UncompressedSize64))
	if err != nil {
		return fmt.Errorf("read %s in %s: %w", e.Name, a.path, err)
	}
	return a.read(bytes.NewReader(data), int64(len(data)), false)
}

// entryHead returns the first limit bytes of an entry, or all of it.
func entryHead(e *zip.File, limit int64) ([]byte, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit))
	return slices.Clip(data), err
}

// metered lets a number of bytes through, until it is told not to count.
type metered struct {
	r         io.ReaderAt
	left      int64
	exceeded  bool
	unlimited bool
}

func (m *metered) ReadAt(p []byte, off int64) (int, error) {
	if !m.unlimited {
		if m.left -= int64(len(p)); m.left < 0 {
			m.exceeded = true
			return 0, bounded.ErrTooLarge
		}
	}
	return m.r.ReadAt(p, off)
}
