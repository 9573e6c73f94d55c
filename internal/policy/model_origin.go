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

// modelProvenanceRule is RequireModelProvenance: signed SLSA provenance says
// that an approved builder made this model, from approved base models.
type modelProvenanceRule struct {
	build *provenanceRule
	bases []string
}

func compileModelProvenance(p *v1alpha1.ModelRuleParameters, env *environment) (Rule, string, []string) {
	// The rule about images would ask for signers of images.
	build := p.ProvenanceParameters
	build.ProvenanceFrom = nil
	rule, about, missing := compileProvenance(&v1alpha1.ImageRuleParameters{ProvenanceParameters: build}, env)
	r := &modelProvenanceRule{build: rule.(*provenanceRule), bases: p.BaseModels}
	r.build.from = p.ProvenanceFrom
	return r, about, append(missing, env.missing("provenanceFrom", p.ProvenanceFrom, v1alpha1.UseModels)...)
}

func (r *modelProvenanceRule) Needs() fact.Need {
	return fact.NeedModel | fact.NeedProvenance
}

func (r *modelProvenanceRule) Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check {
	m, _, ok := facts.Model.All()
	if !ok {
		return unknown(fact.NeedModel, &facts.Model, "what the model consists of")
	}
	all, _, ok := facts.Provenance.Some()
	if !ok {
		return unknown(fact.NeedProvenance, &facts.Provenance, "where the model was made")
	}
	c := verdict.Check{
		Expected: "provenance by " + some(r.build.builders, 3) + ", signed by " + list(r.build.from),
		Evidence: []verdict.Evidence{facts.Provenance.Evidence(fact.NeedProvenance), facts.Model.Evidence(fact.NeedModel)},
	}
	if len(r.bases) > 0 {
		c.Expected += ", from the listed base models only"
	}
	var refusals []refusal
	var accepted *fact.Provenance
	for i := range all {
		p := &all[i]
		if why := r.accept(q, p, &m, now); why != nil {
			refusals = append(refusals, *why)
			continue
		}
		if why := r.fromApproved(p); why != nil {
			// What somebody trusted says counts even where another says less.
			return fail(c, why.code, why.detail)
		}
		if accepted == nil {
			accepted = p
		}
	}
	if (accepted == nil || len(r.bases) > 0) && incomplete(&c, &facts.Provenance, "provenance") {
		return c
	}
	if accepted == nil {
		return refused(c, refusals, refusal{0, verdict.ModelProvenanceMissing, "the model has no SLSA provenance"})
	}
	c.Until = accepted.Signing.Until
	if r.build.maxAge > 0 {
		c.Until = verdict.Earliest(c.Until, accepted.Finished.Add(r.build.maxAge))
	}
	return pass(c, fmt.Sprintf("made by %s from %s", clean(accepted.Builder), clean(orElse(accepted.SourceRepository, "an unstated source"))))
}

// accept says why provenance does not count for the model, as an artifact or as
// the files in it: they may have been made before they were packed.
func (r *modelProvenanceRule) accept(q *verdict.Question, p *fact.Provenance, m *fact.Model, now time.Time) *refusal {
	if p.Signing.Code == verdict.SignatureSubject {
		return &refusal{3, verdict.ModelProvenanceInvalid, "the provenance is about another model"}
	}
	about := *q
	if !names(p.Subjects, q) && m.Root != "" {
		about.Digest, about.Index = m.Root, ""
	}
	why := r.build.accept(&about, p, now)
	if why != nil {
		why.code = originCode(why.code)
	}
	return why
}

// fromApproved says which base model of the provenance is not on the list.
func (r *modelProvenanceRule) fromApproved(p *fact.Provenance) *refusal {
	if len(r.bases) == 0 {
		return nil
	}
	for i := range p.Dependencies {
		if d := &p.Dependencies[i]; mayBeModel(d, p) && !slices.Contains(r.bases, string(d.Digest)) {
			return &refusal{20, verdict.ModelProvenanceBase, fmt.Sprintf("made from %s (%s)", clean(orElse(d.URI, "a base model")), orElse(string(d.Digest), "no digest"))}
		}
	}
	return nil
}

// mayBeModel tells base models from the other dependencies by the name that the
// producer gives: "base-model", as apex model provenance writes it, or any other
// with the word in it. One without a name, as all materials of SLSA v0.2 are, is
// none only where it is the source of the build.
func mayBeModel(d *fact.Dependency, p *fact.Provenance) bool {
	if d.Name != "" {
		return strings.Contains(strings.ToLower(d.Name), "model")
	}
	return p.SourceRepository == "" || fact.SourceRepository(d.URI) != p.SourceRepository
}

// originCode says of a model what the code says of an image.
func originCode(code verdict.Code) verdict.Code {
	switch code {
	case verdict.AttestationUntrusted:
		return verdict.ModelProvenanceUntrusted
	case verdict.ProvenanceInvalid, verdict.AttestationInvalid, verdict.SignatureSubject:
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
	// A manifest that names more data may stand where nobody has looked.
	if (len(roots) == 0 || len(r.roots) > 0) && incomplete(&c, &facts.Attestations, "attestations") {
		return c
	}
	if len(roots) == 0 {
		return refused(c, refusals, refusal{0, verdict.ModelDatasetMissing, "nobody has attested which data the model was trained on"})
	}
	return pass(c, "trained on "+some(roots, 3))
}

func (r *datasetRule) accept(q *verdict.Question, a *fact.Attestation, m *fact.Model) ([]string, *refusal) {
	const another = "the dataset manifest is about another model"
	if a.Code == verdict.SignatureSubject {
		return nil, &refusal{3, verdict.ModelDatasetInvalid, another}
	}
	if len(signedBy(&a.Signing, r.from)) == 0 {
		return nil, &refusal{1, verdict.ModelDatasetUntrusted, "the dataset manifest is not signed by " + list(r.from) + ": " + orElse(a.Detail, "somebody else signed it")}
	}
	var p fact.DatasetManifest
	if err := json.Unmarshal(a.Predicate, &p); err != nil || len(p.Datasets) == 0 {
		return nil, &refusal{2, verdict.ModelDatasetInvalid, "the dataset manifest cannot be read or names no dataset"}
	}
	if !concerns(a.Subjects, q, m) {
		return nil, &refusal{3, verdict.ModelDatasetInvalid, another}
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
