package policytest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// ResultSchema is the value of [Result.Schema].
const ResultSchema = "apex.policytest.result/v1"

// maxFiles bounds the files of one run.
const maxFiles = 1000

// Result is what came of a run.
type Result struct {
	Schema string `json:"schema"`
	// Cases in the order of the files.
	Cases []CaseResult `json:"cases"`
	// Problems kept files from being run at all.
	Problems []config.Problem `json:"problems,omitempty"`
	Passed   int              `json:"passed"`
	Failed   int              `json:"failed"`
	// Coverage has one entry per rule of every policy that was loaded.
	Coverage []Coverage `json:"coverage"`
	// Share is how much was covered, from 0 to 1: of each rule one half for
	// passing and one for failing. 0 when there are no rules.
	Share float64 `json:"share"`
}

// OK reports whether everything was as it was wanted, and there was something.
func (r *Result) OK() bool { return r.Failed == 0 && len(r.Problems) == 0 && r.Passed > 0 }

// CaseResult is what came of one case.
type CaseResult struct {
	File     string           `json:"file"`
	Line     int              `json:"line"`
	Name     string           `json:"name"`
	OK       bool             `json:"ok"`
	Decision verdict.Decision `json:"decision"`
	Code     verdict.Code     `json:"code,omitempty"`
	// Wrong says what was not as it was wanted, a sentence each.
	Wrong  []string        `json:"wrong,omitempty"`
	Checks []verdict.Check `json:"checks,omitempty"`
}

// Coverage counts how the checks of one rule ended.
type Coverage struct {
	File    string `json:"file"`
	Policy  string `json:"policy"`
	Rule    string `json:"rule"`
	Passed  int    `json:"passed"`
	Failed  int    `json:"failed"`
	Unknown int    `json:"unknown"`
}

// Missing says what no case has seen of the rule: "pass", "fail", both or "".
func (c *Coverage) Missing() string {
	switch {
	case c.Passed == 0 && c.Failed == 0:
		return "pass or fail"
	case c.Passed == 0:
		return "pass"
	case c.Failed == 0:
		return "fail"
	}
	return ""
}

// Find returns the files of cases that paths name: a file by itself, whatever
// it is called; of a folder every *_test.yaml and *.policytest.yaml below it
// (.yml too), in lexical order. Finding none is an error: a pipeline whose tests
// have moved must not stay green.
func Find(ctx context.Context, paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			case d.IsDir() && d.Name() == ".git":
				return fs.SkipDir
			case d.Type().IsRegular() && isTest(name):
				files = append(files, name)
			}
			if len(files) > maxFiles {
				return fmt.Errorf("%s holds more than %d files of cases; name fewer folders", path, maxFiles)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no file of cases (*_test.yaml, *.policytest.yaml) in %s", strings.Join(paths, ", "))
	}
	return files, nil
}

func isTest(name string) bool {
	stem, ok := strings.CutSuffix(strings.TrimSuffix(name, ".yml"), ".yaml")
	if !ok && stem == name {
		return false
	}
	return strings.HasSuffix(stem, "_test") || strings.HasSuffix(stem, ".policytest")
}

// Run judges the cases of all files. The error is about reading: what is wrong
// with a file's content, or with the policies that it names, is in the result.
func Run(ctx context.Context, files []string) (*Result, error) {
	r := &Result{Schema: ResultSchema, Cases: []CaseResult{}, Coverage: []Coverage{}}
	for _, name := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := r.file(ctx, name)
		var invalid *config.Invalid
		switch {
		case errors.As(err, &invalid):
			r.Problems = append(r.Problems, invalid.Problems...)
		case err != nil:
			return nil, err
		}
	}
	covered := 0
	for i := range r.Coverage {
		c := &r.Coverage[i]
		covered += min(1, c.Passed) + min(1, c.Failed)
	}
	if len(r.Coverage) > 0 {
		r.Share = float64(covered) / float64(2*len(r.Coverage))
	}
	return r, nil
}

