package manifest_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/manifest"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// walk returns "name=data" or "name!" for every file, names relative to dir.
func walk(t *testing.T, dir, stdin string, paths ...string) []string {
	t.Helper()
	var got []string
	err := manifest.Walk(t.Context(), strings.NewReader(stdin), paths, func(file string, data []byte, err error) error {
		if rel, relErr := filepath.Rel(dir, file); relErr == nil {
			file = filepath.ToSlash(rel)
		}
		if err != nil {
			if data != nil {
				t.Errorf("%s has data beside %v", file, err)
			}
			if r := manifest.Reject(file, err); !r.Rejected || len(r.Problems) != 1 {
				t.Errorf("the result is %+v", r)
			}
			got = append(got, file+"!")
			return nil
		}
		got = append(got, file+"="+string(data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWalkFindsManifestsInOrder(t *testing.T) {
	dir := tree(t, map[string]string{
		"b.yaml": "b", "a/z.yml": "z", "a/y.json": "y", "a/UP.YAML": "up", "README.md": "no", ".git/x.yaml": "no", "sub/.git/x.yaml": "no", "Makefile": "m",
	})
	want := []string{"a/UP.YAML=up", "a/y.json=y", "a/z.yml=z", "b.yaml=b"}
	if got := walk(t, dir, "", dir); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if got := walk(t, dir, "in", "-", filepath.Join(dir, "Makefile")); !slices.Equal(got, []string{"-=in", "Makefile=m"}) {
		t.Errorf("found %q", got)
	}
}

func TestWalkNeverLeavesItsDirectory(t *testing.T) {
	outside := tree(t, map[string]string{"secret.yaml": "secret", "dir/x.yaml": "secret"})
	dir := tree(t, map[string]string{"real.yaml": "real"})
	for link, target := range map[string]string{
		"absolute.yaml": filepath.Join(outside, "secret.yaml"),
		"climbs.yaml":   "../" + filepath.Base(filepath.Dir(outside)) + "/" + filepath.Base(outside) + "/secret.yaml",
		"dangles.yaml":  "nowhere.yaml",
		"inside.yaml":   "real.yaml",
		"outdir":        filepath.Join(outside, "dir"),
		"loop.yaml":     "loop.yaml",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"absolute.yaml!", "climbs.yaml!", "dangles.yaml!", "inside.yaml=real", "loop.yaml!", "real.yaml=real"}
	if got := walk(t, dir, "", dir); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestWalkRefusesWhatIsNoRegularFileOfBoundedSize(t *testing.T) {
	dir := tree(t, map[string]string{"big.yaml": strings.Repeat("#", manifest.MaxBytes+1), "full.yaml": strings.Repeat("#", manifest.MaxBytes)})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o644); err != nil {
		t.Skip("no named pipes here:", err)
	}
	var refused []string
	err := manifest.Walk(t.Context(), nil, []string{dir}, func(file string, _ []byte, err error) error {
		if err != nil {
			refused = append(refused, filepath.Base(file))
			if filepath.Base(file) == "big.yaml" && !errors.Is(err, bounded.ErrTooLarge) {
				t.Errorf("big.yaml: %v", err)
			}
		}
		return nil
	})
	if err != nil || !slices.Equal(refused, []string{"big.yaml", "pipe.yaml"}) {
		t.Errorf("refused %q, %v", refused, err)
	}
}

func TestWalkStops(t *testing.T) {
	dir := tree(t, map[string]string{"a.yaml": "a", "b.yaml": "b"})
	stop := errors.New("stop")
	calls := 0
	err := manifest.Walk(t.Context(), nil, []string{dir}, func(string, []byte, error) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("after an error: %d calls, %v", calls, err)
	}
	err = manifest.Walk(t.Context(), nil, []string{filepath.Join(dir, "absent.yaml")}, func(string, []byte, error) error { return nil })
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("at a path that does not exist: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls = 0
	err = manifest.Walk(ctx, nil, []string{dir}, func(string, []byte, error) error { calls++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("after the context is done: %d calls, %v", calls, err)
	}
}
