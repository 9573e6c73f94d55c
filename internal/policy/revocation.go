package policy

import (
	"fmt"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

// Revocation stops a digest, a key or an identity. Digests are stopped by the
// engine; keys and identities by the trust root that it compiles.
type Revocation struct {
	Name            string
	Digest          verdict.Digest
	KeyID           string
	Issuer, Subject string
	Reason          string
	Since           time.Time // zero: nothing counts
}

// compileRevocations keeps revocations whose signature does not hold: stopping
// too much is the safe side. They are reported.
func compileRevocations(docs Documents, env *environment, verify DocumentVerifier) ([]Revocation, []Problem) {
	var out []Revocation
	var problems []Problem
	for i := range docs.Revocations {
		doc := &docs.Revocations[i]
		spec := doc.Spec
		r := Revocation{Name: doc.Name, Digest: verdict.Digest(spec.Digest), KeyID: spec.KeyID, Reason: spec.Reason}
		if spec.Identity != nil {
			r.Issuer, r.Subject = spec.Identity.Issuer, spec.Identity.Subject
		}
		if spec.Since != nil {
			r.Since = spec.Since.Time
		}
		signature := spec.Signature
		spec.Signature = nil
		if _, err := verifySpec(verify, v1alpha1.UseRevocations, DocumentRevocation, signature, spec); err != nil {
			problems = append(problems, Problem{"Revocation", doc.Name, verdict.SignatureInvalid,
				fmt.Sprintf("it stops its target, but nobody trusted vouches for it: %v", err)})
			// What it says about earlier signatures is a favour that only a
			// trusted signer can do.
			r.Since = time.Time{}
		}
		out = append(out, r)
	}
	return out, problems
}

// Revoked returns the revocation of the subject's digest or index, if there is one.
func (s *Set) Revoked(q *verdict.Question) (Revocation, bool) {
	for _, r := range s.Revocations {
		if r.Digest != "" && (r.Digest == q.Digest || r.Digest == q.Index) {
			return r, true
		}
	}
	return Revocation{}, false
}
