// Command godb makes a folder in the layout of vuln.go.dev out of Go advisories
// in OSV's JSON, one a line, so that govulncheck works without a network:
//
//	go run ./godb -out DIR advisories.jsonl.gz
//	govulncheck -db file://DIR ./...
//
// The layout (go.dev/doc/security/vuln/database): index/db.json says when it was
// made, index/modules.json which advisories a module has, index/vulns.json lists
// all, and ID/<id>.json is one advisory.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	// maxLine is 100 times the largest advisory.
	maxLine = 4 << 20
	// maxBytes is 10 times the whole database.
	maxBytes = 256 << 20
)

type advisory struct {
	ID        string   `json:"id"`
	Modified  string   `json:"modified"`
	Withdrawn string   `json:"withdrawn"`
	Aliases   []string `json:"aliases"`
	Affected  []struct {
		Package struct {
			Name      string `json:"name"`
			Ecosystem string `json:"ecosystem"`
		} `json:"package"`
	} `json:"affected"`
}

type moduleVuln struct {
	ID       string `json:"id"`
	Modified string `json:"modified"`
}

type module struct {
	Path  string       `json:"path"`
	Vulns []moduleVuln `json:"vulns"`
}

type vuln struct {
	ID       string   `json:"id"`
	Modified string   `json:"modified"`
	Aliases  []string `json:"aliases,omitempty"`
}

func main() {
	out := flag.String("out", "", "the folder to make")
	flag.Parse()
	if *out == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: godb -out DIR advisories.jsonl[.gz]")
		os.Exit(2)
	}
	n, err := build(*out, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "godb:", err)
		os.Exit(1)
	}
	fmt.Printf("%d advisories in %s\n", n, *out)
}

// build makes the folder and returns how many advisories are in it.
func build(out, source string) (int, error) {
	f, err := os.Open(source)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(source, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return 0, err
		}
	}
	for _, dir := range []string{"ID", "index"} {
		if err := os.MkdirAll(filepath.Join(out, dir), 0o755); err != nil {
			return 0, err
		}
	}
	id := regexp.MustCompile(`^GO-\d{4}-\d{4,}$`)
	var modules = map[string]*module{}
	var vulns []vuln
	modified := ""
	lines := bufio.NewScanner(io.LimitReader(r, maxBytes))
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var a advisory
		if err := json.Unmarshal(line, &a); err != nil {
			return 0, fmt.Errorf("%s:%d: %w", source, n, err)
		}
		if !id.MatchString(a.ID) { // it becomes a file's name
			return 0, fmt.Errorf("%s:%d: %q is no id of a Go advisory", source, n, a.ID)
		}
		if err := os.WriteFile(filepath.Join(out, "ID", a.ID+".json"), line, 0o644); err != nil {
			return 0, err
		}
		modified = max(modified, a.Modified)
		if a.Withdrawn != "" {
			continue
		}
		vulns = append(vulns, vuln{a.ID, a.Modified, a.Aliases})
		for _, af := range a.Affected {
			m := modules[af.Package.Name]
			if m == nil {
				m = &module{Path: af.Package.Name}
				modules[af.Package.Name] = m
			}
			// The client asks for every advisory of a module and compares
			// versions itself; "fixed" here only saves it a request.
			if !slices.ContainsFunc(m.Vulns, func(v moduleVuln) bool { return v.ID == a.ID }) {
				m.Vulns = append(m.Vulns, moduleVuln{ID: a.ID, Modified: a.Modified})
			}
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if len(vulns) == 0 {
		return 0, errors.New(source + " holds no advisory")
	}
	list := make([]*module, 0, len(modules))
	for _, m := range modules {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *module) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(vulns, func(a, b vuln) int { return cmp.Compare(a.ID, b.ID) })
	for name, v := range map[string]any{"db": map[string]string{"modified": modified}, "modules": list, "vulns": vulns} {
		data, err := json.Marshal(v)
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(out, "index", name+".json"), data, 0o644); err != nil {
			return 0, err
		}
	}
	return len(vulns), nil
}
