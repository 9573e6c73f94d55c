package artifact

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// Limits on one look at a chain of artifacts.
const (
	// maxChain artifacts are read at once, with some four requests each: a month
	// of ten releases a day.
	maxChain = 300
	// maxAccepted is how many accepted artifacts a State remembers. It can be gone
	// back to fewer.
	maxAccepted = 64
)

// Trust is whom the artifacts of one source are believed from.
type Trust struct {
	// Source is the name that rollback records are made for.
	Source string
	First  verdict.Digest
	// Signers are names of entries of the root.
	Signers []string
}

// Mark is an artifact that was accepted.
type Mark struct {
	Digest  verdict.Digest `json:"digest"`
	Counter uint64         `json:"counter"` // the publisher's
}

// State is what is remembered of a source, out of reach of its registry.
type State struct {
	// Accepted are the artifacts that were accepted, newest last, at most 64.
	Accepted []Mark `json:"accepted,omitempty"`
	// Current is the one that counts: the newest, or one that was gone back to.
	Current Mark `json:"current,omitzero"`
	// Highest counter of all that were ever accepted. It never falls.
	Highest uint64 `json:"highest,omitempty"`
	// First is the trusted artifact that Current is known to descend from.
	First verdict.Digest `json:"first,omitempty"`
	// Number grows with every change of the state.
	Number uint64    `json:"number"`
	At     time.Time `json:"at,omitzero"`
}

// rolledBack are the accepted artifacts that were gone back from.
func (s *State) rolledBack(d verdict.Digest) bool {
	return slices.ContainsFunc(s.Accepted, func(m Mark) bool { return m.Digest == d && m.Counter > s.Current.Counter })
}

// Accepted is the answer when an artifact may be followed.
type Accepted struct {
	// State to remember, before anything of the artifact is applied.
	State State
	// Statement about the artifact, and the names of entries under which each of
	// its signatures counts.
	Statement  Statement
	Signatures [][]string
	// Between are the artifacts that were verified on the way, newest first.
	Between []Mark
	// AllowPrune says that this artifact, or one on the way, may delete more.
	AllowPrune bool
}

// Verifier decides about the artifacts of one source. It is safe for concurrent
// use.
type Verifier struct {
	trust     Trust
	root      *trust.Root
	rollbacks *trust.Root
}

// Compile checks a source's trust. Root holds the signers; rollbacks says whose
// rollback records count, nil: nobody's.
func Compile(t Trust, root, rollbacks *trust.Root) (*Verifier, error) {
	if err := gitops.CheckSource(t.Source); err != nil {
		return nil, err
	}
	if _, err := verdict.ParseDigest(string(t.First)); err != nil {
		return nil, fmt.Errorf("firstDigest: %w", err)
	}
	known := root.Names()
	for _, name := range t.Signers {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("signers: no TrustRoot entry for commits with a key, a KMS key or a keyless identity has the name %q", name)
		}
	}
	if len(t.Signers) == 0 {
		return nil, errors.New("signers: nobody is named, so nothing could be followed")
	}
	return &Verifier{trust: t, root: root, rollbacks: rollbacks}, nil
}

// Verify says whether the artifact may be followed after what was accepted last.
// An error that is no [Refusal] says that it could not be found out now, such as
// a registry that does not answer; nothing may be followed then either.
//
// Who resolves a tag does so once and hands in the digest.
func (v *Verifier) Verify(ctx context.Context, c *oci.Client, repo string, last State, head verdict.Digest, now time.Time) (*Accepted, error) {
	if head == last.Current.Digest {
		st, signatures, err := v.statement(ctx, c, repo, head, now)
		if err != nil {
			return nil, err
		}
		return &Accepted{State: last, Statement: st, Signatures: signatures, AllowPrune: st.AllowPrune}, nil
	}
	if last.rolledBack(head) {
		return nil, refuse(verdict.HistoryRolledBack, head, "it was accepted before the source was rolled back to %s", last.Current.Digest)
	}
	w := walk{v: v, last: &last, head: head, below: math.MaxUint64}
	for at := head; ; at = w.next {
		if len(w.out.Between) == maxChain {
			return nil, refuse(verdict.HistoryTooLong, head, "more than %d artifacts were published since what is accepted", maxChain)
		}
		st, signatures, err := v.statement(ctx, c, repo, at, now)
		if err != nil {
			return nil, w.missing(at, err)
		}
		if at == head {
			w.out.Statement, w.out.Signatures = st, signatures
		}
		done, err := w.step(at, &st)
		if err != nil {
			return nil, err
		}
		if done {
			break
		}
	}
	next := State{
		Current: Mark{head, w.out.Statement.Counter}, Highest: w.out.Statement.Counter,
		First: v.trust.First, Number: last.Number + 1, At: now.UTC(),
	}
	next.Accepted = append(slices.Clone(last.Accepted), next.Current)
	if extra := len(next.Accepted) - maxAccepted; extra > 0 {
		next.Accepted = next.Accepted[extra:]
	}
	w.out.State = next
	return &w.out, nil
}

// walk goes from an artifact to its predecessors, until one is known.
type walk struct {
	v     *Verifier
	last  *State
	head  verdict.Digest
	below uint64 // the counter has to be smaller
	next  verdict.Digest
	out   Accepted
}

