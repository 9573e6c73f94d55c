package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// provenanceRule is RequireProvenance: signed SLSA provenance says that an
// approved builder built this digest from an approved source.
type provenanceRule struct {
	from        []string
	builders    []string
	sources     []string
	entryPoints []string
	buildTypes  []string
	maxAge      time.Duration
}

func compileProvenance(p *v1alpha1.ImageRuleParameters, env *environment) (Rule, string, []string) {
	r := &provenanceRule{from: p.ProvenanceFrom, builders: p.Builders, entryPoints: p.EntryPoints, buildTypes: p.BuildTypes}
	missing := env.missing("provenanceFrom", r.from, v1alpha1.UseImages)
	for _, s := range p.SourceRepositories {
		source := fact.SourceRepository(s)
		if source == "" {
			// It would match provenance that names no source.
			missing = append(missing, fmt.Sprintf("sourceRepositories: %q is not the URI of a repository, such as https://github.com/owner/name", clean(s)))
		}
		r.sources = append(r.sources, source)
	}
	if p.MaxBuildAge != nil {
		r.maxAge = p.MaxBuildAge.Duration
	}
	if len(r.builders) == 0 {
		missing = append(missing, "builders: at least one builder is needed")
	}
	return r, "needs provenance by " + some(r.builders, 3), missing
}

func (r *provenanceRule) Needs() fact.Need { return fact.NeedProvenance }

func (r *provenanceRule) Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check {
	statements, _, ok := facts.Provenance.Some()
	if !ok {
		return unknown(fact.NeedProvenance, &facts.Provenance, "where the image was built")
	}
	c := verdict.Check{
		Expected: "provenance by " + some(r.builders, 3) + ", signed by " + list(r.from),
		Evidence: []verdict.Evidence{facts.Provenance.Evidence(fact.NeedProvenance)},
	}
	var refusals []refusal
	for i := range statements {
		p := &statements[i]
		if why := r.accept(q, p, now); why != nil {
			refusals = append(refusals, *why)
			continue
		}
		c.Outcome, c.Code = verdict.Pass, verdict.OK
		c.Found = fmt.Sprintf("built by %s from %s", p.Builder, orElse(p.SourceRepository, "an unstated source"))
		c.Detail = c.Found
		c.Until = p.Signing.Until
		if r.maxAge > 0 {
			c.Until = verdict.Earliest(c.Until, p.Finished.Add(r.maxAge))
		}
		return c
	}
	if _, code, ok := facts.Provenance.All(); !ok {
		c.Outcome, c.Code = verdict.Unknown, code
		c.Detail = "not all provenance could be looked at: " + facts.Provenance.Why()
		return c
	}
	c.Outcome = verdict.Fail
	if len(refusals) == 0 {
		c.Code, c.Found, c.Detail = verdict.ProvenanceMissing, "no provenance", "the image has no SLSA provenance"
		return c
	}
	best := slices.MaxFunc(refusals, func(a, b refusal) int { return a.rank - b.rank })
	c.Code, c.Detail, c.Found = best.code, best.detail, best.detail
	return c
}

func (r *provenanceRule) accept(q *verdict.Question, p *fact.Provenance, now time.Time) *refusal {
	if len(signedBy(&p.Signing, r.from)) == 0 {
		return &refusal{1, verdict.AttestationUntrusted, "the provenance is not signed by " + list(r.from) + ": " + orElse(p.Signing.Detail, "somebody else signed it")}
	}
	if p.Code != verdict.OK {
		code := because(p.Code, verdict.ProvenanceInvalid)
		return &refusal{2, code, orElse(p.Detail, code.Info().Meaning)}
	}
	if !names(p.Subjects, q) {
		return &refusal{3, verdict.SignatureSubject, "the provenance is about another digest"}
	}
	if !slices.ContainsFunc(r.builders, func(want string) bool { return matchBuilder(want, p.Builder) }) {
		return &refusal{4, verdict.ProvenanceBuilder, fmt.Sprintf("built by %q", clean(p.Builder))}
	}
	if len(r.buildTypes) > 0 && !slices.Contains(r.buildTypes, p.BuildType) {
		return &refusal{5, verdict.ProvenanceBuildUnknown, fmt.Sprintf("the build type is %q", clean(p.BuildType))}
	}
	if len(r.sources) > 0 && (p.SourceRepository == "" || !slices.Contains(r.sources, p.SourceRepository)) {
		return &refusal{6, verdict.ProvenanceSource, fmt.Sprintf("built from %q", clean(p.SourceRepository))}
	}
	if len(r.entryPoints) > 0 && !slices.Contains(r.entryPoints, p.EntryPoint) {
		return &refusal{7, verdict.ProvenanceEntryPoint, fmt.Sprintf("built by the workflow %q", clean(p.EntryPoint))}
	}
	if r.maxAge > 0 {
		switch {
		case p.Finished.IsZero():
			return &refusal{8, verdict.ProvenanceTooOld, "the provenance does not say when the build finished"}
		case p.Finished.After(now.Add(clockSkew)):
			return &refusal{8, verdict.ProvenanceInvalid, fmt.Sprintf("the build claims to have finished at %s, which is in the future", p.Finished.UTC().Format(time.RFC3339))}
		case now.Sub(p.Finished) > r.maxAge:
			return &refusal{9, verdict.ProvenanceTooOld, fmt.Sprintf("the build finished %s ago; at most %s are allowed", age(now.Sub(p.Finished)), age(r.maxAge))}
		}
	}
	return nil
}

// matchBuilder compares builder ids exactly; "@*" at the end of want stands for any version.
func matchBuilder(want, id string) bool {
	if prefix, ok := strings.CutSuffix(want, "@*"); ok {
		name, version, found := strings.Cut(id, "@")
		return found && name == prefix && version != ""
	}
	return want == id
}

var _ Rule = (*provenanceRule)(nil)
