package svid

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// Source is the X.509-SVID that we show ourselves, renewed at half its life. It
// is safe for concurrent use. Between the end of one and the arrival of the next
// there is none, and no connection is made with one that has expired.
type Source struct {
	issue func(context.Context) ([]*x509.Certificate, crypto.Signer, error)
	clock clock.Clock

	mu   sync.Mutex
	now  *tls.Certificate
	next time.Time // before that, a renewal that failed is not tried again
}

// pause after a renewal that failed, while there is an identity still.
const pause = 5 * time.Second

// NewSource returns the identity that issue gives: from our own authority, from
// a Workload API, or from an exchange. It is asked when an identity is needed,
// by one caller at a time, and is to answer soon.
func NewSource(issue func(context.Context) ([]*x509.Certificate, crypto.Signer, error), c clock.Clock) *Source {
	return &Source{issue: issue, clock: c}
}

// Certificate returns the current identity. An error means that there is none:
// nothing may be answered or asked then.
func (s *Source) Certificate(ctx context.Context) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	valid := false
	if s.now != nil {
		leaf := s.now.Leaf
		valid = !now.Before(leaf.NotBefore) && now.Before(leaf.NotAfter)
		if half := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2); valid && (now.Before(half) || now.Before(s.next) && s.next.Sub(now) <= pause) {
			return s.now, nil
		}
	}
	chain, key, err := s.issue(ctx)
	if err == nil && (len(chain) == 0 || key == nil || now.Before(chain[0].NotBefore) || !now.Before(chain[0].NotAfter)) {
		err = errors.New("what was issued is not valid now")
	}
	if err != nil {
		if valid {
			s.next = now.Add(pause)
			return s.now, nil // there is half a life to try again
		}
		return nil, fmt.Errorf("there is no identity to show, the last one has expired: %w", err)
	}
	next := &tls.Certificate{Leaf: chain[0], PrivateKey: key}
	for _, c := range chain {
		next.Certificate = append(next.Certificate, c.Raw)
	}
	s.now = next
	return next, nil
}

// ServerTLS shows our identity to clients and asks for theirs, which an [X509]
// authenticator then verifies for each request, so that who expires or is no
// longer trusted is noticed on an open connection, too. What is shown comes from
// a [Source], or from files.
func ServerTLS(show func() (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return show() },
	}
}

// ClientTLS shows our identity, where there is one, to a server, and lets the
// connection be made only when the server is one of these workloads.
func ClientTLS(s *Source, b *Bundles, c clock.Clock, servers ...spiffeid.ID) (*tls.Config, error) {
	if len(servers) == 0 {
		return nil, errors.New("name the identities that the server may have")
	}
	servers = slices.Clone(servers)
	verify := NewServers(b, c)
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		// A SPIFFE ID is not a host's name: VerifyConnection does the whole of it.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			p, err := verify.Authenticate(context.Background(), &identity.Credentials{Peer: state.PeerCertificates})
			if err != nil {
				return fmt.Errorf("verify the server's identity: %w", err)
			}
			if !slices.ContainsFunc(servers, func(id spiffeid.ID) bool { return id.String() == p.ID }) {
				return identity.Refuse(verdict.IdentityUntrusted, "it has another identity than the one that is expected")
			}
			return nil
		},
	}
	if s != nil {
		config.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return s.Certificate(r.Context())
		}
	}
	return config, nil
}
