// Package attest finds out what a workload is that has no identity yet, from
// evidence that somebody else vouches for: the kernel, a cluster, a cloud, or a
// person who handed it a token.
//
// Start with [Attestor] (evidence into selectors) and [Entries] (selectors into
// the identities that a workload may have). [Unix] looks at the process behind a
// socket; [Kubernetes], [OIDC], [JoinTokens] and [AWS] judge evidence that is
// sent, for functions, which have no socket.
//
// A selector is what was established, as "k8s:ns:claims" or "unix:uid:1000". An
// entry names the selectors that all have to be there. Nothing that a workload
// says about itself is one.
//
// Sources: SPIRE's model of selectors and registration entries; unix(7); the
// Kubernetes TokenReview API; AWS Signature Version 4.
package attest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

const (
	// MaxEvidence is the largest evidence that is looked at: tokens of 16 KiB,
	// and signed requests, which hold less.
	MaxEvidence = 32 << 10
	maxSelector = 2048
	// maxSelectors of one entry; each is to be matched.
	maxSelectors = 32
)

// Selector is one thing that was established about a workload.
type Selector string

// Attestor judges evidence of one kind. It is safe for concurrent use.
type Attestor interface {
	// Attest returns what the evidence establishes. Every error is an
	// *identity.Refusal and quotes nothing of it.
	Attest(ctx context.Context, evidence []byte) ([]Selector, error)
}

// Entry says which identity a workload may have.
type Entry struct {
	ID spiffeid.ID
	// Selectors that must all have been established; at least one.
	Selectors []Selector
}

// ParseEntry returns the entry of an identity; false for one of another trust
// domain, which is somebody else's to give.
func ParseEntry(domain spiffeid.TrustDomain, id string, selectors ...Selector) (e Entry, ours bool, err error) {
	if e.ID, err = spiffeid.FromString(id); err != nil {
		return Entry{}, false, err
	}
	if !e.ID.MemberOf(domain) {
		return Entry{}, false, nil
	}
	e.Selectors = selectors
	_, err = NewEntries(domain, e)
	return e, true, err
}

// Entries are all entries of a trust domain. They are immutable.
type Entries struct{ all []Entry }

// NewEntries checks entries.
func NewEntries(domain spiffeid.TrustDomain, all ...Entry) (*Entries, error) {
	for _, e := range all {
		switch {
		case !e.ID.MemberOf(domain) || e.ID.Path() == "":
			return nil, fmt.Errorf("entry %s: it is not an identity of a workload in %s", e.ID, domain)
		case len(e.Selectors) == 0:
			return nil, fmt.Errorf("entry %s: without a selector everybody would have it", e.ID)
		case len(e.Selectors) > maxSelectors:
			return nil, fmt.Errorf("entry %s: it has more than %d selectors", e.ID, maxSelectors)
		}
		for _, s := range e.Selectors {
			kind, rest, _ := strings.Cut(string(s), ":")
			name, value, found := strings.Cut(rest, ":")
			if kind == "" || name == "" || !found || value == "" || len(s) > maxSelector {
				return nil, fmt.Errorf("entry %s: selector %q is not kind:name:value", e.ID, s)
			}
		}
	}
	return &Entries{slices.Clone(all)}, nil
}

// Match returns the identities of all entries whose selectors were established,
// in the order of the entries and each once.
func (e *Entries) Match(established []Selector) (ids []spiffeid.ID) {
	for _, entry := range e.all {
		all := true
		for _, s := range entry.Selectors {
			all = all && slices.Contains(established, s)
		}
		if all && !slices.Contains(ids, entry.ID) {
			ids = append(ids, entry.ID)
		}
	}
	return ids
}

// refuse is a refusal of evidence.
func refuse(format string, args ...any) error {
	return identity.Refuse(verdict.IdentityAttestation, format, args...)
}

// selector joins what was established, unless a part is empty or too long to be
// one.
func selector(to []Selector, kind, name, value string) []Selector {
	if value == "" || len(value) > maxSelector {
		return to
	}
	return append(to, Selector(kind+":"+name+":"+value))
}

// OIDC attests workloads of a cloud or a cluster that is an OpenID Connect
// issuer: it verifies their token.
type OIDC struct {
	// Tokens verifies them; claims that it lets through become selectors.
	Tokens identity.Authenticator
}

// Attest verifies a token. It establishes oidc:iss, oidc:aud for each audience,
// oidc:sub, oidc:group for each group and oidc:claim:NAME=VALUE for each claim
// that is a string.
func (o *OIDC) Attest(ctx context.Context, evidence []byte) ([]Selector, error) {
	p, err := o.Tokens.Authenticate(ctx, &identity.Credentials{Bearer: string(evidence)})
	if errors.Is(err, identity.ErrOther) {
		return nil, refuse("the token is not one of an issuer that attests workloads here")
	}
	if err != nil {
		return nil, err
	}
	if p.Method != identity.OIDC {
		return nil, refuse("the token is not one of an OpenID Connect issuer")
	}
	all := selector(nil, "oidc", "iss", p.Issuer)
	for _, a := range p.Audiences {
		all = selector(all, "oidc", "aud", a)
	}
	all = selector(all, "oidc", "sub", p.Subject)
	for _, g := range p.Groups {
		all = selector(all, "oidc", "group", g)
	}
	for name, v := range p.Claims {
		if s, ok := v.(string); ok && s != "" {
			all = selector(all, "oidc", "claim", name+"="+s)
		}
	}
	return all, nil
}
