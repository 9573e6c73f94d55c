// Package identity says who asks: a workload or a person, verified.
//
// Start with [Principal] (who it is), [Credentials] (what was shown) and
// [Authenticator] (from one to the other). The packages below each verify one
// kind of credential, issue some (ca, workload) or attest who may have them
// (attest). An identity is never read from a header that anybody may set.
//
// Sources: the SPIFFE ID, X.509-SVID, JWT-SVID and Workload API specifications;
// RFC 7519 (JWT), RFC 8725 (its best practices), OpenID Connect Discovery 1.0.
package identity

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/verdict"
)

// Method by which a principal was verified.
type Method string

// The methods.
const (
	X509SVID Method = "x509-svid"
	JWTSVID  Method = "jwt-svid"
	OIDC     Method = "oidc"
	// Anonymous is who shows nothing, where a route allows that.
	Anonymous Method = "anonymous"
)

// Principal is a verified identity. It is immutable once returned and may be
// shared between requests.
type Principal struct {
	// ID is unique over all methods: the SPIFFE ID, or issuer + "#" + subject for OIDC.
	ID      string
	Method  Method
	Issuer  string // the trust domain, or the issuer's URL
	Subject string // the path of the SPIFFE ID, or the claim sub
	// Audiences of the credential; empty for X.509.
	Audiences []string
	Groups    []string
	// Claims that the configuration lets through, each a string, a bool, an
	// int64 or a []string; nothing else is ever in it.
	Claims map[string]any
	// NotAfter is when the credential expires: no request or stream outlives it.
	NotAfter time.Time
	// Keys that the credential rests on, each the SHA-256 of the public key as DER
	// (SubjectPublicKeyInfo): the one that signed a token; those of a certificate
	// and of all authorities above it.
	Keys [][sha256.Size]byte
	// Credential names the credential in revocations and records: the SHA-256 of
	// what its issuer signed, which is the certificate without its signature
	// (RFC 5280 TBSCertificate) or the token up to its second dot. Who holds a
	// credential can vary an ECDSA signature of it without the key; a hash over
	// that would let a revoked credential return under another name. The token
	// itself is not kept.
	Credential [sha256.Size]byte
}

// IssuerOf returns who vouches for whoever has the ID, as [Principal.Issuer] names
// it: a trust domain, or an issuer's URL.
func IssuerOf(id string) string {
	if name, workload := strings.CutPrefix(id, "spiffe://"); workload {
		domain, _, _ := strings.Cut(name, "/")
		return domain
	}
	issuer, _, _ := strings.Cut(id, "#") // which no issuer's URL has in it
	return issuer
}

// The longest SPIFFE ID, and trust domain in it (SPIFFE-ID section 2.3).
const (
	maxSPIFFEID    = 2048
	maxTrustDomain = 255
)

// IsSPIFFE reports whether the ID is a SPIFFE ID, to the letter.
func IsSPIFFE(id string) bool {
	s, err := spiffeid.FromString(id)
	return err == nil && len(id) <= maxSPIFFEID && len(s.TrustDomain().Name()) <= maxTrustDomain
}

// Credentials are what a request shows. Nothing of it was verified, but that
// the TLS handshake proved possession of the key of Peer's first certificate.
type Credentials struct {
	Peer   []*x509.Certificate // the client's chain, leaf first; nil without one
	Bearer string              // the token of the one Authorization header; "" without one
}

// Authenticator verifies credentials. It is safe for concurrent use.
type Authenticator interface {
	// Authenticate returns who it is. Credentials of a kind that this
	// authenticator does not judge are [ErrOther]; every other error is a
	// *Refusal and means deny.
	Authenticate(ctx context.Context, c *Credentials) (*Principal, error)
}

// Generational is an [Authenticator] whose answers hold only for a while: when
// the trust that they rest on changes, so does Generation, and it never
// decreases. An answer may be kept for as long as the generation stays.
type Generational interface {
	Authenticator
	Generation() uint64
	// Recognises reports whether a principal that an authenticator of this kind
	// returned once rests on what is trusted now. It says nothing of time, and asks
	// nobody.
	Recognises(*Principal) bool
}

// ErrOther says that the credentials are of a kind that is another
// authenticator's.
var ErrOther = errors.New("no credentials of this kind")

// Refusal is the error for credentials that are refused. Neither a token nor a
// claim of it is ever in the sentence.
type Refusal struct {
	Code   verdict.Code
	Detail string
}

// Error returns the sentence.
func (r *Refusal) Error() string { return r.Detail }

// Refuse returns a *Refusal with a formatted sentence.
func Refuse(code verdict.Code, format string, args ...any) error {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}
