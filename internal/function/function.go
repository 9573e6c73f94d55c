// Package function reads what infrastructure code declares about serverless
// functions, whatever format it is written in.
//
// Start at [Read]: it walks a tree, tells Terraform modules, CloudFormation and
// SAM templates, services of the Serverless Framework, OpenFaaS stacks and
// Kubernetes manifests by their content, never by the name of a file or folder,
// and returns a [stack.Stack] for each unit that is deployed together.
package function

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/cloudformation"
	"github.com/apexlogic/apex/internal/function/kubernetes"
	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/openfaas"
	"github.com/apexlogic/apex/internal/function/serverless"
	"github.com/apexlogic/apex/internal/function/stack"
	"github.com/apexlogic/apex/internal/function/terraform"
)

// Limits of one reading. Whole repositories of companies are below each.
const (
	maxEntries   = 200_000   // files and folders that are looked at
	maxDocuments = 20_000    // files that may be infrastructure code
	maxBytes     = 512 << 20 // of them together
	maxFile      = 8 << 20   // of one; CloudFormation takes 1 MB
)

// ErrTooLarge is returned for a tree that is larger than the limits: a part of
// it that was not read must not pass for one that is fine.
var ErrTooLarge = errors.New("the folder is larger than what is read at once")

// Options of Read.
type Options struct {
	// Variables are what a service of the Serverless Framework is deployed with
	// (--stage prod is "stage": "prod"). Without a value ${opt:…} takes the
	// default that stands beside it, or is unknown.
	Variables map[string]string
}

// ReadDir reads a folder of the machine. Links that lead out of it are not
// followed.
func ReadDir(ctx context.Context, dir string, o Options) ([]*stack.Stack, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return Read(ctx, root.FS(), o)
}

// Read reads every unit of a tree, in the order of their roots. What cannot be
// read is a gap of its stack; the error is for a tree that cannot be walked, one
// beyond the limits, and the context's.
func Read(ctx context.Context, fsys fs.FS, o Options) ([]*stack.Stack, error) {
	w := walk{fsys: fsys, terraform: map[string][]string{}}
	if err := w.find(ctx); err != nil {
		return nil, err
	}
	var out []*stack.Stack
	tree := terraform.NewTree(fsys, w.terraform)
	for _, dir := range w.roots(ctx, tree) {
		s, err := tree.Read(ctx, dir)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	read, err := w.documents(ctx, o)
	if err != nil {
		return nil, err
	}
	out = append(out, read...)
	for _, s := range out {
		slices.Sort(s.Files)
		s.Files = slices.Compact(s.Files)
	}
	slices.SortStableFunc(out, func(a, b *stack.Stack) int { return strings.Compare(a.Root, b.Root) })
	return out, nil
}

type walk struct {
	fsys      fs.FS
	terraform map[string][]string // folder → its files
	files     []string            // YAML and JSON
	bytes     int64
}

// skipped are the folders of tools: what they downloaded is not what the tree
// deploys.
var skipped = []string{".git", ".terraform", "node_modules"}

// find walks the tree.
func (w *walk) find(ctx context.Context) error {
	entries, documents := 0, 0
	return fs.WalkDir(w.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if entries++; entries > maxEntries {
			return fmt.Errorf("%w: more than %d files", ErrTooLarge, maxEntries)
		}
		if d.IsDir() {
			if slices.Contains(skipped, path.Base(name)) {
				return fs.SkipDir
			}
			return nil
		}
		isCode := terraform.IsSource(name)
		if !isCode && !mayBeDocument(name) || !w.regular(name, d) {
			return nil
		}
		if documents++; documents > maxDocuments {
			return fmt.Errorf("%w: more than %d files of infrastructure code", ErrTooLarge, maxDocuments)
		}
		if isCode {
			w.terraform[path.Dir(name)] = append(w.terraform[path.Dir(name)], name)
			return nil
		}
		w.files = append(w.files, name)
		return nil
	})
}

// regular says that the entry is a file, or a link to one within the tree.
func (w *walk) regular(name string, d fs.DirEntry) bool {
	if d.Type().IsRegular() {
		return true
	}
	if d.Type()&fs.ModeSymlink == 0 {
		return false
	}
	info, err := fs.Stat(w.fsys, name)
	return err == nil && info.Mode().IsRegular()
}

func mayBeDocument(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json", ".template":
		return !strings.HasSuffix(name, ".tfvars.json")
	}
	return false
}

