// Package docs_test holds the pages to what the program does: every document of
// ours in them is valid, and every field has its place.
package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/policytest"
)

// block is one fenced block of YAML.
type block struct {
	page string
	line int
	text string
}

// documents is how a document of ours begins.
const documents = "apiVersion: security.apexlogic.com"

// blocks returns the blocks of all pages that begin with the text.
func blocks(t *testing.T, begin string) []block {
	t.Helper()
	var all []block
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".md" {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var inside *block
		for i, line := range strings.Split(string(data), "\n") {
			switch {
			case inside == nil && strings.HasPrefix(line, "```yaml"):
				inside = &block{page: name, line: i + 2}
			case inside != nil && line == "```":
				if strings.HasPrefix(inside.text, begin) {
					all = append(all, *inside)
				}
				inside = nil
			case inside != nil:
				inside.text += line + "\n"
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEveryDocumentInThePagesIsValid(t *testing.T) {
	kinds := map[string]bool{}
	for _, b := range blocks(t, documents) {
		set, err := config.Load(t.Context(), config.Bytes(fmt.Sprintf("%s:%d", b.page, b.line), []byte(b.text)))
		if err != nil {
			t.Fatal(err)
		}
		if err := set.Err(); err != nil {
			t.Error(err)
		}
		if filepath.Dir(b.page) == "kinds" {
			kinds[strings.TrimSuffix(filepath.Base(b.page), ".md")] = true
		}
	}
	for _, kind := range config.Kinds() {
		if !kinds[kind] {
			t.Errorf("docs/kinds/%s.md has no example", kind)
		}
	}
}

// TestTheExamplesFitTogether publishes all examples of the kinds at once:
// every name in them is defined by another one.
func TestTheExamplesFitTogether(t *testing.T) {
	var sources []config.Source
	for _, b := range blocks(t, documents) {
		if filepath.Dir(b.page) == "kinds" {
			sources = append(sources, config.Bytes(fmt.Sprintf("%s:%d", b.page, b.line), []byte(b.text)))
		}
	}
	set, err := config.Load(t.Context(), sources...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policytest.Lint(set, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)) {
		// The exception and the revocations show documents before they are
		// signed, and the wide pattern for Python has no lock.
		if p.Severity == config.Error {
			t.Error(p)
		}
	}
	if len(set.ImageSecurityPolicies) < 2 || len(set.TrustRoots) == 0 || len(set.BaseImageLocks) == 0 {
		t.Errorf("only %d documents", set.Len())
	}
}

// TestTheExampleOfPolicyTestsRuns runs it against the examples of the kinds.
func TestTheExampleOfPolicyTestsRuns(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "policies"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i, b := range blocks(t, documents) {
		if filepath.Dir(b.page) != "kinds" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "policies", fmt.Sprintf("%d.yaml", i)), []byte(b.text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cases := blocks(t, "schema: "+policytest.Schema)
	if len(cases) == 0 {
		t.Fatal("no page has a file of cases")
	}
	for i, b := range cases {
		file := filepath.Join(dir, fmt.Sprintf("%d_test.yaml", i))
		if err := os.WriteFile(file, []byte(b.text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := policytest.Run(t.Context(), []string{file})
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK() {
			t.Errorf("%s:%d: %v", b.page, b.line, r.Problems)
			for _, c := range r.Cases {
				if !c.OK {
					t.Errorf("%s: %v", c.Name, c.Wrong)
				}
			}
		}
	}
}

var row = regexp.MustCompile("(?m)^\\| `(spec[^`]*)` \\|")

func TestEveryFieldHasItsRow(t *testing.T) {
	for _, kind := range config.Kinds() {
		data, err := os.ReadFile(filepath.Join("kinds", kind+".md"))
		if err != nil {
			t.Error(err)
			continue
		}
		rows := map[string]int{}
		for _, m := range row.FindAllStringSubmatch(string(data), -1) {
			rows[m[1]]++
		}
		for _, path := range fields(t, kind, "spec") {
			if rows[path] != 1 {
				t.Errorf("kinds/%s.md has %d rows for %s", kind, rows[path], path)
			}
			delete(rows, path)
		}
		for path := range rows {
			t.Errorf("kinds/%s.md explains %s, which is no field", kind, path)
		}
	}
}

// fields returns the paths of all fields below path.
func fields(t *testing.T, kind, path string) []string {
	t.Helper()
	e, err := config.Explain(kind + "." + path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range e.Children {
		below := path + "." + c.Name
		child, err := config.Explain(kind + "." + below)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, child.Path)
		all = append(all, fields(t, kind, below)...)
	}
	return all
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

func TestLinksBetweenPagesLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("kinds/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal("no pages")
	}
	pages = append(pages, "policy-tests.md")
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}