func (r *Result) file(ctx context.Context, name string) error {
	data, err := bounded.ReadFile(name, maxFile)
	if err != nil {
		return err
	}
	f, err := Parse(name, data)
	if err != nil {
		return err
	}
	w, err := load(ctx, name, f)
	if err != nil {
		return err
	}
	r.cover(w)
	for i := range f.Cases {
		c := w.run(&f.Cases[i])
		if c.OK {
			r.Passed++
		} else {
			r.Failed++
		}
		for j := range c.Checks {
			r.count(w, &c.Checks[j])
		}
		r.Cases = append(r.Cases, c)
	}
	return nil
}

// world is what the cases of one file are judged by.
type world struct {
	file       string
	now        time.Time
	set        *config.Set
	policies   []policy.Policy
	exceptions []policy.Exception
	revoked    *policy.Set
	defined    map[string]string // files by policy
}

// load compiles what the file names, as the engine does: signatures of
// exceptions are verified, and wrong keys in a trust root are an error.
func load(ctx context.Context, name string, f *File) (*world, error) {
	w := &world{file: name, now: f.Now, defined: map[string]string{}}
	var sources []config.Source
	for _, p := range f.Policies {
		path := filepath.FromSlash(p)
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(name), path)
		}
		sources = append(sources, config.Path(path))
	}
	var err error
	if w.set, err = config.Load(ctx, sources...); err != nil {
		return nil, fmt.Errorf("%s: policies: %w", name, err)
	}
	if err := w.set.Err(); err != nil {
		return nil, err
	}
	docs := documents(w.set)
	g, err := verify.Compile(w.set.Hash(), docs, w.now)
	if err != nil {
		return nil, &config.Invalid{Problems: []config.Problem{{Position: config.Position{File: name}, Code: verdict.PolicyInvalid, Path: "policies", Message: err.Error()}}}
	}
	w.policies, w.exceptions = g.Policies(), g.Exceptions()
	// A revocation stops its digest whether or not it is signed; those of keys
	// work where signatures are verified, which a test states.
	w.revoked = policy.Compile(policy.Documents{Revocations: docs.Revocations}, func(v1alpha1.TrustUse, string, []byte) ([]byte, []fact.Signing, error) {
		return nil, nil, errors.New("not looked at")
	})
	for _, p := range w.set.ImageSecurityPolicies {
		w.defined[p.Value.Name] = p.At("").File
	}
	return w, nil
}

func documents(s *config.Set) policy.Documents {
	return policy.Documents{
		Policies: values(s.ImageSecurityPolicies), Models: values(s.ModelSecurityPolicies), Functions: values(s.FunctionSecurityPolicies), TrustRoots: values(s.TrustRoots), Exceptions: values(s.PolicyExceptions),
		Revocations: values(s.Revocations), Locks: values(s.BaseImageLocks),
	}
}

func values[T any](objects []config.Object[T]) []T {
	out := make([]T, len(objects))
	for i := range objects {
		out[i] = *objects[i].Value
	}
	return out
}

func (w *world) run(c *Case) CaseResult {
	r := CaseResult{File: w.file, Line: c.at.line, Name: c.Name}
	q, facts, err := build(w.set, filepath.Dir(w.file), w.now, &c.Given)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			r.Wrong = append(r.Wrong, "given: "+line)
		}
		return r
	}
	var reason string
	r.Decision, r.Code, reason, r.Checks = w.judge(&q, facts)
	if r.Decision != c.Want.Decision.Decision {
		r.Wrong = append(r.Wrong, fmt.Sprintf("the decision is %s, want %s: %s", r.Decision, c.Want.Decision, orElse(reason, string(r.Code))))
	}
	if want := verdict.Code(c.Want.Code); want != "" && r.Code != want {
		r.Wrong = append(r.Wrong, fmt.Sprintf("the code is %s, want %s", r.Code, want))
	}
	var names []string
	for name := range c.Want.Codes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if wrong := compare(r.Checks, name, verdict.Code(c.Want.Codes[name])); wrong != "" {
			r.Wrong = append(r.Wrong, wrong)
		}
	}
	r.OK = len(r.Wrong) == 0
	return r
}

