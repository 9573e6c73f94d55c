package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// The predicate types of SBOM attestations. CycloneDX's carries a version in
// its path since 1.4, SPDX's may.
const (
	predicateCycloneDX = "https://cyclonedx.org/bom"
	predicateSPDX      = "https://spdx.dev/Document"
)

// sbomRule is RequireSBOM: a trusted SBOM about this digest that lists something.
type sbomRule struct {
	from    []string
	formats []string
}

func compileSBOM(p *v1alpha1.ImageRuleParameters, env *environment) (Rule, string, []string) {
	r := &sbomRule{from: p.SBOMFrom, formats: p.SBOMFormats}
	if len(r.formats) == 0 {
		r.formats = []string{"CycloneDX", "SPDX"}
	}
	return r, "needs an SBOM in " + list(r.formats), env.missing("sbomFrom", r.from, v1alpha1.UseImages)
}

func (r *sbomRule) Needs() fact.Need { return fact.NeedAttestations }

func (r *sbomRule) Check(q *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	statements, _, ok := facts.Attestations.Some()
	if !ok {
		return unknown(fact.NeedAttestations, &facts.Attestations, "whether the image has an SBOM")
	}
	c := verdict.Check{
		Expected: fmt.Sprintf("an SBOM in %s by %s", list(r.formats), list(r.from)),
		Evidence: []verdict.Evidence{facts.Attestations.Evidence(fact.NeedAttestations)},
	}
	var refusals []refusal
	for i := range statements {
		a := &statements[i]
		format := sbomFormat(a.PredicateType)
		if format == "" {
			continue
		}
		if why := r.accept(q, a, format); why != nil {
			refusals = append(refusals, *why)
			continue
		}
		c.Outcome, c.Code, c.Until = verdict.Pass, verdict.OK, a.Until
		c.Found = fmt.Sprintf("%s by %s", format, list(a.TrustedBy))
		c.Detail = c.Found
		return c
	}
	if _, code, ok := facts.Attestations.All(); !ok {
		c.Outcome, c.Code = verdict.Unknown, code
		c.Detail = "not all attestations could be looked at: " + facts.Attestations.Why()
		return c
	}
	c.Outcome, c.Code, c.Found, c.Detail = verdict.Fail, verdict.SBOMMissing, "no SBOM", "the image has no SBOM"
	if len(refusals) > 0 {
		best := slices.MaxFunc(refusals, func(a, b refusal) int { return a.rank - b.rank })
		c.Code, c.Found, c.Detail = best.code, best.detail, best.detail
	}
	return c
}

func (r *sbomRule) accept(q *verdict.Question, a *fact.Attestation, format string) *refusal {
	switch {
	case len(signedBy(&a.Signing, r.from)) == 0:
		return &refusal{1, verdict.AttestationUntrusted, "the SBOM is not signed by " + list(r.from)}
	case !names(a.Subjects, q):
		return &refusal{2, verdict.SignatureSubject, "the SBOM is about another digest"}
	case !slices.Contains(r.formats, format):
		return &refusal{3, verdict.SBOMFormat, "the SBOM is in " + format}
	case !listsPackages(a.Predicate, format):
		return &refusal{4, verdict.SBOMInvalid, "the SBOM cannot be read as " + format + ", or lists no package"}
	}
	return nil
}

func sbomFormat(predicateType string) string {
	switch {
	case predicateType == predicateCycloneDX, strings.HasPrefix(predicateType, predicateCycloneDX+"/"):
		return "CycloneDX"
	case predicateType == predicateSPDX, strings.HasPrefix(predicateType, predicateSPDX+"/"):
		return "SPDX"
	}
	return ""
}

// listsPackages reports whether the document has at least one entry.
func listsPackages(predicate json.RawMessage, format string) bool {
	var doc struct {
		BOMFormat   string            `json:"bomFormat"`
		Components  []json.RawMessage `json:"components"`
		SPDXVersion string            `json:"spdxVersion"`
		Packages    []json.RawMessage `json:"packages"`
	}
	if err := json.Unmarshal(predicate, &doc); err != nil {
		return false
	}
	if format == "CycloneDX" {
		return doc.BOMFormat == "CycloneDX" && len(doc.Components) > 0
	}
	return strings.HasPrefix(doc.SPDXVersion, "SPDX-") && len(doc.Packages) > 0
}

var _ Rule = (*sbomRule)(nil)
