package dir_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/dir"
	"github.com/apexlogic/apex/internal/gitops/targettest"
)

func open(t testing.TB, opt dir.Options) *dir.Dir {
	t.Helper()
	d, err := dir.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// at is where a ConfigMap's file is.
func at(root string, id gitops.ID) string {
	return filepath.Join(root, id.Namespace, id.Kind, id.Name+".yaml")
}

func TestADirectoryIsATarget(t *testing.T) {
	targettest.Target(t, func(t *testing.T) targettest.Harness {
		opt := dir.Options{Path: filepath.Join(t.TempDir(), "tree")}
		d := open(t, opt)
		return targettest.Harness{
			Target: d, Namespace: "vision", StableUID: true,
			Write: func(t testing.TB, id gitops.ID, _ string, change func(map[string]any)) {
				t.Helper()
				data, err := os.ReadFile(at(opt.Path, id))
				if err != nil {
					t.Fatal(err)
				}
				var body map[string]any
				if err := yaml.Unmarshal(data, &body); err != nil {
					t.Fatal(err)
				}
				change(body)
				if data, err = yaml.Marshal(body); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at(opt.Path, id), data, 0o644); err != nil {
					t.Fatal(err)
				}
			},
			Remove: func(t testing.TB, id gitops.ID) {
				t.Helper()
				if err := os.Remove(at(opt.Path, id)); err != nil {
					t.Fatal(err)
				}
			},
			Reopen: func(t testing.TB) gitops.Target {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				return open(t, opt)
			},
		}
	})
}

func TestADirectorysStoreIsAStore(t *testing.T) {
	targettest.Store(t, func(t *testing.T) (gitops.Store, func(testing.TB) gitops.Store) {
		opt := dir.Options{Path: t.TempDir()}
		if err := os.Chmod(opt.Path, 0o755); err != nil {
			t.Fatal(err)
		}
		return open(t, opt).State(), func(t testing.TB) gitops.Store { return open(t, opt).State() }
	})
}
