package source

import (
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
	"syscall"
	"time"
)

// How long a server may take. A part has at most 4 MiB: who sends it slower
// than 35 KiB/s is not waited for.
const (
	connectTime = 15 * time.Second
	headerTime  = 30 * time.Second
	answerTime  = 2 * time.Minute
	maxRedirect = 5
)

// errAddress is wrapped by every refusal to dial.
var errAddress = errors.New("address refused")

// guard decides which addresses are dialled. The host that a person names may
// be anywhere. A host that a server leads to (by a redirect, or as the place of
// a version's files) must be public, unless the server is at a private address
// itself: otherwise a public name would ask the private network's servers
// through this machine. The kernel's address is judged, after DNS, so a name
// that resolves differently the second time gains nothing.
type guard struct {
	named *http.Transport // for hosts that a person named
	led   *http.Transport // for all others: public addresses only

	mu      sync.Mutex
	private map[string]bool // hosts that were reached at a private address
}

// maxPrivate bounds the hosts that are remembered; a scan names one or two.
const maxPrivate = 1000

func newGuard(conf *tls.Config) *guard {
	g := &guard{private: map[string]bool{}}
	g.named, g.led = transport(conf), transport(conf)
	g.named.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dial(ctx, network, addr, func(a netip.Addr) error {
			if !public(a) {
				g.remember(addr)
			}
			return nil
		})
	}
	g.led.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dial(ctx, network, addr, func(a netip.Addr) error {
			if !public(a) {
				return fmt.Errorf("%w: a server leads to %s, which is at the private address %s", errAddress, addr, a)
			}
			return nil
		})
	}
	return g
}

func transport(conf *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        conf.Clone(),
		TLSHandshakeTimeout:    connectTime,
		ResponseHeaderTimeout:  headerTime,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true, // ranges are of what is stored
		ForceAttemptHTTP2:      true,
	}
}

// dial connects to an address that judge accepts.
func dial(ctx context.Context, network, addr string, judge func(netip.Addr) error) (net.Conn, error) {
	d := net.Dialer{Timeout: connectTime, ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || network != "tcp4" && network != "tcp6" {
			return fmt.Errorf("%w: %s %s", errAddress, network, address)
		}
		return judge(ap.Addr())
	}}
	return d.DialContext(ctx, network, addr)
}

func (g *guard) remember(addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.private) < maxPrivate {
		g.private[strings.ToLower(addr)] = true
	}
}

func (g *guard) isPrivate(u *url.URL) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.private[address(u)]
}

// address is the URL's host with its port, as it is dialled.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
		if u.Scheme == "http" {
			port = "80"
		}
	}
	return strings.ToLower(net.JoinHostPort(u.Hostname(), port))
}

// leader is the key of a context's value: the URL of the server that led here.
type leader struct{}

// ledBy marks the requests of ctx as ones to where the server at from led.
func ledBy(ctx context.Context, from *url.URL) context.Context {
	if _, led := ctx.Value(leader{}).(*url.URL); led {
		return ctx // the first one decides
	}
	return context.WithValue(ctx, leader{}, from)
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	from, led := r.Context().Value(leader{}).(*url.URL)
	if !led {
		first := r
		for first.Response != nil && first.Response.Request != nil {
			first = first.Response.Request
		}
		from = first.URL
	}
	if address(from) == address(r.URL) || g.isPrivate(from) {
		return g.named.RoundTrip(r)
	}
	if proxy, err := http.ProxyFromEnvironment(r); err == nil && proxy != nil {
		// The proxy resolves the name and decides whom it reaches; what can be
		// judged here is an address that is written out.
		if a, err := netip.ParseAddr(r.URL.Hostname()); err == nil && !public(a) {
			return nil, fmt.Errorf("%w: a server leads to the private address %s", errAddress, a)
		}
		return g.named.RoundTrip(r)
	}
	return g.led.RoundTrip(r)
}

// CloseIdleConnections is called by http.Client.
func (g *guard) CloseIdleConnections() {
	g.named.CloseIdleConnections()
	g.led.CloseIdleConnections()
}

// newClient returns the client that asks everything but registries.
func newClient(conf *tls.Config, patience time.Duration) *http.Client {
	return &http.Client{Transport: newGuard(conf), Timeout: patience, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		last := via[len(via)-1].URL
		switch {
		case len(via) > maxRedirect:
			return fmt.Errorf("%s leads through more than %d redirects", via[0].URL.Host, maxRedirect)
		case r.URL.Scheme != "https" && last.Scheme == "https":
			return fmt.Errorf("%s redirects from HTTPS to %s, which is not protected", last.Host, r.URL.Scheme)
		}
		// net/http keeps credentials for subdomains and other ports, and writes
		// the query that it comes from, which may be a signature, into Referer.
		if address(r.URL) != address(via[0].URL) || r.URL.Scheme != via[0].URL.Scheme {
			r.Header.Del("Authorization")
		}
		r.Header.Del("Referer")
		return nil
	}}
}

// notPublic are the special-purpose ranges that [netip.Addr] has no method for
// (RFC 6890, RFC 6598, RFC 2544 and the metadata address of Azure).
var notPublic = sync.OnceValue(func() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []string{"0.0.0.0/8", "100.64.0.0/10", "168.63.129.16/32", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "240.0.0.0/4", "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "fec0::/10"} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
})

// public says whether a packet to the address leaves for the public internet.
func public(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if b := a.As16(); a.Is6() {
		switch { // addresses that carry the IPv4 address where the packet ends
		case netip.PrefixFrom(a, 96).Masked() == netip.MustParsePrefix("64:ff9b::/96"): // NAT64, RFC 6052
			a = netip.AddrFrom4([4]byte(b[12:16]))
		case b[0] == 0x20 && b[1] == 0x02: // 6to4, RFC 3056
			a = netip.AddrFrom4([4]byte(b[2:6]))
		}
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range notPublic() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

var _ http.RoundTripper = (*guard)(nil)
