// Package jwt reads and verifies signed tokens more strictly than their
// specifications ask.
//
// Start with [Parse] (a token into its header and claims, nothing verified),
// [Keys] (the public keys of one issuer) and [Keys.Verify]. The packages svid
// and oidc decide which issuer, audience and subject they want; nothing of a
// token may be believed before [Keys.Verify] returned nil.
//
// Accepted is one form only: a compact JWS of canonical base64url with a kid
// and an asymmetric algorithm that fits the key with that kid. What a token says
// about where its key is found (jku, x5u, jwk, x5c), what changes how it is read
// (crit, b64, zip, cty: JWT) and every encrypted or nested token is refused.
//
// Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best practices).
package jwt

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

const (
	// MaxToken is the longest token that is read: the largest that issuers
	// write, with hundreds of groups, stay below what servers accept as a
	// header, which is 8 to 16 KiB.
	MaxToken = 16 << 10
	// maxHeader leaves room for a certificate's thumbprint and long names.
	maxHeader = 1 << 10
	maxKeyID  = 256
	// maxAudiences and maxName bound what a token says about whom it is for.
	maxAudiences = 32
	maxName      = 2048 // a SPIFFE ID may be that long
	// Skew is how much later than our clock an issuer may believe it is.
	// Expiry is never forgiven.
	Skew = time.Minute
	// maxDate is the last second of the year 9999, the largest date that
	// RFC 3339 can write.
	maxDate = 253402300799
)

// Rules for the JSON of tokens: claims hold groups and roles, which nest little.
var (
	headerRules = bounded.Rules{Depth: 3, Values: 64, Keys: 64}
	claimRules  = bounded.Rules{Depth: 8, Values: 4096, Keys: 1024}
)

// Token is a token as it was written. Nothing of it is verified.
type Token struct {
	Algorithm string
	KeyID     string
	Type      string // the header typ, as it is written; "" without one
	Claims    Claims
	// Digest is the SHA-256 of what was signed, for identity.Principal.Credential.
	Digest [sha256.Size]byte
	// SignedBy is the SHA-256 of the key, as DER, that [Keys.Verify] verified it with.
	SignedBy [sha256.Size]byte

	raw       string
	input     int // how much of raw is signed
	signature []byte
}

// signed is what the signature is over.
func (t *Token) signed() string { return t.raw[:t.input] }

// Claims are what a token says. The registered ones have been checked for their
// types; the others are in All, as JSON.
type Claims struct {
	Issuer, Subject string
	Audience        []string
	Expiry          time.Time // zero without the claim
	NotBefore       time.Time
	IssuedAt        time.Time
	All             map[string]json.RawMessage
}

// Authenticator verifies tokens that have been parsed. It is
// identity.Authenticator for those who ask several with one token.
type Authenticator interface {
	AuthenticateToken(ctx context.Context, t *Token) (*identity.Principal, error)
}

// malformed is a refusal of how a token is written.
func malformed(format string, args ...any) error {
	return identity.Refuse(verdict.IdentityMalformed, format, args...)
}

// LooksLike reports whether a credential has the form of a compact JWS or JWE,
// so that whoever judges other kinds may leave it alone.
func LooksLike(token string) bool { return strings.Count(token, ".") >= 2 }

// Parse reads a token. Every error is an *identity.Refusal that quotes nothing.
func Parse(token string) (*Token, error) {
	t, claims, err := parse(token)
	if err != nil {
		return nil, err
	}
	if err := t.Claims.read(claims); err != nil {
		return nil, err
	}
	return t, nil
}

// parse reads the JWS; what it signs need not be claims.
func parse(token string) (t *Token, payload []byte, err error) {
	if len(token) > MaxToken {
		return nil, nil, malformed("the token is longer than %d bytes", MaxToken)
	}
	header, rest, _ := strings.Cut(token, ".")
	encoded, signature, found := strings.Cut(rest, ".")
	if !found || strings.Contains(signature, ".") {
		return nil, nil, malformed("the token is not a signed one of three parts")
	}
	t = &Token{raw: token, input: len(header) + 1 + len(encoded)}
	if len(header) > base64.RawURLEncoding.EncodedLen(maxHeader) {
		return nil, nil, malformed("the token's header is longer than %d bytes", maxHeader)
	}
	decoded, err := decode(header)
	if err != nil {
		return nil, nil, malformed("the token's header is not canonical base64url")
	}
	if err := t.readHeader(decoded); err != nil {
		return nil, nil, err
	}
	if payload, err = decode(encoded); err != nil {
		return nil, nil, malformed("the token's claims are not canonical base64url")
	}
	if t.signature, err = decode(signature); err != nil || len(t.signature) == 0 {
		return nil, nil, malformed("the token's signature is missing or not canonical base64url")
	}
	t.Digest = sha256.Sum256([]byte(t.signed()))
	return t, payload, nil
}

var strict = base64.RawURLEncoding.Strict()

// decode decodes canonical base64url: no padding, no bits after the end, and no
// line breaks, which encoding/base64 skips.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, base64.CorruptInputError(0)
	}
	return strict.DecodeString(s)
}

