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

// DependencyBaseModel is how provenance names the model that another was made from.
const DependencyBaseModel = "base-model"

// modelProvenanceRule is RequireModelProvenance: signed SLSA provenance says
// that an approved builder made this model, from approved base models.
type modelProvenanceRule struct {
	build *provenanceRule
	bases []string
}

func compileModelProvenance(p *v1alpha1.ModelRuleParameters, env *environment) (Rule, string, []string) {
	rule, about, missing := compileProvenance(&v1alpha1.ImageRuleParameters{ProvenanceParameters: p.ProvenanceParameters}, env)
	// The rule about images asks for signers of images.
	missing = slices.DeleteFunc(missing, func(m string) bool { return strings.HasPrefix(m, "provenanceFrom:") })
	missing = append(missing, env.missing("provenanceFrom", p.ProvenanceFrom, v1alpha1.UseModels)...)
	return &modelProvenanceRule{build: rule.(*provenanceRule), bases: p.BaseModels}, about, missing
}

func (r *modelProvenanceRule) Needs() fact.Need {
	return fact.NeedModel | fact.NeedProvenance | fact.NeedAttestations
}

func (r *modelProvenanceRule) Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check {
	m, _, problem := statements(facts, "where the model was made")
	if problem != nil {
		return *problem
	}
	all, _, ok := facts.Provenance.Some()
	if !ok {
		return unknown(fact.NeedProvenance, &facts.Provenance, "where the model was made")
	}
	c := verdict.Check{
		Expected: "provenance by " + some(r.build.builders, 3) + ", signed by " + list(r.build.from),
		Evidence: []verdict.Evidence{facts.Provenance.Evidence(fact.NeedProvenance)},
	}
	var refusals []refusal
	for i := range all {
		p := &all[i]
		about := *q
		if !names(p.Subjects, q) && m.Root != "" {
			about.Digest, about.Index = m.Root, "" // made before the model was packed
		}
		why := r.build.accept(&about, p, now)
		if why == nil {
			why = r.fromApproved(p)
		} else {
			why.code = originCode(why.code)
		}
		if why != nil {
			refusals = append(refusals, *why)
			continue
		}
		c.Until = p.Signing.Until
		if r.build.maxAge > 0 {
			c.Until = verdict.Earliest(c.Until, p.Finished.Add(r.build.maxAge))
		}
		return pass(c, fmt.Sprintf("made by %s from %s", clean(p.Builder), clean(orElse(p.SourceRepository, "an unstated source"))))
	}
	return refused(c, facts, refusals, refusal{0, verdict.ModelProvenanceMissing, "the model has no SLSA provenance"})
}

func (r *modelProvenanceRule) fromApproved(p *fact.Provenance) *refusal {
	if len(r.bases) == 0 {
		return nil
	}
	for i := range p.Dependencies {
		d := &p.Dependencies[i]
		if d.Name == DependencyBaseModel && !slices.Contains(r.bases, string(d.Digest)) {
			return &refusal{20, verdict.ModelProvenanceBase, fmt.Sprintf("made from %s (%s)", clean(orElse(d.URI, "a base model")), orElse(string(d.Digest), "no digest"))}
		}
	}
	return nil
}

// originCode says of a model what the code says of an image.
func originCode(code verdict.Code) verdict.Code {
	switch code {
	case verdict.AttestationUntrusted:
		return verdict.ModelProvenanceUntrusted
	case verdict.ProvenanceInvalid, verdict.AttestationInvalid:
		return verdict.ModelProvenanceInvalid
	}
	return verdict.ModelProvenanceRefused
}

// licenseRule is AllowedLicenses.
type licenseRule struct {
	allowed      []string
	allowUnknown bool
}

func compileLicenses(p *v1alpha1.ModelRuleParameters, _ *environment) (Rule, string, []string) {
	r := &licenseRule{allowed: p.AllowedLicenses, allowUnknown: p.UnknownLicense == "Allow"}
	return r, "allows the licences " + some(r.allowed, 5), nil
}

func (r *licenseRule) Needs() fact.Need { return fact.NeedModel }

