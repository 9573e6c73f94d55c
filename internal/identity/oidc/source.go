package oidc

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/jwt"
	"github.com/apexlogic/apex/verdict"
)

const (
	// Fresh is how long keys are used before they are fetched again, and Life
	// how long they are believed at most while the issuer cannot be reached.
	Fresh = 10 * time.Minute
	Life  = time.Hour
	// Pause is how long is waited between two fetches, whatever tokens name:
	// who sends unknown key ids must not make us a hammer.
	Pause = 15 * time.Second
	// timeout of one fetch, discovery and keys together.
	timeout = 5 * time.Second
	// maxDocument of discovery and of keys; real ones have 2 to 30 KiB.
	maxDocument = 256 << 10
)

// source has the keys of one issuer.
type source struct {
	options Options
	client  *http.Client
	now     atomic.Pointer[held]

	mu     sync.Mutex
	flight *flight   // the fetch that is under way
	next   time.Time // before that, none is begun
}

// held are keys as they were fetched; immutable.
type held struct {
	keys       *jwt.Keys
	document   []byte
	fetched    time.Time
	generation uint64
}

type flight struct {
	done chan struct{}
	err  error
}

func newSource(o Options) *source {
	dialer := &net.Dialer{Timeout: timeout}
	if !o.Private {
		dialer.Control = onlyPublic
	}
	return &source{options: o, client: &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: o.Authorities, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    timeout,
			ResponseHeaderTimeout:  timeout,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true, // a document that unfolds has no use here
			DisableKeepAlives:      true, // minutes lie between two fetches
			ForceAttemptHTTP2:      true,
		},
		// The addresses are pinned: a document that has moved is a change of the
		// configuration, and a redirect the way to somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the issuer redirects, which is not followed: configure the address that it redirects to")
		},
	}}
}

// onlyPublic refuses connections to addresses that are not public. It sees the
// address that is connected to, after names were resolved.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || inside(ip) {
		return errors.New("the issuer's address is not public; allow that in the configuration if it is meant")
	}
	return nil
}

// inside reports whether an address is in one of the ranges that net/netip takes
// for global, but that lead inside: RFC 6598 (carriers), RFC 6890 (protocols,
// benchmarks), RFC 1112 (reserved), RFC 6052 and RFC 3056 (IPv4 within IPv6).
func inside(ip netip.Addr) bool {
	for _, p := range [...]netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{0}), 8),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 0}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18}), 15),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{240}), 4),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b}), 32),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x02}), 16),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01}), 32),
	} {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// generation is even while the keys are believed, odd once they are too old.
func (s *source) generation() uint64 {
	h := s.now.Load()
	if h == nil {
		return 0
	}
	g := h.generation * 2
	if !s.believes(h) {
		g++
	}
	return g
}

func (s *source) believes(h *held) bool {
	return h != nil && s.options.Clock.Now().Sub(h.fetched) < Life
}

// keys returns the issuer's keys, with the one of that id if it has one. It
// fetches when it must, and at most once at a time.
func (s *source) keys(ctx context.Context, id string) (*jwt.Keys, error) {
	h := s.now.Load()
	if s.believes(h) && h.keys.Has(id) {
		if s.options.Clock.Now().Sub(h.fetched) >= Fresh {
			s.begin(ctx) // the answer need not wait for it
		}
		return h.keys, nil
	}
	if f := s.begin(ctx); f != nil {
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, identity.Refuse(verdict.IdentityUnavailable, "the issuer's keys did not arrive in time")
		}
	}
	if h = s.now.Load(); !s.believes(h) {
		return nil, identity.Refuse(verdict.IdentityUnavailable, "the keys of the issuer cannot be fetched")
	}
	if !h.keys.Has(id) {
		return nil, jwt.ErrNoKey
	}
	return h.keys, nil
}

// begin returns the fetch that is under way, begins one, or returns nil when the
// last one was a moment ago.
func (s *source) begin(ctx context.Context) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight
	}
	now := s.options.Clock.Now()
	if now.Before(s.next) && s.next.Sub(now) <= Pause { // further away, the clock was set back
		return nil
	}
	s.next = now.Add(Pause)
	f := &flight{done: make(chan struct{})}
	s.flight = f
	// It serves all who wait, so it does not end with the first of them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	go func() {
		defer cancel()
		f.err = s.fetch(ctx)
		s.mu.Lock()
		s.flight = nil
		s.mu.Unlock()
		close(f.done)
	}()
	return f
}

// Refresh fetches the keys now, for a check of the configuration or readiness.
// It says what is wrong with the issuer; requests are not told.
func (p *Provider) Refresh(ctx context.Context) error {
	f := p.source.begin(ctx)
	if f == nil {
		if p.source.believes(p.source.now.Load()) {
			return nil
		}
		return fmt.Errorf("issuer %s: its keys could not be fetched a moment ago; ask again in %s", p.options.Issuer, Pause)
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *source) fetch(ctx context.Context) error {
	issuer := s.options.Issuer
	data, err := s.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return fmt.Errorf("discover issuer %s: %w", issuer, err)
	}
	var about struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := bounded.JSON(data, 8, &about); err != nil {
		return fmt.Errorf("discover issuer %s: %w", issuer, err)
	}
	if about.Issuer != issuer {
		return fmt.Errorf("discover issuer %s: its document is that of another issuer; write the issuer to the letter", issuer)
	}
	at, err := url.Parse(about.Keys)
	if err != nil || at.Scheme != "https" || at.Host == "" || at.User != nil {
		return fmt.Errorf("discover issuer %s: jwks_uri is not an https URL", issuer)
	}
	if data, err = s.get(ctx, about.Keys); err != nil {
		return fmt.Errorf("fetch the keys of issuer %s: %w", issuer, err)
	}
	keys, err := jwt.ParseKeys(data)
	if err != nil {
		return fmt.Errorf("read the keys of issuer %s: %w", issuer, err)
	}
	if keys.Len() == 0 {
		return fmt.Errorf("read the keys of issuer %s: none of them can verify a token", issuer)
	}
	next := &held{keys: keys, document: data, fetched: s.options.Clock.Now()}
	if last := s.now.Load(); last != nil {
		next.generation = last.generation
		if !bytes.Equal(last.document, data) || !s.believes(last) {
			next.generation++
		}
	} else {
		next.generation = 1
	}
	s.now.Store(next)
	return nil
}

func (s *source) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %d", answer.StatusCode)
	}
	return bounded.ReadAll(answer.Body, maxDocument)
}
