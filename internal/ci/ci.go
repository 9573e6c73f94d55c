// Package ci is the door in front of a merge: what would this change deploy,
// and may it?
//
// Start with [Read], which finds what a commit changes against its base, and
// [Gate.Judge], which asks the engine about it twice: under the policies and
// trust of the base, because nobody may loosen a rule and use that in one step,
// and under the change's own, because they will be in force afterwards. The
// stricter answer counts.
//
// Only commits are judged: what lies in a work tree can change while it is
// looked at.
package ci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

// Options say what is compared and where policies are.
type Options struct {
	// Base is the commit that the change starts from; "": there is none, and
	// everything in Head is new.
	Base, Head repo.Commit
	// Policies are the folders of the repository that hold policies, trust roots
	// and exceptions. One that is not there is left out.
	Policies []string
	// Paths are the folders and files that hold what is deployed; none: all.
	Paths []string
	// Everything judges all files, not only those that changed.
	Everything bool
}

// Change is what a commit would deploy.
type Change struct {
	Base, Head repo.Commit
	// Files that differ between the two, sorted.
	Files []string
	// Before and After are the documents of the base and of the head. Before is
	// nil when the base has none: then only the head's own policies judge.
	Before, After *config.Set
	// Everything says why all files are judged and not only the changed ones;
	// "": only those.
	Everything string

	Questions  []verdict.Question
	Unresolved []verdict.Unresolved
	// Tree is what the head holds.
	Tree fs.FS
	// Skipped is how many changed files hold nothing that is deployed.
	Skipped int
}

// The limits of one change. More is not reviewed by anybody either.
const (
	maxQuestions = 10_000
	maxText      = 8 << 20 // bytes of one manifest, as package manifest has it
)

// Read finds out what the head changes against the base.
func Read(ctx context.Context, r *repo.Repo, o Options) (*Change, error) {
	after, err := r.At(ctx, o.Head)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", o.Head, err)
	}
	c := &Change{Base: o.Base, Head: o.Head, Tree: after}
	if c.Files, err = r.Changed(ctx, o.Base, o.Head); err != nil {
		return nil, fmt.Errorf("compare with %s: %w", o.Base, err)
	}
	if c.After, err = policies(ctx, after, o.Policies); err != nil {
		return nil, fmt.Errorf("policies of %s: %w", o.Head, err)
	}
	if o.Base != "" {
		before, err := r.At(ctx, o.Base)
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", o.Base, err)
		}
		if c.Before, err = policies(ctx, before, o.Policies); err != nil {
			return nil, fmt.Errorf("policies of %s: %w", o.Base, err)
		}
	}
	switch {
	case o.Everything:
		c.Everything = "it was asked for"
	case o.Base == "":
		c.Everything = "there is no base to compare with"
	case c.Before == nil:
		c.Everything = "the base has no policies"
	case c.After == nil || c.Before.Hash() != c.After.Hash():
		c.Everything = "the policies change"
	}
	files := c.Files
	if c.Everything != "" {
		if files, err = all(after); err != nil {
			return nil, err
		}
	}
	return c, c.ask(ctx, files, &o)
}

// policies loads the documents of a tree; nil when it has none.
func policies(ctx context.Context, tree fs.FS, folders []string) (*config.Set, error) {
	var sources []config.Source
	for _, folder := range folders {
		info, err := fs.Stat(tree, folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s is a file; name the folder that policies are in", folder)
		}
		sub, err := fs.Sub(tree, folder)
		if err != nil {
			return nil, err
		}
		sources = append(sources, config.FS(folder, sub))
	}
	if len(sources) == 0 {
		return nil, nil
	}
	set, err := config.Load(ctx, sources...)
	if err != nil {
		return nil, err
	}
	if err := set.Err(); err != nil || set.Len() == 0 {
		return nil, err
	}
	return set, nil
}

func all(tree fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, name)
		}
		return err
	})
	return files, err
}

// ask collects the questions of the manifests among the files.
func (c *Change) ask(ctx context.Context, files []string, o *Options) error {
	for _, name := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !isText(name) || inside(name, o.Policies) || len(o.Paths) > 0 && !inside(name, o.Paths) {
			c.Skipped++
			continue
		}
		data, err := c.read(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // the change removes it
		case err != nil:
			c.refuse(name, err.Error())
			continue
		}
		found := len(c.Questions) + len(c.Unresolved)
		c.add(manifest.Extract(name, data, manifest.Limits{}))
		if found == len(c.Questions)+len(c.Unresolved) {
			c.Skipped++
		}
		if len(c.Questions) > maxQuestions {
			return fmt.Errorf("the change names more than %d images and models; split it", maxQuestions)
		}
	}
	return nil
}

func (c *Change) read(name string) ([]byte, error) {
	info, err := fs.Stat(c.Tree, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxText {
		return nil, fmt.Errorf("it has %d bytes, and a manifest at most %d", info.Size(), maxText)
	}
	return fs.ReadFile(c.Tree, name)
}

func (c *Change) refuse(name, why string) {
	c.Unresolved = append(c.Unresolved, verdict.Unresolved{Text: name, Where: verdict.Origin{File: name}, Code: verdict.ManifestInvalid, Why: why})
}

func (c *Change) add(r manifest.Result) {
	c.Unresolved = append(c.Unresolved, r.Refused()...)
	for i := range r.Refs {
		c.Questions = append(c.Questions, r.Refs[i].Question(nil))
	}
}

// isText says whether manifests have such names; the content decides then.
func isText(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func inside(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool {
		f = path.Clean(f)
		return f == "." || name == f || strings.HasPrefix(name, f+"/")
	})
}
