package oms

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// Resource is one entry of a manifest: a file, or a run of its bytes.
type Resource struct {
	// Name is the path below the model's folder; of a shard
	// "<path>:<first byte>:<byte after the last>".
	Name   string
	Digest string // lower-case hex
}

// Serialization says how a model became a manifest (OMS §5.2.2).
type Serialization struct {
	Method        Method
	Algorithm     Algorithm
	ShardSize     int64 // in bytes; 0 for the method files
	AllowSymlinks bool
	IgnorePaths   []string
}

// Manifest lists what a model consists of.
type Manifest struct {
	Name          string // of the model's folder or file; nothing depends on it
	Serialization Serialization
	Resources     []Resource
}

// Root is the digest that stands for the whole manifest: SHA-256 over the
// entries' digests, raw and in their order, whatever their own algorithm is.
// Names are not part of it; the signature covers them.
func (m *Manifest) Root() verdict.Digest {
	h := sha256.New()
	for i := range m.Resources {
		raw, err := hex.DecodeString(m.Resources[i].Digest)
		if err != nil {
			return "" // no manifest of this package holds such a digest
		}
		h.Write(raw)
	}
	return verdict.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// canonical is the root with the entries in the order of the specification.
func (m *Manifest) canonical() verdict.Digest {
	sorted := *m
	sorted.Resources = slices.Clone(m.Resources)
	slices.SortFunc(sorted.Resources, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
	return sorted.Root()
}

// check refuses manifests that mean more or less than one thing.
func (m *Manifest) check() error {
	s := &m.Serialization
	if s.Algorithm.size() == 0 {
		return fmt.Errorf("unknown hash_type %q (one of sha256, blake2b, blake3)", clip(string(s.Algorithm)))
	}
	switch s.Method {
	case Files:
		if s.ShardSize != 0 {
			return errors.New("shard_size has no meaning for the method files")
		}
	case Shards:
		if s.ShardSize <= 0 {
			return errors.New("shard_size is not a positive number")
		}
	default:
		return fmt.Errorf("unknown serialization method %q (one of files, shards)", clip(string(s.Method)))
	}
	if len(m.Resources) == 0 {
		return errors.New("it lists no file; a signature over nothing proves nothing")
	}
	if len(m.Resources) > maxFiles {
		return fmt.Errorf("it has %d entries; at most %d are accepted", len(m.Resources), maxFiles)
	}
	for i := range m.Resources {
		if err := m.checkDigest(&m.Resources[i]); err != nil {
			return err
		}
	}
	if s.Method == Shards {
		_, err := m.shards()
		return err
	}
	return m.checkNames()
}

func (m *Manifest) checkDigest(r *Resource) error {
	raw, err := hex.DecodeString(r.Digest)
	if err != nil || strings.ToLower(r.Digest) != r.Digest {
		return fmt.Errorf("the digest of %q is not lower-case hex", clip(r.Name))
	}
	if want := m.Serialization.Algorithm.size(); len(raw) != want {
		return fmt.Errorf("the digest of %q has %d bytes; %s has %d", clip(r.Name), len(raw), m.Serialization.Algorithm, want)
	}
	return nil
}

// checkNames refuses names that are unclean, there twice, or in no order that
// a signer writes. The order decides the root digest.
func (m *Manifest) checkNames() error {
	byName, parts := true, true
	seen := make(map[string]bool, len(m.Resources))
	for i := range m.Resources {
		name := m.Resources[i].Name
		if err := m.checkPath(name); err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("it lists %q twice", clip(name))
		}
		seen[name] = true
		if i > 0 {
			before := m.Resources[i-1].Name
			byName = byName && before < name
			parts = parts && byParts(before, name) < 0
		}
	}
	if !byName && !parts {
		return errors.New("its entries are not sorted by name")
	}
	return nil
}

// checkPath accepts "." for the one file of a model that is a file, as the
// reference implementation wrote before 1.1.
func (m *Manifest) checkPath(path string) error {
	if path != "." {
		return checkName(path)
	}
	if m.Serialization.Method == Files && len(m.Resources) > 1 {
		return errors.New(`it lists "." beside other files`)
	}
	return nil
}

// shards returns the end of each file of a shard manifest, and checks that the
// shards of every file follow one another without gap, as shard_size cuts them.
func (m *Manifest) shards() (map[string]int64, error) {
	size := m.Serialization.ShardSize
	all := make([]shard, len(m.Resources))
	byName, inOrder := true, true
	for i := range m.Resources {
		s, err := parseShard(m.Resources[i].Name)
		if err != nil {
			return nil, err
		}
		if err := m.checkPath(s.path); err != nil {
			return nil, err
		}
		all[i] = s
		if i > 0 {
			byName = byName && m.Resources[i-1].Name < m.Resources[i].Name
			inOrder = inOrder && compareShards(all[i-1], s) < 0
		}
	}
	if !byName && !inOrder {
		return nil, errors.New("its entries are not sorted by name, or one is there twice")
	}
	slices.SortFunc(all, compareShards)
	ends := map[string]int64{}
	for i, s := range all {
		from, more := ends[s.path]
		switch {
		case s.start != from:
			return nil, fmt.Errorf("the shards of %q leave out or repeat bytes at %d", clip(s.path), from)
		case s.start%size != 0 || s.end-s.start > size:
			return nil, fmt.Errorf("the shard %q is not cut by shard_size %d", clip(s.name()), size)
		case more && all[i-1].end-all[i-1].start != size:
			return nil, fmt.Errorf("a shard of %q before the last is shorter than shard_size", clip(s.path))
		}
		ends[s.path] = s.end
	}
	if len(ends) > 1 {
		if _, dot := ends["."]; dot {
			return nil, errors.New(`it lists "." beside other files`)
		}
	}
	return ends, nil
}

func compareShards(a, b shard) int {
	if c := byParts(a.path, b.path); c != 0 {
		return c
	}
	switch {
	case a.start != b.start && a.start < b.start, a.start == b.start && a.end < b.end:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// paths returns the files that the manifest lists, sorted.
func (m *Manifest) paths() []string {
	var out []string
	if m.Serialization.Method == Shards {
		ends, _ := m.shards() // checked before
		for p := range ends {
			out = append(out, p)
		}
	} else {
		for i := range m.Resources {
			out = append(out, m.Resources[i].Name)
		}
	}
	slices.Sort(out)
	return out
}
