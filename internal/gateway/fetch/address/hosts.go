package address

import (
	"fmt"
	"strconv"
	"strings"
)

// maxHosts bounds a list; the longest that people keep have some thousands.
const maxHosts = 100_000

// Hosts is a list of hosts and ports. It does not change; the nil list has
// nothing in it.
type Hosts struct {
	exact map[place]struct{}
	below map[place]struct{} // by the suffix
}

type place struct {
	host string
	port uint16
}

// ParseHosts reads a list. An entry is "host", "*.suffix" (every name below the
// suffix, at any depth, and not the suffix itself), or one of them with ":port";
// without a port it is 443. A host is a name with a dot in it, an IPv4 address,
// or an IPv6 address in brackets. A suffix has at least two labels.
func ParseHosts(entries []string) (*Hosts, error) {
	if len(entries) > maxHosts {
		return nil, fmt.Errorf("%d hosts, at most %d can be listed", len(entries), maxHosts)
	}
	h := &Hosts{exact: map[place]struct{}{}, below: map[place]struct{}{}}
	for _, entry := range entries {
		text, port, err := splitPort(entry, 443)
		if err != nil {
			return nil, fmt.Errorf("host %q: %w", entry, err)
		}
		suffix, wild := strings.CutPrefix(text, "*.")
		host, err := ParseHost(suffix)
		if err != nil {
			return nil, fmt.Errorf("host %q: %w", entry, err)
		}
		switch {
		case !wild:
			h.exact[place{host.String(), port}] = struct{}{}
		case host.Name == "":
			return nil, fmt.Errorf("host %q: there is nothing below an address", entry)
		default:
			h.below[place{host.Name, port}] = struct{}{}
		}
	}
	return h, nil
}

// Allow reports whether the host is in the list with the port.
func (h *Hosts) Allow(host Host, port uint16) bool {
	if h == nil {
		return false
	}
	if _, ok := h.exact[place{host.String(), port}]; ok {
		return true
	}
	rest := host.Name
	for {
		_, parent, ok := strings.Cut(rest, ".")
		if !ok {
			return false
		}
		if _, ok := h.below[place{parent, port}]; ok {
			return true
		}
		rest = parent
	}
}

// ParseHostPort reads a host with a port, as it stands in a CONNECT request or
// in a URL. Without a port it is standard; 0 demands one.
func ParseHostPort(s string, standard uint16) (Host, uint16, error) {
	text, port, err := splitPort(s, standard)
	if err != nil {
		return Host{}, 0, refuse("%s", err)
	}
	host, err := ParseHost(text)
	if err != nil {
		return Host{}, 0, err
	}
	return host, port, nil
}

// splitPort cuts a port off that is written without a sign or leading zeros.
func splitPort(s string, standard uint16) (host string, port uint16, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		if standard == 0 {
			return "", 0, fmt.Errorf("the port is missing")
		}
		return s, standard, nil
	}
	text := s[i+1:]
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] == '0' || text[0] == '+' {
		return "", 0, fmt.Errorf("the port is not a number from 1 to 65535")
	}
	return s[:i], uint16(n), nil
}
