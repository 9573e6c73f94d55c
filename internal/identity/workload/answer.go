package workload

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	pb "github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/jwt"
	"github.com/apexlogic/apex/internal/identity/svid"
	"github.com/apexlogic/apex/verdict"
)

// tick is how often a stream looks whether what it sent is to be replaced. It
// looks at the clock, not at a timer of half a life, so that a machine that
// slept is served at once.
const tick = 5 * time.Second

// FetchX509SVID sends certificates, and again at half their life or when the
// authorities change.
func (s *Server) FetchX509SVID(_ *pb.X509SVIDRequest, stream pb.SpiffeWorkloadAPI_FetchX509SVIDServer) error {
	return s.follow(stream.Context(), func(ids []spiffeid.ID) error {
		answer := &pb.X509SVIDResponse{FederatedBundles: map[string][]byte{}}
		bundles := s.bundles()
		for _, b := range bundles[1:] {
			answer.FederatedBundles[b.TrustDomain().IDString()] = der(b)
		}
		for _, id := range ids {
			one, err := s.certificate(stream.Context(), id)
			if err != nil {
				return err
			}
			one.Bundle = der(bundles[0])
			answer.Svids = append(answer.Svids, one)
		}
		return stream.Send(answer)
	})
}

func (s *Server) certificate(ctx context.Context, id spiffeid.ID) (*pb.X509SVID, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, s.refuse(verdict.IdentityUnavailable, codes.Unavailable, "no certificate can be issued now")
	}
	chain, err := s.o.Authority.IssueX509(id, key.Public(), s.o.Life)
	if err != nil {
		return nil, s.refuse(verdict.IdentityUnavailable, codes.Unavailable, "no certificate can be issued now")
	}
	if err := s.record(ctx, ca.IssuedCertificate(id, evidence, chain[0])); err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, s.refuse(verdict.IdentityUnavailable, codes.Unavailable, "no certificate can be issued now")
	}
	one := &pb.X509SVID{SpiffeId: id.String(), X509SvidKey: private}
	for _, c := range chain {
		one.X509Svid = append(one.X509Svid, c.Raw...)
	}
	return one, nil
}

func (s *Server) record(ctx context.Context, i ca.Issued) error {
	if err := s.o.Record(ctx, i); err != nil {
		return s.refuse(verdict.GatewayRecord, codes.Unavailable, "what is issued could not be recorded")
	}
	return nil
}

// FetchX509Bundles sends the authorities of certificates, and again when they
// change.
func (s *Server) FetchX509Bundles(_ *pb.X509BundlesRequest, stream pb.SpiffeWorkloadAPI_FetchX509BundlesServer) error {
	return s.follow(stream.Context(), func([]spiffeid.ID) error {
		answer := &pb.X509BundlesResponse{Bundles: map[string][]byte{}}
		for _, b := range s.bundles() {
			answer.Bundles[b.TrustDomain().IDString()] = der(b)
		}
		return stream.Send(answer)
	})
}

// FetchJWTBundles sends the keys of tokens, and again when they change.
func (s *Server) FetchJWTBundles(_ *pb.JWTBundlesRequest, stream pb.SpiffeWorkloadAPI_FetchJWTBundlesServer) error {
	return s.follow(stream.Context(), func([]spiffeid.ID) error {
		answer := &pb.JWTBundlesResponse{Bundles: map[string][]byte{}}
		for _, b := range s.bundles() {
			set, err := b.JWTBundle().Marshal()
			if err != nil {
				return status.Error(codes.Internal, "the keys of a trust domain cannot be written")
			}
			answer.Bundles[b.TrustDomain().IDString()] = set
		}
		return stream.Send(answer)
	})
}

// follow sends now, at half the life of what is issued, and when the authorities
// change, until the caller or the server ends it. Who asks is asked each time.
func (s *Server) follow(ctx context.Context, send func([]spiffeid.ID) error) error {
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	for {
		changed := s.o.Authority.Changed() // before the bundle is read
		sent := s.o.Clock.Now()
		ids, err := s.identities(ctx)
		if err != nil {
			return err
		}
		if err := send(ids); err != nil {
			return err
		}
		for due := false; !due; {
			select {
			case <-ctx.Done():
				return status.FromContextError(ctx.Err()).Err()
			case <-changed:
				due = true
			case <-ticker.C:
				since := s.o.Clock.Now().Sub(sent)
				due = since >= s.o.Life/2 || since < 0
			}
		}
	}
}

// FetchJWTSVID issues tokens for an audience, for one identity or for all that
// the caller may have.
func (s *Server) FetchJWTSVID(ctx context.Context, r *pb.JWTSVIDRequest) (*pb.JWTSVIDResponse, error) {
	if err := ca.CheckAudience(r.Audience); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	ids, err := s.identities(ctx)
	if err != nil {
		return nil, err
	}
	answer := &pb.JWTSVIDResponse{}
	for _, id := range ids {
		if r.SpiffeId != "" && id.String() != r.SpiffeId {
			continue
		}
		token, until, err := s.o.Authority.IssueJWT(id, r.Audience, s.o.Life)
		if err != nil {
			return nil, s.refuse(verdict.IdentityUnavailable, codes.Unavailable, "no token can be issued now")
		}
		if err := s.record(ctx, ca.IssuedToken(id, evidence, token, until)); err != nil {
			return nil, err
		}
		answer.Svids = append(answer.Svids, &pb.JWTSVID{SpiffeId: id.String(), Svid: token})
	}
	if len(answer.Svids) == 0 {
		return nil, s.refuse(verdict.IdentityAttestation, codes.PermissionDenied, "no identity issued: no entry gives this process the one that is asked for")
	}
	return answer, nil
}

// ValidateJWTSVID verifies a token for the caller, which names its own audience.
func (s *Server) ValidateJWTSVID(ctx context.Context, r *pb.ValidateJWTSVIDRequest) (*pb.ValidateJWTSVIDResponse, error) {
	if r.Audience == "" || r.Svid == "" {
		return nil, status.Error(codes.InvalidArgument, "name the audience, and the token")
	}
	if _, err := s.identities(ctx); err != nil {
		return nil, err
	}
	bundles, err := svid.NewBundles(s.bundles()...)
	if err != nil {
		return nil, status.Error(codes.Internal, "the keys of a trust domain cannot be used")
	}
	tokens, err := svid.NewJWT(bundles, []string{r.Audience}, s.o.Clock)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	p, err := tokens.Authenticate(ctx, &identity.Credentials{Bearer: r.Svid})
	if errors.Is(err, identity.ErrOther) {
		return nil, status.Error(codes.InvalidArgument, "the token is not a JWT-SVID")
	}
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	claims, err := claimsOf(r.Svid)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "the token's claims cannot be written")
	}
	return &pb.ValidateJWTSVIDResponse{SpiffeId: p.ID, Claims: claims}, nil
}

// claimsOf are the claims of a token that was verified.
func claimsOf(token string) (*structpb.Struct, error) {
	t, err := jwt.Parse(token)
	if err != nil {
		return nil, err
	}
	all := make(map[string]any, len(t.Claims.All))
	for name, raw := range t.Claims.All {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		all[name] = v
	}
	return structpb.NewStruct(all)
}

func der(b *spiffebundle.Bundle) (all []byte) {
	for _, c := range b.X509Authorities() {
		all = append(all, c.Raw...)
	}
	return all
}
