package dataset

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/apexlogic/apex/internal/dataset/record"
)

// Options say how a manifest is made.
type Options struct {
	Name string // of the data set; "": the folder's
	// Records is the records file to write; "": none. It has to be outside of the
	// data set.
	Records string
	// Progress is told how many bytes were read, of how many.
	Progress func(done, total int64)
}

// Make reads the data set at path, a folder or a file, and returns its manifest.
// Memory does not grow with the data, except for 20 bytes per record up to a
// few million records.
func Make(ctx context.Context, path string, o Options) (*Manifest, error) {
	f, err := openFolder(path)
	if err != nil {
		return nil, fmt.Errorf("dataset manifest: %w", err)
	}
	defer f.close()
	m, err := gather(ctx, f, o)
	if err != nil {
		return nil, fmt.Errorf("dataset manifest: %w", err)
	}
	return m, nil
}

func gather(ctx context.Context, f *folder, o Options) (m *Manifest, err error) {
	list, err := f.list()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("the data set has no files")
	}
	k := &maker{ctx: ctx, folder: f, progress: o.Progress, stats: newStatistics()}
	for i := range list {
		k.total += list[i].info.Size()
	}
	var out *os.File
	if o.Records != "" {
		if err := f.outside(o.Records); err != nil {
			return nil, err
		}
		if out, err = os.CreateTemp(filepath.Dir(o.Records), ".records-*"); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, out.Close(), os.Remove(out.Name()))
			}
		}()
	}
	if k.index, err = newIndexWriter(out); err != nil {
		return nil, err
	}
	m = &Manifest{Schema: Schema, Name: o.Name, Files: make([]File, 0, len(list))}
	if m.Name == "" {
		m.Name = f.name
	}
	for i := range list {
		file, err := k.file(&list[i])
		if err != nil {
			return nil, err
		}
		m.Files = append(m.Files, *file)
	}
	again, err := f.list()
	if err != nil {
		return nil, err
	}
	if len(again) != len(list) {
		return nil, fmt.Errorf("the data set had %d files and has %d; try again when nobody writes to it", len(list), len(again))
	}
	m.Statistics, m.Findings = k.stats.result(), k.findings.list()
	m.Root = m.seal()
	if err := k.index.finish(); err != nil {
		return nil, err
	}
	if out != nil {
		if err := out.Chmod(0o644); err != nil {
			return nil, err
		}
		if err := out.Close(); err != nil {
			return nil, err
		}
		if err := os.Rename(out.Name(), o.Records); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// outside refuses a path inside of the data set: it would become part of it.
func (f *folder) outside(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return err
	}
	root, err := filepath.EvalSymlinks(f.root.Name())
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(root, dir); f.single == "" && err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("%s is inside of the data set and would become part of it; name a place outside", path)
	}
	return nil
}

type maker struct {
	ctx         context.Context
	folder      *folder
	progress    func(done, total int64)
	done, total int64
	index       *indexWriter
	stats       *statistics
	findings    findings
}

// file reads one file: once for most kinds, and a second time for Parquet.
func (k *maker) file(e *entry) (*File, error) {
	f, err := k.folder.open(e)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := &File{Path: e.path, Kind: kindOf(e.path), Size: e.info.Size()}
	whole := sha256.New()
	stream := io.TeeReader(&exactly{&ticking{k, f}, e.info.Size(), e.path}, whole)
	k.findings.name(e.path, "")
	k.stats.begin(e.path)
	mark := k.index.mark()
	r := &reading{maker: k, file: out}
	switch out.Kind {
	case JSONL:
		err = r.jsonl(stream)
	case CSV:
		err = r.csv(stream)
	case Tar:
		err = r.tar(stream)
	case Parquet:
		err = r.parquet(f, e.info.Size())
	default:
		r.head(f)
	}
	if errors.Is(err, record.ErrFormat) {
		// What is not of its format is pinned as a whole, and said to be broken.
		k.findings.add("dataset.unreadable", e.path, "", err.Error())
		if err = k.index.rewind(mark); err != nil {
			return nil, err
		}
		k.stats.forget()
		*out = File{Path: out.Path, Kind: Whole, Size: out.Size}
		r.tree = tree{}
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", e.path, err)
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := e.same(info); err != nil {
		return nil, err
	}
	digest := hash(whole.Sum(nil))
	out.Digest = digestOf(digest)
	if out.Kind == Whole {
		if err := r.add(leafHash(digest[:]), 0, out.Size, e.path); err != nil {
			return nil, err
		}
	}
	root := r.tree.root()
	if r.header != nil {
		h := leafHash(r.header)
		out.Header = digestOf(h)
		root = nodeHash(h, root)
	}
	out.RecordRoot = digestOf(root)
	top, err := k.index.end(e.path)
	if err != nil {
		return nil, err
	}
	out.Index = digestOf(top)
	return out, nil
}

// ticking counts bytes and stops when the context does.
type ticking struct {
	k *maker
	r io.Reader
}

func (t *ticking) Read(p []byte) (int, error) {
	if err := t.k.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := t.r.Read(p)
	t.k.done += int64(n)
	if t.k.progress != nil {
		t.k.progress(t.k.done, t.k.total)
	}
	return n, err
}
