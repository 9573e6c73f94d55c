package scanhub

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/function"
	"github.com/apexlogic/apex/internal/function/judge"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
	"github.com/apexlogic/apex/internal/scanhub/tools"
)

// real runs one tool of the table, or skips where it is not on PATH.
func real(t *testing.T, name, dir string, data tools.Data) Scan {
	t.Helper()
	table := tools.All()
	i := slices.IndexFunc(table, func(tool tools.Tool) bool { return tool.Name == name })
	r := Runner{Tools: table[i : i+1], Data: data}
	scans, err := r.Run(t.Context(), tools.Target{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if scans[0].Status == NotInstalled {
		t.Skip(scans[0].Reason, "; build it with make scanners")
	}
	t.Logf("%s %s: %s %s, %s CPU, confined %v, open %v", name, scans[0].Version, scans[0].Status, scans[0].Reason, scans[0].CPU, scans[0].Confined, scans[0].Open)
	return scans[0]
}

// files lays a folder of files.
func files(t *testing.T, list map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range list {
		p := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(p), 0o755)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const module = "module example.com/x\n\ngo 1.26\n"

func TestGosecReallyRuns(t *testing.T) {
	source := func(body string) string {
		return "package main\n\nimport (\n\t\"crypto/md5\"\n\t\"crypto/sha256\"\n)\n\nvar _, _ = md5.New, sha256.New\n\nfunc main() {\n\t" + body + "\n}\n"
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("gosec needs the go command")
	}
	t.Run("a weak hash is found, and no comment hides it", func(t *testing.T) {
		s := real(t, "gosec", files(t, map[string]string{"go.mod": module, "cmd/main.go": source("_ = md5.Sum(nil) // #nosec")}), tools.Data{})
		if s.Status != Scanned || !slices.ContainsFunc(s.Results, func(r sarif.Result) bool {
			return r.Class == sarif.WeakCryptography && r.Place.File == "cmd/main.go" && r.Place.Line == 11
		}) {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a good one is clean", func(t *testing.T) {
		s := real(t, "gosec", files(t, map[string]string{"go.mod": module, "cmd/main.go": "package main\n\nfunc main() {}\n"}), tools.Data{})
		if s.Status != Scanned || len(s.Results) != 0 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("code that does not build is not scanned", func(t *testing.T) {
		s := real(t, "gosec", files(t, map[string]string{"go.mod": module, "cmd/main.go": "package main\n\nfunc main() { undefined( }\n"}), tools.Data{})
		if s.Status != NotScanned {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a folder without Go is not its business", func(t *testing.T) {
		if s := real(t, "gosec", files(t, map[string]string{"README.md": "x"}), tools.Data{}); s.Status != NotApplicable {
			t.Errorf("%+v", s)
		}
	})
}

func TestGitleaksReallyRuns(t *testing.T) {
	// Put together here, so that no scanner takes this file for a leak.
	token := "ghp_" + strings.Join([]string{"q9Zx7Lr2", "Vt5Yb8Nm", "3Kd6Wf1J", "h4Gs0PcX", "aRuE"}, "")
	leak := fmt.Sprintf("package a\n\nvar token = %q // gitleaks:allow\n", token)
	quiet := map[string]string{
		"a/a.go": leak, ".gitleaks.toml": "title = \"none\"\n[allowlist]\npaths = ['''.*''']\n",
		".gitleaksignore": "a/a.go:github-pat:3\n",
	}
	t.Run("a token is found, whatever the tree says about it", func(t *testing.T) {
		dir := files(t, quiet)
		s := real(t, "gitleaks", dir, tools.Data{})
		if s.Status != Scanned || len(s.Results) != 1 || s.Results[0].Class != sarif.Secret || s.Results[0].Place.File != "a/a.go" || s.Results[0].Place.Line != 3 {
			t.Fatalf("%+v", s)
		}
		if strings.Contains(fmt.Sprintf("%+v", s), token) {
			t.Error("the token was passed on")
		}
		m := merged(t, dir, s)
		if v := Decide(m, nil, Threshold{}, day("2027-01-01")); v.Count[Blocking] != 1 {
			t.Error(v)
		}
	})
	t.Run("a tree without one is clean", func(t *testing.T) {
		s := real(t, "gitleaks", files(t, map[string]string{"a/a.go": "package a\n"}), tools.Data{})
		if s.Status != Scanned || len(s.Results) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestGovulncheckReallyRuns(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("govulncheck needs the go command")
	}
	// A made-up advisory about the standard library, so that no module is needed.
	advisory := `{"schema_version":"1.3.1","id":"GO-2099-0001","modified":"2026-01-01T00:00:00Z","published":"2026-01-01T00:00:00Z","aliases":["CVE-2099-1"],"summary":"made up","details":"made up",
	"affected":[{"package":{"ecosystem":"Go","name":"stdlib"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],"ecosystem_specific":{"imports":[{"path":"path/filepath","symbols":["Base"]}]}}]}`
	db := files(t, map[string]string{
		"ID/GO-2099-0001.json": advisory,
		"index/db.json":        `{"modified":"2026-01-01T00:00:00Z"}`,
		"index/modules.json":   `[{"path":"stdlib","vulns":[{"id":"GO-2099-0001","modified":"2026-01-01T00:00:00Z"}]}]`,
		"index/vulns.json":     `[{"id":"GO-2099-0001","modified":"2026-01-01T00:00:00Z","aliases":["CVE-2099-1"]}]`,
	})
	calls := func(f string) string {
		return files(t, map[string]string{"go.mod": module, "main.go": "package main\n\nimport (\n\t\"os\"\n\t\"path/filepath\"\n)\n\nfunc main() {\n\tos.Stdout.WriteString(filepath." + f + "(os.Args[0]))\n}\n"})
	}
	t.Run("a call of it is found", func(t *testing.T) {
		s := real(t, "govulncheck", calls("Base"), tools.Data{GoAdvisories: db})
		if s.Status != Scanned || len(s.Results) != 1 || s.Results[0].Level != "error" || s.Results[0].Class != sarif.Vulnerability {
			t.Fatalf("%+v", s)
		}
		if m := merged(t, "", s); m.Findings[0].Rule() != "CVE-2099-1" {
			t.Errorf("%+v", m.Findings)
		}
	})
	t.Run("what is not called is less", func(t *testing.T) {
		s := real(t, "govulncheck", calls("Clean"), tools.Data{GoAdvisories: db})
		if s.Status != Scanned || len(s.Results) != 1 || s.Results[0].Level == "error" {
			t.Errorf("%+v", s)
		}
	})
	t.Run("without advisories it is not scanned", func(t *testing.T) {
		if s := real(t, "govulncheck", calls("Base"), tools.Data{}); s.Status != NotScanned || !strings.Contains(s.Reason, "Go advisories") {
			t.Errorf("%+v", s)
		}
	})
	t.Run("with a broken database it is not scanned", func(t *testing.T) {
		if s := real(t, "govulncheck", calls("Base"), tools.Data{GoAdvisories: t.TempDir()}); s.Status != NotScanned {
			t.Errorf("%+v", s)
		}
	})
}

// TestGitleaksAndTheScanOfFunctionsMeetAtTheSecret takes what both really say of
// one template.
func TestGitleaksAndTheScanOfFunctionsMeetAtTheSecret(t *testing.T) {
	template := func(value string) string {
		return "AWSTemplateFormatVersion: '2010-09-09'\nTransform: AWS::Serverless-2016-10-31\nResources:\n  Captioner:\n    Type: AWS::Serverless::Function\n    Properties:\n" +
			"      Handler: app.handler\n      Runtime: python3.13\n      CodeUri: src/\n      Environment:\n        Variables:\n          UPLOAD_TOKEN: " + value + "\n"
	}
	for _, c := range []struct {
		name, value string
		want        int
	}{
		{"a token", "ghp_" + "x7Kq2mN9pR4tV8wZ1bC5dF3gH6jL0sYaQeUi", 1},
		{"a reference to one", "'{{resolve:secretsmanager:upload:SecretString:token}}'", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := files(t, map[string]string{"template.yaml": template(c.value)})
			leaks := real(t, "gitleaks", dir, tools.Data{})
			stacks, err := function.ReadDir(t.Context(), dir, function.Options{})
			if err != nil {
				t.Fatal(err)
			}
			own := sarif.Run{Tool: "apex-functions"}
			for _, s := range stacks {
				for _, f := range judge.Judge(s, judge.Options{}) {
					own.Results = append(own.Results, sarif.Result{Rule: f.Class, Level: "error", Place: sarif.Place{File: f.File, Line: f.Line, End: f.Line}})
				}
			}
			secrets := 0
			for _, f := range merged(t, dir, leaks, Report(own)).Findings {
				if f.Class != sarif.Secret {
					continue
				}
				if secrets++; len(f.By) != 2 || !slices.Contains(f.CWE, 798) {
					t.Errorf("%+v", f)
				}
			}
			if secrets != c.want {
				t.Errorf("%d secrets, want %d: %+v %+v", secrets, c.want, leaks.Results, own.Results)
			}
		})
	}
}
