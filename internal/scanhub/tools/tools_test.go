package tools

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// full is a request for which nothing is missing.
func full(t *testing.T, target Target) Request {
	t.Helper()
	db := t.TempDir()
	os.Mkdir(filepath.Join(db, "index"), 0o755)
	os.WriteFile(filepath.Join(db, "index", "db.json"), []byte(`{"modified":"2026-01-01T00:00:00Z"}`), 0o600)
	os.WriteFile(filepath.Join(db, "index", "modules.json"), []byte(`[{"path":"stdlib"}]`), 0o600)
	return Request{Target: target, Work: t.TempDir(), Report: "/work/report", Data: Data{
		GoAdvisories: db, SemgrepRules: "/rules", NucleiRules: "/rules", TrivyCache: "/cache", GrypeDB: "/db", OSVDatabase: "/osv",
	}}
}

func tool(t *testing.T, name string) Tool {
	t.Helper()
	all := All()
	i := slices.IndexFunc(all, func(t Tool) bool { return t.Name == name })
	if i < 0 {
		t.Fatalf("no tool %s", name)
	}
	return all[i]
}

func TestEveryToolIsDescribedWhole(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o600)
	names := map[string]bool{}
	for _, tool := range All() {
		t.Run(tool.Name, func(t *testing.T) {
			if names[tool.Name] {
				t.Error("its name is taken")
			}
			names[tool.Name] = true
			if len(tool.Programs) == 0 || len(tool.Version) == 0 || tool.Targets == 0 || tool.Network == nil {
				t.Errorf("something is missing: %+v", tool)
			}
			if tool.Exit[0] == Failed || tool.Exit[127] != Failed || tool.Exit[-1] != Failed || tool.Exit[2] != Failed && tool.Name != "zap" {
				t.Error("its exit codes are not those of a program: ", tool.Exit)
			}
			for _, target := range []Target{{Dir: dir}, {Image: filepath.Join(dir, "Dockerfile")}, {URL: "http://127.0.0.1:1/"}} {
				if tool.Targets&target.Kind() == 0 {
					continue
				}
				req := full(t, target)
				args, err := tool.Args(req)
				if err != nil || len(args) == 0 {
					t.Fatal(args, err)
				}
				if tool.File && tool.ReportName == "" && !slices.ContainsFunc(args, func(a string) bool { return strings.HasSuffix(a, req.Report) }) {
					t.Error("it is not told where to report: ", args)
				}
				if tool.Network(req) && target.URL == "" {
					t.Error("it needs a network with all its data there")
				}
			}
		})
	}
}

func TestToolsThatWouldFetchSayWhatTheyNeed(t *testing.T) {
	for name, target := range map[string]Target{
		"govulncheck": {Dir: "/x"}, "semgrep": {Dir: "/x"}, "trivy": {Dir: "/x"}, "grype": {Dir: "/x"}, "osv-scanner": {Dir: "/x"}, "nuclei": {URL: "http://127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			tool := tool(t, name)
			req := Request{Target: target, Work: "/w", Report: "/w/report"}
			if _, err := tool.Args(req); err == nil {
				t.Error("it would fetch")
			}
			if name == "nuclei" {
				return // its templates are programs: they are named, or none run
			}
			req.Data.AllowFetching = true
			if _, err := tool.Args(req); err != nil || !tool.Network(req) {
				t.Error("it is allowed to fetch: ", err)
			}
		})
	}
}

