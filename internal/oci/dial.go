package oci

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// errAddress is wrapped by every refusal to dial.
var errAddress = errors.New("address refused")

// guard decides which addresses are dialled. It judges the address that the
// kernel is about to connect to, after DNS, so a name that resolves to
// something else the second time (DNS rebinding) gains nothing.
type guard struct {
	hosts    map[string]bool // "host" or "host:port", lower case
	prefixes []netip.Prefix

	mu      sync.Mutex
	private map[string]bool // "host:port" that were reached at an allowed private address
}

// special are the ranges that are not public (IANA special-purpose address
// registries, RFC 6890 and later). IPv4 inside IPv6 is unwrapped before.
func special(a netip.Addr) (kind string, isSpecial bool) {
	for _, r := range specialRanges() {
		if r.prefix.Contains(a) {
			return r.kind, true
		}
	}
	return "", false
}

type addressRange struct {
	prefix netip.Prefix
	kind   string
}

// What a host name in AllowPrivate does not open.
const (
	kindLinkLocal = "link-local"
	kindMetadata  = "cloud metadata"
	kindReserved  = "reserved"
	kindMulticast = "multicast"
)

var specialRanges = sync.OnceValue(func() []addressRange {
	var out []addressRange
	add := func(kind string, prefixes ...string) {
		for _, p := range prefixes {
			out = append(out, addressRange{netip.MustParsePrefix(p), kind})
		}
	}
	// First, because some of these lie inside wider ranges.
	add(kindMetadata,
		"169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", // AWS, Azure, GCP; ECS and EKS credentials
		"100.100.100.200/32", // Alibaba
		"168.63.129.16/32",   // Azure wire server: a public address
		"192.0.0.192/32",     // Oracle
		"fd00:ec2::/32",      // AWS over IPv6
		"fd20:ce::254/128")   // GCP over IPv6
	add(kindLinkLocal, "169.254.0.0/16", "fe80::/10", "fec0::/10")
	add("loopback", "127.0.0.0/8", "::1/128")
	add("private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
	add("carrier-grade NAT", "100.64.0.0/10")
	add(kindMulticast, "224.0.0.0/4", "ff00::/8")
	add(kindReserved,
		"0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32",
		"3fff::/20", "5f00::/16")
	return out
})

// nat64 and sixToFour carry an IPv4 address that the packet ends at.
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// effective returns the address that a packet to a really reaches.
func effective(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	switch b := a.As16(); {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}

func newGuard(allow []string) (*guard, error) {
	g := &guard{hosts: map[string]bool{}, private: map[string]bool{}}
	for _, entry := range allow {
		if p, err := netip.ParsePrefix(entry); err == nil {
			g.prefixes = append(g.prefixes, p.Masked())
			continue
		}
		if a, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
			a = a.WithZone("").Unmap()
			g.prefixes = append(g.prefixes, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		// "127.0.0.1:5000" is a host with a port; so is "registry.local:5000".
		host, port, err := net.SplitHostPort(entry)
		if err != nil {
			host, port = entry, "0"
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" || strings.ContainsAny(host, "/@ *") {
			return nil, fmt.Errorf("allow private %q: write a host, host:port, an IP address or a CIDR", entry)
		}
		g.hosts[strings.ToLower(entry)] = true
	}
	return g, nil
}

// names reports whether host (as in a URL, with or without a port) or its port-less form is listed.
func (g *guard) names(host, port string) bool {
	host = strings.ToLower(host)
	return g.hosts[host] || g.hosts[net.JoinHostPort(host, port)]
}

// check judges one address that host:port resolved to. allow says whether the
// list of private exceptions counts at all.
func (g *guard) check(host, port string, a netip.Addr, allow bool) error {
	kind, isSpecial := special(effective(a))
	if !isSpecial {
		return nil
	}
	if allow {
		e := effective(a)
		for _, p := range g.prefixes {
			if p.Contains(e) {
				g.remember(host, port)
				return nil
			}
		}
		// An address written with its port was written on purpose; a name was not.
		literal := false
		if lit, err := netip.ParseAddr(host); err == nil {
			literal = lit.WithZone("").Unmap() == e
		}
		openable := kind != kindMetadata && kind != kindLinkLocal && kind != kindMulticast && kind != kindReserved
		if g.names(host, port) && (openable || literal) {
			g.remember(host, port)
			return nil
		}
	}
	return fmt.Errorf("%w: %s is a %s address (%s); allow it with --allow-private-registry if that is meant", errAddress, host, kind, a)
}

func (g *guard) remember(host, port string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.private) < maxHosts {
		g.private[net.JoinHostPort(strings.ToLower(host), port)] = true
	}
}

// reachedPrivately reports whether host:port was dialled at a private address
// that the options allow.
func (g *guard) reachedPrivately(host, port string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.private[net.JoinHostPort(strings.ToLower(host), port)]
}

func (g *guard) dialAllowed(ctx context.Context, network, addr string) (net.Conn, error) {
	return g.dial(ctx, network, addr, true)
}

func (g *guard) dialPublic(ctx context.Context, network, addr string) (net.Conn, error) {
	return g.dial(ctx, network, addr, false)
}

func (g *guard) dial(ctx context.Context, network, addr string, allow bool) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{
		Timeout:   10 * time.Second,
		KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			if network != "tcp4" && network != "tcp6" {
				return fmt.Errorf("%w: network %s", errAddress, network)
			}
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %s", errAddress, address)
			}
			return g.check(host, port, ap.Addr(), allow)
		},
	}
	return d.DialContext(ctx, network, addr)
}
