package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// Bounds of a connection to a server.
const (
	// connectWithin is for one address: where there are several, the next one is
	// asked soon.
	connectWithin   = 3 * time.Second
	handshakeWithin = 10 * time.Second
	// maxServerAddresses of one name are tried; more do not make it more likely to be there.
	maxServerAddresses = 16
	// avoidFor is how long an address that did not let us in is asked last: about
	// as long as a server takes to restart.
	avoidFor = 10 * time.Second
)

// unsent is the error of a request of which the server got nothing.
type unsent struct{ err error }

func (u *unsent) Error() string { return u.err.Error() }
func (u *unsent) Unwrap() error { return u.err }

// addresses finds those of a server, and remembers which of them did not let us
// in. It is safe for concurrent use.
type addresses struct {
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	mu     sync.Mutex
	failed map[netip.Addr]time.Time // at most maxServerAddresses at once
}

// of returns the addresses in the order in which they are to be asked.
func (a *addresses) of(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	all, err := a.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("the name has no address")
	}
	all = slices.Clone(all[:min(len(all), maxServerAddresses)])
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for ip, at := range a.failed {
		if now.Sub(at) > avoidFor {
			delete(a.failed, ip)
		}
	}
	slices.SortStableFunc(all, func(x, y netip.Addr) int { return a.failed[x].Compare(a.failed[y]) })
	return all, nil
}

// avoid has an address asked last for a while.
func (a *addresses) avoid(ip netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil || len(a.failed) >= maxServerAddresses {
		a.failed = map[netip.Addr]time.Time{}
	}
	a.failed[ip] = time.Now()
}

func lookupAddresses(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// connect opens a connection to the server, TLS included: to each of its
// addresses in turn, until one lets us in. Its error is an *unsent, or a
// *stream.Cut for a server that is not who it has to be.
func (s *server) connect(ctx context.Context, protocols ...string) (net.Conn, error) {
	at := s.upstream.URL
	port := at.Port()
	if port == "" {
		port = "80"
		if s.upstream.TLS != nil {
			port = "443"
		}
	}
	all, err := s.addresses.of(ctx, at.Hostname())
	if err != nil {
		return nil, &unsent{fmt.Errorf("find the server's addresses: %w", err)}
	}
	for _, ip := range all {
		conn, refused := s.connectTo(ctx, net.JoinHostPort(ip.Unmap().String(), port), protocols)
		if refused == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, &unsent{refused}
		}
		s.addresses.avoid(ip)
		if _, named := errors.AsType[*stream.Cut](err); !named { // of all, who it is not says most
			err = refused
		}
	}
	return nil, err
}

func (s *server) connectTo(ctx context.Context, address string, protocols []string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: connectWithin}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &unsent{err}
	}
	if s.upstream.TLS == nil {
		return conn, nil
	}
	config := s.upstream.TLS.Clone()
	config.NextProtos = protocols
	if config.ServerName == "" {
		config.ServerName = s.upstream.URL.Hostname()
	}
	below := &link{Conn: conn, server: s}
	secure := tls.Client(below, config)
	ctx, cancel := context.WithTimeout(ctx, handshakeWithin)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, handshakeFailed(err)
	}
	if s.upstream.Who == nil {
		return secure, nil
	}
	who, err := s.upstream.Who(secure.ConnectionState().PeerCertificates)
	if err == nil {
		err = s.links.add(below, who)
	}
	if err != nil {
		conn.Close()
		return nil, handshakeFailed(err)
	}
	return secure, nil
}

// handshakeFailed tells a server that is not who it has to be from one that is not
// there: the first is said by name, and not asked again.
func handshakeFailed(err error) error {
	if _, named := errors.AsType[*stream.Cut](err); named {
		return err
	}
	if refused, is := errors.AsType[*identity.Refusal](err); is {
		return &stream.Cut{Code: verdict.UpstreamIdentity, Detail: "the server behind the route does not show who it is: " + refused.Detail}
	}
	if _, is := errors.AsType[tls.AlertError](err); is {
		return &stream.Cut{Code: verdict.UpstreamIdentity, Detail: "the server behind the route does not take the gateway's identity"}
	}
	timeout, is := errors.AsType[net.Error](err)
	switch {
	case is && timeout.Timeout(), errors.Is(err, context.Canceled), hungUp(err):
		return &unsent{err}
	}
	return &stream.Cut{Code: verdict.UpstreamIdentity, Detail: "the server behind the route is not the one that is expected"}
}

// hungUp reports whether a connection was broken off by the other side, or is
// closed.
func hungUp(err error) bool {
	for _, is := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, net.ErrClosed} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}
