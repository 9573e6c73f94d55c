// Package workload serves the SPIFFE Workload API over a unix socket, so that a
// program gets its identity by opening a path: with go-spiffe or any other
// client of it, and against SPIRE by changing the path only.
//
// Start with [New] and [Server.Serve]. Who asks is what the kernel says about
// the other end of the socket; what it may have is what the entries say of that.
// Keys are made anew for each certificate and are never stored.
//
// Source: the SPIFFE Workload API and Workload Endpoint specifications.
package workload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	pb "github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/rate"
	"github.com/apexlogic/apex/verdict"
)

// evidence is the kind of it that is recorded.
const evidence = "unix"

const (
	// maxMessage is the largest request: a token to be validated.
	maxMessage = 64 << 10
	// maxStreams of one connection; a client opens one for each of the five
	// calls.
	maxStreams = 16
	// maxConnections at once: one for each workload of a machine, and room.
	maxConnections = 1024
	// maxIdentities that one workload is given.
	maxIdentities = 16
)

// Options are what a server needs.
type Options struct {
	Authority *ca.CA
	// Entries are asked for anew at each call and rotation, so that an identity
	// that is taken away is gone when its certificate ends.
	Entries func() *attest.Entries
	// Unix says what is looked at of the process that asks.
	Unix attest.Unix
	// Federated are the bundles of other trust domains that workloads are told.
	Federated func() []*spiffebundle.Bundle
	// Life of what is issued, between ca.MinLife and ca.MaxLife. It is issued
	// anew at half of it.
	Life time.Duration
	// Record keeps what is issued. When it fails, nothing is.
	Record func(context.Context, ca.Issued) error
	// Refused is told of each refusal; it may be nil.
	Refused func(verdict.Code)
	// PerMinute is how often a user of the machine may ask.
	PerMinute int
	Clock     clock.Clock
}

// Server serves the Workload API.
type Server struct {
	pb.UnimplementedSpiffeWorkloadAPIServer
	o     Options
	tick  time.Duration
	rates *rate.Limits[int] // by user
}

// New returns a server.
func New(o Options) (*Server, error) {
	if o.Authority == nil || o.Entries == nil || o.Record == nil || o.Clock == nil {
		return nil, errors.New("the Workload API needs an authority, entries, a record and a clock")
	}
	if o.PerMinute < 1 || o.PerMinute > 60_000 {
		return nil, errors.New("the Workload API allows a user 1 to 60000 requests a minute")
	}
	if o.Refused == nil {
		o.Refused = func(verdict.Code) {}
	}
	if o.Life < ca.MinLife || o.Life > ca.MaxLife {
		return nil, fmt.Errorf("identities live %s to %s, not %s", ca.MinLife, ca.MaxLife, o.Life)
	}
	if o.Federated == nil {
		o.Federated = func() []*spiffebundle.Bundle { return nil }
	}
	return &Server{o: o, tick: tick, rates: rate.New[int](o.Clock, o.PerMinute)}, nil
}

// Listen makes the socket. All users of the machine may open it: who they are is
// asked of the kernel. What a server that died left at the path is replaced, but
// nothing else than a socket is.
func Listen(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("%s exists and is not a socket: choose another path for the Workload API", path)
		}
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("%s is served by another process", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Serve answers on a listener of unix sockets until the context ends. Open
// streams are ended then.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := grpc.NewServer(
		grpc.Creds(peerCredentials{}),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(8<<10),
		grpc.ConnectionTimeout(5*time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			if err := checkHeader(ctx); err != nil {
				return nil, err
			}
			if err := s.admit(ctx); err != nil {
				return nil, err
			}
			return h(ctx, r)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			if err := checkHeader(stream.Context()); err != nil {
				return err
			}
			if err := s.admit(stream.Context()); err != nil {
				return err
			}
			return h(srv, stream)
		}),
	)
	pb.RegisterSpiffeWorkloadAPIServer(server, s)
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	err := server.Serve(&atMost{Listener: l, places: make(chan struct{}, maxConnections)})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// checkHeader wants the header that a browser or a proxy that is tricked into
// forwarding a request would not set (Workload Endpoint section 3.2 and 6).
func checkHeader(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get("workload.spiffe.io"); len(v) != 1 || v[0] != "true" {
		return status.Error(codes.InvalidArgument, "the request lacks the metadata workload.spiffe.io: true")
	}
	return nil
}

// admit counts a call of a user.
func (s *Server) admit(ctx context.Context) error {
	p, ok := peerOf(ctx)
	if !ok {
		return s.refuse(verdict.IdentityAttestation, codes.PermissionDenied, "it is not known who asks")
	}
	if wait, ok := s.rates.Take(p.UID); !ok {
		return s.refuse(verdict.LimitRate, codes.ResourceExhausted, fmt.Sprintf("the user asks more than %d times a minute: wait %s", s.o.PerMinute, wait.Round(time.Second)))
	}
	return nil
}

// refuse is the refusal of a call.
func (s *Server) refuse(code verdict.Code, as codes.Code, detail string) error {
	s.o.Refused(code)
	return status.Error(as, detail)
}

// identities are what the process at the other end may have.
func (s *Server) identities(ctx context.Context) ([]spiffeid.ID, error) {
	p, ok := peerOf(ctx)
	if !ok {
		return nil, s.refuse(verdict.IdentityAttestation, codes.PermissionDenied, "it is not known who asks")
	}
	established, err := s.o.Unix.Attest(p)
	if err != nil {
		return nil, s.refuse(verdict.IdentityAttestation, codes.PermissionDenied, err.Error())
	}
	ids := s.o.Entries().Match(established)
	if len(ids) == 0 {
		return nil, s.refuse(verdict.IdentityAttestation, codes.PermissionDenied, "no identity issued: no entry names this process")
	}
	if len(ids) > maxIdentities {
		return nil, s.refuse(verdict.IdentityAttestation, codes.FailedPrecondition, fmt.Sprintf("the entries give this process more than %d identities", maxIdentities))
	}
	return ids, nil
}

// bundles are our own and those of federated trust domains.
func (s *Server) bundles() []*spiffebundle.Bundle {
	own := s.o.Authority.Bundle()
	all := []*spiffebundle.Bundle{own}
	for _, b := range s.o.Federated() {
		if b.TrustDomain() != own.TrustDomain() && !slices.ContainsFunc(all, func(o *spiffebundle.Bundle) bool { return o.TrustDomain() == b.TrustDomain() }) {
			all = append(all, b)
		}
	}
	return all
}