// forbidden are the members of a header that a token is refused for, and why.
var forbidden = map[string]string{
	"jku": "says where its key is", "x5u": "says where its key is",
	"jwk": "brings its own key", "x5c": "brings its own key",
	"crit": "asks for extensions", "b64": "changes how it is encoded",
	"zip": "is compressed", "enc": "is encrypted", "epk": "is encrypted", "p2c": "is encrypted",
}

func (t *Token) readHeader(data []byte) error {
	var all map[string]json.RawMessage
	if err := headerRules.Unmarshal(data, &all); err != nil || all == nil {
		return malformed("the token's header is not one strict JSON object")
	}
	for name := range all {
		if why, ok := forbidden[name]; ok {
			return malformed("the token %s (%s)", why, name)
		}
	}
	alg, okAlg := text(all["alg"], 16)
	kid, okKid := text(all["kid"], maxKeyID)
	if !okAlg || !okKid {
		return malformed("the token's header does not name an algorithm and a key (alg, kid)")
	}
	if raw, ok := all["typ"]; ok {
		if t.Type, ok = text(raw, 64); !ok {
			return malformed("the token's typ is not a string")
		}
	}
	if raw, ok := all["cty"]; ok {
		if cty, ok := text(raw, 64); !ok || strings.HasSuffix(strings.ToLower(cty), "jwt") {
			return malformed("the token holds another token (cty)")
		}
	}
	if _, ok := algorithms[alg]; !ok {
		return malformed("the token's algorithm is none of %s", strings.Join(Algorithms(), ", "))
	}
	t.Algorithm, t.KeyID = alg, kid
	return nil
}

func (c *Claims) read(data []byte) error {
	if err := claimRules.Unmarshal(data, &c.All); err != nil || c.All == nil {
		return malformed("the token's claims are not one strict JSON object")
	}
	for _, name := range [...]struct {
		is string
		to *string
	}{{"iss", &c.Issuer}, {"sub", &c.Subject}} {
		raw, ok := c.All[name.is]
		if !ok {
			continue
		}
		if *name.to, ok = text(raw, maxName); !ok {
			return malformed("the token's claim %s is not a string of 1 to %d bytes", name.is, maxName)
		}
	}
	for _, moment := range [...]struct {
		is string
		to *time.Time
	}{{"exp", &c.Expiry}, {"nbf", &c.NotBefore}, {"iat", &c.IssuedAt}} {
		raw, ok := c.All[moment.is]
		if !ok {
			continue
		}
		if *moment.to, ok = date(raw); !ok {
			return malformed("the token's claim %s is not a date in seconds", moment.is)
		}
	}
	raw, ok := c.All["aud"]
	if !ok {
		return nil
	}
	if one, ok := text(raw, maxName); ok {
		c.Audience = []string{one}
		return nil
	}
	if c.Audience, ok = Texts(raw, maxAudiences, maxName); !ok || len(c.Audience) == 0 {
		return malformed("the token's audience is not a string or a list of up to %d of them", maxAudiences)
	}
	return nil
}

// text reads a string of 1 to limit bytes without control characters.
func text(raw json.RawMessage, limit int) (string, bool) {
	var s string
	if len(raw) < 3 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil || len(s) > limit {
		return "", false
	}
	return s, !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// Text reads a claim that is a string of 1 to limit bytes.
func Text(raw json.RawMessage, limit int) (string, bool) { return text(raw, limit) }

// Texts reads a claim that is a list of at most count strings, each of 1 to
// limit bytes.
func Texts(raw json.RawMessage, count, limit int) ([]string, bool) {
	var list []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil || len(list) > count {
		return nil, false
	}
	all := make([]string, len(list))
	for i, one := range list {
		var ok bool
		if all[i], ok = text(one, limit); !ok {
			return nil, false
		}
	}
	return all, true
}

// date reads a NumericDate (RFC 7519 section 2): seconds since 1970, which may
// have a fraction. Expiry is rounded down with the others: never later.
func date(raw json.RawMessage) (time.Time, bool) {
	if len(raw) == 0 || len(raw) > 32 || raw[0] == '"' {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsNaN(seconds) || seconds < 1 || seconds > maxDate {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

// CheckTime refuses claims that are not valid at a time: exp must be there and
// after it; nbf and iat at most [Skew] after it.
func (c *Claims) CheckTime(now time.Time) error {
	switch {
	case c.Expiry.IsZero():
		return malformed("the token never expires (exp)")
	case !c.Expiry.After(now):
		return identity.Refuse(verdict.IdentityExpired, "the token expired %s ago", now.Sub(c.Expiry).Round(time.Second))
	case c.NotBefore.After(now.Add(Skew)):
		return identity.Refuse(verdict.IdentityExpired, "the token is valid in %s only", c.NotBefore.Sub(now).Round(time.Second))
	case c.IssuedAt.After(now.Add(Skew)):
		return identity.Refuse(verdict.IdentityExpired, "the token was issued %s from now", c.IssuedAt.Sub(now).Round(time.Second))
	}
	return nil
}

// CheckAudience refuses claims that are not for one of these audiences. Names
// are equal to the letter.
func (c *Claims) CheckAudience(accepted []string) error {
	for _, has := range c.Audience {
		for _, want := range accepted {
			if has == want && want != "" {
				return nil
			}
		}
	}
	return identity.Refuse(verdict.IdentityAudience, "the token is not made for this gateway (aud)")
}
