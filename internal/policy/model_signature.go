package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// modelSignatureRule is RequireModelSignature: enough of the named signers have
// signed exactly the files of the model, or the digest of its artifact.
type modelSignatureRule struct {
	from      []string
	threshold int
}

func compileModelSignature(p *v1alpha1.ModelRuleParameters, env *environment) (Rule, string, []string) {
	r := &modelSignatureRule{from: p.RequireSignatureFrom, threshold: max(1, int(p.Threshold))}
	missing := env.missing("requireSignatureFrom", r.from, v1alpha1.UseModels)
	if r.threshold > len(r.from) {
		missing = append(missing, fmt.Sprintf("threshold is %d, but requireSignatureFrom names only %d", r.threshold, len(r.from)))
	}
	return r, fmt.Sprintf("needs %s by %s", plural(r.threshold, "signature"), list(r.from)), missing
}

func (r *modelSignatureRule) Needs() fact.Need {
	return fact.NeedModel | fact.NeedSignatures | fact.NeedAttestations
}

func (r *modelSignatureRule) Check(q *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	m, signed, problem := statements(facts, "whether the model is signed")
	if problem != nil {
		return *problem
	}
	signatures, _, ok := facts.Signatures.Some()
	if !ok {
		return unknown(fact.NeedSignatures, &facts.Signatures, "whether the model is signed")
	}
	c := verdict.Check{
		Expected: fmt.Sprintf("%s of %s by %s", plural(r.threshold, "signature"), q.Ref, list(r.from)),
		Evidence: []verdict.Evidence{facts.Signatures.Evidence(fact.NeedSignatures), facts.Model.Evidence(fact.NeedModel)},
	}
	var votes []vote
	var refusals []refusal
	// about says why a signature that verifies is about something else; nil: it is not.
	consider := func(s *fact.Signature, about func() *refusal) {
		names := signedBy(&s.Signing, r.from)
		switch {
		case !s.Valid():
			refusals = append(refusals, invalid(&s.Signing))
		case len(names) == 0:
			refusals = append(refusals, refusal{2, verdict.ModelSignatureUntrusted, fmt.Sprintf("signed by %s, whom the policy does not name", list(s.TrustedBy))})
		default:
			if why := about(); why != nil {
				refusals = append(refusals, *why)
				return
			}
			votes = append(votes, vote{s, names})
		}
	}
	for i := range signatures {
		s := &signatures[i]
		consider(s, func() *refusal {
			if s.Subject == q.Digest {
				return nil
			}
			return &refusal{3, verdict.ModelSignatureFiles, fmt.Sprintf("the signature is about %s", s.Subject)}
		})
	}
	for i := range signed {
		a := &signed[i]
		switch {
		case a.PredicateType != fact.PredicateModelSignature:
		case m.Root == "":
			refusals = append(refusals, refusal{3, verdict.ModelSignatureFiles, "the artifact holds packed layers, so its files cannot be compared with the signature"})
		default:
			consider(&fact.Signature{Signing: a.Signing}, func() *refusal { return coversFiles(a, m) })
		}
	}
	counted := count(votes)
	if len(counted) >= r.threshold {
		for _, s := range counted {
			c.Until = verdict.Earliest(c.Until, s.Until)
		}
		return pass(c, "signed by "+list(slices.Sorted(maps.Keys(counted))))
	}
	if incomplete(&c, &facts.Signatures, "signatures") || incomplete(&c, &facts.Attestations, "attestations") {
		return c
	}
	if len(counted) > 0 {
		return fail(c, verdict.ModelSignatureThreshold, fmt.Sprintf("%d of %d needed signers have signed: %s", len(counted), r.threshold, list(slices.Sorted(maps.Keys(counted)))))
	}
	return refused(c, refusals, refusal{0, verdict.ModelSignatureMissing, "the model has no signature"})
}

// invalid says why a signature does not verify under any entry.
func invalid(s *fact.Signing) refusal {
	why := refusal{1, verdict.ModelSignatureUntrusted, ""}
	switch s.Code {
	case verdict.SignatureInvalid, verdict.AttestationInvalid:
		why.code = verdict.ModelSignatureInvalid
	case verdict.SignatureSubject:
		why.rank, why.code = 3, verdict.ModelSignatureFiles
	}
	why.detail = describe(s) + ": " + orElse(s.Detail, why.code.Info().Meaning)
	return why
}

// coversFiles says why an OpenSSF Model Signing statement does not cover
// exactly the files of the model, none of which is packed. The root that was signed binds the contents
// in their order; the names are bound by the statement that lists them.
func coversFiles(a *fact.Attestation, m *fact.Model) *refusal {
	var p fact.ModelSignature
	if err := json.Unmarshal(a.Predicate, &p); err != nil {
		return &refusal{3, verdict.ModelSignatureInvalid, "the signed list of files cannot be read: " + clean(err.Error())}
	}
	if p.Serialization.Method != "files" || p.Serialization.HashType != "sha256" {
		return &refusal{3, verdict.ModelSignatureFiles, fmt.Sprintf("the signature lists %s by %s; only files by sha256 can be compared with an artifact",
			clean(p.Serialization.Method), clean(p.Serialization.HashType))}
	}
	listed := make(map[string]verdict.Digest, len(p.Resources))
	root := sha256.New()
	for _, res := range p.Resources {
		raw, err := hex.DecodeString(res.Digest)
		if err != nil || len(raw) != sha256.Size || res.Algorithm != "sha256" {
			return &refusal{3, verdict.ModelSignatureInvalid, fmt.Sprintf("the digest of %q is no sha256", clean(res.Name))}
		}
		root.Write(raw)
		name := res.Name
		if name == "." && len(p.Resources) == 1 && len(m.Files) == 1 {
			name = path.Base(m.Files[0].Path) // a model that is one file, as early versions name it
		}
		if _, twice := listed[name]; twice {
			return &refusal{3, verdict.ModelSignatureInvalid, fmt.Sprintf("%q is listed twice", clean(res.Name))}
		}
		listed[name] = verdict.Digest("sha256:" + hex.EncodeToString(raw))
	}
	signed := verdict.Digest("sha256:" + hex.EncodeToString(root.Sum(nil)))
	if !slices.ContainsFunc(a.Subjects, func(s fact.AttestationSubject) bool { return s.Digest == signed }) {
		return &refusal{4, verdict.ModelSignatureInvalid, "the signed root is not that of the listed files"}
	}
	for _, f := range m.Files {
		switch digest, ok := listed[f.Path]; {
		case !ok:
			return &refusal{5, verdict.ModelSignatureFiles, fmt.Sprintf("%q is in the artifact and was not signed", clean(f.Path))}
		case digest != f.Digest:
			return &refusal{5, verdict.ModelSignatureFiles, fmt.Sprintf("%q is not the file that was signed", clean(f.Path))}
		}
		delete(listed, f.Path)
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		return &refusal{5, verdict.ModelSignatureFiles, fmt.Sprintf("%q was signed and is not in the artifact", clean(name))}
	}
	return nil
}

var _ Rule = (*modelSignatureRule)(nil)
