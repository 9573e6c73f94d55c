// Package model finds out what model files hold that would run, escape or
// break whoever loads them.
//
// [New] returns a [Scanner]; [Scanner.Tree] scans files and folders on disk,
// [Scanner.File] anything that can be read at offsets. The formats are in the
// table of formats.go; package scan is the vocabulary that they share. Each
// format reads every file whose content some loader of it would accept, so
// neither a file's name nor the first format that fits hides what another
// loader would run. Nothing is ever loaded.
//
// Back doors inside of weights are numbers like any others: they are not found
// here. They show only as differences from a base model that was declared.
package model

import (
	"context"
	"slices"

	"github.com/apexlogic/apex/internal/model/scan"
)

//go:generate go run ./gen -to ../../docs/model-findings.md

// Version of the scanner. It is raised whenever the same bytes may get another
// verdict, and stands in every scan attestation.
const Version = "1"

// Schema names the report's shape.
const Schema = "apex.model-scan/v1"

// Scanner scans files. It is safe for concurrent use.
type Scanner struct{ formats *scan.Formats }

// New returns a scanner with the limits for each file; zero: the default ones.
func New(limits scan.Limits) *Scanner { return &Scanner{formats: Formats(limits)} }

// File scans one file.
func (s *Scanner) File(ctx context.Context, f *scan.File, o scan.Options) scan.Result {
	res := s.formats.Scan(ctx, f, o)
	if f.HasPrefix(lfsPointer) && f.Size() < maxPointer {
		found := File{Result: res}
		found.add(rulePointer, "a pointer of Git LFS")
		return found.Result
	}
	return res
}

// What a pointer of Git LFS begins with, and how long it is at most
// (git-lfs/docs/spec.md).
const (
	lfsPointer = "version https://git-lfs.github.com/spec/v1\n"
	maxPointer = 1024
)

// Rule is a rule with the format that it belongs to: "file" for those about
// files as such, "scan" for those of the scanner itself.
type Rule struct {
	*scan.Rule
	Format string
}

// Rules lists every rule that a finding can name, in the order of the formats.
// A rule that several formats share is listed with the first.
func Rules() []Rule {
	var out []Rule
	seen := map[*scan.Rule]bool{}
	add := func(format string, rules []*scan.Rule) {
		for _, r := range rules {
			if !seen[r] {
				seen[r] = true
				out = append(out, Rule{r, format})
			}
		}
	}
	add("scan", scan.EngineRules())
	add("file", fileRules)
	for _, f := range Formats(scan.Limits{}).All() {
		add(f.Name, f.Rules)
	}
	return out
}

// By says what scanned: an attestation is worth as much as the lists behind it.
type By struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Lists   string `json:"lists"` // version of the lists of names
}

// Identity is what scans here.
func Identity() By { return By{Name: "apex", Version: Version, Lists: ListVersion()} }

// Report is what was found in all files of a model.
type Report struct {
	Schema  string       `json:"schema"`
	Scanner By           `json:"scanner"`
	Verdict scan.Verdict `json:"verdict"`
	Files   []File       `json:"files"`
}

// Summarize makes the report of files, in their order.
func Summarize(files []File) Report {
	r := Report{Schema: Schema, Scanner: Identity(), Files: files}
	for i := range files {
		r.Verdict = worse(r.Verdict, files[i].Verdict, i == 0)
	}
	return r
}

// Property returns what the files say of themselves under the key, without
// repetition, in the order of the files.
func (r *Report) Property(key string) []string {
	var values []string
	for i := range r.Files {
		for _, p := range r.Files[i].Properties {
			if p.Key == key && !slices.Contains(values, p.Value) {
				values = append(values, p.Value)
			}
		}
	}
	return values
}

// worse folds verdicts: what is blocked wins by its degree, and among the rest
// unknown wins over clean, because a model is clean only when all of it is.
func worse(a, b scan.Verdict, first bool) scan.Verdict {
	switch {
	case first:
		return b
	case a.Blocked() || b.Blocked():
		return max(a, b)
	}
	return min(a, b)
}
