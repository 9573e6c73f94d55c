package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
)

// MaxFiles bounds one [Walk]: more manifests than the largest fleet repositories hold.
const MaxFiles = 50_000

// maxEntries bounds what a walk looks at to find them.
const maxEntries = 1_000_000

// Stdin is the name of the file that is read from standard input.
const Stdin = "-"

// Walk calls each with every manifest that paths name, in order: a file by
// itself, whatever it is called; of a directory, every *.yaml, *.yml and *.json
// below it, without ".git"; "-" is stdin. The file is named as it was given,
// joined with its path below the directory.
//
// A manifest that cannot be read (larger than [MaxBytes], a device, a symbolic
// link that leaves its directory) reaches each with the reason and no data: hand
// it to [Reject]. Links below a directory are followed only to files in it.
// Walk stops at the first error of each, when ctx is done, when a path does not
// exist, and at [MaxFiles] files.
func Walk(ctx context.Context, stdin io.Reader, paths []string, each func(file string, data []byte, err error) error) error {
	w := walker{ctx: ctx, each: each}
	for _, path := range paths {
		if err := w.path(stdin, path); err != nil {
			return err
		}
	}
	return nil
}

type walker struct {
	ctx            context.Context
	each           func(string, []byte, error) error
	files, entries int
}

func (w *walker) path(stdin io.Reader, path string) error {
	if path == Stdin {
		data, err := bounded.ReadAll(stdin, MaxBytes)
		return w.file(path, data, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	if !info.IsDir() {
		data, err := bounded.ReadFile(path, MaxBytes)
		return w.file(path, data, err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("find manifests in %s: %w", filepath.Join(path, name), err)
		}
		if w.entries++; w.entries > maxEntries {
			return fmt.Errorf("find manifests in %s: more than %d entries: name the directories that hold manifests", path, maxEntries)
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
		switch {
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir() || !isManifestName(name):
			return nil
		}
		data, err := readIn(root, name)
		return w.file(filepath.Join(path, filepath.FromSlash(name)), data, err)
	})
}

func (w *walker) file(name string, data []byte, err error) error {
	if ctxErr := w.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	if w.files++; w.files > MaxFiles {
		return fmt.Errorf("find manifests: more than %d files: name fewer directories", MaxFiles)
	}
	if err != nil {
		data = nil
	}
	return w.each(name, data, err)
}

func isManifestName(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// readIn reads a regular file below root; the kernel resolves the path, so that
// a link cannot be swapped in between.
func readIn(root *os.Root, name string) ([]byte, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("a link that leads nowhere, or out of the directory: %w", err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, errors.New("not a regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errors.New("not a regular file"), err)
	}
	return bounded.ReadAll(f, MaxBytes)
}
