package function

import (
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/function/judge"
	"github.com/apexlogic/apex/internal/function/stack"
	"github.com/apexlogic/apex/verdict"
)

// Facts are what a stack says of its functions, each with the findings about
// it, its role and its account; what is left concerns no function and stands in
// a last fact without a name, which is there when the stack gives rights at all. A stack that could not be read wholly gives
// partial facts.
func Facts(s *stack.Stack, findings []stack.Finding, now time.Time) []fact.Fact[fact.Function] {
	taken := make([]bool, len(findings))
	var out []fact.Fact[fact.Function]
	functions := 0
	for i := range s.Functions {
		f := &s.Functions[i]
		if !onDemand(s, f) {
			continue
		}
		functions++
		declared := describe(s, f)
		about := concerns(s, f)
		for n := range findings {
			if about[findings[n].Resource] {
				taken[n] = true
				declared.Findings = append(declared.Findings, finding(&findings[n]))
			}
		}
		out = append(out, whole(s, declared, now))
	}
	rest := fact.Function{Unit: string(s.Unit), Root: s.Root, Where: verdict.Origin{File: s.Root}, Unresolved: unresolved(s, "")}
	for n := range findings {
		if !taken[n] {
			rest.Findings = append(rest.Findings, finding(&findings[n]))
		}
	}
	if len(rest.Findings) > 0 || functions == 0 && declares(s) {
		out = append(out, whole(s, rest, now))
	}
	return out
}

// declares says whether a stack without functions holds anything that gives
// rights, or might: what could not be read may hold anything.
func declares(s *stack.Stack) bool {
	return len(s.Principals)+len(s.Policies)+len(s.Resources)+len(s.Roles)+len(s.Bindings)+len(s.Gaps) > 0
}

// onDemand says whether it is a function that a platform runs on demand: its
// kind names the platform's API group. Deployments, Jobs and Pods are read for
// their accounts; policies about images judge what they run.
func onDemand(s *stack.Stack, f *stack.Function) bool {
	return s.Unit != stack.Kubernetes || strings.Contains(f.Kind, "/") || f.Kind == "ScaledJob"
}

func whole(s *stack.Stack, f fact.Function, now time.Time) fact.Fact[fact.Function] {
	if len(s.Gaps) == 0 {
		return fact.Complete(f, s.Root, now)
	}
	g := s.Gaps[0]
	return fact.Partial(f, s.Root, now, verdict.FunctionUnreadable, place(g.Where).String()+": "+g.Why)
}

func describe(s *stack.Stack, f *stack.Function) fact.Function {
	out := fact.Function{
		Name: f.Name, Kind: f.Kind, Unit: string(s.Unit), Root: s.Root, Where: place(f.Where), Labels: f.Labels,
		Gateway: f.Gateway, Timeout: f.Timeout, Egress: string(f.Egress), Unresolved: unresolved(s, f.Role),
	}
	if out.Name == "" {
		out.Name = f.ID
	}
	for _, e := range f.Public {
		out.Exposed = append(out.Exposed, e.How)
	}
	if f.Image.Value != "" {
		out.References = append(out.References, reference("image", stack.Ref{Where: f.Where, Text: f.Image}))
	}
	for _, m := range f.Models {
		out.References = append(out.References, reference("model", m))
	}
	for _, c := range f.Code {
		out.References = append(out.References, reference("code", c))
	}
	if f.Role == "" && f.RoleText.Value != "" {
		out.Unresolved = append(out.Unresolved, "the role "+f.RoleText.Value+" is declared elsewhere")
	}
	return out
}

func reference(kind string, r stack.Ref) fact.FunctionReference {
	return fact.FunctionReference{Kind: kind, Text: r.Value, Where: place(r.Where), Known: r.Known, Immutable: r.Known && immutable(kind, r.Value)}
}

// immutable says whether the text can name one content only: a digest, a
// commit, a version of an object or layer, or a file of the unit itself.
func immutable(kind, text string) bool {
	if at := strings.LastIndex(text, "@sha256:"); at >= 0 {
		_, err := verdict.ParseDigest(text[at+1:])
		return err == nil
	}
	switch kind {
	case "model":
		_, revision, ok := strings.Cut(text, "@")
		if !ok {
			_, revision, _ = strings.Cut(strings.TrimPrefix(text, "hf://"), ":")
		}
		return isHex(revision, 40) || strings.Contains(text, "versionId=")
	case "code":
		if strings.HasPrefix(text, "arn:") {
			version := text[strings.LastIndex(text, ":")+1:]
			return version != "" && strings.Trim(version, "0123456789") == ""
		}
		return strings.Contains(text, "versionId=") || !strings.Contains(text, "://") && !strings.HasPrefix(text, "s3:")
	}
	return false
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// unresolved are the rights of a role that depend on what is outside of the
// files; of all policies that no function uses when role is "".
func unresolved(s *stack.Stack, role string) []string {
	var out []string
	used := func(id string) bool {
		for i := range s.Principals {
			if p := &s.Principals[i]; p.ID == role && slices.Contains(p.Policies, id) {
				return true
			}
		}
		return false
	}
	for i := range s.Policies {
		p := &s.Policies[i]
		if p.Unknown && (role == "" && len(s.Functions) == 0 || used(p.ID)) {
			out = append(out, place(p.Where).String()+": the policy "+p.Name+" depends on values outside of the files")
		}
	}
	for i := range s.Principals {
		p := &s.Principals[i]
		if p.ID != role || role == "" {
			continue
		}
		for _, m := range p.Managed {
			if !m.Known {
				out = append(out, place(p.Where).String()+": the managed policy "+m.Value)
			}
		}
	}
	return out
}

// concerns are the names under which findings about the function stand.
func concerns(s *stack.Stack, f *stack.Function) map[string]bool {
	about := map[string]bool{f.ID: true, f.Name: true}
	delete(about, "")
	for i := range s.Principals {
		p := &s.Principals[i]
		if f.Role == "" || p.ID != f.Role {
			continue
		}
		about[p.ID], about[p.Name] = true, true
		for j := range s.Policies {
			if q := &s.Policies[j]; slices.Contains(p.Policies, q.ID) {
				about[q.ID], about[q.Name] = true, true
			}
		}
	}
	if f.Account != "" {
		about[f.Account] = true
		for i := range s.Bindings {
			b := &s.Bindings[i]
			for _, subject := range b.Subjects {
				if subject.Kind == "ServiceAccount" && subject.Namespace+"/"+subject.Name == f.Account {
					about[b.Name], about[b.Role] = true, true
				}
			}
		}
	}
	delete(about, "")
	return about
}

func finding(f *stack.Finding) fact.FunctionFinding {
	out := fact.FunctionFinding{Class: f.Class, Resource: f.Resource, Detail: f.Detail, Mend: f.Mend, Where: place(f.Where), Severity: severity(f.Severity)}
	for _, c := range judge.Classes() {
		if c.ID == f.Class {
			if f.Severity == "" {
				out.Severity = severity(c.Severity)
			}
			if f.Mend == "" {
				out.Mend = c.Mend
			}
		}
	}
	return out
}

func severity(text string) fact.Severity {
	switch text {
	case "critical":
		return fact.SeverityCritical
	case "high":
		return fact.SeverityHigh
	case "medium":
		return fact.SeverityMedium
	case "low":
		return fact.SeverityLow
	}
	return fact.SeverityUnknown
}

func place(w stack.Where) verdict.Origin { return verdict.Origin{File: w.File, Line: w.Line} }
