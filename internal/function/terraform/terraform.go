// Package terraform reads what a Terraform root module declares about functions
// and their rights, from its files alone: nothing is initialised, planned or
// downloaded.
//
// Start at [NewTree] with the files of each folder, then [Tree.Read]. HCL and Terraform's JSON syntax are
// evaluated as far as the files determine the values: variables by their
// defaults and the files of values that Terraform takes by itself, locals, count
// and for_each, dynamic blocks, modules within the tree that is handed in, and
// the functions that are a matter of the files. A value that depends on more is
// unknown and shows its expression; a variable's default is taken as its value.
//
// Source: the Terraform language and the AWS provider's documentation.
package terraform

import (
	"context"
	"io/fs"
	"maps"
	"slices"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// Limits of one root module, each several times what large ones have.
const (
	maxFiles     = 2000
	maxResources = 10_000
	maxInstances = 500       // of one block by count or for_each
	maxObjects   = 20_000    // instances of all resources
	maxModules   = 20        // calls within calls, blocks within blocks
	maxArguments = 1024      // of a call; items of a range or split
	maxEval      = 500       // expressions within expressions, references followed
	maxSteps     = 2_000_000 // of evaluation, about a second
	maxGaps      = node.MaxGaps
	maxBytes     = 128 << 20 // of a tree's files: parsed they take some twenty times as much
)

// Tree is a tree of files with Terraform in it. Each module is parsed once,
// whoever calls it. It is not safe for concurrent use.
type Tree struct {
	fsys   fs.FS
	files  map[string][]string // folder → its source files
	loaded map[string]*module
	bytes  int64
}

// NewTree takes the source files of the tree's folders: the keys are folders,
// the values paths.
func NewTree(fsys fs.FS, files map[string][]string) *Tree {
	return &Tree{fsys: fsys, files: files, loaded: map[string]*module{}}
}

// Read reads the root module in the folder dir. A problem of the files is a gap
// of the stack; the error is the context's.
func (t *Tree) Read(ctx context.Context, dir string) (*stack.Stack, error) {
	u := &unit{Tree: t, used: map[string]*module{}, named: map[string]bool{}, objects: map[string]*object{}, steps: maxSteps}
	root := u.instantiate(u.module(dir), "", nil, nil)
	x := &extraction{Builder: node.NewBuilder(stack.Terraform, dir), unit: u, links: map[string]map[string][]*object{}}
	u.expandAll(ctx, root)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	x.all(ctx)
	x.Stack.Files = slices.Collect(maps.Keys(u.named))
	for _, dir := range slices.Sorted(maps.Keys(u.used)) {
		x.Stack.Files = append(x.Stack.Files, u.used[dir].files...)
		for _, g := range u.used[dir].gaps {
			x.Gap(g.Where, g.Why)
		}
	}
	for _, g := range u.gaps {
		x.Gap(g.Where, g.Why)
	}
	return x.Stack, ctx.Err()
}

// expandAll makes the objects of a module and of those that it calls.
func (u *unit) expandAll(ctx context.Context, in *instance) {
	for _, r := range in.mod.resources {
		if ctx.Err() != nil || u.spent || len(u.order) >= maxObjects {
			return
		}
		in.expand(r)
	}
	for _, c := range in.mod.calls {
		if r := c.wrapped(); r != nil {
			in.expand(r)
		}
		for _, child := range in.instancesOf(c) {
			u.expandAll(ctx, child)
		}
	}
}