// step looks at one artifact, and says whether what comes before it is known.
func (w *walk) step(at verdict.Digest, st *Statement) (done bool, err error) {
	switch {
	case st.Source != w.out.Statement.Source:
		return false, refuse(verdict.HistoryDiverged, w.head, "it was published by %q, and %s, from which it descends, by %q", w.out.Statement.Source, at, st.Source)
	case at == w.head && st.Counter <= w.last.Highest:
		return false, refuse(verdict.HistoryRewound, w.head, "its counter is %d, and %d was accepted: the tag was moved back to an older artifact", st.Counter, w.last.Highest)
	case st.Counter >= w.below:
		return false, refuse(verdict.ArtifactInvalid, at, "its counter %d is not below %d, that of its successor", st.Counter, w.below)
	}
	w.below = st.Counter
	w.out.Between = append(w.out.Between, Mark{at, st.Counter})
	w.out.AllowPrune = w.out.AllowPrune || st.AllowPrune
	if w.known(st.Predecessor) || at == w.v.trust.First && w.anchored() {
		return true, nil
	}
	first := w.anchored()
	switch {
	case st.Predecessor == "" && first:
		return false, refuse(verdict.HistoryUnrelated, w.head, "it descends from %s, which is the first of its kind, and not from the first trusted artifact %s", at, w.v.trust.First)
	case st.Predecessor == "", !first && st.Counter <= w.last.Current.Counter:
		return false, refuse(verdict.HistoryDiverged, w.head, "it does not descend from %s, which was accepted: another chain was published", w.last.Current.Digest)
	}
	w.next = st.Predecessor
	return false, nil
}

// known says that whatever comes before was judged already.
func (w *walk) known(d verdict.Digest) bool {
	switch {
	case d == "":
		return false
	case d == w.last.Current.Digest, w.last.rolledBack(d):
		return true
	}
	return d == w.v.trust.First && w.anchored()
}

// anchored says that the first trusted artifact counts: nothing is accepted yet,
// or whoever keeps the source has named another one since.
func (w *walk) anchored() bool {
	return w.last.Current.Digest == "" || w.last.First != w.v.trust.First
}

// missing names an artifact within the chain that is gone.
func (w *walk) missing(at verdict.Digest, err error) error {
	if r, is := errors.AsType[*Refusal](err); is && at != w.head {
		return refuse(r.Code, at, "%s descends from it: %s", w.head, r.Why)
	}
	if oci.IsNotFound(err) {
		return refuse(verdict.HistoryIncomplete, at, "the registry does not have it any more: %v", err)
	}
	return err
}

// statement reads what somebody trusted signed about an artifact.
func (v *Verifier) statement(ctx context.Context, c *oci.Client, repo string, d verdict.Digest, now time.Time) (st Statement, signatures [][]string, err error) {
	found, err := c.Attached(ctx, repo, d, oci.Wanted{Types: []string{oci.ArtifactBundle}})
	if err != nil {
		return st, nil, fmt.Errorf("look for the statement of %s@%s: %w", repo, d, err)
	}
	problem := refuse(verdict.ArtifactUnsigned, d, "nobody signed a statement about it")
	for i := range found {
		for _, layer := range found[i].Layers {
			all := v.root.VerifyBundle(layer.Data, d, string(found[i].Manifest.Digest), now).Attestations
			for j := range all {
				a := &all[j]
				if a.PredicateType != "" && a.PredicateType != PredicateType {
					continue
				}
				if !a.Valid() {
					problem = refuse(verdict.ArtifactUntrusted, d, "a statement about it does not count: %s (%s)", a.Detail, a.Code)
					continue
				}
				names := slices.DeleteFunc(slices.Clone(a.TrustedBy), func(n string) bool { return !slices.Contains(v.trust.Signers, n) })
				if len(names) == 0 {
					problem = refuse(verdict.ArtifactUntrusted, d, "its statement is signed by %q, who is no signer of the source", a.TrustedBy)
					continue
				}
				said, err := ParseStatement(a.Predicate)
				if err != nil {
					return st, nil, refuse(verdict.ArtifactInvalid, d, "%v", err)
				}
				if len(signatures) > 0 && said != st {
					return st, nil, refuse(verdict.ArtifactInvalid, d, "%q and %q signed different statements about it", signatures[0], names)
				}
				st, signatures = said, append(signatures, names)
			}
		}
	}
	if len(signatures) == 0 {
		return st, nil, problem
	}
	return st, signatures, nil
}

// Pull reads the set of an artifact that was verified, and holds it to the rules
// of a source. The error is a [Refusal] or a [render.Error] when it is not what
// was signed, or may not be applied.
func Pull(ctx context.Context, c *oci.Client, repo string, head verdict.Digest, st *Statement, o render.Options) (*gitops.Set, error) {
	set, _, err := render.Pull(ctx, c, repo, head, o)
	if err != nil {
		if code := oci.CodeOf(err); code == verdict.RegistryAnswer || code == verdict.RegistryTooLarge || code == verdict.ImageForeignLayer {
			return nil, refuse(verdict.ArtifactInvalid, head, "%v", err)
		}
		return nil, err
	}
	if set.Digest() != st.Content {
		return nil, refuse(verdict.ArtifactInvalid, head, "it holds %s, and the statement is about %s", set.Digest(), st.Content)
	}
	return set, nil
}
