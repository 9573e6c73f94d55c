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
var knownScanners = [...]string{"Trivy", "Grype", "OSV-Scanner"}

// Readiness returns whether the ImageSecurityPolicy of that name is ready. A
// policy that is not in the set is not ready.
func (s *Set) Readiness(policy string) Readiness {
	if r, ok := s.readiness[policy]; ok {
		return r
	}
	return Readiness{Reasons: []Problem{{
		Code: verdict.PolicyNotReady, Object: "ImageSecurityPolicy/" + policy, Message: "no policy has this name",
	}}}
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
	signers  []string // entries that sign images
	scanners []string
}

func (s *Set) names() names {
	n := names{entries: map[string]trustName{}, scanners: slices.Clone(knownScanners[:])}
	eachEntry(s, func(root Object[v1alpha1.TrustRoot], e *v1alpha1.TrustEntry, path string) {
		if _, twice := n.entries[e.Name]; twice {
			return // uniqueTrustEntries has reported it
		}
		n.entries[e.Name] = trustName{e, root, path}
		switch {
		case e.Scanner != nil:
			n.scanners = append(n.scanners, e.Name)
		case believedForImages(e):
			n.signers = append(n.signers, e.Name)
		}
	})
	return n
}

func believedForImages(e *v1alpha1.TrustEntry) bool {
	return len(e.Uses) == 0 || slices.Contains(e.Uses, v1alpha1.UseImages)
}

func (s *Set) judgeReadiness() {
	n := s.names()
	for _, p := range s.ImageSecurityPolicies {
		if _, twice := s.readiness[p.Value.Name]; twice {
			continue // uniqueNames has reported it
		}
		var reasons []Problem
		report := func(d *document, path, message, suggestion string) {
			if len(reasons) < maxProblems {
				reasons = append(reasons, d.problem(Error, verdict.PolicyNotReady, path, message, suggestion))
			}
		}
		for i := range p.Value.Spec.Rules {
			parameters := &p.Value.Spec.Rules[i].Parameters
			path := fmt.Sprintf("spec.rules[%d].parameters", i)
			n.needSigners(p.doc, path+".requireSignatureFrom", parameters.RequireSignatureFrom, report)
			n.needSigners(p.doc, path+".provenanceFrom", parameters.ProvenanceFrom, report)
			n.needSigners(p.doc, path+".sbomFrom", parameters.SBOMFrom, report)
			for j := range parameters.Attestations {
				n.needSigners(p.doc, fmt.Sprintf("%s.attestations[%d].from", path, j), parameters.Attestations[j].From, report)
			}
			if parameters.VulnerabilityScanner != "" {
				n.needScanner(p.doc, path+".vulnerabilityScanner", parameters.VulnerabilityScanner, report)
			}
		}
		s.readiness[p.Value.Name] = Readiness{Ready: len(reasons) == 0, Reasons: reasons}
	}
}

// needSigners reports the names of a list that no entry defines which signs images.
func (n names) needSigners(d *document, path string, list []string, report func(d *document, path, message, suggestion string)) {
	for i, name := range list {
		found, defined := n.entries[name]
		switch at := element(path, i); {
		case !defined:
			report(d, at, "no trust root defines "+quote(name)+", so the policy is not ready and denies all that it selects", closest(name, n.signers))
		case found.entry.Scanner != nil:
			report(d, at, quote(name)+" is a scanner, which signs nothing; name the entry that signs, so that the policy becomes ready", "")
		case !believedForImages(found.entry):
			report(d, at, "the entry "+quote(name)+" is not believed for images; add Images to its uses, so that the policy becomes ready", "")
		}
	}
}

// needScanner reports a scanner that is neither known nor defined, or whose signers are not.
func (n names) needScanner(d *document, path, name string, report func(d *document, path, message, suggestion string)) {
	found, defined := n.entries[name]
	switch {
	case defined && found.entry.Scanner != nil:
		n.needSigners(found.root.doc, found.path+".scanner.signedBy", found.entry.Scanner.SignedBy, report)
	case defined:
		report(d, path, "the entry "+quote(name)+" is not a scanner; name a scanner, so that the policy becomes ready", "")
	case slices.Contains(knownScanners[:], name):
	case name == "Apex":
		report(d, path, "this Apex has no built-in vulnerability matcher, so the policy is not ready and denies all that it selects; name one of "+strings.Join(n.scanners, ", "), "")
	default:
		report(d, path, "no scanner is called "+quote(name)+", so the policy is not ready and denies all that it selects; known are "+strings.Join(n.scanners, ", "), closest(name, n.scanners))
	}
}
