// Package tools is the table of external scanners: how each is found, what it is
// told, what its exit codes mean and how its report is read. One file per tool.
//
// Start at [All]. To add a scanner, copy the smallest file beside it and add
// one line to the table. What a tool is told follows four rules: it prints a
// report for machines; it fetches nothing that a flag can keep it from
// fetching; it disregards what the scanned tree says about it, where it can be
// told to; and codes for "found something" are kept apart from those for
// "failed". An exit code that a tool's table does not list is a failure.
package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// Kind is a kind of target.
type Kind uint8

// The kinds.
const (
	Dir   Kind = 1 << iota // a folder
	Image                  // a tarball or OCI layout on disk, or a reference
	URL                    // a running service
	SBOM                   // a CycloneDX or SPDX document in JSON, for Reporters
)

// Target is what is scanned: exactly one of the fields is set.
type Target struct {
	Dir   string // absolute path
	Image string // a path that exists, else a reference
	URL   string
	SBOM  string // a path
}

// Kind returns the kind of the target, 0 when none or several are named.
func (t Target) Kind() Kind {
	var kind Kind
	for k, text := range map[Kind]string{Dir: t.Dir, Image: t.Image, URL: t.URL, SBOM: t.SBOM} {
		if text == "" {
			continue
		}
		if kind != 0 {
			return 0
		}
		kind = k
	}
	return kind
}

// Data are files that a tool needs and that are not fetched: each "" when there
// is none, and then a tool that cannot do without says so.
type Data struct {
	GoAdvisories  string // folder in the layout of vuln.go.dev, for govulncheck
	SemgrepRules  string // file or folder of rules
	NucleiRules   string // folder of templates
	TrivyCache    string // folder with db/
	GrypeDB       string // folder of the database
	OSVDatabase   string // folder with osv-scalibr/<ecosystem>/all.zip
	AllowFetching bool   // tools may fetch databases and rules that are not given
}

// Request is one call of a tool.
type Request struct {
	Target Target
	Data   Data
	// Work is an empty folder that is the tool's home and is removed afterwards.
	Work string
	// Report is a path in Work for a report; "" when it goes to standard output.
	Report string
}

// Exit is what an exit code means.
type Exit uint8

// The meanings. The zero value, which every code has that is not listed, is Failed.
const (
	Failed  Exit = iota
	Clean        // it ran to the end and found nothing
	Found        // it ran to the end and found something
	Done         // it ran to the end; the report says what it found
	Nothing      // there was nothing in the target for it to look at
)

// Tool is one external scanner.
type Tool struct {
	// Name is what policies and reports call it.
	Name string
	// Programs are its names on PATH, of which the first that is there is run.
	Programs []string
	// Version are the arguments that make it print its version.
	Version []string
	// Targets are the kinds that it scans.
	Targets Kind
	// Applies says whether a folder holds anything for it; nil: always.
	Applies func(tree *Tree) bool
	// Args are its arguments. An error says what is missing to run it.
	Args func(Request) ([]string, error)
	// InTree runs it in the scanned folder instead of in its own home.
	InTree bool
	// File: the report is written to Request.Report, else to standard output.
	File bool
	// Silent: it writes no report when it found nothing.
	Silent bool
	// ReportName is the report's name in Request.Work where the tool chooses it.
	ReportName string
	// Files are laid into Request.Work before it runs.
	Files map[string]string
	// Read reads a report that is not SARIF; nil: it is.
	Read func(data []byte, root string) ([]sarif.Run, error)
	Exit map[int]Exit
	// Network says that its work needs one: it asks a service or a registry.
	Network func(Request) bool
	// Env are variables that it gets beside the harmless ones, "NAME=value".
	Env func(Request) []string
	// Go: it runs the go command, and gets its caches.
	Go bool
	// Severity rates a result whose report states none; nil: by its level.
	Severity func(*sarif.Result) fact.Severity
	// Classes gives the classes of rules, by id or by a prefix of it that ends
	// in "*". They go before what tags say.
	Classes map[string]sarif.Class
	// Class is for all other rules, "" leaves it to their tags.
	Class sarif.Class
	// Fill adds what only those who know the tool find in a result.
	Fill func(*sarif.Result)
	// Time and Memory bound a run; zero takes the runner's limits.
	Time   time.Duration
	Memory uint64 // bytes that each process may write to
}

