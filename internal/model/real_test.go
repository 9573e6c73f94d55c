package model_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/scan"
)

// realFile is one line of the index that tools/realmodels/make.py writes.
type realFile struct {
	Path    string `json:"path"`
	Label   string `json:"label"` // benign, code or malicious
	Writer  string `json:"writer"`
	Version string `json:"version"`
}

// realFiles reads the index of the folder.
func realFiles(t *testing.T, folder string) []realFile {
	t.Helper()
	index, err := os.Open(filepath.Join(folder, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	var files []realFile
	for lines := bufio.NewScanner(index); lines.Scan(); {
		var f realFile
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatalf("index.jsonl: %v", err)
		}
		files = append(files, f)
	}
	return files
}

// TestFilesOfTheRealLibraries scans what the libraries themselves wrote: no
// malicious file may pass, and of the benign ones at most 1 % be detected and
// 2 % blocked. Files with the label "code" are honest and hold functions; what
// is said of them is only logged.
func TestFilesOfTheRealLibraries(t *testing.T) {
	folder := os.Getenv("APEX_REAL_MODELS")
	if folder == "" {
		t.Skip("APEX_REAL_MODELS names no folder; tools/realmodels/make.py makes one")
	}
	s := model.New(scan.Limits{})
	labels := map[string]*tally{"benign": {}, "code": {}, "malicious": {}}
	writers := map[string]*tally{}
	var unknown []string
	for _, f := range realFiles(t, folder) {
		of := labels[f.Label]
		if of == nil {
			t.Fatalf("%s has the label %q", f.Path, f.Label)
		}
		writer := f.Label + " " + f.Writer
		if writers[writer] == nil {
			writers[writer] = &tally{}
		}
		v, why := scanned(t, s, filepath.Join(folder, f.Path))
		for _, n := range []*tally{of, writers[writer]} {
			n.all++
			if v >= scan.Suspicious {
				n.detected++
			}
			if v.Blocked() {
				n.blocked++
			}
		}
		switch {
		case v == scan.Unknown:
			unknown = append(unknown, f.Path)
		case f.Label == "malicious" && v < scan.Suspicious, f.Label == "benign" && v.Blocked():
			t.Logf("%s: %s is %s%s", f.Label, f.Path, v, why)
		}
	}
	t.Logf("unknown: %s", strings.Join(unknown, ", "))
	var rows []string
	for name, n := range writers {
		rows = append(rows, fmt.Sprintf("%-45s %s", name, n))
	}
	slices.Sort(rows)
	t.Logf("by writer:\n%s", strings.Join(rows, "\n"))
	for _, name := range []string{"malicious", "benign", "code"} {
		t.Logf("%s: %s", name, labels[name])
	}
	benign, malicious := labels["benign"], labels["malicious"]
	switch {
	case benign.all < 250 || malicious.all < 60:
		t.Errorf("the folder has %d benign and %d malicious files; some libraries are not installed", benign.all, malicious.all)
	case malicious.blocked < malicious.all:
		t.Error("malicious files passed")
	case benign.share(benign.detected) > 1, benign.share(benign.blocked) > 2:
		t.Error("too much of what is benign was blocked")
	}
}

// scanned scans one file, and says what was more than noted in it.
func scanned(t *testing.T, s *model.Scanner, path string) (scan.Verdict, string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	res := s.File(t.Context(), scan.NewFile(file, info.Size()), scan.Options{})
	why := ""
	for i := range res.Findings {
		f := &res.Findings[i]
		if f.Rule == "scan.internal" {
			t.Errorf("%s: %s", path, f.Detail)
		}
		if f.Severity > scan.Note && len(why) < 800 {
			why += fmt.Sprintf("\n      %s %s at %s: %s", f.Severity, f.Rule, f.Where, f.Detail)
		}
	}
	return res.Verdict, why
}
