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

// signatureRule is RequireImageSignature: enough of the named signers have
// signed this digest under this repository.
type signatureRule struct {
	from         []string
	threshold    int
	repositories []string
	allowUnbound bool
	requireLog   bool
	builtAfter   time.Time
	annotations  map[string]string
}

func compileSignature(p *v1alpha1.ImageRuleParameters, env *environment) (Rule, string, []string) {
	r := &signatureRule{
		from:         p.RequireSignatureFrom,
		threshold:    max(1, int(p.Threshold)),
		repositories: p.SignedRepositories,
		allowUnbound: p.UnboundSignatures == "Allow",
		requireLog:   p.RequireLog,
		annotations:  p.SignatureAnnotations,
	}
	if p.BuiltAfter != nil {
		r.builtAfter = p.BuiltAfter.Time
	}
	missing := env.missing("requireSignatureFrom", r.from, v1alpha1.UseImages)
	if r.threshold > len(r.from) {
		missing = append(missing, fmt.Sprintf("threshold is %d, but requireSignatureFrom names only %d", r.threshold, len(r.from)))
	}
	return r, fmt.Sprintf("needs %s by %s", plural(r.threshold, "signature"), list(r.from)), missing
}

func plural(n int, what string) string {
	if n == 1 {
		return "a " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (r *signatureRule) Needs() fact.Need {
	if !r.builtAfter.IsZero() {
		return fact.NeedSignatures | fact.NeedImage
	}
	return fact.NeedSignatures
}

func (r *signatureRule) Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check {
	signatures, _, ok := facts.Signatures.Some()
	if !ok {
		return unknown(fact.NeedSignatures, &facts.Signatures, "whether the image is signed")
	}
	c := verdict.Check{
		Expected: fmt.Sprintf("%s of %s by %s", plural(r.threshold, "signature"), q.Ref, list(r.from)),
		Evidence: []verdict.Evidence{facts.Signatures.Evidence(fact.NeedSignatures)},
	}

	var votes []vote
	var refusals []refusal
	for i := range signatures {
		s := &signatures[i]
		names, why := r.accept(q, s)
		if why != nil {
			refusals = append(refusals, *why)
			continue
		}
		votes = append(votes, vote{s, names})
	}
	counted := count(votes)
	if len(counted) < r.threshold {
		return r.fail(c, facts, counted, refusals, len(signatures))
	}

	var signers []string
	for n, s := range counted {
		signers = append(signers, n)
		c.Until = verdict.Earliest(c.Until, s.Until)
	}
	slices.Sort(signers)
	if code, why := r.tooOld(facts, counted); code != verdict.OK {
		c.Outcome, c.Code, c.Detail = verdict.Fail, code, why
		if code != verdict.SignatureTooOld {
			c.Outcome = verdict.Unknown
		}
		return c
	}
	c.Outcome, c.Code = verdict.Pass, verdict.OK
	c.Found = "signed by " + list(signers)
	c.Detail = c.Found
	return c
}

// vote is a signature that counts, and the wanted entries under which it does.
type vote struct {
	signature *fact.Signature
	names     []string
}

// count assigns entries to signatures of different signers, as many as can be.
// A signer counts once, however often they signed, and for one entry only, even
// where the identities of two entries overlap: otherwise one person could reach
// a threshold of two.
func count(votes []vote) map[string]*fact.Signature {
	var signers []vote
	at := map[string]int{}
	for _, v := range votes {
		id := signer(&v.signature.Signing)
		i, known := at[id]
		if !known {
			at[id] = len(signers)
			signers = append(signers, v)
			continue
		}
		s := &signers[i]
		for _, n := range v.names {
			if !slices.Contains(s.names, n) {
				s.names = append(slices.Clip(s.names), n)
			}
		}
		if until := s.signature.Until; !until.IsZero() && verdict.Earliest(until, v.signature.Until).Equal(until) {
			s.signature = v.signature // it holds for longer
		}
	}
	// Kuhn's algorithm for a maximum matching; a policy names at most 64 entries.
	taken := map[string]int{}
	var assign func(i int, tried map[string]bool) bool
	assign = func(i int, tried map[string]bool) bool {
		for _, n := range signers[i].names {
			if tried[n] {
				continue
			}
			tried[n] = true
			if other, used := taken[n]; !used || assign(other, tried) {
				taken[n] = i
				return true
			}
		}
		return false
	}
	for i := range signers {
		assign(i, map[string]bool{})
	}
	counted := make(map[string]*fact.Signature, len(taken))
	for n, i := range taken {
		counted[n] = signers[i].signature
	}
	return counted
}

// signer tells signers apart: by identity where a certificate names one, since
// its key is made anew for each signature, and by key otherwise.
func signer(s *fact.Signing) string {
	if s.Identity != (fact.Identity{}) {
		return "identity " + s.Identity.Issuer + " " + s.Identity.Subject
	}
	return "key " + s.KeyID
}

// refusal says why one signature does not count; the one with the highest rank
// is nearest to counting, and so the one that a person wants to read about.
type refusal struct {
	rank   int
	code   verdict.Code
	detail string
}

// accept returns the wanted signers that s counts for, or why it counts for none.
func (r *signatureRule) accept(q *verdict.Question, s *fact.Signature) ([]string, *refusal) {
	if !s.Valid() {
		code := because(s.Code, verdict.SignatureUntrusted)
		return nil, &refusal{1, code, describe(&s.Signing) + ": " + orElse(s.Detail, code.Info().Meaning)}
	}
	names := signedBy(&s.Signing, r.from)
	if len(names) == 0 {
		return nil, &refusal{2, verdict.SignatureUntrusted, fmt.Sprintf("signed by %s, whom the policy does not name", list(s.TrustedBy))}
	}
	if s.Subject != q.Digest && (q.Index == "" || s.Subject != q.Index) {
		return nil, &refusal{3, verdict.SignatureSubject, fmt.Sprintf("the signature is about %s", s.Subject)}
	}
	if code, why := r.repository(q, s); code != verdict.OK {
		return nil, &refusal{4, code, why}
	}
	if r.requireLog && len(s.Logs) == 0 {
		return nil, &refusal{5, verdict.SignatureLogMissing, fmt.Sprintf("the signature by %s has no verified log entry", list(names))}
	}
	for k, want := range r.annotations {
		if got, ok := s.Annotations[k]; !ok || got != want {
			return nil, &refusal{5, verdict.SignatureAnnotations, fmt.Sprintf("the signed annotation %s is %q, not %q", k, got, want)}
		}
	}
	return names, nil
}

// repository compares the repository that was signed with the one that is
// asked for. Without it a signature could be copied to any repository that an
// attacker can push to.
func (r *signatureRule) repository(q *verdict.Question, s *fact.Signature) (verdict.Code, string) {
	switch {
	case s.Repository == q.Repo:
		return verdict.OK, ""
	case s.Repository == "" && r.allowUnbound:
		return verdict.OK, ""
	case s.Repository == "":
		return verdict.SignatureRepository, "the signature names no repository, so it may have been copied from another one (apex sign binds it; unboundSignatures: Allow accepts it)"
	}
	for _, allowed := range r.repositories {
		if prefix, ok := strings.CutSuffix(allowed, "/*"); ok && strings.HasPrefix(s.Repository, prefix+"/") {
			return verdict.OK, ""
		}
		if allowed == s.Repository {
			return verdict.OK, ""
		}
	}
	return verdict.SignatureRepository, fmt.Sprintf("the signature was made for %s, not for %s", s.Repository, q.Repo)
}

func (r *signatureRule) fail(c verdict.Check, facts *fact.Set, counted map[string]*fact.Signature, refusals []refusal, found int) verdict.Check {
	c.Outcome = verdict.Fail
	// Absence is proved by complete facts only.
	if _, code, ok := facts.Signatures.All(); !ok {
		c.Outcome, c.Code = verdict.Unknown, code
		c.Detail = fmt.Sprintf("not all signatures could be looked at: %s", facts.Signatures.Why())
		return c
	}
	switch {
	case len(counted) > 0:
		var signers []string
		for n := range counted {
			signers = append(signers, n)
		}
		slices.Sort(signers)
		c.Code = verdict.SignatureThreshold
		c.Found = fmt.Sprintf("%d of %d: %s", len(counted), r.threshold, list(signers))
		c.Detail = fmt.Sprintf("%d of %d needed signers have signed", len(counted), r.threshold)
	case found == 0:
		c.Code, c.Found, c.Detail = verdict.SignatureMissing, "no signature", "the image has no signature"
	default:
		best := slices.MaxFunc(refusals, func(a, b refusal) int { return a.rank - b.rank })
		c.Code, c.Detail = best.code, best.detail
		c.Found = fmt.Sprintf("%d signature(s), none of which counts", found)
	}
	return c
}

// tooOld compares the time of the build with builtAfter. The configuration's
// creation time is covered by the signature over the digest; where it is left
// out (reproducible builds), the signature's own vouched time stands in.
func (r *signatureRule) tooOld(facts *fact.Set, counted map[string]*fact.Signature) (verdict.Code, string) {
	if r.builtAfter.IsZero() {
		return verdict.OK, ""
	}
	image, code, ok := facts.Image.All()
	if !ok {
		return code, "when the image was built could not be established: " + facts.Image.Why()
	}
	built, source := image.Created, "built"
	if built.Unix() <= 0 {
		source = "signed"
		for _, s := range counted {
			if built.Unix() <= 0 || s.SignedAt.Before(built) {
				built = s.SignedAt
			}
		}
	}
	if built.Unix() <= 0 {
		return verdict.SignatureTooOld, "nothing says when the image was built"
	}
	if built.Before(r.builtAfter) {
		return verdict.SignatureTooOld, fmt.Sprintf("the image was %s at %s, before %s", source, built.UTC().Format(time.RFC3339), r.builtAfter.UTC().Format(time.RFC3339))
	}
	return verdict.OK, ""
}

func describe(s *fact.Signing) string {
	switch {
	case s.Identity.Subject != "":
		return fmt.Sprintf("%s signature by %s (%s)", s.Format, s.Identity.Subject, s.Identity.Issuer)
	case s.KeyID != "":
		return fmt.Sprintf("%s signature by key %.19s…", s.Format, s.KeyID)
	}
	return fmt.Sprintf("%s signature", s.Format)
}

func orElse(s, fallback string) string {
	if s != "" {
		return s
	}
	return fallback
}

var _ Rule = (*signatureRule)(nil)