// compare says what is wrong with the check of the name, "rule" or "policy/rule".
func compare(checks []verdict.Check, name string, want verdict.Code) string {
	var found []*verdict.Check
	var there []string
	for i := range checks {
		c := &checks[i]
		full := c.Policy + "/" + c.Rule
		there = append(there, full)
		if name == full || name == c.Rule {
			found = append(found, c)
		}
	}
	switch {
	case len(checks) == 0:
		return fmt.Sprintf("%s was not checked: no policy made a check", name)
	case len(found) == 0:
		return fmt.Sprintf("%s was not checked; checked were %s", name, strings.Join(there, ", "))
	case len(found) > 1:
		return fmt.Sprintf("%s is a rule of several policies; write policy/rule: %s", name, strings.Join(there, ", "))
	case found[0].Code != want:
		return fmt.Sprintf("%s is %s, want %s: %s", name, found[0].Code, want, orElse(found[0].Detail, "no detail"))
	}
	return ""
}

// judge decides as the engine does once it has gathered the facts of one platform.
func (w *world) judge(q *verdict.Question, facts *fact.Set) (verdict.Decision, verdict.Code, string, []verdict.Check) {
	if r, stopped := w.revoked.Revoked(q); stopped {
		return verdict.Deny, verdict.Revoked, fmt.Sprintf("revocation %s stops it: %s", r.Name, r.Reason), nil
	}
	var checks []verdict.Check
	selected := 0
	for i := range w.policies {
		p := &w.policies[i]
		if !p.Selects(q.Labels) {
			continue
		}
		selected++
		named := len(p.Platforms) == 0 || slices.Contains(p.Platforms, q.Platform)
		switch {
		case named:
			checks = append(checks, p.Check(q, facts, w.now)...)
		case q.Index == "":
			checks = append(checks, p.Check(q, facts, w.now)...)
			checks = append(checks, p.Bind(verdict.Check{
				Rule: "Platforms", Outcome: verdict.Fail, Code: verdict.ImagePlatformMissing, Expected: strings.Join(p.Platforms, ", "),
				Found: q.Platform, Detail: "the image is for " + q.Platform,
			}, verdict.ActionDeny))
		}
	}
	switch {
	case selected == 0:
		return verdict.Deny, verdict.Unselected, "no policy selects the labels", nil
	case len(checks) == 0:
		return verdict.Deny, verdict.ImagePlatformMissing, "no policy judges " + q.Platform, nil
	}
	policy.Apply(w.exceptions, q, checks, w.now)
	d, decisive, _ := verdict.Decide(checks)
	if decisive < 0 {
		return d, verdict.OK, "", checks
	}
	return d, checks[decisive].Code, checks[decisive].Detail, checks
}

// cover lists the rules of all policies of the world that are not listed yet.
func (r *Result) cover(w *world) {
	for i := range w.policies {
		p := &w.policies[i]
		for j := range p.Rules {
			if r.covered(w, p.Name, p.Rules[j].Name) == nil {
				r.Coverage = append(r.Coverage, Coverage{File: w.defined[p.Name], Policy: p.Name, Rule: p.Rules[j].Name})
			}
		}
	}
}

func (r *Result) covered(w *world, policy, rule string) *Coverage {
	for i := range r.Coverage {
		if c := &r.Coverage[i]; c.Policy == policy && c.Rule == rule && c.File == w.defined[policy] {
			return c
		}
	}
	return nil
}

func (r *Result) count(w *world, c *verdict.Check) {
	rule := r.covered(w, c.Policy, c.Rule)
	if rule == nil {
		return // a state, such as not ready, and no rule
	}
	switch c.Outcome {
	case verdict.Pass:
		rule.Passed++
	case verdict.Fail:
		rule.Failed++
	default:
		rule.Unknown++
	}
}
