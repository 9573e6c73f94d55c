package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/cel-go/cel"
)

const (
	crds    = "../../../config/crd"
	schemas = "../../../config/crd/schema"
)

func TestTheGeneratedSchemasAreCurrent(t *testing.T) {
	files, err := generate(crds)
	if err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Glob(filepath.Join(schemas, "*"))
	if err != nil || len(there) != len(files) {
		t.Errorf("%d files are there and %d are generated; run go generate ./internal/config", len(there), len(files))
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(schemas, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not current (%v); run go generate ./internal/config", name, err)
		}
	}
}

func TestRulesThatAreNoBooleanCELAreRefused(t *testing.T) {
	env, err := cel.NewEnv(cel.Variable("self", cel.DynType))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := compileRule(env, "has(self.a) && size(self.a) > 1"); err != nil {
		t.Errorf("a rule is refused: %v", err)
	}
	for _, text := range []string{"", "1 + 1", "has(self)", "oldSelf.a == self.a", "unknown(self.a)", "self."} {
		if _, err := compileRule(env, text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestRunWritesAndRemoves(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Gone.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(crds, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "Gone.json")); !os.IsNotExist(err) {
		t.Error("the schema of a kind that is gone is kept")
	}
	if _, err := os.Stat(filepath.Join(dir, "TrustRoot.json")); err != nil {
		t.Error(err)
	}
	if err := run(t.TempDir(), dir); err == nil {
		t.Error("a directory without CRDs is accepted")
	}
}

// BenchmarkCompileAtStartUp is what validating one document of each kind would
// cost in addition if the rules were compiled when they are needed.
func BenchmarkCompileAtStartUp(b *testing.B) {
	for b.Loop() {
		if _, err := generate(crds); err != nil {
			b.Fatal(err)
		}
	}
}
