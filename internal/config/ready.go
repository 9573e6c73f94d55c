package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

// Readiness says whether everything that a policy names is defined. A policy
// that is not ready denies all that it selects.
type Readiness struct {
	Ready bool
	// Reasons say which names are not defined, each with its position and the
	// code verdict.PolicyNotReady. Empty when the policy is ready.
	Reasons []Problem
}

// knownScanners need no entry in a trust root: their reports count when the
// person who asks hands them in. (Signed ones need an entry that says whose
// signature counts.)
var knownScanners = [...]string{"Apex", "Trivy", "Grype", "OSV-Scanner"}

// Readiness returns whether the ImageSecurityPolicy of that name is ready. A
// policy that is not in the set is not ready.
func (s *Set) Readiness(policy string) Readiness {
	return s.readinessOf("ImageSecurityPolicy/" + policy)
}

// ModelReadiness is [Set.Readiness] of a ModelSecurityPolicy.
func (s *Set) ModelReadiness(policy string) Readiness {
	return s.readinessOf("ModelSecurityPolicy/" + policy)
}

// FunctionReadiness is [Set.Readiness] of a FunctionSecurityPolicy.
func (s *Set) FunctionReadiness(policy string) Readiness {
	return s.readinessOf("FunctionSecurityPolicy/" + policy)
}

// SourceReadiness is [Set.Readiness] of a GitSource.
func (s *Set) SourceReadiness(source string) Readiness {
	return s.readinessOf("GitSource/" + source)
}

func (s *Set) readinessOf(object string) Readiness {
	if r, ok := s.readiness[object]; ok {
		return r
	}
	return Readiness{Reasons: []Problem{{Code: verdict.PolicyNotReady, Object: object, Message: "no policy has this name"}}}
}

// TrustEntry returns the entry of that name and the trust root that defines it.
func (s *Set) TrustEntry(name string) (*v1alpha1.TrustEntry, Object[v1alpha1.TrustRoot], bool) {
	for _, root := range s.TrustRoots {
		for i := range root.Value.Spec.Entries {
			if e := &root.Value.Spec.Entries[i]; e.Name == name {
				return e, root, true
			}
		}
	}
	return nil, Object[v1alpha1.TrustRoot]{}, false
}

// trustName is an entry of a trust root together with where it is defined.
type trustName struct {
	entry *v1alpha1.TrustEntry
	root  Object[v1alpha1.TrustRoot]
	path  string
}

// names is what policies may refer to.
type names struct {
	entries  map[string]trustName
	signers  map[v1alpha1.TrustUse][]string // entries that are believed for the use
	scanners []string
}

func (s *Set) names() names {
	n := names{entries: map[string]trustName{}, signers: map[v1alpha1.TrustUse][]string{}, scanners: slices.Clone(knownScanners[:])}
	eachEntry(s, func(root Object[v1alpha1.TrustRoot], e *v1alpha1.TrustEntry, path string) {
		if _, twice := n.entries[e.Name]; twice {
			return // uniqueTrustEntries has reported it
		}
		n.entries[e.Name] = trustName{e, root, path}
		if e.Scanner != nil {
			n.scanners = append(n.scanners, e.Name)
			return
		}
		for _, use := range usesOf(e) {
			n.signers[use] = append(n.signers[use], e.Name)
		}
	})
	return n
}

func usesOf(e *v1alpha1.TrustEntry) []v1alpha1.TrustUse {
	if len(e.Uses) == 0 {
		return []v1alpha1.TrustUse{v1alpha1.UseImages}
	}
	return e.Uses
}

func (s *Set) judgeReadiness() {
	n := s.names()
	for _, p := range s.ImageSecurityPolicies {
		s.judgeOne(p.doc, func(report reporter) {
			for i := range p.Value.Spec.Rules {
				n.imageRule(p.doc, fmt.Sprintf("spec.rules[%d].parameters", i), &p.Value.Spec.Rules[i].Parameters, report)
			}
		})
	}
	for _, p := range s.ModelSecurityPolicies {
		s.judgeOne(p.doc, func(report reporter) {
			for i := range p.Value.Spec.Rules {
				n.modelRule(p.doc, fmt.Sprintf("spec.rules[%d].parameters", i), &p.Value.Spec.Rules[i].Parameters, report)
			}
		})
	}
	for _, p := range s.FunctionSecurityPolicies {
		s.judgeOne(p.doc, func(report reporter) {
			for i := range p.Value.Spec.Rules {
				at := fmt.Sprintf("spec.rules[%d].parameters.requireSignatureFrom", i)
				n.needSigners(p.doc, at, v1alpha1.UseSources, p.Value.Spec.Rules[i].Parameters.RequireSignatureFrom, report)
			}
		})
	}
	for _, source := range s.GitSources {
		s.judgeOne(source.doc, func(report reporter) { n.commitSigners(source.doc, &source.Value.Spec.Trust, report) })
	}
}