// All returns the table, in the order in which tools are run and named.
func All() []Tool {
	return []Tool{
		gitleaks(), gosec(), govulncheck(), semgrep(), trivy(), grype(), osvScanner(), hadolint(), checkov(), zap(), nuclei(),
	}
}

// Own returns the table of the scanners that are built in: they are not run as
// programs, so only how their results are classed is there.
func Own() []Tool { return []Tool{apexFunctions()} }

// Normalize gives a result class and severity as the tool's table has them.
func (t *Tool) Normalize(r *sarif.Result) {
	if t.Fill != nil {
		t.Fill(r)
	}
	r.Class = t.classOf(r)
	if r.Severity != fact.SeverityUnknown {
		return
	}
	if t.Severity != nil {
		r.Severity = t.Severity(r)
		return
	}
	switch r.Level {
	case "error":
		r.Severity = fact.SeverityHigh
	case "warning":
		r.Severity = fact.SeverityMedium
	case "note":
		r.Severity = fact.SeverityLow
	}
}

func (t *Tool) classOf(r *sarif.Result) sarif.Class {
	if r.Class != "" {
		return r.Class
	}
	if c, ok := t.Classes[r.Rule]; ok {
		return c
	}
	best, class := 0, sarif.Class("")
	for pattern, c := range t.Classes {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && len(prefix) > best && strings.HasPrefix(r.Rule, prefix) {
			best, class = len(prefix), c
		}
	}
	if class != "" {
		return class
	}
	if c := sarif.ClassOf(r.CWE); c != "" && t.Class == "" {
		return c
	}
	return t.Class
}

// errNeeds says what a tool cannot do without.
func errNeeds(what, how string) error {
	return errors.New("it needs " + what + ", which it would fetch: " + how)
}

func offline(Request) bool { return false }

func always(severity fact.Severity) func(*sarif.Result) fact.Severity {
	return func(*sarif.Result) fact.Severity { return severity }
}

// maxEntries bounds the walk that looks for files that a tool reads.
const maxEntries = 200_000

// Tree is the scanned folder, walked once for all tools.
type Tree struct {
	names map[string]string // base name → the first path with it
	exts  map[string]string
	// docker are the files that look like Dockerfiles.
	docker []string
	// Full is false when the folder has more than maxEntries entries, or parts
	// that cannot be listed: then anything may be in it.
	Full bool
}

// Walk lists what is in a folder. Folders of version control and of fetched
// dependencies are left out.
func Walk(dir string) *Tree {
	t := &Tree{names: map[string]string{}, exts: map[string]string{}, Full: true}
	n := 0
	filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Full = false
			return nil
		}
		if n++; n > maxEntries {
			t.Full = false
			return fs.SkipAll
		}
		name := d.Name()
		if d.IsDir() {
			switch name {
			case ".git", ".hg", ".svn", "node_modules":
				return fs.SkipDir
			}
			return nil
		}
		if _, ok := t.names[name]; !ok {
			t.names[name] = p
		}
		if d.Type().IsRegular() && (strings.HasPrefix(name, "Dockerfile") || strings.HasPrefix(name, "Containerfile") || strings.HasSuffix(name, ".Dockerfile")) {
			t.docker = append(t.docker, p)
		}
		if ext := path.Ext(name); ext != "" {
			if _, ok := t.exts[ext]; !ok {
				t.exts[ext] = p
			}
		}
		return nil
	})
	return t
}

// has says whether there is, or may be, a file with one of the names; a name
// that begins with "." and is short is an extension too.
func (t *Tree) has(names ...string) bool {
	if !t.Full {
		return true
	}
	for _, n := range names {
		if _, ok := t.names[n]; ok {
			return true
		}
		if _, ok := t.exts[n]; ok {
			return true
		}
	}
	return false
}

// hasLike says whether a file's name has the prefix, or may.
func (t *Tree) hasLike(prefix string) bool {
	if !t.Full {
		return true
	}
	for n := range t.names {
		if strings.HasPrefix(n, prefix) {
			return true
		}
	}
	return false
}

// message clips a tool's words for an error.
func message(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{sarif.ErrFormat}, args...)...)
}
