package live

import (
	"crypto/sha256"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// Revoked is everything that is revoked at one moment. The zero value is
// nothing; it does not change once it is in force.
type Revoked struct {
	// Principals by ID.
	Principals map[string]bool
	// Issuers of whom nobody is believed: trust domains, and URLs of issuers.
	Issuers map[string]bool
	// Keys are the SHA-256 of public keys, as DER: see identity.Principal.Keys.
	Keys map[[sha256.Size]byte]bool
	// Digests of models.
	Digests map[string]bool
}

// Why returns the code by which a principal, or a request for a model, must
// stop; "" when it need not. Either may be missing.
func (r *Revoked) Why(p *identity.Principal, digest string) verdict.Code {
	if p != nil && r.principal(p) {
		return verdict.IdentityRevoked
	}
	if digest != "" && r.Digests[digest] {
		return verdict.Revoked
	}
	return ""
}

func (r *Revoked) principal(p *identity.Principal) bool {
	if r.Principals[p.ID] || r.Issuers[p.Issuer] {
		return true
	}
	if len(r.Keys) == 0 {
		return false
	}
	for _, k := range p.Keys {
		if r.Keys[k] {
			return true
		}
	}
	return false
}

func (r *Revoked) empty() bool {
	return len(r.Principals)+len(r.Issuers)+len(r.Keys)+len(r.Digests) == 0
}
