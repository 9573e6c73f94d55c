package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/function"
	"github.com/apexlogic/apex/internal/function/judge"
	"github.com/apexlogic/apex/internal/function/stack"
	"github.com/apexlogic/apex/internal/verify"
)

// Unit is one unit of infrastructure code with what was found in it.
type Unit struct {
	*stack.Stack
	Findings []stack.Finding
}

// ScanFunctions reads the infrastructure code below a folder, or one file, and
// judges what it declares. Files are named as the argument names them.
func ScanFunctions(ctx context.Context, arg string, o judge.Options) ([]Unit, error) {
	info, err := os.Stat(arg)
	if err != nil {
		return nil, err
	}
	dir, only := arg, ""
	if !info.IsDir() {
		dir, only = filepath.Split(arg)
		if dir == "" {
			dir = "."
		}
	}
	stacks, err := function.ReadDir(ctx, dir, function.Options{})
	if err != nil {
		return nil, err
	}
	var out []Unit
	for _, s := range stacks {
		findings := judge.Judge(s, o)
		if only != "" {
			findings = slices.DeleteFunc(findings, func(f stack.Finding) bool { return f.File != only })
			if len(findings) == 0 && s.Root != only {
				continue
			}
		}
		for i := range findings {
			findings[i].File = filepath.Join(dir, findings[i].File)
		}
		out = append(out, Unit{s, findings})
	}
	return out, nil
}

// maxSourceFile bounds one file of a unit.
const maxSourceFile = 8 << 20

// DeclaredFunctions are the functions of a tree, each with the files of its
// unit and the bundles beside them, ready to be judged by policy. concerns says
// which units count by their files; nil: all.
func DeclaredFunctions(ctx context.Context, tree fs.FS, concerns func(files []string) bool, now time.Time) ([]verify.Function, error) {
	stacks, err := function.Read(ctx, tree, function.Options{})
	if err != nil {
		return nil, err
	}
	var out []verify.Function
	for _, s := range stacks {
		files := s.Files
		if concerns != nil && !concerns(files) {
			continue
		}
		sources, err := sourcesOf(tree, files)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Root, err)
		}
		for _, f := range function.Facts(s, judge.Judge(s, judge.Options{}), now) {
			out = append(out, verify.Function{Fact: f, Sources: sources})
		}
	}
	return out, nil
}

func sourcesOf(tree fs.FS, files []string) ([]verify.Source, error) {
	var out []verify.Source
	for _, name := range files {
		content, err := readSource(tree, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a folder, or a module that is not there: a gap says so
		}
		if err != nil {
			return nil, err
		}
		bundle, err := readSource(tree, name+BundleSuffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		out = append(out, verify.Source{Path: name, Content: content, Bundle: bundle})
	}
	return out, nil
}

func readSource(tree fs.FS, name string) ([]byte, error) {
	name = path.Clean(strings.TrimPrefix(name, "./"))
	info, err := fs.Stat(tree, name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fs.ErrNotExist
	}
	if info.Size() > maxSourceFile {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, info.Size(), maxSourceFile)
	}
	return fs.ReadFile(tree, name)
}