// roots are the folders of Terraform that no other folder calls as a module.
// Modules that call each other in a circle are all roots: something is there.
func (w *walk) roots(ctx context.Context, tree *terraform.Tree) []string {
	called := map[string][]string{} // module → callers
	for dir := range w.terraform {
		if ctx.Err() != nil {
			return nil
		}
		for _, target := range tree.Sources(dir) {
			if target != dir {
				called[target] = append(called[target], dir)
			}
		}
	}
	var out []string
	reached := map[string]bool{}
	var reach func(dir string)
	calls := map[string][]string{}
	for target, callers := range called {
		for _, c := range callers {
			calls[c] = append(calls[c], target)
		}
	}
	reach = func(dir string) {
		if !reached[dir] {
			reached[dir] = true
			for _, target := range calls[dir] {
				reach(target)
			}
		}
	}
	for dir := range w.terraform {
		if len(called[dir]) == 0 {
			out = append(out, dir)
			reach(dir)
		}
	}
	for dir := range w.terraform {
		if !reached[dir] {
			out = append(out, dir)
		}
	}
	slices.Sort(out)
	return out
}

// documents reads the YAML and JSON files.
func (w *walk) documents(ctx context.Context, o Options) ([]*stack.Stack, error) {
	var out []*stack.Stack
	var folders []string
	manifests := map[string]*kubernetes.Folder{}
	in := map[string][]string{} // their files
	for _, name := range w.files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		data, err := node.ReadFile(w.fsys, name, maxFile)
		if err != nil {
			out = append(out, unread(stack.Kubernetes, name, err))
			continue
		}
		if w.bytes += int64(len(data)); w.bytes > maxBytes {
			return nil, fmt.Errorf("%w: more than %d MiB", ErrTooLarge, maxBytes>>20)
		}
		unit := looksLike(data)
		if unit == "" {
			continue
		}
		docs, err := parse(name, data)
		if err != nil && len(docs) == 0 {
			out = append(out, unread(unit, name, err))
			continue
		}
		for _, doc := range docs {
			switch {
			case kubernetes.Is(doc):
				dir := path.Dir(name)
				if manifests[dir] == nil {
					manifests[dir] = kubernetes.NewFolder(dir)
					folders = append(folders, dir)
				}
				manifests[dir].Add(doc)
				in[dir] = append(in[dir], name)
			case cloudformation.Is(doc):
				out = append(out, readFrom(name, cloudformation.Read(name, doc)))
			case openfaas.Is(doc):
				out = append(out, readFrom(name, openfaas.Read(name, doc)))
			case serverless.Is(doc):
				out = append(out, readFrom(name, serverless.Read(w.fsys, name, doc, o.Variables)))
			default:
				continue
			}
		}
		if err != nil {
			out = append(out, unread(unit, name, err))
		}
	}
	for _, dir := range folders {
		s := manifests[dir].Stack()
		s.Files = in[dir]
		out = append(out, s)
	}
	return out, nil
}

func parse(name string, data []byte) ([]*node.Node, error) {
	if trimmed := strings.TrimLeft(string(data[:min(len(data), 4096)]), "\ufeff \t\r\n"); strings.HasPrefix(trimmed, "{") {
		doc, err := node.JSON(name, data)
		if err == nil {
			return []*node.Node{doc}, nil
		}
		if strings.HasSuffix(name, ".json") {
			return nil, err
		}
	}
	return node.YAML(name, data)
}

// looksLike tells what a file may be before it is parsed: most YAML and JSON of
// a repository is no infrastructure code, and need not be valid.
func looksLike(data []byte) stack.Unit {
	text := string(data)
	has := func(words ...string) bool {
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	}
	switch {
	case has("apiVersion", "kind"):
		return stack.Kubernetes
	case has("Resources", "Type"), has("AWSTemplateFormatVersion"):
		return stack.CloudFormation
	case has("provider", "functions", "openfaas"):
		return stack.OpenFaaS
	case has("service", "provider"):
		return stack.Serverless
	}
	return ""
}

// readFrom adds the file to those that the stack was read from.
func readFrom(name string, s *stack.Stack) *stack.Stack {
	s.Files = append(s.Files, name)
	return s
}

// unread is a stack that only says that a file could not be read.
func unread(unit stack.Unit, name string, err error) *stack.Stack {
	return &stack.Stack{Unit: unit, Root: name, Files: []string{name}, Gaps: []stack.Gap{{Where: stack.Where{File: name}, Why: err.Error()}}}
}
