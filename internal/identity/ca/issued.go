package ca

import (
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/identity"
)

// Issued says what was issued, to be recorded.
type Issued struct {
	ID       spiffeid.ID
	Evidence string // its kind, as unix or kubernetes
	Method   identity.Method
	NotAfter time.Time
	// Credential as identity.Principal will have it, so that it can be revoked.
	Credential [sha256.Size]byte
}

// IssuedCertificate says that a certificate was issued.
func IssuedCertificate(id spiffeid.ID, evidence string, leaf *x509.Certificate) Issued {
	return Issued{id, evidence, identity.X509SVID, leaf.NotAfter, sha256.Sum256(leaf.RawTBSCertificate)}
}

// IssuedToken says that a token was issued. Its credential is the SHA-256 of
// what was signed: the token up to its second dot.
func IssuedToken(id spiffeid.ID, evidence, token string, until time.Time) Issued {
	return Issued{id, evidence, identity.JWTSVID, until, sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))}
}