func TestAnEmptyFolderHoldsNoGoAdvisories(t *testing.T) {
	g := tool(t, "govulncheck")
	for _, c := range []struct{ name, db, modules string }{
		{"nothing", "", ""},
		{"no time", `{}`, `[{"path":"stdlib"}]`},
		{"no modules", `{"modified":"2026-01-01T00:00:00Z"}`, `[]`},
		{"no JSON", `x`, `[{"path":"stdlib"}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			os.Mkdir(filepath.Join(dir, "index"), 0o755)
			if c.db != "" {
				os.WriteFile(filepath.Join(dir, "index", "db.json"), []byte(c.db), 0o600)
				os.WriteFile(filepath.Join(dir, "index", "modules.json"), []byte(c.modules), 0o600)
			}
			if _, err := g.Args(Request{Data: Data{GoAdvisories: dir}}); err == nil {
				t.Error("it was taken for a database")
			}
		})
	}
}

func TestAnImageOnDiskIsNotFetched(t *testing.T) {
	tarball := filepath.Join(t.TempDir(), "image.tar")
	os.WriteFile(tarball, nil, 0o600)
	for _, name := range []string{"trivy", "grype", "osv-scanner"} {
		tool := tool(t, name)
		if req := full(t, Target{Image: tarball}); tool.Network(req) {
			t.Errorf("%s needs a network for a file", name)
		}
		if req := full(t, Target{Image: "example.com/a:1"}); !tool.Network(req) {
			t.Errorf("%s needs no network for a registry", name)
		}
	}
}

func TestResultsGetClassAndSeverity(t *testing.T) {
	for _, c := range []struct {
		tool   string
		in     sarif.Result
		class  sarif.Class
		rating fact.Severity
		pkg    string
		id     string
	}{
		{"gosec", sarif.Result{Rule: "G201", Severity: fact.SeverityMedium}, sarif.SQLInjection, fact.SeverityMedium, "", ""},
		{"gosec", sarif.Result{Rule: "G702", CWE: []int{78}, Level: "error"}, sarif.CommandInjection, fact.SeverityHigh, "", ""},
		{"gosec", sarif.Result{Rule: "G999", Level: "note"}, "", fact.SeverityLow, "", ""},
		{"gitleaks", sarif.Result{Rule: "aws-key", Level: "warning"}, sarif.Secret, fact.SeverityHigh, "", ""},
		{"govulncheck", sarif.Result{Rule: "GO-1-1", Level: "note", IDs: []string{"CVE-1-1"}}, sarif.Vulnerability, fact.SeverityLow, "", "GO-1-1"},
		{"trivy", sarif.Result{Rule: "CVE-2024-1", Message: "Package: openssl\nInstalled Version: 1", Level: "error"}, sarif.Vulnerability, fact.SeverityHigh, "openssl", "CVE-2024-1"},
		{"trivy", sarif.Result{Rule: "aws-access-key-id", Message: "Artifact: a\nMatch: ****", Level: "error"}, sarif.Secret, fact.SeverityHigh, "", ""},
		{"grype", sarif.Result{Rule: "GHSA-aaaa-bbbb-cccc-left-pad", Level: "error"}, sarif.Vulnerability, fact.SeverityHigh, "left-pad", "GHSA-aaaa-bbbb-cccc"},
		{"osv-scanner", sarif.Result{Rule: "CVE-2024-1", Message: "Package '@a/b@1.2' is vulnerable to 'CVE-2024-1'.", Severity: fact.SeverityLow}, sarif.Vulnerability, fact.SeverityLow, "@a/b", "CVE-2024-1"},
		{"checkov", sarif.Result{Rule: "CKV_SECRET_6", Level: "error"}, sarif.Secret, fact.SeverityMedium, "", ""},
		{"hadolint", sarif.Result{Rule: "DL3007", Level: "warning"}, sarif.UnpinnedDependency, fact.SeverityMedium, "", ""},
		{"semgrep", sarif.Result{Rule: "generic.secrets.x", CWE: []int{89}, Level: "none"}, sarif.Secret, fact.SeverityUnknown, "", ""},
	} {
		t.Run(c.tool+" "+c.in.Rule, func(t *testing.T) {
			tool, r := tool(t, c.tool), c.in
			tool.Normalize(&r)
			if r.Class != c.class || r.Severity != c.rating || r.Package != c.pkg || c.id != "" && r.IDs[0] != c.id {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestGosecReports(t *testing.T) {
	const issue = `{"severity":"HIGH","cwe":{"id":"78"},"rule_id":"G204","details":"d","file":"/src/a.go","line":"11-13","column":"2"}`
	for _, c := range []struct {
		name, doc string
		results   int
		problem   string
		bad       bool
	}{
		{"a finding", `{"Golang errors":{},"Issues":[` + issue + `]}`, 1, "", false},
		{"nothing", `{"Golang errors":{},"Issues":[]}`, 0, "", false},
		{"a package that did not load", `{"Golang errors":{"b.go":[{"line":1,"error":"syntax"}],"B.go":[]},"Issues":[]}`, 0, "2 packages", false},
		{"no list", `{"Golang errors":{},"Issues":null}`, 0, "", true},
		{"no JSON", `Summary: 0`, 0, "", true},
		{"two keys that are one to Go", `{"Issues":[],"issues":[` + issue + `]}`, 0, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs, err := readGosec([]byte(c.doc), "/src")
			if c.bad {
				if !errors.Is(err, sarif.ErrFormat) {
					t.Error(runs, err)
				}
				return
			}
			if err != nil || len(runs[0].Results) != c.results || !strings.Contains(runs[0].Problem, c.problem) || (c.problem == "") != (runs[0].Problem == "") {
				t.Fatal(runs, err)
			}
			if c.results == 1 {
				if r := runs[0].Results[0]; r.Place.File != "a.go" || r.Place.Line != 11 || r.Place.End != 13 || r.Severity != fact.SeverityHigh || r.CWE[0] != 78 {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

func TestZAPReports(t *testing.T) {
	runs, err := readZAP([]byte(`{"@version":"2.16","site":[{"alerts":[{"pluginid":"10038","alertRef":"10038-1","name":"CSP","riskcode":"2","cweid":"693","instances":[{"uri":"http://127.0.0.1/a?x=1","method":"GET","param":"q"}]}]}]}`), "")
	if err != nil || len(runs[0].Results) != 1 {
		t.Fatal(runs, err)
	}
	if r := runs[0].Results[0]; r.Rule != "10038-1" || r.Place.Name != "GET http://127.0.0.1/a q" || r.Severity != fact.SeverityMedium || sarif.ClassOf(r.CWE) != sarif.SecurityHeaders {
		t.Errorf("%+v", r)
	}
	if runs, err = readZAP([]byte(`{"site":[]}`), ""); err != nil || runs[0].Problem == "" {
		t.Error("no site was reached: ", runs, err)
	}
	if _, err = readZAP([]byte(`{}`), ""); !errors.Is(err, sarif.ErrFormat) {
		t.Error(err)
	}
}

func TestWhatAFolderHolds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/main.go", "node_modules/x/go.mod", "b/Dockerfile.dev"} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		os.WriteFile(filepath.Join(dir, name), nil, 0o600)
	}
	tree := Walk(dir)
	for name, want := range map[string]bool{"gosec": true, "govulncheck": false, "hadolint": true, "checkov": true} {
		tool := tool(t, name)
		if got := tool.Applies(tree); got != want {
			t.Errorf("%s applies: %v", name, got)
		}
	}
	if empty := (&Tree{}); !empty.has("anything") {
		t.Error("what was not listed whole may hold anything")
	}
}

func FuzzReaders(f *testing.F) {
	f.Add([]byte(`{"Golang errors":{"a":[{"error":"e"}]},"Issues":[{"file":"a.go","line":"1-2"}]}`))
	f.Add([]byte(`{"site":[{"alerts":[{"riskcode":"3","instances":[{"uri":"u"}]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for i, read := range []func([]byte, string) ([]sarif.Run, error){readGosec, readZAP} {
			runs, err := read(data, "/src")
			if err != nil && !errors.Is(err, sarif.ErrFormat) {
				t.Fatal(err)
			}
			for _, run := range runs {
				for _, r := range run.Results {
					if filepath.IsAbs(r.Place.File) || strings.HasPrefix(r.Place.File, "..") && !strings.HasPrefix(r.Place.File, "...") && strings.HasPrefix(r.Place.File, "../") {
						t.Fatal(fmt.Sprint(i), r.Place.File)
					}
				}
			}
		}
	})
}
