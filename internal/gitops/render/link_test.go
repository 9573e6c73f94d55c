package render_test

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/verdict"
)

// commitTree is a tree as a commit gives it: links show what they are, and
// neither they nor submodules can be opened.
type commitTree struct{ fstest.MapFS }

func (c commitTree) Stat(name string) (fs.FileInfo, error) { return c.Lstat(name) }

func (c commitTree) Open(name string) (fs.File, error) {
	if info, err := c.Lstat(name); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("it is a link or a submodule")}
	}
	return c.MapFS.Open(name)
}

func TestLinksAndSubmodulesAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		mode  fs.FileMode
		at    string // where it stands
		files map[string]string
		ok    bool
	}{
		"a link in a folder":              {fs.ModeSymlink, "a/link.yaml", map[string]string{"a/c.yaml": config}, false},
		"a link to a folder":              {fs.ModeSymlink, "a/more", map[string]string{"a/c.yaml": config}, false},
		"a submodule in a folder":         {fs.ModeIrregular, "a/sub", map[string]string{"a/c.yaml": config}, false},
		"the path itself is a link":       {fs.ModeSymlink, "a", map[string]string{"b/c.yaml": config}, false},
		"a kustomization that is a link":  {fs.ModeSymlink, "a/kustomization.yaml", map[string]string{"a/c.yaml": config}, false},
		"a resource that is a link":       {fs.ModeSymlink, "a/link.yaml", map[string]string{"a/kustomization.yaml": "resources: [link.yaml]"}, false},
		"a base that is a submodule":      {fs.ModeIrregular, "base", map[string]string{"a/kustomization.yaml": "resources: [../base]"}, false},
		"a generator's file that is one":  {fs.ModeSymlink, "a/x", map[string]string{"a/kustomization.yaml": "configMapGenerator: [{name: x, files: [x]}]"}, false},
		"a link outside of the path":      {fs.ModeSymlink, "b/link.yaml", map[string]string{"a/c.yaml": config}, true},
		"a link that nothing names":       {fs.ModeSymlink, "a/x", map[string]string{"a/kustomization.yaml": "resources: [c.yaml]", "a/c.yaml": config}, true},
		"a file where a link would stand": {0, "a/link.yaml", map[string]string{"a/c.yaml": config}, true},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := tree(tc.files)
			data := "c.yaml"
			if tc.mode == 0 {
				data = deployment
			}
			fsys[tc.at] = &fstest.MapFile{Mode: tc.mode | 0o644, Data: []byte(data)}
			_, err := render.Render(t.Context(), commitTree{fsys}, "a", options)
			var refused *render.Error
			if tc.ok && err != nil || !tc.ok && (!errors.As(err, &refused) || refused.Reasons[0].Code != verdict.RenderPath) {
				t.Errorf("got %v", err)
			}
		})
	}
}
