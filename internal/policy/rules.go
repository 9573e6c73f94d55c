package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// rules lists every rule of ImageSecurityPolicy. compile returns the rule, what
// it does in words, and the names that it needs and nothing defines; a rule
// that is returned beside missing names is only there for its needs.
var rules = []struct {
	name    v1alpha1.ImageRuleName
	compile func(*v1alpha1.ImageRuleParameters, *environment) (rule Rule, about string, missing []string)
}{
	{v1alpha1.RequireImageSignature, compileSignature},
	{v1alpha1.VulnerabilityScanThreshold, compileVulnerability},
	{v1alpha1.AllowOnlyApprovedBaseImages, compileBase},
	{v1alpha1.RequireProvenance, compileProvenance},
	{v1alpha1.RequireAttestation, compileAttestation},
	{v1alpha1.RequireSBOM, compileSBOM},
	{v1alpha1.Expression, compileExpression},
}

// isRule reports whether a check's name is that of a rule in the table.
func isRule(name string) bool {
	for _, r := range rules {
		if string(r.name) == name {
			return true
		}
	}
	for _, r := range modelRules {
		if string(r.name) == name {
			return true
		}
	}
	for _, r := range functionRules {
		if string(r.name) == name {
			return true
		}
	}
	return false
}

// environment is what rules refer to by name.
type environment struct {
	signers  map[string]*v1alpha1.TrustEntry // entries that sign
	scanners map[string]*v1alpha1.TrustEntry
	locks    []v1alpha1.LockedBaseImage
}

func newEnvironment(docs Documents) *environment {
	env := &environment{signers: map[string]*v1alpha1.TrustEntry{}, scanners: map[string]*v1alpha1.TrustEntry{}}
	for i := range docs.TrustRoots {
		for j := range docs.TrustRoots[i].Spec.Entries {
			e := &docs.TrustRoots[i].Spec.Entries[j]
			if e.Scanner != nil {
				env.scanners[e.Name] = e
			} else {
				env.signers[e.Name] = e
			}
		}
	}
	for i := range docs.Locks {
		env.locks = append(env.locks, docs.Locks[i].Spec.Images...)
	}
	return env
}

// missing returns a message for each name that is no signer for the use.
func (env *environment) missing(field string, names []string, use v1alpha1.TrustUse) []string {
	var out []string
	for _, n := range names {
		e, ok := env.signers[n]
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("%s: no TrustRoot entry is called %q", field, n))
		case !hasUse(e, use):
			out = append(out, fmt.Sprintf("%s: TrustRoot entry %q is not for %s (add it to uses)", field, n, use))
		}
	}
	return out
}

func hasUse(e *v1alpha1.TrustEntry, use v1alpha1.TrustUse) bool {
	if len(e.Uses) == 0 {
		return use == v1alpha1.UseImages
	}
	return slices.Contains(e.Uses, use)
}

// signedBy returns those of names under which the signing verified.
func signedBy(s *fact.Signing, names []string) []string {
	if !s.Valid() {
		return nil
	}
	var out []string
	for _, n := range s.TrustedBy {
		if slices.Contains(names, n) {
			out = append(out, n)
		}
	}
	return out
}

// because is why something that does not count does not: its own code, unless
// that gives no reason.
func because(code, fallback verdict.Code) verdict.Code {
	if code == "" || code == verdict.OK {
		return fallback
	}
	return code
}

func list(names []string) string { return strings.Join(names, ", ") }

// some joins at most n names and says how many were left out.
func some(names []string, n int) string {
	if len(names) <= n {
		return list(names)
	}
	return fmt.Sprintf("%s and %d more", list(names[:n]), len(names)-n)
}
