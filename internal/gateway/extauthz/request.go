package extauthz

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// partial is the header by which Envoy says whether it cut the body. Envoy sets
// it itself only where it hands the body on.
const partial = "x-envoy-auth-partial-body"

// reserved begin the headers that say who somebody is, where they come from, or
// which request this was before a proxy rewrote it (CVE-2023-27487). They are
// never believed, never shown to who decides, and do not go on.
var reserved = []string{
	"x-envoy", "x-forwarded", "forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "x-original", "x-rewrite", "x-spiffe", "x-apex", "x-auth",
	"x-user", "x-remote", "remote-user", "x-identity", "x-jwt", "x-ssl", "ssl-client", "x-consumer", "x-credential", "x-http-method", "x-method",
}

// envoys are reserved headers that Envoy needs or sets anew on the way on, and
// so stay for the server behind; who decides does not see them either.
var envoys = []string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-envoy-external-address", "x-envoy-internal", "x-envoy-expected-rq-timeout-ms", "x-envoy-attempt-count"}

// once are the headers of which a second one is read differently by different
// servers. In Envoy's map a second value stands behind a comma.
var once = []string{"authorization", "content-type", "content-encoding", "content-length", "host"}

// target reads host and path, and refuses those with a second reading.
func (q *question) target() error {
	path, query, _ := strings.Cut(q.Path, "?")
	if len(q.Path) > maxPath {
		return refuse(verdict.RequestPath, "path and query have more than %d bytes", maxPath)
	}
	if !isToken(strings.ToLower(q.Method)) {
		return refuse(verdict.RequestProtocol, "the method is not a word")
	}
	if !strings.HasPrefix(path, "/") || strings.Contains(q.Path, "#") || strings.Contains(path, "//") {
		return refuse(verdict.RequestPath, "the path is not one path without empty segments")
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == ';' || c == '%' {
			return refuse(verdict.RequestPath, "the path holds a character that servers read differently")
		}
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "." || segment == ".." {
			return refuse(verdict.RequestPath, "the path holds a dot segment")
		}
	}
	if q.Host == "" || len(q.Host) > 260 || strings.ContainsAny(q.Host, "@/\\?#, \t\r\n") {
		return refuse(verdict.RequestHeader, "the host cannot be read")
	}
	q.Path, q.Query = path, query
	return nil
}

// clean holds the headers to their bounds, and sorts out those that are not the
// client's to send. It returns the names that have to be taken out of the request.
func (q *question) clean(bodies bool) (remove []string, err error) {
	if len(q.headers) > maxHeaders || len(q.Extensions) > maxExtensions {
		return nil, refuse(verdict.RequestHeader, "the request has more than %d headers", maxHeaders)
	}
	size := 0
	complete, said := "", 0
	q.Header = make(http.Header, len(q.headers))
	for _, h := range q.headers {
		if size += len(h.name) + len(h.value); size > maxHeaderSize {
			return nil, refuse(verdict.RequestHeader, "the headers have more than %d bytes", maxHeaderSize)
		}
		switch {
		case strings.HasPrefix(h.name, ":"):
			q.switches = q.switches || h.name == ":protocol"
			if !q.agrees(h) {
				return nil, refuse(verdict.RequestHeader, "the proxy describes the request in two ways")
			}
		case h.name == partial:
			complete, said = h.value, said+1
			remove = append(remove, h.name)
		case !isToken(h.name):
			return nil, refuse(verdict.RequestHeader, "the name of a header cannot be read")
		case !isPlain(h.name): // a server that maps '_' or '.' to '-' reads another header
			remove = append(remove, h.name)
		case isReserved(h.name):
			if !slices.Contains(envoys, h.name) {
				remove = append(remove, h.name)
			}
		default:
			q.Header.Add(h.name, h.value)
		}
	}
	for _, name := range once {
		values := q.Header.Values(name)
		if len(values) > 1 || len(values) == 1 && strings.Contains(values[0], ",") {
			return nil, refuse(verdict.RequestHeader, "the header %s is there twice", name)
		}
	}
	if h := q.Header.Get("Host"); h != "" && h != q.Host {
		return nil, refuse(verdict.RequestHeader, "the proxy describes the request in two ways")
	}
	slices.Sort(remove)
	remove = slices.Compact(remove)
	if len(q.Body) > MaxBody {
		return nil, refuse(verdict.BodyLimit, "the body has %d bytes, allowed are %d", len(q.Body), MaxBody)
	}
	q.Complete = said <= 1 && q.whole(complete, bodies)
	return remove, nil
}

