package python

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

func wantsEggInfo(p string, _ fs.FileMode, _ int64) bool {
	return strings.HasSuffix(p, ".egg-info/PKG-INFO") || strings.HasSuffix(p, "EGG-INFO/PKG-INFO") || strings.HasSuffix(p, ".egg-info")
}

// extractEggInfo reads what setuptools and distutils leave: a folder
// "name-1.0.egg-info" with PKG-INFO, the same as one file, or EGG-INFO in an
// unpacked egg.
func extractEggInfo(_ context.Context, f *extract.File, add func(fact.Package)) error {
	data, err := readHead(f, maxMetadata)
	if err != nil {
		return err
	}
	m, err := parseMetadata(data)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	p := newPackage("python-egg-info", f.Path, m)
	var top []byte
	if path.Base(f.Path) == "PKG-INFO" {
		if top, err = optional(f.Tree, path.Dir(f.Path)+"/top_level.txt", maxSmall); err != nil {
			err = fmt.Errorf("read top_level.txt beside %s: %w", f.Path, err)
		}
	}
	if len(p.Modules) == 0 {
		p.Modules = modulesOf(m.name, nil, top)
	}
	if p.Version == "" {
		_, p.Version = splitFolder(path.Base(strings.TrimSuffix(f.Path, "/PKG-INFO")))
		p.PURL = PURL(p.Name, p.Version)
	}
	add(p)
	return err
}

func wantsEggLink(p string, _ fs.FileMode, size int64) bool {
	return strings.HasSuffix(p, ".egg-link") && size <= maxSmall
}

// extractEggLink follows the file that "setup.py develop" puts where packages
// are installed: its first line is the folder whose egg-info counts.
func extractEggLink(_ context.Context, f *extract.File, add func(fact.Package)) error {
	data, err := read(f, maxSmall)
	if err != nil {
		return err
	}
	line, _ := cutLine(data)
	target := field(line)
	if target == "" || f.Tree == nil {
		return extract.ErrSkip
	}
	folder := path.Clean("/" + target)[1:]
	if !path.IsAbs(target) {
		folder = path.Join(path.Dir(f.Path), target)
	}
	if !fs.ValidPath(folder) {
		return fmt.Errorf("%s: it points out of the tree", f.Path)
	}
	names, err := f.Tree.List(folder)
	if err != nil {
		return fmt.Errorf("%s: list the folder that it points to: %w", f.Path, err)
	}
	want := Normalize(strings.TrimSuffix(path.Base(f.Path), ".egg-link"))
	for _, name := range names {
		egg, ok := strings.CutSuffix(name, ".egg-info/")
		if base, _ := splitFolder(egg); !ok || Normalize(base) != want && Normalize(egg) != want {
			continue
		}
		data, err := optional(f.Tree, path.Join(folder, name, "PKG-INFO"), maxMetadata)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		m, err := parseMetadata(data)
		if err != nil {
			return fmt.Errorf("%s: PKG-INFO of the folder that it points to: %w", f.Path, err)
		}
		p := newPackage("python-egg-link", f.Path, m)
		p.Attributes = append(p.Attributes, "editable")
		if len(p.Modules) == 0 {
			top, err := optional(f.Tree, path.Join(folder, name, "top_level.txt"), maxSmall)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Path, err)
			}
			p.Modules = modulesOf(m.name, nil, top)
		}
		add(p)
		return nil
	}
	return fmt.Errorf("%s: the folder that it points to has no egg-info of it", f.Path)
}
