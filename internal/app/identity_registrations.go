package app

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/identity"
	attestation "github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/chain"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/internal/identity/oidc"
	"github.com/apexlogic/apex/verdict"
)

// The kinds of evidence that an exchange takes, as they are asked for.
const (
	evidenceJoin       = "join"
	evidenceKubernetes = "kubernetes"
	evidenceAWS        = "aws"
	evidenceOIDC       = "oidc"
)

// registrations are who is given what, in one generation. They are immutable.
type registrations struct {
	entries *attestation.Entries
	oidc    attestation.Attestor // nil when no issuer is named
	// given, revoked and elsewhere count documents: those in force, those whose
	// identity is revoked, and those of other trust domains.
	given, revoked, elsewhere int
}

// registrar makes registrations of documents. Keys of issuers outlive a
// generation.
type registrar struct {
	ca          *ca.CA
	clock       clock.Clock
	private     []string
	authorities *x509.CertPool
	// gateway is the service account NAMESPACE/NAME of gateways, whose identity no
	// document can give; "" for none.
	gateway string

	mu    sync.Mutex
	known map[string]*oidc.Provider // by what is asked of them
}

// compile is the issuer's share of a generation. Whose identity is revoked is
// given nothing, however good the evidence is, and evidence of who is revoked gives
// nothing.
func (r *registrar) compile(s *config.Set) (*registrations, error) {
	stopped := revokedBy(s)
	made := &registrations{}
	var entries []attestation.Entry
	var problems []config.Problem
	issuers := map[string]*asked{}
	gateway := r.ca.TrustDomain().IDString() + gatewayPath
	if namespace, name, ok := strings.Cut(r.gateway, "/"); ok && !r.revoked(&stopped, gateway) {
		e, _, err := attestation.ParseEntry(r.ca.TrustDomain(), gateway,
			attestation.Selector("k8s:ns:"+namespace), attestation.Selector("k8s:sa:"+name))
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	for i := range s.WorkloadIdentities {
		o := s.WorkloadIdentities[i]
		spec := &o.Value.Spec
		e, ours, err := attestation.ParseEntry(r.ca.TrustDomain(), spec.SPIFFEID, selectorsOf(spec, audienceOf(r.ca))...)
		switch {
		case err != nil:
			problems = append(problems, o.Problem(verdict.PolicyInvalid, "spec", err.Error()))
			continue
		case !ours:
			made.elsewhere++
			continue
		case r.stops(&stopped, spec):
			made.revoked++
			continue
		}
		if w := spec.OIDC; w != nil {
			if err := issuers[w.Issuer].add(issuers, w, audienceOf(r.ca)); err != nil {
				problems = append(problems, o.Problem(verdict.PolicyInvalid, "spec.oidc", err.Error()))
				continue
			}
		}
		made.given++
		entries = append(entries, e)
	}
	if problems != nil {
		return nil, &config.Invalid{Problems: problems}
	}
	var err error
	if made.entries, err = attestation.NewEntries(r.ca.TrustDomain(), entries...); err != nil {
		return nil, err
	}
	if made.oidc, err = r.tokensOf(issuers); err != nil {
		return nil, err
	}
	return made, nil
}

// stops reports whether an identity is revoked, or the issuer or the subject whose
// tokens would give it.
func (r *registrar) stops(revoked *live.Revoked, spec *v1alpha1.WorkloadIdentitySpec) bool {
	if r.revoked(revoked, spec.SPIFFEID) {
		return true
	}
	o := spec.OIDC
	return o != nil && revoked.Why(&identity.Principal{ID: o.Issuer + "#" + o.Subject, Issuer: o.Issuer}, "") != ""
}

// revoked reports whether an identity of ours is.
func (r *registrar) revoked(by *live.Revoked, id string) bool {
	return by.Why(&identity.Principal{ID: id, Issuer: r.ca.TrustDomain().Name()}, "") != ""
}

// selectorsOf are what evidence has to establish.
func selectorsOf(spec *v1alpha1.WorkloadIdentitySpec, audience string) (all []attestation.Selector) {
	need := func(name, value string) {
		if value != "" {
			all = append(all, attestation.Selector(name+":"+value))
		}
	}
	number := func(name string, n *int64) {
		if n != nil {
			need(name, strconv.FormatInt(*n, 10))
		}
	}
	switch {
	case spec.Unix != nil:
		number("unix:uid", spec.Unix.UID)
		number("unix:gid", spec.Unix.GID)
		need("unix:path", spec.Unix.Path)
		need("unix:sha256", spec.Unix.SHA256)
	case spec.Kubernetes != nil:
		need("k8s:ns", spec.Kubernetes.Namespace)
		need("k8s:sa", spec.Kubernetes.ServiceAccount)
		need("k8s:pod", spec.Kubernetes.Pod)
	case spec.JoinToken != nil:
		need("join:name", spec.JoinToken.Name)
	case spec.AWS != nil:
		need("aws:account", spec.AWS.Account)
		need("aws:role", spec.AWS.Role)
		need("aws:arn", spec.AWS.ARN)
	case spec.OIDC != nil:
		need("oidc:iss", spec.OIDC.Issuer)
		need("oidc:aud", cmp.Or(spec.OIDC.Audience, audience))
		need("oidc:sub", spec.OIDC.Subject)
		for _, name := range slices.Sorted(maps.Keys(spec.OIDC.Claims)) {
			need("oidc:claim", name+"="+spec.OIDC.Claims[name])
		}
	}
	return all
}

// asked is what is asked of one issuer, by all documents together.
type asked struct{ audiences, claims []string }

func (a *asked) add(issuers map[string]*asked, w *v1alpha1.OIDCWorkload, audience string) error {
	if a == nil {
		a = &asked{}
		issuers[w.Issuer] = a
	}
	for name, value := range w.Claims {
		if name == "" || value == "" || strings.Contains(name, "=") {
			return fmt.Errorf("the claim %q with the value %q is none that a token can be held to", name, value)
		}
		a.claims = append(a.claims, name)
	}
	a.audiences = append(a.audiences, cmp.Or(w.Audience, audience))
	return nil
}

// tokensOf verifies the tokens of all issuers that documents name.
func (r *registrar) tokensOf(issuers map[string]*asked) (attestation.Attestor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []identity.Generational
	now := map[string]*oidc.Provider{}
	for _, issuer := range slices.Sorted(maps.Keys(issuers)) {
		a := issuers[issuer]
		o := oidc.Options{
			Issuer: issuer, Audiences: slices.Compact(slices.Sorted(slices.Values(a.audiences))), Claims: slices.Compact(slices.Sorted(slices.Values(a.claims))),
			Private: slices.Contains(r.private, issuer), Authorities: r.authorities, Clock: r.clock,
		}
		name := nameOf([]any{issuer, o.Audiences, o.Claims})
		p := r.known[name]
		if p == nil {
			var err error
			if p, err = oidc.New(o); err != nil {
				return nil, err
			}
		}
		now[name] = p
		all = append(all, p)
	}
	r.known = now
	if len(all) == 0 {
		return nil, nil
	}
	ask, err := chain.New(all...)
	if err != nil {
		return nil, err
	}
	return &attestation.OIDC{Tokens: ask}, nil
}
