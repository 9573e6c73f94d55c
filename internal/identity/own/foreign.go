package own

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/svid"
)

// issueWithin bounds the asking for an identity: who wants to see it waits.
const issueWithin = 5 * time.Second

// From is an identity that somebody else's authority issues, such as an exchange
// or the Workload API: id is its SPIFFE ID, and another one is refused. It has no
// [Identity.CA]. Nothing is asked for yet: as long as nobody answers,
// [Identity.Certificate] is an error, and who wants to see one sees none.
func From(id string, issue func(context.Context) ([]*x509.Certificate, crypto.Signer, error), c clock.Clock) (*Identity, error) {
	who, err := spiffeid.FromString(id)
	if err != nil {
		return nil, fmt.Errorf("the identity %q: %w", id, err)
	}
	i := &Identity{ID: who.String(), id: who, clock: c}
	i.source = svid.NewSource(func(ctx context.Context) ([]*x509.Certificate, crypto.Signer, error) {
		ctx, cancel := context.WithTimeout(ctx, issueWithin)
		defer cancel()
		chain, key, err := issue(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("ask for the identity %s: %w", i.ID, err)
		}
		if len(chain) == 0 {
			return nil, nil, fmt.Errorf("ask for the identity %s: nothing was issued", i.ID)
		}
		if got, err := x509svid.IDFromCert(chain[0]); err != nil || got != who {
			return nil, nil, fmt.Errorf("ask for the identity %s: another one was issued", i.ID)
		}
		return chain, key, nil
	}, c)
	return i, nil
}
