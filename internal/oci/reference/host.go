package reference

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	maxHost  = 253 // RFC 1035 §2.3.4, in its usual text form
	maxLabel = 63  // RFC 1035 §2.3.4
)

// isHost says whether the text before the first slash is a host, as docker
// decides it: it has a dot or a colon, or it is localhost. Text in brackets is
// an IPv6 address. Everything else is the first path component on Docker Hub.
func isHost(text string) bool {
	return strings.ContainsAny(text, ".:[]") || strings.EqualFold(text, "localhost")
}

// parseHost returns the one spelling of host: lower case, no trailing dot, no
// default port, IPv6 compressed, Docker Hub under its usual name. The host
// stands at the start of text.
func parseHost(text, host string) (string, error) {
	name, port, hasPort := host, "", false
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", invalid(text, 0, "the bracket of an IPv6 address is not closed", "write [address]:port/path")
		}
		name, port = host[:end+1], host[end+1:]
		if port != "" && port[0] != ':' {
			return "", invalid(text, end+1, "text between ] and the port", "write [address]:port/path")
		}
		port, hasPort = strings.CutPrefix(port, ":")
	} else {
		name, port, hasPort = strings.Cut(host, ":")
	}
	if hasPort {
		if err := checkPort(text, port, len(host)-len(port)); err != nil {
			return "", err
		}
	}
	if name != "" && name[0] == '[' {
		addr, err := netip.ParseAddr(name[1 : len(name)-1])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", invalid(text, 1, "not an IPv6 address", "write the address without a zone, for example [2001:db8::1]:5000/path")
		}
		name = "[" + addr.String() + "]"
	} else {
		folded, err := foldName(text, name)
		if err != nil {
			return "", err
		}
		name = folded
		if !hasPort && !isHost(name) {
			return "", invalid(text, 0, "a host of one label needs a port, or it would read as a path on Docker Hub", "write host.domain/path or host:port/path")
		}
	}
	if port == "443" && impliesTLS(name) {
		hasPort = false
	}
	if hasPort {
		return name + ":" + port, nil
	}
	switch name {
	case "index.docker.io", dockerHubDial:
		return DockerHub, nil
	}
	return name, nil
}

// impliesTLS reports whether 443 is the port that every client would take
// anyway. Clients speak plain HTTP to local names and addresses, so that there
// the port says something; and a name of one label needs its port to be a host.
func impliesTLS(name string) bool {
	if strings.HasPrefix(name, "[") || !strings.Contains(name, ".") ||
		strings.HasSuffix(name, ".local") || strings.HasSuffix(name, ".localhost") {
		return false
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}

// foldName checks a DNS name or IPv4 address, and folds case and one trailing dot.
func foldName(text, name string) (string, error) {
	const mend = "write the host as labels of letters, digits and - joined by single dots"
	folded := strings.ToLower(strings.TrimSuffix(name, "."))
	if len(folded) > maxHost {
		return "", invalid(text, 0, fmt.Sprintf("the host has %d characters and the limit is %d", len(folded), maxHost), "use a shorter host name")
	}
	at, last := 0, ""
	for label := range strings.SplitSeq(folded, ".") {
		switch {
		case label == "":
			return "", invalid(text, at, "a label of the host is empty", mend)
		case len(label) > maxLabel:
			return "", invalid(text, at, fmt.Sprintf("a label of the host has %d characters and the limit is %d", len(label), maxLabel), mend)
		case label[0] == '-' || label[len(label)-1] == '-':
			return "", invalid(text, at, "a label of the host starts or ends with -", mend)
		}
		for i := range len(label) {
			if c := label[i]; !isLower(c) && !isDigit(c) && c != '-' {
				return "", invalid(text, at+i, fmt.Sprintf("%q is not allowed in a host", c), mend)
			}
		}
		at += len(label) + 1
		last = label
	}
	// Resolvers read "127.1", "0x7f.1" or "017700000001" as addresses, each in
	// its own way (WHATWG URL, "ends in a number").
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" {
		addr, err := netip.ParseAddr(folded)
		if err != nil || !addr.Is4() {
			return "", invalid(text, 0, "a host that ends in a number and is not an IPv4 address", "write the address as four decimal numbers, or a name")
		}
	}
	return folded, nil
}

func checkPort(text, port string, at int) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' || !isDigit(port[0]) {
		return invalid(text, at, "the port is not a number from 1 to 65535", "write host:port/path, without leading zeros")
	}
	return nil
}
