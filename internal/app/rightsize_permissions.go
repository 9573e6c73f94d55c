package app

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function"
	"github.com/apexlogic/apex/internal/function/permissions"
	"github.com/apexlogic/apex/internal/function/stack"
)

// Rights are what the functions and principals below a folder may do.
type Rights struct {
	Permissions []permissions.Permission
	Gaps        []stack.Gap // what could not be read: it may give rights too
}

// Permissions reads the infrastructure code below a folder, or one file, and
// lists the rights in it. Files are named as the argument names them.
func Permissions(ctx context.Context, arg string) (*Rights, error) {
	dir, only, err := folderOf(arg)
	if err != nil {
		return nil, err
	}
	stacks, err := function.ReadDir(ctx, dir, function.Options{})
	if err != nil {
		return nil, err
	}
	out := &Rights{}
	for _, s := range stacks {
		if only != "" && !slices.Contains(s.Files, only) && s.Root != only {
			continue
		}
		for _, p := range permissions.List(s) {
			if only == "" || p.File == only || s.Root == only {
				out.Permissions = append(out.Permissions, below(dir, p))
			}
		}
		for _, g := range s.Gaps {
			if only == "" || g.File == only {
				g.File = filepath.Join(dir, g.File)
				out.Gaps = append(out.Gaps, g)
			}
		}
	}
	return out, nil
}

// folderOf splits an argument into the folder that is read and, when it names
// one file, that file.
func folderOf(arg string) (dir, only string, err error) {
	info, err := os.Stat(arg)
	if err != nil {
		return "", "", err
	}
	if info.IsDir() {
		return arg, "", nil
	}
	dir, only = filepath.Split(arg)
	return cmp.Or(dir, "."), only, nil
}

// below names the files of a permission from where the program runs.
func below(dir string, p permissions.Permission) permissions.Permission {
	at := func(w *stack.Where) {
		if w.File != "" {
			w.File = filepath.Join(dir, w.File)
		}
	}
	at(&p.Where)
	for i := range p.Services {
		for j := range p.Services[i].From {
			at(&p.Services[i].From[j])
		}
	}
	for i := range p.Rules {
		for j := range p.Rules[i].From {
			at(&p.Rules[i].From[j])
		}
	}
	for i := range p.Unresolved {
		at(&p.Unresolved[i].Where)
	}
	return p
}

// Of keeps the principals that a function runs as. False: there is no such
// function; names are those that there are.
func (r *Rights) Of(name string) (of []permissions.Permission, names []string, ok bool) {
	for _, p := range r.Permissions {
		names = append(names, p.Functions...)
		if slices.ContainsFunc(p.Functions, func(f string) bool {
			// Workloads of Kubernetes are named by their kind and namespace too.
			return f == name || strings.HasSuffix(f, "/"+name) && strings.Contains(f, " ")
		}) {
			of = append(of, p)
		}
	}
	slices.Sort(names)
	return of, slices.Compact(names), len(of) > 0
}
