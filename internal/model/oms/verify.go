package oms

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// Verified is what was proved about a model: who signed it, and that every
// file which was signed is there as it was signed.
type Verified struct {
	SignedBy SignedBy
	// Root stands for the signed list, as its subject names it.
	Root verdict.Digest
	// Canonical is the root of the same list in the specification's order, as
	// [Hash] gives it: the one to compare with, or to name in other statements.
	// The two differ where a signer sorted otherwise, as the reference
	// implementation does with "a/b" beside "a-b".
	Canonical verdict.Digest
	Manifest  *Manifest // as it was signed
	V02       bool
	Files     int
	Bytes     int64 // that were hashed
	// Ignored are the paths that are there and were left out, Unlisted the
	// files that nobody signed and the policy let pass; both sorted.
	Ignored, Unlisted []string
	// Asked are paths that the bundle asks to ignore and the policy did not.
	Asked []string
	// Twins are as in [Hashed].
	Twins [][]string
}

// Verify proves that bundle is a signature of somebody whom the policy trusts
// over the model at path, a folder or a file. Every signed file is hashed as it
// is now; its size or time proves nothing. What differs is a [*MismatchError];
// other errors wrap [ErrManifest] or [ErrSignature], are a [*ChangedError], or
// say that something could not be read. No error is a pass.
func Verify(ctx context.Context, bundle []byte, path string, p Policy) (*Verified, error) {
	b, err := Read(bundle)
	if err != nil {
		return nil, err
	}
	by, err := p.signer(b)
	if err != nil {
		return nil, err
	}
	c, err := newComparison(b.Manifest, path, &p)
	if err != nil {
		return nil, err
	}
	defer c.tree.close()
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	return &Verified{
		SignedBy: *by, Root: b.Root, Canonical: b.Manifest.canonical(), Manifest: b.Manifest, V02: b.V02(),
		Files: len(c.match), Bytes: c.bytes, Ignored: c.ignored, Unlisted: c.unlisted, Asked: c.asked,
		Twins: twins(namesOf(c.found)),
	}, nil
}

// comparison compares a signed list with what is on disk.
type comparison struct {
	policy *Policy
	tree   *tree
	method Serialization
	want   map[string]string // digest by entry
	paths  []string          // the files that are signed, sorted
	ends   map[string]int64  // their sizes, of a list of shards
	asked  []string          // what the bundle asks to ignore and nobody else does

	found, match []file
	ignored      []string
	unlisted     []string
	bytes        int64
	diff         MismatchError
}

func newComparison(m *Manifest, path string, p *Policy) (*comparison, error) {
	c := &comparison{policy: p, method: m.Serialization, want: map[string]string{}, paths: m.paths()}
	ignore, err := ignored(p.Ignore)
	if err != nil {
		return nil, err
	}
	if p.BundleIgnores {
		more, err := ignored(m.Serialization.IgnorePaths)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrManifest, err)
		}
		ignore = append(ignore, more...)
	}
	if c.tree, err = openTree(path, rules{links: p.AllowSymlinks && m.Serialization.AllowSymlinks}); err != nil {
		return nil, err
	}
	if ignore, err = c.tree.withSignature(ignore, p.Signature); err != nil {
		c.tree.close()
		return nil, err
	}
	for _, asked := range m.Serialization.IgnorePaths {
		if clean, err := checkIgnore(asked); err != nil || !under(clean, ignore) {
			c.asked = append(c.asked, asked)
		}
	}
	slices.Sort(c.asked)
	// The one file of a model was once called "."; here it has its name.
	dot := ""
	if len(c.paths) == 1 && c.paths[0] == "." && c.tree.single != "" {
		dot, c.paths[0] = ".", c.tree.name
	}
	c.index(m, dot)
	r := &c.tree.rules
	r.ignore, r.listed, r.folders = ignore, map[string]bool{}, map[string]bool{}
	for _, p := range c.paths {
		r.listed[p] = true
		for i := strings.LastIndexByte(p, '/'); i > 0; i = strings.LastIndexByte(p[:i], '/') {
			r.folders[p[:i]] = true
		}
	}
	return c, nil
}

// index takes the manifest's entries by name.
func (c *comparison) index(m *Manifest, dot string) {
	rename := func(name string) string {
		if rest, ok := strings.CutPrefix(name, dot); ok && dot != "" {
			return c.tree.name + rest
		}
		return name
	}
	for _, r := range m.Resources {
		c.want[rename(r.Name)] = r.Digest
	}
	if m.Serialization.Method == Shards {
		ends, _ := m.shards() // checked when it was read
		c.ends = make(map[string]int64, len(ends))
		for p, end := range ends {
			if p == dot && dot != "" {
				p = c.tree.name
			}
			c.ends[p] = end
		}
	}
}

