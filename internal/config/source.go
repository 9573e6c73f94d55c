package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
)

const (
	// maxFile bounds one file: a trust root may carry 256 KiB of certificates
	// per entry, and a file with more than a few of them should be split.
	maxFile = 1 << 20
	// maxFiles bounds the files of one load, maxBytes their bytes.
	maxFiles = 4096
	maxBytes = 64 << 20
	// maxEntries bounds the directory entries that are looked at, so that
	// pointing at a home directory by mistake ends.
	maxEntries = 100_000
)

// Source is where documents come from. Make one with [Path], [File], [Dir],
// [FS] or [Bytes].
type Source struct {
	read func(ctx context.Context, l *loader) error
}

// Path is a file or a directory, whichever is there.
func Path(name string) Source {
	return Source{func(ctx context.Context, l *loader) error {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if info.IsDir() {
			return Dir(name).read(ctx, l)
		}
		return File(name).read(ctx, l)
	}}
}

// File is one file, whatever it is called. It has to hold at least one document
// of ours.
func File(name string) Source {
	return Source{func(_ context.Context, l *loader) error {
		data, err := bounded.ReadFile(name, maxFile)
		if errors.Is(err, bounded.ErrTooLarge) {
			l.refuse(name, fmt.Sprintf("the file is larger than %d bytes; split it", maxFile))
			return nil
		}
		if err != nil {
			return err
		}
		l.file(name, data, true)
		return nil
	}}
}

// Bytes is a document, or several, that is already in memory; name stands for
// the file in positions. It has to hold at least one document of ours.
func Bytes(name string, data []byte) Source {
	return Source{func(_ context.Context, l *loader) error {
		l.file(name, data, true)
		return nil
	}}
}

// Dir is a directory with everything below it: files that end in .yaml, .yml or
// .json. Left out are .git and what begins with two dots, where Kubernetes
// keeps the versions of a mounted ConfigMap. A link to a file is followed when
// it stays inside of the directory, and is a problem when it leads out.
func Dir(name string) Source {
	return Source{func(ctx context.Context, l *loader) error {
		root, err := os.OpenRoot(name)
		if err != nil {
			return err
		}
		defer root.Close()
		return walk(ctx, l, root.FS(), name, root)
	}}
}

// FS is a file system with everything below its root, read like [Dir]; links are
// problems. Name stands for the root in positions.
func FS(name string, fsys fs.FS) Source {
	return Source{func(ctx context.Context, l *loader) error {
		return walk(ctx, l, fsys, name, nil)
	}}
}

// walk reads the configuration files of fsys in lexical order.
func walk(ctx context.Context, l *loader, fsys fs.FS, base string, root *os.Root) error {
	var regular []fs.FileInfo
	var links []string
	entries := 0
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if entries++; entries > maxEntries {
			return fmt.Errorf("%s holds more than %d files and directories; name the directory with the policies", base, maxEntries)
		}
		switch {
		case skipped(name):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || !isDocument(name):
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			links = append(links, name)
			return nil
		case !entry.Type().IsRegular():
			l.refuse(filepath.Join(base, filepath.FromSlash(name)), "is not a regular file")
			return nil
		}
		if info, err := entry.Info(); err == nil {
			regular = append(regular, info)
		}
		return readFrom(l, fsys, base, name)
	})
	if err != nil {
		return err
	}
	for _, name := range links {
		if err := followLink(l, fsys, base, name, root, &regular); err != nil {
			return err
		}
	}
	return nil
}

// followLink reads a link's target unless it was read already.
func followLink(l *loader, fsys fs.FS, base, name string, root *os.Root, regular *[]fs.FileInfo) error {
	full := filepath.Join(base, filepath.FromSlash(name))
	if root == nil {
		l.refuse(full, "is a link; links are not followed here")
		return nil
	}
	info, err := root.Stat(name)
	switch {
	case err != nil:
		l.refuse(full, "is a link that leads nowhere or out of the directory; it is not followed")
		return nil
	case info.IsDir():
		return nil
	case !info.Mode().IsRegular():
		l.refuse(full, "is a link to something that is not a regular file")
		return nil
	}
	for _, other := range *regular {
		if os.SameFile(info, other) {
			return nil
		}
	}
	*regular = append(*regular, info)
	return readFrom(l, fsys, base, name)
}

func readFrom(l *loader, fsys fs.FS, base, name string) error {
	full := filepath.Join(base, filepath.FromSlash(name))
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := bounded.ReadAll(f, maxFile)
	if errors.Is(err, bounded.ErrTooLarge) {
		l.refuse(full, fmt.Sprintf("the file is larger than %d bytes; split it", maxFile))
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", full, err)
	}
	l.file(full, data, false)
	return nil
}

// skipped reports whether a file or directory is left out of a walk.
func skipped(name string) bool {
	last := path.Base(name)
	return last == ".git" || strings.HasPrefix(last, "..")
}

// isDocument reports whether a file's name says that it holds YAML or JSON.
func isDocument(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}
