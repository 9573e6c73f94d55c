package source

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

// OperatorName is the entry that stands for Apex itself in records of rollbacks.
const OperatorName = "apex-operator"

// Why [Operator.Leave] leaves nothing.
var (
	// ErrComplies is that what the source is to hold violates nothing: whatever
	// does was changed behind its back.
	ErrComplies = errors.New("what is applied complies")
	// ErrNoneComplies is that no revision that is kept may run any more.
	ErrNoneComplies = errors.New("none of the healthy revisions that are kept complies")
	// ErrBusy is that a revision is being applied: it is asked again later.
	ErrBusy = errors.New("a revision is being applied")
)

// Operator rolls a source back where a policy says so and nobody is at hand.
type Operator struct {
	source *Source
	signer crypto.Signer
}

// Operate lets the signer roll the source back, and do nothing else: not promote,
// and not sign commits. It is nil when the source's spec.trust.operator does not
// allow that. It is called before the source runs.
func (s *Source) Operate(signer crypto.Signer) (*Operator, error) {
	if !s.o.Source.Spec.Trust.Operator {
		return nil, nil
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("the operator's key: %w", err)
	}
	with := s.o
	with.TrustRoots = append(slices.Clone(s.o.TrustRoots), v1alpha1.TrustRoot{
		ObjectMeta: metav1.ObjectMeta{Name: OperatorName},
		Spec: v1alpha1.TrustRootSpec{Entries: []v1alpha1.TrustEntry{{
			Name: OperatorName, Owner: OperatorName, Uses: []v1alpha1.TrustUse{v1alpha1.UsePromotions},
			Key: &v1alpha1.KeyEntry{PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
		}}},
	})
	trusted, err := compileTrust(&with)
	if err != nil {
		return nil, err
	}
	// What is believed for promotions stays as it was.
	s.trust.history, s.trust.artifacts = trusted.history, trusted.artifacts
	return &Operator{s, signer}, nil
}

// Leave takes the source back to its newest healthy revision that may still run,
// when what it is to hold now violates a policy, and keeps it there until a commit
// comes that descends from the one that is left. Violates says what a verdict on a
// revision means for something that runs; what it cannot be told of is none. The
// revision that is gone back to has to pass the gate whole.
//
// The remote and, for what the engine remembers, registries are not asked.
func (o *Operator) Leave(ctx context.Context, reason string, violates func(*verdict.Report) bool) (*apply.Result, error) {
	s := o.source
	state, err := s.applier.Load(ctx, s.name)
	if err != nil {
		return nil, err
	}
	if state.Unfinished() {
		return nil, ErrBusy
	}
	report, err := s.judge(ctx, state.Current)
	if err != nil {
		return nil, err
	}
	if !violates(&report) {
		return nil, ErrComplies
	}
	why := ErrNoneComplies
	for _, r := range slices.Backward(state.Good) {
		if r.Set == state.Current.Set {
			continue
		}
		report, err := s.judge(ctx, r)
		if err == nil {
			err = follow.Judge(&report)
		}
		if err != nil {
			why = fmt.Errorf("%w; commit %.12s: %w", why, r.Commit, err)
			continue
		}
		return s.Rollback(ctx, r.Commit, reason, o.signer)
	}
	return nil, why
}

// judge asks the gate about a revision that is kept.
func (s *Source) judge(ctx context.Context, r apply.Revision) (verdict.Report, error) {
	data, err := s.place.store.GetSet(ctx, r.Set)
	if err != nil {
		return verdict.Report{}, err
	}
	set, err := gitops.ReadSet(data)
	if err != nil {
		return verdict.Report{}, err
	}
	return s.gate(ctx, r.Commit, set)
}

// holding is the target for what is applied: what is stopped stays stopped.
func (o *Options) holding(t gitops.Target) gitops.Target {
	if o.Holder == nil {
		return t
	}
	return heal.Holding(t, o.Holder)
}
