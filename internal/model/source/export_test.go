package source

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"time"
)

// With returns the options with other roots and less patience.
func (o Options) With(conf *tls.Config, patience time.Duration) Options {
	o.tls, o.patience = conf, patience
	return o
}

// Public is what the guard judges addresses by.
func Public(a netip.Addr) bool { return public(a) }

// Limits of listings.
const (
	MaxFiles   = maxFiles
	MaxFolders = maxFolders
)

// LeadFrom asks the target as one that the server at from redirected to.
func LeadFrom(ctx context.Context, from, target string) error {
	first, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	r.Response = &http.Response{Request: first} // as http.Client has it
	g := newGuard(nil)
	defer g.CloseIdleConnections()
	res, err := g.RoundTrip(r)
	if err == nil {
		err = res.Body.Close()
	}
	return err
}

// Redact is how URIs are shown.
func Redact(uri string) string { return redact(uri) }

// NewRanges reads a file that the function fetches.
func NewRanges(ctx context.Context, size int64, fetch func(off, n int64) []byte) *Ranges {
	return newRanges(ctx, size, func(_ context.Context, off, n int64) ([]byte, int, error) { return fetch(off, n), 1, nil })
}
