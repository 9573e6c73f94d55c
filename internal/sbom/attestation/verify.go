package attestation

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/sbom/integrity"
	"github.com/apexlogic/apex/internal/sbom/python"
	"github.com/apexlogic/apex/internal/trust"
)

// The issuers of identities that the indexes take from publishers.
const (
	github      = "https://token.actions.githubusercontent.com"
	gitlab      = "https://gitlab.com"
	google      = "https://accounts.google.com"
	activeState = "https://platform.activestate.com/api/v1/oauth/oidc"
)

// errKey is for a key that nobody handed in.
var errKey = errors.New("it is signed by a key that was not handed in")

// verify verifies the signature over the digest, and returns who made it. What
// is read from the certificate counts once package trust has verified that very
// certificate, with the identity and issuer that were read from it.
func (s *signed) verify(about *subject, o *Options) (integrity.Publisher, error) {
	f := trust.File{Bundle: s.bundle, Digest: about.digest(), TrustedRootJSON: o.TrustedRootJSON}
	var by integrity.Publisher
	if s.certificate == nil {
		if s.statement.Predicate != npmPublish {
			return by, errors.New("only npm's registry signs with a key, and only that a file was published")
		}
		key, ok := o.RegistryKeys[s.key]
		if !ok {
			return by, fmt.Errorf("%w: %s", errKey, clip(s.key))
		}
		f.KeyPEM, by.Key = key, s.key
	} else {
		var err error
		if by, err = identity(s.certificate); err != nil {
			return by, err
		}
		f.Identity, f.Issuer = by.Identity, by.Issuer
	}
	if err := trust.VerifyFile(f); err != nil {
		return by, err
	}
	if s.certificate == nil {
		return by, nil
	}
	accepted := []string{github, gitlab}
	if about.ecosystem == python.Ecosystem {
		accepted = append(accepted, google, activeState)
	}
	if !slices.Contains(accepted, by.Issuer) {
		return by, fmt.Errorf("%s takes no publisher whose identity is issued by %s", about.ecosystem, clip(by.Issuer))
	}
	return by, s.publisher.agrees(&by)
}

// Fulcio's directory of OIDs, under 1.3.6.1.4.1.57264.1.
var oidFulcio = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}

const (
	oidOldIssuer  = 1 // the text itself; the others are DER
	oidIssuer     = 8
	oidRepository = 12
	oidWorkflow   = 18
)

// identity reads who a certificate of Fulcio is of.
func identity(der []byte) (integrity.Publisher, error) {
	var by integrity.Publisher
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return by, fmt.Errorf("certificate: %w", err)
	}
	switch {
	case len(cert.URIs) == 1 && len(cert.EmailAddresses) == 0:
		by.Identity = cert.URIs[0].String()
	case len(cert.EmailAddresses) == 1 && len(cert.URIs) == 0:
		by.Identity = cert.EmailAddresses[0]
	default:
		return by, errors.New("certificate: it names no identity, or several")
	}
	for _, x := range cert.Extensions {
		if len(x.Id) != len(oidFulcio)+1 || !x.Id[:len(oidFulcio)].Equal(oidFulcio) {
			continue
		}
		which, text := x.Id[len(oidFulcio)], ""
		if which == oidOldIssuer {
			text = string(x.Value)
		} else if rest, err := asn1.Unmarshal(x.Value, &text); err != nil || len(rest) > 0 {
			continue
		}
		switch which {
		case oidIssuer:
			by.Issuer = text
		case oidOldIssuer:
			if by.Issuer == "" {
				by.Issuer = text
			}
		case oidRepository:
			by.Repository = text
		case oidWorkflow:
			by.Workflow = text
		}
	}
	if by.Issuer == "" {
		return by, errors.New("certificate: it does not say who issued the identity")
	}
	return by, nil
}

// agrees holds whom the index names against whom the certificate names.
func (p *publisher) agrees(by *integrity.Publisher) error {
	if p == nil {
		return nil
	}
	ok := false
	switch p.Kind {
	case "GitHub":
		ok = by.Issuer == github && p.Workflow != "" && foldPrefix(by.Identity, "https://github.com/"+p.Repository+"/.github/workflows/"+p.Workflow+"@")
	case "GitLab":
		ok = by.Issuer == gitlab && p.WorkflowPath != "" && foldPrefix(by.Identity, "https://gitlab.com/"+p.Repository+"//"+p.WorkflowPath+"@")
	case "Google":
		ok = by.Issuer == google && p.Email != "" && strings.EqualFold(by.Identity, p.Email)
	case "ActiveState":
		ok = by.Issuer == activeState
	default:
		return fmt.Errorf("the index names a publisher of the kind %q, which is not known", clip(p.Kind))
	}
	if !ok {
		return fmt.Errorf("the index names %s %s as the publisher, and the certificate is of %s", p.Kind, clip(p.Repository+p.Email), clip(by.Identity))
	}
	return nil
}

// foldPrefix compares without case: names of repositories have none.
func foldPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
