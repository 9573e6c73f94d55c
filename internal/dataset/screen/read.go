package screen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// The most that a set may hold in memory.
const (
	maxRows    = 1 << 20
	maxCells   = 64 << 20  // numbers of a table: 256 MB
	maxText    = 256 << 20 // bytes of all texts
	maxPixels  = 200 << 20 // bytes of all pictures
	maxClasses = 256
	textPrefix = 32 << 10 // bytes of a text that are kept
)

// labelNames are the columns and fields that are taken for the label, the first
// one that is there.
var labelNames = [...]string{"label", "labels", "class", "target", "y"}

// ErrShape is wrapped by errors about data that is no labelled data set.
var ErrShape = errors.New("no labelled data set")

// Read loads the data set at path. It is
//
//   - a CSV file with a header and a column "label". Columns of numbers are
//     features; a column "text" makes it a set of texts;
//   - a JSONL file whose objects have "label" and "text", "image" or "features".
//     An image is base64 of a PNG, a JPEG, a GIF or of raw pixels, rows of
//     interleaved channels (with "width" and "height", else square), or the path
//     of such a file beside the JSONL file, or nested lists of numbers;
//   - a folder that holds one such file, or one folder of pictures per label.
//
// Files are told apart by their content. The progress is in rows; a total of 0 is
// not known.
func Read(ctx context.Context, path string, o Options) (*Set, error) {
	w := &watch{ctx, o.Progress}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return readFile(path, w)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files, folders []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		switch lower := strings.ToLower(name); {
		case e.IsDir():
			folders = append(folders, name)
		case strings.HasSuffix(lower, ".csv"), strings.HasSuffix(lower, ".jsonl"), strings.HasSuffix(lower, ".ndjson"), strings.HasSuffix(lower, ".tsv"):
			if name == "features.csv" {
				return readFile(filepath.Join(path, name), w)
			}
			files = append(files, name)
		}
	}
	switch {
	case len(files) == 1:
		return readFile(filepath.Join(path, files[0]), w)
	case len(files) > 1:
		return nil, fmt.Errorf("%w: %s holds %d files of rows; name one of them", ErrShape, path, len(files))
	case len(folders) > 1:
		return readFolders(path, folders, w)
	}
	return nil, fmt.Errorf("%w: %s holds neither a CSV or JSONL file nor folders of pictures", ErrShape, path)
}

func readFile(path string, w *watch) (*Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a regular file", path), err)
	}
	head, err := bufio.NewReader(f).Peek(64)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	text := strings.TrimLeftFunc(strings.TrimPrefix(string(head), "\ufeff"), unicode.IsSpace)
	again := func() (io.Reader, error) {
		_, err := f.Seek(0, io.SeekStart)
		return f, err
	}
	var s *Set
	if strings.HasPrefix(text, "{") {
		dir, err := os.OpenRoot(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		s, err = readJSONL(again, dir.FS(), w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return s, nil
	}
	if s, err = readCSV(again, w); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// labels collects the labels of rows and numbers them in sorted order.
type labels struct {
	names []string
	of    map[string]int32
	rows  []int32
}

func (l *labels) add(name string) error {
	if l.of == nil {
		l.of = map[string]int32{}
	}
	i, ok := l.of[name]
	if !ok {
		if len(l.names) == maxClasses {
			return fmt.Errorf("%w: the label has more than %d values; it has to be a class", ErrShape, maxClasses)
		}
		i = int32(len(l.names))
		l.of[strings.Clone(name)] = i
		l.names = append(l.names, strings.Clone(name))
	}
	if len(l.rows) == maxRows {
		return fmt.Errorf("%w: it has more than %d rows; screen it in parts", ErrShape, maxRows)
	}
	l.rows = append(l.rows, i)
	return nil
}

func (l *labels) into(s *Set) {
	s.Labels = slices.Clone(l.names)
	slices.Sort(s.Labels)
	to := make([]int32, len(l.names))
	for i, n := range l.names {
		at, _ := slices.BinarySearch(s.Labels, n)
		to[i] = int32(at)
	}
	s.Label = make([]int32, len(l.rows))
	for i, r := range l.rows {
		s.Label[i] = to[r]
	}
}

// readFolders reads the pictures of folders that are named by their label.
func readFolders(path string, folders []string, w *watch) (*Set, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var l labels
	var names []string
	for _, folder := range folders {
		entries, err := fs.ReadDir(root.FS(), folder)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if err := l.add(folder); err != nil {
				return nil, err
			}
			names = append(names, folder+"/"+e.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: the folders of %s hold no pictures", ErrShape, path)
	}
	a := album{want: len(names)}
	for i, name := range names {
		if err := w.often("reading pictures", i, len(names)); err != nil {
			return nil, err
		}
		data, err := readPicture(root.FS(), name)
		if err != nil {
			return nil, err
		}
		p, err := decode(data, 0, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := a.add(p); err != nil {
			return nil, err
		}
	}
	s := &Set{Kind: Image, IDs: names}
	l.into(s)
	a.into(s)
	return s, nil
}
