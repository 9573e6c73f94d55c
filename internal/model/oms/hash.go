package oms

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Options say how a model is listed and hashed. The zero value hashes whole
// files with SHA-256, and refuses symbolic links.
type Options struct {
	Algorithm Algorithm // "": SHA256
	Method    Method    // "": Files
	ShardSize int64     // bytes, for Shards; 0: DefaultShardSize
	// AllowSymlinks follows links to files that stay inside of the model.
	AllowSymlinks bool
	// Ignore are paths below the model's folder that are not part of the model:
	// files, or folders with all that is in them. What git keeps at the top
	// (.git, .gitignore, .gitattributes, .github) is ignored in any case.
	Ignore []string
	// Signature is where the bundle is or will be. Inside of the model it is
	// no part of it.
	Signature string
	Work      Work
	// State is a file outside of the model in which finished digests are kept,
	// so that an interrupted hash goes on at the next file; "": none. It trusts
	// whoever can write that file, and the file system to change a file's change
	// time (ctime) or inode with every write: leave it out where either is in
	// doubt. It cannot be combined with an inspector, which must see the bytes
	// that are hashed.
	State string
}

// Work says how the files are read.
type Work struct {
	Workers int // files or shards at a time; 0: as many as there are processors
	// Progress is told how far it is, every few megabytes and after each file;
	// it is called by one goroutine at a time.
	Progress func(Progress)
	// Inspect is handed each file before it is hashed. What it reads of r is
	// compared with what is hashed; see [Witness]. An error ends the work. It
	// is called by several goroutines.
	Inspect func(ctx context.Context, path string, r io.ReaderAt, size int64) error
}

// Progress is how far the reading of a model is.
type Progress struct {
	Files, TotalFiles int
	Bytes, TotalBytes int64
}

// Hashed is a model that was listed and hashed.
type Hashed struct {
	Manifest *Manifest
	Files    int
	Bytes    int64 // of all files; resumed ones were not read again
	// Ignored are the paths that are there and were left out, sorted.
	Ignored []string
	// Twins are groups of files whose names differ only in case or in the
	// composition of their characters: elsewhere they may be one file.
	Twins [][]string
}

// Hash lists and hashes the model at path, a folder or a file. The same files
// give the same manifest, whatever their order on disk and the number of
// workers. Links, devices, pipes and names that other systems would read
// differently are refused; so is a model that changes meanwhile, as a
// [ChangedError].
func Hash(ctx context.Context, path string, o Options) (*Hashed, error) {
	s, err := o.serialization()
	if err != nil {
		return nil, err
	}
	if o.State != "" && o.Work.Inspect != nil {
		return nil, errors.New("hash: State and Inspect exclude each other: what is resumed is not read again")
	}
	ignore, err := ignored(o.Ignore)
	if err != nil {
		return nil, err
	}
	t, err := openTree(path, rules{links: o.AllowSymlinks})
	if err != nil {
		return nil, err
	}
	defer t.close()
	if ignore, err = t.withSignature(ignore, o.Signature); err != nil {
		return nil, err
	}
	t.rules.ignore = ignore
	files, skipped, err := t.list()
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("hash: the model has no files")
	}
	if s.Method == Shards {
		for i := range files {
			if files[i].stamp.Size == 0 {
				return nil, fmt.Errorf("hash: %q is empty, and a list of shards cannot name it; "+
					"hash whole files, or ignore or remove it", files[i].name)
			}
		}
	}
	e := &engine{tree: t, files: files, algorithm: s.Algorithm, span: s.ShardSize, work: o.Work}
	if o.State != "" {
		if e.state, err = openState(o.State, t, s); err != nil {
			return nil, err
		}
	}
	if err := e.run(ctx); err != nil {
		return nil, err
	}
	if err := t.unchanged(files, true); err != nil {
		return nil, err
	}
	if t.single == "" {
		s.IgnorePaths = ignore
	}
	h := &Hashed{
		Manifest: &Manifest{Name: t.name, Serialization: s, Resources: e.resources()},
		Files:    len(files), Bytes: e.total, Ignored: skipped, Twins: twins(namesOf(files)),
	}
	return h, h.Manifest.check()
}

func (o *Options) serialization() (Serialization, error) {
	s := Serialization{Method: o.Method, Algorithm: o.Algorithm, ShardSize: o.ShardSize, AllowSymlinks: o.AllowSymlinks}
	if s.Algorithm == "" {
		s.Algorithm = SHA256
	}
	if s.Method == "" {
		s.Method = Files
	}
	if s.Method == Shards && s.ShardSize == 0 {
		s.ShardSize = DefaultShardSize
	}
	switch {
	case s.Algorithm.size() == 0:
		return s, fmt.Errorf("hash: unknown algorithm %q (one of sha256, blake2b, blake3)", clip(string(s.Algorithm)))
	case s.Method != Files && s.Method != Shards:
		return s, fmt.Errorf("hash: unknown method %q (one of files, shards)", clip(string(s.Method)))
	case s.Method == Files && s.ShardSize != 0:
		return s, errors.New("hash: a shard size needs the method shards")
	case s.Method == Shards && s.ShardSize < minShardSize:
		return s, fmt.Errorf("hash: a shard size of %d bytes; at least %d", s.ShardSize, minShardSize)
	}
	return s, nil
}

// ignored adds the default paths to those that were asked for.
func ignored(asked []string) ([]string, error) {
	out := slices.Clone(defaultIgnore[:])
	for _, a := range asked {
		p, err := checkIgnore(a)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// withSignature adds the bundle's own path where it is inside of the model.
func (t *tree) withSignature(ignore []string, signature string) ([]string, error) {
	rel, err := t.relative(signature)
	if err != nil {
		return nil, fmt.Errorf("signature file: %w", err)
	}
	if rel == "" {
		return ignore, nil
	}
	if err := checkName(rel); err != nil {
		return nil, fmt.Errorf("signature file: %w", err)
	}
	ignore = append(slices.Clone(ignore), rel)
	slices.Sort(ignore)
	return slices.Compact(ignore), nil
}

// unchanged lists the model again. With all, files must be neither more nor
// fewer; without it, only those given must be there.
func (t *tree) unchanged(files []file, all bool) error {
	now, _, err := t.list()
	if err != nil {
		return err
	}
	if all && len(now) != len(files) {
		return &ChangedError{Path: ".", Detail: fmt.Sprintf("it had %d files and has %d", len(files), len(now))}
	}
	for i := range files {
		f := &files[i]
		k, ok := slices.BinarySearchFunc(now, f.name, func(n file, name string) int { return strings.Compare(n.name, name) })
		switch {
		case !ok:
			return &ChangedError{Path: f.name, Detail: "it is not there any more"}
		case now[k].stamp != f.stamp:
			return &ChangedError{Path: f.name, Detail: "somebody wrote to it"}
		}
	}
	return nil
}

func namesOf(files []file) []string {
	names := make([]string, len(files))
	for i := range files {
		names[i] = files[i].name
	}
	return names
}

// resources are the entries in the order of the specification: by name, by
// code points.
func (e *engine) resources() []Resource {
	var out []Resource
	for i := range e.files {
		for k, sum := range e.sums[i] {
			name := e.files[i].name
			if e.span > 0 {
				start, end := e.segment(i, k)
				name = shard{path: name, start: start, end: end}.name()
			}
			out = append(out, Resource{Name: name, Digest: hex.EncodeToString(sum)})
		}
	}
	slices.SortFunc(out, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
	return out
}