func (r *licenseRule) Check(_ *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	m, _, ok := facts.Model.All()
	if !ok {
		return unknown(fact.NeedModel, &facts.Model, "which licence the model has")
	}
	c := verdict.Check{Expected: "one of " + some(r.allowed, 8), Evidence: []verdict.Evidence{facts.Model.Evidence(fact.NeedModel)}}
	if len(m.Licenses) == 0 {
		if r.allowUnknown {
			return pass(c, "no licence is stated, which the policy allows")
		}
		return fail(c, verdict.ModelLicenseUnknown, "the model states no licence")
	}
	for _, l := range m.Licenses {
		if !slices.ContainsFunc(r.allowed, func(a string) bool { return strings.EqualFold(a, l) }) {
			return fail(c, verdict.ModelLicenseDenied, "the licence is "+clean(l))
		}
	}
	return pass(c, clean(list(m.Licenses)))
}

// datasetRule is RequireDatasetManifest: somebody trusted has signed which data
// the model was trained on.
type datasetRule struct{ from, roots []string }

func compileDataset(p *v1alpha1.ModelRuleParameters, env *environment) (Rule, string, []string) {
	r := &datasetRule{from: p.DatasetFrom, roots: p.Datasets}
	return r, "needs a dataset manifest by " + list(r.from), env.missing("datasetFrom", r.from, v1alpha1.UseModels)
}

func (r *datasetRule) Needs() fact.Need { return fact.NeedModel | fact.NeedAttestations }

func (r *datasetRule) Check(q *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	m, all, problem := statements(facts, "which data the model was trained on")
	if problem != nil {
		return *problem
	}
	c := verdict.Check{
		Expected: "a dataset manifest signed by " + list(r.from),
		Evidence: []verdict.Evidence{facts.Attestations.Evidence(fact.NeedAttestations)},
	}
	var refusals []refusal
	var roots []string
	for i := range all {
		a := &all[i]
		if a.PredicateType != fact.PredicateDatasetManifest {
			continue
		}
		found, why := r.accept(q, a, m)
		if why == nil {
			roots, c.Until = append(roots, found...), verdict.Earliest(c.Until, a.Until)
			continue
		}
		refusals = append(refusals, *why)
		if why.code == verdict.ModelDatasetDenied {
			// What somebody trusted says counts even where another says less.
			return fail(c, why.code, why.detail)
		}
	}
	if len(roots) == 0 {
		return refused(c, facts, refusals, refusal{0, verdict.ModelDatasetMissing, "nobody has attested which data the model was trained on"})
	}
	// A manifest that names more data may stand where nobody has looked.
	if _, code, ok := facts.Attestations.All(); !ok && len(r.roots) > 0 {
		c.Outcome, c.Code, c.Detail = verdict.Unknown, code, "not all attestations could be looked at: "+facts.Attestations.Why()
		return c
	}
	return pass(c, "trained on "+some(roots, 3))
}

func (r *datasetRule) accept(q *verdict.Question, a *fact.Attestation, m *fact.Model) ([]string, *refusal) {
	if len(signedBy(&a.Signing, r.from)) == 0 {
		return nil, &refusal{1, verdict.ModelDatasetUntrusted, "the dataset manifest is not signed by " + list(r.from) + ": " + orElse(a.Detail, "somebody else signed it")}
	}
	var p fact.DatasetManifest
	if err := json.Unmarshal(a.Predicate, &p); err != nil || len(p.Datasets) == 0 {
		return nil, &refusal{2, verdict.ModelDatasetInvalid, "the dataset manifest cannot be read or names no dataset"}
	}
	if !concerns(a.Subjects, q, m) {
		return nil, &refusal{3, verdict.ModelDatasetInvalid, "the dataset manifest is about another model"}
	}
	var roots []string
	for _, d := range p.Datasets {
		root, err := verdict.ParseDigest(string(d.Root))
		if err != nil {
			return nil, &refusal{4, verdict.ModelDatasetInvalid, fmt.Sprintf("the root of dataset %q is no digest", clean(d.Name))}
		}
		if len(r.roots) > 0 && !slices.Contains(r.roots, string(root)) {
			return nil, &refusal{5, verdict.ModelDatasetDenied, fmt.Sprintf("trained on %q (%s)", clean(d.Name), root)}
		}
		roots = append(roots, fmt.Sprintf("%s %.19s…", clean(d.Name), root))
	}
	return roots, nil
}

var (
	_ Rule = (*modelProvenanceRule)(nil)
	_ Rule = (*licenseRule)(nil)
	_ Rule = (*datasetRule)(nil)
)
