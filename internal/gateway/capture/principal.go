package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/apexlogic/apex/internal/identity"
)

// Principal is who asked, as policies and revocations saw it. The credential
// itself is not here: its digest is.
type Principal struct {
	ID         string          `json:"id"`
	Method     identity.Method `json:"method"`
	Issuer     string          `json:"issuer,omitempty"`
	Subject    string          `json:"subject,omitempty"`
	Audiences  []string        `json:"audiences,omitempty"`
	Groups     []string        `json:"groups,omitempty"`
	Claims     map[string]any  `json:"claims,omitempty"`
	Keys       []string        `json:"keys,omitempty"`
	Credential string          `json:"credential,omitempty"`
}

// PrincipalOf describes a principal.
func PrincipalOf(p *identity.Principal) Principal {
	c := Principal{
		ID: p.ID, Method: p.Method, Issuer: p.Issuer, Subject: p.Subject, Audiences: p.Audiences, Groups: p.Groups, Claims: p.Claims,
	}
	for i := range p.Keys {
		c.Keys = append(c.Keys, hex.EncodeToString(p.Keys[i][:]))
	}
	if p.Method != identity.Anonymous {
		c.Credential = hex.EncodeToString(p.Credential[:])
	}
	return c
}

// Identity returns the principal as it was, but that it does not expire: a replay
// is about what it was when it asked.
func (c *Principal) Identity() (*identity.Principal, error) {
	p := &identity.Principal{
		ID: c.ID, Method: c.Method, Issuer: c.Issuer, Subject: c.Subject, Audiences: c.Audiences, Groups: c.Groups,
	}
	for name, v := range c.Claims {
		if p.Claims == nil {
			p.Claims = map[string]any{}
		}
		claim, err := claimOf(v)
		if err != nil {
			return nil, fmt.Errorf("the claim %q: %w", name, err)
		}
		p.Claims[name] = claim
	}
	for _, text := range c.Keys {
		var k [sha256.Size]byte
		if n, err := hex.Decode(k[:], []byte(text)); err != nil || n != len(k) {
			return nil, errMalformed
		}
		p.Keys = append(p.Keys, k)
	}
	if c.Credential != "" {
		if n, err := hex.Decode(p.Credential[:], []byte(c.Credential)); err != nil || n != len(p.Credential) {
			return nil, errMalformed
		}
	}
	return p, nil
}

// claimOf returns a claim as [identity.Principal] has it.
func claimOf(v any) (any, error) {
	switch v := v.(type) {
	case string, bool, int64, []string:
		return v, nil
	case json.Number:
		return v.Int64()
	case []any:
		list := make([]string, len(v))
		for i := range v {
			s, is := v[i].(string)
			if !is {
				return nil, errMalformed
			}
			list[i] = s
		}
		return list, nil
	}
	return nil, errMalformed
}