func (c *comparison) run(ctx context.Context) error {
	var err error
	if c.found, c.ignored, err = c.tree.list(); err != nil {
		return err
	}
	extra := c.sort()
	e := &engine{tree: c.tree, files: c.match, algorithm: c.method.Algorithm, span: c.method.ShardSize, work: c.policy.Work}
	if err := e.run(ctx); err != nil {
		return err
	}
	c.bytes = e.total
	for i := range e.files {
		if !c.equal(e, i, e.files[i].name) {
			c.diff.Changed = append(c.diff.Changed, e.files[i].name)
		}
	}
	if err := c.renamed(ctx, extra); err != nil {
		return err
	}
	if c.diff.empty() {
		if err := c.tree.unchanged(c.found, !c.policy.AllowUnlisted); err != nil {
			return err
		}
		if len(c.match) == 0 {
			return errors.New("verify: no file was compared")
		}
		return nil
	}
	for _, name := range c.diff.Extra {
		if under(name, c.asked) {
			c.diff.Asked = append(c.diff.Asked, name)
		}
	}
	slices.Sort(c.diff.Changed)
	return &c.diff
}

// sort tells the files that are signed from those that are not, which it
// returns, and finds those that are missing or have another size.
func (c *comparison) sort() (extra []file) {
	there := map[string]bool{}
	for _, f := range c.found {
		there[f.name] = true
		switch end, sharded := c.ends[f.name]; {
		case c.tree.rules.listed[f.name] && sharded && end != f.stamp.Size:
			c.diff.Changed = append(c.diff.Changed, f.name)
		case c.tree.rules.listed[f.name]:
			c.match = append(c.match, f)
		case c.policy.AllowUnlisted, c.policy.AllowEmpty && c.method.Method == Shards && f.stamp.Size == 0:
			c.unlisted = append(c.unlisted, f.name)
		default:
			extra = append(extra, f)
		}
	}
	for _, p := range c.paths {
		if !there[p] {
			c.diff.Missing = append(c.diff.Missing, p)
		}
	}
	return extra
}

// equal says whether file i of e has the digests that were signed for name.
func (c *comparison) equal(e *engine, i int, name string) bool {
	for k, sum := range e.sums[i] {
		entry := name
		if e.span > 0 {
			start, end := e.segment(i, k)
			entry = shard{path: name, start: start, end: end}.name()
		}
		if c.want[entry] != hex.EncodeToString(sum) {
			return false
		}
	}
	if e.span > 0 {
		return c.ends[name] == e.files[i].stamp.Size
	}
	return true
}

// renamed finds out which of the extra files are the missing ones under
// another name, so that a person need not compare them.
func (c *comparison) renamed(ctx context.Context, extra []file) error {
	var alike []file
	for _, f := range extra {
		if c.mayBeMissing(&f) && len(extra)*len(c.diff.Missing) <= renamePairs {
			alike = append(alike, f)
			continue
		}
		c.diff.Extra = append(c.diff.Extra, f.name)
	}
	e := &engine{tree: c.tree, files: alike, algorithm: c.method.Algorithm, span: c.method.ShardSize, work: Work{Workers: c.policy.Work.Workers}}
	if err := e.run(ctx); err != nil {
		return err
	}
	for i := range alike {
		k := slices.IndexFunc(c.diff.Missing, func(name string) bool { return c.equal(e, i, name) })
		if k < 0 {
			c.diff.Extra = append(c.diff.Extra, alike[i].name)
			continue
		}
		c.diff.Renamed = append(c.diff.Renamed, [2]string{c.diff.Missing[k], alike[i].name})
		c.diff.Missing = slices.Delete(c.diff.Missing, k, k+1)
	}
	slices.Sort(c.diff.Extra)
	return nil
}

// renamePairs is how many pairs of files are compared to explain a difference;
// beyond that a list of renames helps nobody.
const renamePairs = 1 << 16

// mayBeMissing says whether an extra file could be a missing one. A list of
// shards knows sizes, so that most need not be hashed.
func (c *comparison) mayBeMissing(f *file) bool {
	return slices.ContainsFunc(c.diff.Missing, func(name string) bool {
		end, sharded := c.ends[name]
		return !sharded || end == f.stamp.Size
	})
}
