package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// TrailerPrune in a signed commit's message allows it to delete more than a
// mistake may.
const TrailerPrune = "Apex-Prune"

// trusted is whom a source believes.
type trusted struct {
	history *history.Verifier
	// promotions are the keys that may roll back and promote; nil: nobody's.
	promotions *trust.Root
}

// compileTrust takes the names of a source's trust from the TrustRoots beside it.
func compileTrust(o *Options) (*trusted, error) {
	var signers []trust.CommitSigner
	for i := range o.TrustRoots {
		for j := range o.TrustRoots[i].Spec.Entries {
			e := &o.TrustRoots[i].Spec.Entries[j]
			if slices.Contains(e.Uses, v1alpha1.UseCommits) {
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
	t := &trusted{}
	if t.promotions, err = verify.CompileRoot(o.TrustRoots, v1alpha1.UsePromotions, trust.Options{Revoked: revoked}); err != nil {
		return nil, err
	}
	in := &o.Source.Spec.Trust
	rules := history.Trust{First: repo.Commit(in.FirstCommit), Signers: in.Signers, Sealers: in.Sealers}
	if in.MaxAge != nil {
		rules.MaxAge = in.MaxAge.Duration
	}
	for _, p := range in.Paths {
		rules.Paths = append(rules.Paths, history.PathRule{Pattern: p.Pattern, Signers: p.Signers, Threshold: int(p.Threshold)})
	}
	if t.history, err = history.Compile(o.Source.Name, rules, verifier, t.promotions); err != nil {
		return nil, fmt.Errorf("spec.trust: %w", err)
	}
	return t, nil
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

// verify proves that a commit may be followed, and keeps the proof for its apply.
func (s *Source) verify(ctx context.Context, commit string) error {
	state, err := s.applier.Load(ctx, s.name)
	if err != nil {
		return refusal(err)
	}
	commits, done, err := s.commits()
	if err != nil {
		return err
	}
	defer done()
	last, err := remembered(state)
	if err != nil {
		return err
	}
	accepted, err := s.trust.history.Verify(ctx, commits, last, repo.Commit(commit), s.o.Clock.Now())
	if r, is := errors.AsType[*history.Refusal](err); is {
		return &follow.Refused{Step: "trust", Code: r.Code, Where: verdict.Origin{Object: "commit " + string(r.Commit)}, Why: r.Why}
	}
	if err != nil {
		return refusal(err)
	}
	for _, w := range accepted.Warnings {
		s.o.Logger.Warn("a history is accepted with a warning", "source", s.name, "commit", commit, "code", w.Code, "why", w.Why)
	}
	raw, err := commits.RawCommit(repo.Commit(commit))
	if err != nil {
		return refusal(err)
	}
	memory, err := json.Marshal(accepted.State)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.proofs)
	s.proofs[commit] = proof{after: state.Accepted.Commit, memory: memory, authors: s.authors(signersOf(accepted)), allowPrune: slices.Contains(raw.Trailers(TrailerPrune), "allow")}
	return nil
}

func signersOf(a *history.Accepted) (names []string) {
	for i := range a.Commits {
		names = append(names, a.Commits[i].Signers...)
	}
	return names
}

// remembered is what history remembers of the decision that was made last. It is
// kept beside the target with the decision.
func remembered(s *apply.State) (h history.State, err error) {
	if s.Memory == nil {
		return h, nil
	}
	if err := json.Unmarshal(s.Memory, &h); err != nil {
		return h, fmt.Errorf("what is remembered of the source's history: %w", err)
	}
	return h, nil
}
