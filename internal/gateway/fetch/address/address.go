// Package address says which hosts may be connected to, and at which addresses:
// a name is read strictly, held to a list, resolved once, and only the
// addresses that were looked at are connected to.
//
// Start with [ParseHosts] (the list), [ParseHost] (one name) and [Dialer]
// (resolve, judge, connect). Errors are *media.Refusal with a code; none of them
// names an address, so that who is refused learns nothing about the network
// behind.
//
// Sources: RFC 1123 (names of hosts), the IANA IPv4 and IPv6 special-purpose
// address registries (RFC 6890), RFC 6052 (NAT64), RFC 3056 (6to4), the WHATWG
// URL standard on hosts that end in a number.
package address

import (
	"net/netip"
	"strings"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// The longest name and label that the domain name system has (RFC 1035, 2.3.4).
const (
	maxName  = 253
	maxLabel = 63
)

// Host is a name or an address that was read. Exactly one of its fields is set.
type Host struct {
	Name string     // lower case, with a dot in it, without one at its end
	Addr netip.Addr // without a zone, never an IPv4 address in IPv6's form
}

// String returns the host as it stands in a URL: an IPv6 address in brackets.
func (h Host) String() string {
	switch {
	case h.Name != "":
		return h.Name
	case h.Addr.Is6():
		return "[" + h.Addr.String() + "]"
	}
	return h.Addr.String()
}

// ParseHost reads a host as it stands in a URL. Whatever any resolver or any
// other parser would read differently is refused: numbers in place of names
// (2130706433, 0x7f.1, 127.1, 010.0.0.1), letters beyond ASCII, escapes, a dot
// at the end, names without a dot (which a search list completes), IPv4
// addresses in IPv6's form and zones.
func ParseHost(s string) (Host, error) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		if !ok || err != nil || !a.Is6() || a.Zone() != "" || a.Is4In6() {
			return Host{}, refuse("the host in brackets is not an IPv6 address in its own form")
		}
		return Host{Addr: a}, nil
	}
	if len(s) == 0 || len(s) > maxName {
		return Host{}, refuse("the host has no name, or one of more than %d bytes", maxName)
	}
	name := strings.ToLower(s)
	last, labels := "", 0
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return Host{}, refuse("the host is not a name of letters, digits and hyphens between dots")
		}
		last = label
		labels++
	}
	if isNumber(last) {
		a, err := netip.ParseAddr(s) // refuses leading zeros and fewer than four numbers
		if err != nil || !a.Is4() {
			return Host{}, refuse("the host is a number that servers read differently: write four decimal numbers")
		}
		return Host{Addr: a}, nil
	}
	if labels < 2 {
		return Host{}, refuse("the host is a name without a dot, which stands for another one in every network")
	}
	return Host{Name: name}, nil
}

func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// isNumber reports whether a host with this last label is an IPv4 address to
// some parser: decimal, octal or hexadecimal.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func refuse(format string, args ...any) error {
	return media.Refuse(verdict.MediaAddress, "", format, args...)
}