// agrees holds HTTP/2's pseudo headers, which Envoy hands on too, to what it says
// in fields of their own.
func (q *question) agrees(h header) bool {
	switch h.name {
	case ":authority":
		return h.value == q.Host
	case ":method":
		return h.value == q.Method
	case ":path":
		path, query, _ := strings.Cut(h.value, "?")
		return path == q.Path && query == q.Query
	}
	return true
}

// whole reports whether the body is complete, or there is none. The proxy's
// header is not enough: a client may send it, and Envoy sets it only where it
// holds a body. So every length that is known has to be that of the body, and
// what switches protocols has no end.
func (q *question) whole(partial string, bodies bool) bool {
	n := int64(len(q.Body))
	length := int64(-1)
	if s := q.Header.Get("Content-Length"); s != "" {
		var err error
		if length, err = strconv.ParseInt(s, 10, 64); err != nil || length != n || s[0] == '+' {
			return false
		}
	}
	if q.size > n || q.Header.Get("Upgrade") != "" || q.Method == http.MethodConnect || q.switches {
		return false
	}
	if !bodies {
		// The proxy keeps bodies to itself: there is none only when the client said so.
		return length == 0 && n == 0 && partial == "" && !q.counted
	}
	// Envoy asks at once, without the header, when a request ends with its headers.
	return partial == "false" || partial == "" && n == 0 && q.Header.Get("Transfer-Encoding") == ""
}

// identify verifies the certificate that the proxy hands on for the connection.
func (s *Server) identify(ctx context.Context, q *question) (err error) {
	switch {
	case q.Source == "" && q.certificate == "":
		return nil
	case q.Source != "" && !identity.IsSPIFFE(q.Source):
		return refuse(verdict.IdentityMalformed, "the proxy names an identity that is not a SPIFFE ID")
	case q.certificate == "":
		return refuse(verdict.IdentityUntrusted, "the proxy names an identity without its certificate: it is to hand that on")
	}
	if q.Peer, err = certificates(q.certificate); err != nil {
		return err
	}
	if q.Source == "" || len(q.Peer[0].URIs) != 1 || q.Peer[0].URIs[0].String() != q.Source {
		return refuse(verdict.IdentityMalformed, "the certificate that the proxy hands on is not for the identity that it names")
	}
	return s.authenticate(ctx, q)
}

// authenticate holds the connection's certificate to the trust domains.
func (s *Server) authenticate(ctx context.Context, q *question) error {
	if s.options.Identity == nil {
		return refuse(verdict.RequestIdentity, "identities are not verified here")
	}
	p, err := s.options.Identity.Authenticate(ctx, &identity.Credentials{Peer: q.Peer})
	if errors.Is(err, identity.ErrOther) {
		return refuse(verdict.RequestIdentity, "identities of this kind are not recognised")
	}
	if err != nil {
		return err
	}
	if p == nil || p.ID != q.Source {
		return refuse(verdict.IdentityMalformed, "the certificate that the proxy hands on is not for the identity that it names")
	}
	return nil
}

// certificates reads what Envoy hands on with include_peer_certificate: one
// certificate, PEM, in URL encoding.
func certificates(encoded string) ([]*x509.Certificate, error) {
	bad := refuse(verdict.IdentityMalformed, "the certificate that the proxy hands on cannot be read")
	if len(encoded) > maxHeaderSize {
		return nil, bad
	}
	text, err := url.PathUnescape(encoded) // a plus is a plus: it is base64's
	if err != nil {
		return nil, bad
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return nil, bad
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, bad
	}
	return []*x509.Certificate{c}, nil
}

// isReserved reports whether a header is not a client's to send.
func isReserved(name string) bool {
	for _, prefix := range reserved {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// isPlain reports whether a name has letters, digits and hyphens only.
func isPlain(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isToken reports whether a name in lower case is one of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
