package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Socket asks the Workload API at an address, as unix:///run/apex/agent.sock;
// any implementation of it, as SPIRE's.
type Socket string

// Certificate returns a certificate.
func (s Socket) Certificate(ctx context.Context, id string) (*Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := workloadapi.FetchX509Context(ctx, workloadapi.WithAddr(string(s)))
	if err != nil {
		return nil, s.failed(err)
	}
	for _, one := range all.SVIDs {
		if id != "" && one.ID.String() != id {
			continue
		}
		if id == "" && len(all.SVIDs) > 1 {
			return nil, several(len(all.SVIDs))
		}
		b, ok := all.Bundles.Get(one.ID.TrustDomain())
		if !ok {
			return nil, errors.New("the Workload API gives no bundle for the identity")
		}
		return &Certificate{ID: one.ID.String(), Chain: one.Certificates, Bundle: b.X509Authorities(), Key: one.PrivateKey, Expires: one.Certificates[0].NotAfter}, nil
	}
	return nil, &Refused{"this process may not have the identity that is asked for"}
}

// Token returns a token.
func (s Socket) Token(ctx context.Context, id string, audience []string) (*Token, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if len(audience) == 0 {
		return nil, errors.New("a token needs an audience")
	}
	p := jwtsvid.Params{Audience: audience[0], ExtraAudiences: audience[1:]}
	if id != "" {
		subject, err := spiffeid.FromString(id)
		if err != nil {
			return nil, err
		}
		p.Subject = subject
	}
	all, err := workloadapi.FetchJWTSVIDs(ctx, p, workloadapi.WithAddr(string(s)))
	if err != nil {
		return nil, s.failed(err)
	}
	if len(all) != 1 {
		return nil, several(len(all))
	}
	return &Token{ID: all[0].ID.String(), Token: all[0].Marshal(), Expires: all[0].Expiry.UTC().Truncate(time.Second)}, nil
}

// Bundle returns the public keys of the trust domain that the process's own
// identity is of.
func (s Socket) Bundle(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	option := workloadapi.WithAddr(string(s))
	one, err := workloadapi.FetchX509Context(ctx, option)
	if err != nil {
		return nil, s.failed(err)
	}
	keys, err := workloadapi.FetchJWTBundles(ctx, option)
	if err != nil {
		return nil, s.failed(err)
	}
	domain := one.DefaultSVID().ID.TrustDomain()
	b := spiffebundle.New(domain)
	if x, ok := one.Bundles.Get(domain); ok {
		b.SetX509Authorities(x.X509Authorities())
	}
	if j, ok := keys.Get(domain); ok {
		b.SetJWTAuthorities(j.JWTAuthorities())
	}
	return b.Marshal()
}

func several(n int) error {
	return &Refused{fmt.Sprintf("this process may have %d identities: ask for one by its SPIFFE ID (--id)", n)}
}

// failed says what the Workload API said, without gRPC's words around it.
func (s Socket) failed(err error) error {
	if st, ok := status.FromError(err); ok {
		detail := fmt.Sprintf("the Workload API at %s: %s", string(s), st.Message())
		// The specification has PermissionDenied for whom no identity is for.
		if c := st.Code(); c == codes.PermissionDenied || c == codes.InvalidArgument || c == codes.FailedPrecondition {
			return &Refused{detail}
		}
		return errors.New(detail)
	}
	return fmt.Errorf("the Workload API at %s: %w", string(s), err)
}

var _ Source = Socket("")
