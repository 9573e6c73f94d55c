package source

import (
	"context"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops/artifact"
	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify"
)

// TrailerPrune in a signed commit's message allows it to delete more than a
// mistake may.
const TrailerPrune = "Apex-Prune"

// trusted is whom a source believes.
type trusted struct {
	history   *history.Verifier  // nil for artifacts
	artifacts *artifact.Verifier // nil for commits
	// rules and signers are what history was compiled from.
	rules   history.Trust
	signers *trust.CommitVerifier
	kinds   []kindRule
	// promotions are the keys that may roll back and promote; nil: nobody's.
	promotions *trust.Root
}

// compileTrust takes the names of a source's trust from the TrustRoots beside it.
func compileTrust(o *Options) (*trusted, error) {
	var signers []trust.CommitSigner
	for i := range o.TrustRoots {
		for j := range o.TrustRoots[i].Spec.Entries {
			e := &o.TrustRoots[i].Spec.Entries[j]
			if signsCommits(e) {
				signers = append(signers, commitSigner(e))
			}
		}
	}
	// A revoked key signs nothing any more, whatever it signed before: what was
	// accepted then is not verified again.
	var revoked []trust.Revoked
	for i := range o.Revocations {
		r := &o.Revocations[i].Spec
		switch {
		case r.KeyID != "":
			revoked = append(revoked, trust.Revoked{KeyID: r.KeyID})
		case r.Identity != nil:
			revoked = append(revoked, trust.Revoked{Issuer: r.Identity.Issuer, Subject: r.Identity.Subject})
		}
	}
	verifier, err := trust.CompileCommits(signers, revoked)
	if err != nil {
		return nil, err
	}
	t := &trusted{signers: verifier}
	if t.promotions, err = verify.CompileRoot(o.TrustRoots, v1alpha1.UsePromotions, trust.Options{Revoked: revoked}); err != nil {
		return nil, err
	}
	in := &o.Source.Spec.Trust
	t.kinds = kindRules(in)
	if artifactsOf(o.Source.Spec.URL) {
		t.artifacts, err = compileArtifacts(o, t.promotions, trust.Options{Revoked: revoked})
	} else {
		t.rules = history.Trust{First: repo.Commit(in.FirstCommit), Signers: in.Signers, Sealers: in.Sealers}
		if in.MaxAge != nil {
			t.rules.MaxAge = in.MaxAge.Duration
		}
		for _, p := range in.Paths {
			t.rules.Paths = append(t.rules.Paths, history.PathRule{Pattern: p.Pattern, Signers: p.Signers, Threshold: int(p.Threshold)})
		}
		if t.history, err = history.Compile(o.Source.Name, t.rules, verifier, t.promotions); err == nil {
			err = t.checkKinds(o.Source.Name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("spec.trust: %w", err)
	}
	return t, nil
}

// signsCommits says that an entry's key signs commits, and not artifacts alone.
func signsCommits(e *v1alpha1.TrustEntry) bool {
	return slices.Contains(e.Uses, v1alpha1.UseCommits) && (e.SSH != nil || e.OpenPGP != nil || e.Keyless != nil)
}

func commitSigner(e *v1alpha1.TrustEntry) trust.CommitSigner {
	out := trust.CommitSigner{Name: e.Name, Owner: e.Owner}
	switch {
	case e.SSH != nil:
		out.SSH = e.SSH.PublicKey
		if e.SSH.ValidFrom != nil {
			out.ValidFrom = e.SSH.ValidFrom.Time
		}
		if e.SSH.ValidUntil != nil {
			out.ValidUntil = e.SSH.ValidUntil.Time
		}
	case e.OpenPGP != nil:
		out.OpenPGP = e.OpenPGP.PublicKey
		if e.OpenPGP.ValidFrom != nil {
			out.ValidFrom = e.OpenPGP.ValidFrom.Time
		}
		if e.OpenPGP.ValidUntil != nil {
			out.ValidUntil = e.OpenPGP.ValidUntil.Time
		}
	case e.Keyless != nil:
		out.Keyless = verify.TrustEntry(e).Keyless
	}
	return out
}

// verify proves that a revision may be followed, and keeps the proof for its
// apply.
func (s *Source) verify(ctx context.Context, commit string) error {
	state, err := s.applier.Load(ctx, s.name)
	if err != nil {
		return refusal(err)
	}
	p, err := s.origin.prove(ctx, state, commit)
	if err != nil {
		return err
	}
	p.after = state.Accepted.Commit
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.proofs)
	s.proofs[commit] = *p
	return nil
}
