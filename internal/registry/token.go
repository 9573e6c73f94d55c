package registry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

const (
	// maxToken bounds a bearer token: maxScopes grants fit in it.
	maxToken = 32 << 10
	// tokenLeeway is the clock difference between replicas that share a key.
	tokenLeeway = 5 * time.Second
)

// claims are what a bearer token says (RFC 7519, and the access claim of the
// Docker token specification).
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	NotYet   int64    `json:"nbf"`
	Issued   int64    `json:"iat"`
	Access   []access `json:"access"`
	// Operator and Anonymous repeat what the authenticator said.
	Operator  bool `json:"op,omitempty"`
	Anonymous bool `json:"anon,omitempty"`
}

// grants reports whether the token grants the actions on a repository.
func (c *claims) grants(repo string, want Actions) bool {
	return slices.ContainsFunc(c.Access, func(a access) bool {
		if a.Type != typeRepository || a.Name != repo {
			return false
		}
		have, err := ParseActions(strings.Join(a.Actions, ","))
		return err == nil && have.Has(want)
	})
}

func (c *claims) catalog() bool {
	return slices.ContainsFunc(c.Access, func(a access) bool {
		return a.Type == typeRegistry && a.Name == nameCatalog && slices.Contains(a.Actions, "*")
	})
}

var errToken = errors.New("the token is not valid here or has expired")

// signer signs and verifies tokens with HMAC-SHA256. There is one algorithm
// and one header, so a token cannot choose how it is verified.
type signer struct {
	key     []byte
	service string
	clock   clock.Clock
}

// tokenHeader is {"alg":"HS256","typ":"JWT"}.
const tokenHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

func (s *signer) sign(c claims, life time.Duration) (string, error) {
	now := s.clock.Now()
	c.Issuer, c.Audience = s.service, s.service
	c.Issued, c.NotYet, c.Expires = now.Unix(), now.Unix(), now.Add(life).Unix()
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed := tokenHeader + "." + base64.RawURLEncoding.EncodeToString(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(s.mac(signed)), nil
}

func (s *signer) mac(text string) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// verify returns the claims of a token that this registry signed and that is
// in force now. Every failure is errToken: a forger learns nothing from it.
func (s *signer) verify(token string) (*claims, error) {
	if len(token) > maxToken {
		return nil, errToken
	}
	dot := strings.LastIndexByte(token, '.')
	payload, ok := strings.CutPrefix(token[:max(dot, 0)], tokenHeader+".")
	if !ok {
		return nil, errToken
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(token[dot+1:])
	if err != nil || !hmac.Equal(sum, s.mac(token[:dot])) {
		return nil, errToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return nil, errToken
	}
	var c claims
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, errToken
	}
	now := s.clock.Now()
	if c.Issuer != s.service || c.Audience != s.service ||
		!now.Before(time.Unix(c.Expires, 0)) || now.Add(tokenLeeway).Before(time.Unix(c.NotYet, 0)) {
		return nil, errToken
	}
	return &c, nil
}