// commitSigners reports the names of a GitSource whose commits nothing vouches for.
func (n names) commitSigners(d *document, trust *v1alpha1.GitTrust, report reporter) {
	n.needSigners(d, "spec.trust.signers", v1alpha1.UseCommits, trust.Signers, report)
	n.needSigners(d, "spec.trust.sealers", v1alpha1.UseCommits, trust.Sealers, report)
	for i := range trust.Paths {
		n.needSigners(d, fmt.Sprintf("spec.trust.paths[%d].signers", i), v1alpha1.UseCommits, trust.Paths[i].Signers, report)
	}
}

// reporter takes why a policy is not ready.
type reporter func(d *document, path, message, suggestion string)

func (s *Set) judgeOne(d *document, judge func(reporter)) {
	object := d.kind + "/" + d.name
	if _, twice := s.readiness[object]; twice {
		return // uniqueNames has reported it
	}
	var reasons []Problem
	judge(func(d *document, path, message, suggestion string) {
		if len(reasons) < maxProblems {
			reasons = append(reasons, d.problem(Error, verdict.PolicyNotReady, path, message, suggestion))
		}
	})
	s.readiness[object] = Readiness{Ready: len(reasons) == 0, Reasons: reasons}
}

func (n names) imageRule(d *document, path string, parameters *v1alpha1.ImageRuleParameters, report reporter) {
	n.needSigners(d, path+".requireSignatureFrom", v1alpha1.UseImages, parameters.RequireSignatureFrom, report)
	n.needSigners(d, path+".provenanceFrom", v1alpha1.UseImages, parameters.ProvenanceFrom, report)
	n.needSigners(d, path+".sbomFrom", v1alpha1.UseImages, parameters.SBOMFrom, report)
	for j := range parameters.Attestations {
		n.needSigners(d, fmt.Sprintf("%s.attestations[%d].from", path, j), v1alpha1.UseImages, parameters.Attestations[j].From, report)
	}
	if parameters.VulnerabilityScanner != "" {
		n.needScanner(d, path+".vulnerabilityScanner", parameters.VulnerabilityScanner, report)
	}
}

func (n names) modelRule(d *document, path string, parameters *v1alpha1.ModelRuleParameters, report reporter) {
	n.needSigners(d, path+".requireSignatureFrom", v1alpha1.UseModels, parameters.RequireSignatureFrom, report)
	n.needSigners(d, path+".scanFrom", v1alpha1.UseModels, parameters.ScanFrom, report)
	n.needSigners(d, path+".provenanceFrom", v1alpha1.UseModels, parameters.ProvenanceFrom, report)
	n.needSigners(d, path+".datasetFrom", v1alpha1.UseModels, parameters.DatasetFrom, report)
}

// needSigners reports the names of a list that no entry defines whose signature
// is believed for the use.
func (n names) needSigners(d *document, path string, use v1alpha1.TrustUse, list []string, report reporter) {
	for i, name := range list {
		found, defined := n.entries[name]
		switch at := element(path, i); {
		case !defined:
			report(d, at, "no trust root defines "+quote(name)+", so the policy is not ready and denies all that it selects", closest(name, n.signers[use]))
		case found.entry.Scanner != nil:
			report(d, at, quote(name)+" is a scanner, which signs nothing; name the entry that signs, so that the policy becomes ready", "")
		case !slices.Contains(usesOf(found.entry), use):
			report(d, at, fmt.Sprintf("the entry %s is not believed for %s; add %s to its uses, so that the policy becomes ready", quote(name), strings.ToLower(string(use)), use), "")
		}
	}
}

// needScanner reports a scanner that is neither known nor defined, or whose signers are not.
func (n names) needScanner(d *document, path, name string, report reporter) {
	found, defined := n.entries[name]
	switch {
	case defined && found.entry.Scanner != nil:
		n.needSigners(found.root.doc, found.path+".scanner.signedBy", v1alpha1.UseImages, found.entry.Scanner.SignedBy, report)
	case defined:
		report(d, path, "the entry "+quote(name)+" is not a scanner; name a scanner, so that the policy becomes ready", "")
	case slices.Contains(knownScanners[:], name):
	default:
		report(d, path, "no scanner is called "+quote(name)+", so the policy is not ready and denies all that it selects; known are "+strings.Join(n.scanners, ", "), closest(name, n.scanners))
	}
}
